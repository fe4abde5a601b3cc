//! `aneal data`

use std::path::PathBuf;

use aneal_golf::corpus;
use aneal_golf::documents::{DocumentSeparator, read_text, split_documents};
use aneal_golf::shard::{Split, TokenStream, find_shards};
use aneal_golf::tokenizer::Tokenizer;
use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::output::{grouped, result};
use crate::{Done, built_in};

/// Flags of `aneal data`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Text files to a training and a validation shard; BOS stands before each document
    Tokenize(Tokenize),
    /// Say what shards hold: framing, tokens, ids, documents, and how the text begins
    Inspect(Inspect),
}

#[derive(Debug, Parser)]
struct Tokenize {
    /// Text files, UTF-8
    #[arg(required = true)]
    text: Vec<PathBuf>,
    /// Folder for the shards
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// SentencePiece model [default: the built-in one]
    #[arg(long, env = "TOKENIZER_PATH", value_name = "MODEL")]
    tokenizer: Option<PathBuf>,
    /// What separates documents
    #[arg(long, value_enum, default_value_t = Separator::Auto)]
    separator: Separator,
    /// Share of the text held out for validation, from the end, in percent
    #[arg(long, value_name = "N", default_value_t = aneal_train::data::VAL_PERCENT,
          value_parser = clap::value_parser!(u32).range(1..=99))]
    val_percent: u32,
}

/// The command line's words for [`DocumentSeparator`].
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Separator {
    /// Lines that hold only <|doc|> if there are any, else each file is one document
    Auto,
    /// Each file is one document
    File,
    /// Blank lines
    BlankLine,
    /// Lines that hold only <|doc|>
    DocLine,
}

impl From<Separator> for DocumentSeparator {
    fn from(separator: Separator) -> Self {
        match separator {
            Separator::Auto => Self::Auto,
            Separator::File => Self::File,
            Separator::BlankLine => Self::BlankLine,
            Separator::DocLine => Self::DocLine,
        }
    }
}

#[derive(Debug, Parser)]
struct Inspect {
    /// A shard, or a folder of shards
    path: PathBuf,
    /// SentencePiece model to show text with [default: the built-in one]
    #[arg(long, env = "TOKENIZER_PATH", value_name = "MODEL")]
    tokenizer: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    match &args.command {
        Command::Tokenize(args) => tokenize(args, json)?,
        Command::Inspect(args) => inspect(args, json)?,
    }
    Ok(Done::Finished)
}

fn tokenizer(named: Option<&PathBuf>) -> anyhow::Result<Tokenizer> {
    Ok(match named {
        Some(path) => Tokenizer::from_file(path)?,
        None => Tokenizer::from_bytes(built_in::assets().tokenizer)?,
    })
}

fn tokenize(args: &Tokenize, json: bool) -> anyhow::Result<()> {
    let tokenizer = tokenizer(args.tokenizer.as_ref())?;
    let texts: Vec<String> =
        args.text.iter().map(|path| read_text(path)).collect::<Result<_, _>>()?;
    let documents: Vec<&str> =
        texts.iter().flat_map(|text| split_documents(text, args.separator.into())).collect();
    std::fs::create_dir_all(&args.output)
        .with_context(|| format!("cannot create {}", args.output.display()))?;
    let [train, val] =
        corpus::write_shards(&documents, &tokenizer, &args.output, args.val_percent)?;
    // Shards do not say which tokenizer made them; one beside them does.
    let model = match &args.tokenizer {
        Some(path) => std::fs::read(path)?,
        None => built_in::assets().tokenizer.to_vec(),
    };
    let beside = args.output.join(aneal_train::data::TOKENIZER_FILE);
    aneal_train::run_folder::write_atomically(&beside, &model)?;
    result(json, &json!({ "train": train, "val": val, "tokenizer": beside }), || {
        [train.clone(), val.clone()]
            .map(|shard| {
                format!(
                    "{}: {} documents, {} bytes of text, {} tokens",
                    shard.path.display(),
                    grouped(shard.documents as u64),
                    grouped(shard.text_bytes as u64),
                    grouped(shard.tokens as u64)
                )
            })
            .join("\n")
    })
}

fn inspect(args: &Inspect, json: bool) -> anyhow::Result<()> {
    /// Tokens shown as text.
    const SHOWN: usize = 48;
    let tokenizer = tokenizer(args.tokenizer.as_ref())?;
    let mut paths = Vec::new();
    for split in [Split::Train, Split::Val] {
        // A folder may hold only one of the two kinds; a single file is found as either.
        paths.extend(find_shards(&args.path, split).unwrap_or_default());
    }
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        find_shards(&args.path, Split::Val)?;
    }
    let (mut objects, mut lines) = (Vec::new(), Vec::new());
    for path in paths {
        let stream = TokenStream::open(std::slice::from_ref(&path), 1 << 16)?;
        let format = stream.describe()[0].format.to_string();
        let (mut largest, mut documents) = (0, 0_u64);
        let mut buffer = vec![0; 1 << 16];
        let mut at = 0;
        while at < stream.len() {
            let n = buffer.len().min((stream.len() - at) as usize);
            stream.read(at, &mut buffer[..n])?;
            largest = largest.max(buffer[..n].iter().copied().max().unwrap_or(0));
            let begins = |id: &&u32| Some(**id) == tokenizer.bos_id();
            documents += buffer[..n].iter().filter(begins).count() as u64;
            at += n as u64;
        }
        let mut head = vec![0; SHOWN.min(stream.len() as usize)];
        stream.read(0, &mut head)?;
        let text = tokenizer.decode(&head);
        lines.push(format!(
            "{}: {format} format, {} tokens, largest id {largest}, {} documents\n  {text}",
            path.display(),
            grouped(stream.len()),
            grouped(documents)
        ));
        objects.push(json!({
            "path": path,
            "format": format,
            "tokens": stream.len(),
            "largest_id": largest,
            "documents": documents,
            "text": text,
        }));
    }
    result(json, &json!({ "shards": objects }), || lines.join("\n"))
}
