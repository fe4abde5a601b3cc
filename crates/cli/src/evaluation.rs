//! Scoring a model for a command: which data, which windows, and progress meanwhile.

use std::path::PathBuf;

use aneal_golf::corpus::{self, VAL_SHARD};
use aneal_golf::documents::{DocumentSeparator, held_out_start, split_documents};
use aneal_golf::score::{Score, Windows, score};
use aneal_golf::shard::{Split, TokenStream, find_shards};
use aneal_golf::tokenizer::{ByteTable, Tokenizer};
use aneal_model::{Backend, Params};
use aneal_train::data::VAL_PERCENT;
use aneal_train::{Event, Observer};
use clap::Args;
use tempfile::TempDir;

use crate::backend::{self, BackendArgs, Workload};
use crate::built_in;
use crate::output::{note, usage};
use crate::precision::PrecisionArg;
use crate::progress::Progress;
use crate::source::Source;

/// Flags about what is scored.
#[derive(Debug, Args)]
pub(crate) struct ScoreArgs {
    /// Validation shards: a folder or one file [default: the run's, else the built-in text]
    #[arg(long, env = "DATA_PATH", value_name = "PATH")]
    data: Option<PathBuf>,
    /// SentencePiece model of the data [default: the run's, else the built-in one]
    #[arg(long, env = "TOKENIZER_PATH", value_name = "MODEL")]
    tokenizer: Option<PathBuf>,
    /// Tokens a window sees [default: the model's sequence length]
    #[arg(long, value_name = "N")]
    seq_len: Option<usize>,
    /// Score only the first N targets
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// Number type of matrix operands
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionArg,
    #[command(flatten)]
    backend: BackendArgs,
}

/// A model ready to be scored.
pub(crate) struct Evaluation {
    backend: Box<dyn Backend>,
    stream: TokenStream,
    bytes: ByteTable,
    windows: Windows,
    /// Shards of the built-in text, gone with this value.
    _temporary: Option<TempDir>,
}

impl Evaluation {
    /// Opens data and backend for a model. Without a stride it is `usual`, or with that neither,
    /// or where a window is shorter, windows are disjoint.
    pub(crate) fn new(
        source: &Source,
        args: &ScoreArgs,
        stride: Option<usize>,
        usual: Option<usize>,
    ) -> anyhow::Result<Self> {
        let tokenizer = source.tokenizer(args.tokenizer.as_deref())?;
        let vocab_size = source.config.vocab_size;
        let (path, temporary) = validation_data(source, args, &tokenizer)?;
        let stream = TokenStream::open(&find_shards(&path, Split::Val)?, vocab_size)?;
        for shard in stream.describe() {
            note(&format!(
                "data: {} ({} format, {} tokens)",
                shard.path.display(),
                shard.format,
                shard.tokens
            ));
        }
        let limit = source.config.seq_len;
        let seq_len = args.seq_len.unwrap_or(limit);
        if !(1..=limit).contains(&seq_len) {
            return Err(usage(format!(
                "--seq-len {seq_len} must be from 1 to the model's {limit}"
            )));
        }
        let stride = stride.unwrap_or(usual.unwrap_or(seq_len).min(seq_len));
        if !(1..=seq_len).contains(&stride) {
            return Err(usage(format!(
                "--stride {stride} must be from 1 to the window, {seq_len}"
            )));
        }
        let windows = Windows { seq_len, stride, max_tokens: args.max_tokens };
        let config = args.backend.config()?;
        let (model, precision) = (&source.config, args.precision.resolve());
        let workload = Workload { seq_len, tokens: 0 };
        let backend = backend::make(&config, model, precision, workload)?.backend;
        note(&format!("backend: {}", backend.describe()));
        note(&format!("windows: {seq_len} tokens, stride {stride}"));
        let bytes = ByteTable::new(&tokenizer, vocab_size)?;
        Ok(Self { backend, stream, bytes, windows, _temporary: temporary })
    }

    /// Scores some parameters of the model.
    pub(crate) fn score(&mut self, params: &Params) -> anyhow::Result<Score> {
        self.backend.stage(params)?;
        let mut progress = Progress::new();
        let report = &mut |done, total| progress.event(Event::Validating { done, total });
        let score = score(&mut *self.backend, &self.stream, &self.bytes, self.windows, report)?;
        progress.end();
        Ok(score)
    }
}

/// The validation data named, else the run's, else the held-out part of the built-in text.
fn validation_data(
    source: &Source,
    args: &ScoreArgs,
    tokenizer: &Tokenizer,
) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    if let Some(path) = &args.data {
        return Ok((path.clone(), None));
    }
    if let Some((folder, config)) = &source.run {
        return Ok((config.data.path.clone().unwrap_or_else(|| folder.data()), None));
    }
    note("data: the held-out part of the built-in text (name other data with --data)");
    let folder = tempfile::tempdir()?;
    let text = (built_in::assets().corpus)();
    let documents = split_documents(&text, DocumentSeparator::DocLine);
    let held_out = &documents[held_out_start(&documents, VAL_PERCENT)..];
    corpus::write_shard(held_out, tokenizer, &folder.path().join(VAL_SHARD))?;
    Ok((folder.path().to_owned(), Some(folder)))
}
