//! `aneal eval`

use clap::Parser;
use serde_json::json;

use crate::Done;
use crate::evaluation::{Evaluation, ScoreArgs};
use crate::output::{grouped, result};
use crate::source::ModelArgs;

/// Flags of `aneal eval`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    score: ScoreArgs,
    /// Targets scored a window; the window's length gives disjoint windows [default: 64]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let source = args.model.read()?;
    let mut evaluation = Evaluation::new(&source, &args.score, args.stride, Some(64))?;
    let score = evaluation.score(&source.params)?;
    let object = json!({
        "val_loss": score.val_loss,
        "val_bpb": score.val_bpb,
        "tokens": score.tokens,
        "bytes": score.bytes,
        "model": source.path,
    });
    result(json, &object, || {
        format!(
            "val_loss {:.8}  val_bpb {:.8}\n{} targets, {} bytes",
            score.val_loss,
            score.val_bpb,
            grouped(score.tokens),
            grouped(score.bytes)
        )
    })?;
    Ok(Done::Finished)
}
