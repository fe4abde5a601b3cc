//! `aneal mil convert`

use std::fs;
use std::path::{Path, PathBuf};

use aneal_mil::coreml::Package;
use aneal_mil::text;
use aneal_train::run_folder::write_atomically;
use anyhow::{Context, bail};
use clap::Parser;
use serde_json::json;

use super::Spelling;
use super::input::{Input, WeightFiles, folder_of, inside_path};
use crate::output::{grouped, result, usage};

#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  aneal mil convert layer.mil --out layer.mlpackage   # for Core ML and coremltools
  aneal mil convert layer.mlpackage --out layer.mil   # weights go to weights/ beside it
  aneal mil convert layer.mil --out old.mil --dialect 1.0")]
pub(super) struct Args {
    /// MIL text, an .mlpackage folder, or its model.mlmodel
    file: PathBuf,
    /// What to write: a package if it ends in .mlpackage, else text, with its weight files beside it
    /// where it names them
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// How text spells scalars [default: that of FILE; 1.3 for a package]
    #[arg(long, value_enum)]
    dialect: Option<Spelling>,
    /// Folder of the weight files [default: where FILE names them, beside it]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Replace what is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<()> {
    let out = &args.out;
    let packs = match out.extension().and_then(|extension| extension.to_str()) {
        Some("mlpackage") => true,
        Some("mlmodel") => {
            return Err(usage("--out: a model alone has no weights; name an .mlpackage or a text"));
        }
        _ => false,
    };
    if packs && args.dialect.is_some() {
        return Err(usage("--dialect: packages have none; leave it out, or write text"));
    }
    let input = Input::read(&args.file)?;
    let files = input.weights(args.weights.as_deref());
    files.require(&input).with_context(|| args.file.display().to_string())?;
    if !args.force && fs::symlink_metadata(out).is_ok() {
        bail!("{} is there already; give another --out, or --force to replace it", out.display());
    }
    let operations = input.program.operations();
    let weights = match packs {
        true => {
            let package = Package::new(input.program, &files.weights)?;
            package.write(out)?;
            package.weights.iter().map(|(_, bytes)| bytes.len()).sum()
        }
        false => write_text(args, &input, &files)?,
    };
    let object = json!({
        "file": args.file,
        "out": out,
        "operations": operations,
        "weight_bytes": weights,
    });
    result(json, &object, || {
        format!(
            "{}: {} operations, {} bytes of weights, from {}",
            out.display(),
            grouped(operations as u64),
            grouped(weights as u64),
            args.file.display()
        )
    })
}

/// Writes text and weight files, the weights first, so that a text never lacks them. Returns the
/// bytes of the weight files.
fn write_text(args: &Args, input: &Input, files: &WeightFiles) -> anyhow::Result<usize> {
    let text = text::print(&input.program, input.dialect_or(args.dialect));
    let folder = folder_of(&args.out);
    if !folder.is_dir() {
        bail!("{} is no folder; create it, or give another --out", folder.display());
    }
    let mut pending = Vec::new();
    let mut total = 0;
    for (path, bytes) in files.weights.iter() {
        let place = folder.join(inside_path(path)?);
        total += bytes.len();
        if place == args.out {
            bail!("{} would be text and weights at once; give another --out", place.display());
        }
        if holds(&place, bytes) {
            continue;
        }
        if !args.force && fs::symlink_metadata(&place).is_ok() {
            bail!(
                "{} is there already and holds other weights; write into another folder, or --force \
                 to replace it",
                place.display()
            );
        }
        pending.push((place, bytes));
    }
    for (place, bytes) in pending {
        let folder = folder_of(&place);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        write_atomically(&place, bytes)?;
    }
    write_atomically(&args.out, text.as_bytes())?;
    Ok(total)
}

/// Whether a file holds exactly these bytes.
fn holds(path: &Path, bytes: &[u8]) -> bool {
    let same_length =
        fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == bytes.len() as u64);
    same_length && fs::read(path).is_ok_and(|found| found == bytes)
}
