//! `aneal generate`

use std::path::PathBuf;

use aneal_model::Sampling;
use aneal_train::generate::{Request, generate};
use clap::Parser;
use serde_json::json;

use crate::Done;
use crate::output::{print, result};
use crate::source::ModelArgs;

/// Flags of `aneal generate`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// SentencePiece model [default: the run's, else the built-in one]
    #[arg(long, env = "TOKENIZER_PATH", value_name = "MODEL")]
    tokenizer: Option<PathBuf>,
    /// Text to continue
    #[arg(long, default_value = "")]
    prompt: String,
    /// Tokens to generate at most
    #[arg(long, value_name = "N", default_value_t = 200)]
    max_tokens: usize,
    /// 0 takes the most likely token; higher is more varied
    #[arg(long, value_name = "T", default_value_t = 0.8)]
    temperature: f32,
    /// Consider only the K most likely tokens; 0 considers all
    #[arg(long, value_name = "K", default_value_t = 40)]
    top_k: usize,
    /// Consider only the most likely tokens that together have this probability
    #[arg(long, value_name = "P", default_value_t = 1.0)]
    top_p: f32,
    /// The same seed gives the same text
    #[arg(long, env = "SEED", value_name = "N", default_value_t = 1337)]
    seed: u64,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let sampling = Sampling { temperature: args.temperature, top_k: args.top_k, top_p: args.top_p };
    sampling.validate()?;
    let source = args.model.read()?;
    let tokenizer = source.tokenizer(args.tokenizer.as_deref())?;
    let request =
        Request { prompt: &args.prompt, max_tokens: args.max_tokens, sampling, seed: args.seed };
    let mut text = String::new();
    let mut written = Ok(());
    if !json {
        print(&args.prompt)?;
    }
    let tokens = generate(&source.config, &source.params, &tokenizer, &request, &mut |piece| {
        text.push_str(piece);
        if !json && written.is_ok() {
            written = print(piece);
        }
    })?;
    written?;
    let object = json!({ "prompt": args.prompt, "text": text, "tokens": tokens });
    // For people the text is there already; what is missing is the line's end.
    result(json, &object, String::new)?;
    Ok(Done::Finished)
}
