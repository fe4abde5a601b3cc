//! `aneal pack`

use std::path::PathBuf;

use aneal_golf::artifact::Artifact;
use aneal_golf::quantize::QuantScheme;
use clap::Parser;
use serde_json::json;

use crate::Done;
use crate::evaluation::{Evaluation, ScoreArgs};
use crate::output::{grouped, note, result};
use crate::source::Source;

/// Flags of `aneal pack`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// A run folder (its newest checkpoint), a checkpoint folder, or a .safetensors file of one
    checkpoint: PathBuf,
    /// The artifact to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Quantise as the challenge's own script does, with steps of at least 1/127: bit for bit the
    /// same, but coarse for weights below 1
    #[arg(long)]
    reference_floor: bool,
    /// Do not score the model before and after
    #[arg(long)]
    no_score: bool,
    #[command(flatten)]
    score: ScoreArgs,
    /// Targets scored a window [default: disjoint windows]
    #[arg(long, value_name = "N")]
    stride: Option<usize>,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let source = Source::checkpoint(&args.checkpoint)?;
    let scheme = if args.reference_floor { QuantScheme::Reference } else { QuantScheme::PerRow };
    let mut evaluation = match args.no_score {
        true => None,
        false => Some(Evaluation::new(&source, &args.score, args.stride, None)?),
    };
    let sizes = Artifact::pack(&source.config, &source.params, scheme)?.write(&args.output)?;
    note(&sizes.to_string());
    let mut object = json!({
        "artifact": args.output,
        "artifact_bytes": sizes.artifact,
        "payload_bytes": sizes.payload,
        "raw_torch_bytes": sizes.raw_torch,
        "scheme": scheme,
    });
    let mut text = format!(
        "{}: {} bytes, from {}",
        args.output.display(),
        grouped(sizes.artifact as u64),
        source.path.display()
    );
    if let Some(evaluation) = &mut evaluation {
        // What is scored is the file, read back.
        let (_, unpacked) = Artifact::read(&args.output)?.unpack(None)?;
        let before = evaluation.score(&source.params)?;
        let after = evaluation.score(&unpacked)?;
        object["val_bpb_before"] = json!(before.val_bpb);
        object["val_bpb_after"] = json!(after.val_bpb);
        object["val_loss_before"] = json!(before.val_loss);
        object["val_loss_after"] = json!(after.val_loss);
        object["tokens"] = json!(after.tokens);
        object["bytes"] = json!(after.bytes);
        text += &format!(
            "\nval_bpb {:.6} before, {:.6} after packing ({:+.6}), over {} targets",
            before.val_bpb,
            after.val_bpb,
            after.val_bpb - before.val_bpb,
            grouped(after.tokens)
        );
    }
    result(json, &object, || text)?;
    Ok(Done::Finished)
}
