//! `aneal plan`: what a training step on the Neural Engine would be made of, and what it would take.

mod report;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use aneal_ane::Profile;
use aneal_ane::clock::{Costs, LoopRates};
use aneal_mil::{Dialect, text};
use aneal_model::ane::{Plan, Pricing, Search, Target};
use aneal_train::RunConfig;
use aneal_train::config::Layers;
use aneal_train::run_folder::write_atomically;
use anyhow::{Context, bail};
use clap::{Parser, ValueEnum};

use crate::output::{note, result, usage};
use crate::{Done, device};
use report::Report;

/// Flags of `aneal plan`.
#[derive(Debug, Parser)]
#[command(after_help = "\
Everything is predicted from published measurements of the device; nothing is run.

Examples:
  aneal plan                                       # GolfWide on M4 Pro
  aneal plan --preset stories110m --profile m1
  aneal plan --profile strict --costs m4 --dump-mil programs
  aneal plan --plan auto --explain                 # the fastest, and what it was compared with
  aneal plan --json --svg step.svg")]
pub(crate) struct Args {
    /// A built-in configuration: quickstart, golfwide, pr801, stories110m, qwen3-0.6b
    #[arg(long, value_name = "NAME", default_value = "golfwide")]
    preset: String,
    /// A configuration file, as for `aneal train`
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// The device whose rules the programs keep: m1, m3-pro, m3-ultra, m4, m4-pro, m4-max, m5-max, m6,
    /// strict, or a profile's file
    #[arg(long, value_name = "NAME|FILE", default_value = "m4-pro")]
    profile: String,
    /// The device that the step is priced on [default: the profile's, or one of the same chip]
    #[arg(long, value_name = "NAME")]
    costs: Option<String>,
    /// Which plan: ten-kernel, fused, fused-kept, fused-worker, fused-kept-worker, or auto for the one
    /// that is predicted to be fastest
    #[arg(long, value_name = "NAME", default_value = "ten-kernel")]
    plan: String,
    /// Sequences of a micro-batch [default: 1, with --plan auto whatever is fastest]
    #[arg(long, value_name = "B")]
    batch: Option<usize>,
    /// What dispatches are priced at: the device's costs, or the 0.108 ms and 3.79 TFLOPS that
    /// published training loops reached
    #[arg(long, value_enum, default_value_t = Rates::Device)]
    rates: Rates,
    /// Tell every plan that was compared, and why others cannot be
    #[arg(long)]
    explain: bool,
    /// Write each program as MIL text into this folder, its tables below it in weights/
    #[arg(long, value_name = "DIR")]
    dump_mil: Option<PathBuf>,
    /// Draw the step into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// See [`Args::rates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Rates {
    Device,
    Published,
}

impl Rates {
    fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Published => "published",
        }
    }
}

/// The name that stands for the best of all plans.
const AUTO: &str = "auto";

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    let config = configure(args)?;
    let profile = device::profile(&args.profile)?;
    let (device, mut costs) = costs(args, &profile)?;
    costs.loop_rates = (args.rates == Rates::Published).then_some(LoopRates::PUBLISHED);
    let seq_len = config.batch.seq_len.unwrap_or(config.model.seq_len);
    let sequences = args.batch.unwrap_or(1);
    let target = Target { model: &config.model, profile: &profile, sequences, seq_len };
    let search = Search {
        tokens_per_update: config.batch.tokens,
        occurring: config.model.vocab_size,
        sequences: args.batch,
        most_surface_bytes: Search::SURFACE_BYTES,
    };
    let candidates =
        if args.explain { Plan::candidates(&target, &costs, &search) } else { Vec::new() };
    let plan = match args.plan.as_str() {
        AUTO => Plan::best(&target, &costs, &search)?.plan,
        name => Plan::named(name, &target)?,
    };
    let micro_batches = config.batch.tokens.div_ceil(plan.tokens());
    if !config.batch.tokens.is_multiple_of(plan.tokens()) {
        note("the last micro-batch of an update is not full; figures are those of full ones");
    }
    let mut pricing = Pricing {
        occurring: config.model.vocab_size,
        micro_batches_per_update: Some(micro_batches),
    };
    let step = plan.price(&costs, &pricing);
    pricing.micro_batches_per_update = None;
    let without_update = plan.price(&costs, &pricing);

    if let Some(folder) = &args.dump_mil {
        dump(&plan, folder)?;
    }
    if let Some(file) = &args.svg {
        let title = format!("{} for {} on {device}", plan.name, config.name);
        write_atomically(file, step.timeline.svg(&title).as_bytes())?;
        note(&format!("drawn into {}", file.display()));
    }
    let objections = plan.objections(&profile);
    let report = Report {
        model: &config.name,
        profile: &profile.name,
        priced_as: device,
        tokens_per_update: config.batch.tokens,
        micro_batches_per_update: micro_batches,
        plan: &plan,
        costs: &costs,
        rates: args.rates.name(),
        candidates: &candidates,
        step: &step,
        without_update: &without_update,
        objections: &objections,
    };
    result(json, &report.json(), || table::text(&report))?;
    Ok(Done::Finished)
}

/// Preset or file; how much is trained does not matter here.
fn configure(args: &Args) -> anyhow::Result<RunConfig> {
    let layers = match &args.config {
        Some(path) => Layers::file(path)?,
        None => Layers::preset(&args.preset)?,
    };
    Ok(layers.resolve()?)
}

/// The costs asked for, else those of the profile's device, else those of a documented device with
/// the same chip; and whose they are.
fn costs(args: &Args, profile: &Profile) -> anyhow::Result<(&'static str, Costs)> {
    let devices = || Costs::devices().collect::<Vec<_>>().join(", ");
    if let Some(name) = &args.costs {
        let device = Costs::devices().find(|device| device == name).ok_or_else(|| {
            usage(format!("--costs: no device {name:?} has known costs; expected {}", devices()))
        })?;
        return Ok((device, Costs::of(device)?));
    }
    let Some((device, costs)) = profile.costs()? else {
        return Err(usage(format!(
            "the profile {} is no device of which costs are known, so there is nothing to predict \
             from; name one with --costs: {}",
            profile.name,
            devices()
        )));
    };
    if device != profile.name {
        let Profile { name, chip, .. } = profile;
        note(&format!("{name} has no costs of its own: priced as {device}, also {chip}"));
    }
    Ok((device, costs))
}

/// Writes every program and its tables into a folder that is new or empty.
fn dump(plan: &Plan, folder: &Path) -> anyhow::Result<()> {
    let weights = folder.join("weights");
    let place = folder.display();
    if folder.exists() && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("--dump-mil: {place} is not empty; name a folder that is new");
    }
    fs::create_dir_all(&weights).with_context(|| format!("cannot create {}", weights.display()))?;
    for kernel in &plan.kernels {
        let (program, tables) = kernel.program()?;
        for (_, bytes) in tables.iter() {
            write_atomically(&weights.join(format!("{}.bin", kernel.name)), bytes)?;
        }
        let text = text::print(&program, Dialect::Modern);
        write_atomically(&folder.join(format!("{}.mil", kernel.name)), text.as_bytes())?;
    }
    note(&format!("{} programs written into {place}", plan.kernels.len()));
    Ok(())
}
