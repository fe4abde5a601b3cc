//! `aneal train`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use aneal_train::config::{Layers, RunConfig};
use aneal_train::data::Data;
use aneal_train::run_folder::{Lock, RunFolder};
use aneal_train::{Outcome, Summary, Trainer};
use anyhow::Context;
use clap::Parser;

use super::data::Separator;
use crate::backend::{self, BackendArgs, Chosen, Workload};
use crate::output::{grouped, note, result};
use crate::precision::PrecisionArg;
use crate::progress::Progress;
use crate::{Done, built_in, environment};

/// Flags of `aneal train`.
#[derive(Debug, Parser)]
#[command(after_help = environment::HELP)]
pub(crate) struct Args {
    /// A built-in configuration: quickstart, golfwide, pr801, stories110m, qwen3-0.6b
    #[arg(long, value_name = "NAME", default_value = "quickstart")]
    preset: String,
    /// A configuration file; with `preset = "NAME"` at its top it is laid over that preset
    #[arg(long, value_name = "FILE", conflicts_with = "preset")]
    config: Option<PathBuf>,
    /// Continue the run in this folder exactly where its newest checkpoint left off
    #[arg(long, value_name = "DIR", conflicts_with_all = ["preset", "config", "out", "set", "data",
          "text", "separator", "tokenizer", "backend", "profile", "plan", "arithmetic", "precision",
          "tokens", "steps", "seconds", "seed"])]
    resume: Option<PathBuf>,
    /// Folder with training and validation shards
    #[arg(long, value_name = "DIR", conflicts_with = "text")]
    data: Option<PathBuf>,
    /// Text files to train on; the last documents are held out for validation
    #[arg(long, value_name = "FILE", num_args = 1..)]
    text: Vec<PathBuf>,
    /// What separates the documents of a text file
    #[arg(long, value_enum, requires = "text")]
    separator: Option<Separator>,
    /// SentencePiece model [default: tokenizer.model beside the shards, or the built-in one for text]
    #[arg(long, value_name = "MODEL")]
    tokenizer: Option<PathBuf>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Number type of matrix operands [default: the configuration's, else auto]
    #[arg(long, value_enum)]
    precision: Option<PrecisionArg>,
    /// Stop after so many training tokens
    #[arg(long, value_name = "N")]
    tokens: Option<u64>,
    /// Stop after so many updates
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Stop after so many seconds of updates
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// The run folder [default: runs/NAME-DATE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Decides initial weights, data order and samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    seed: Option<i64>,
    /// Set any value of the configuration, for example optimizer.lr=1e-3; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Folder in which run folders are made
    #[arg(long, env = "OUT_DIR", value_name = "DIR", default_value = "runs", hide = true)]
    runs: PathBuf,
    /// Name of the run folder
    #[arg(long, env = "RUN_ID", value_name = "NAME", hide = true)]
    run_id: Option<String>,
}

pub(crate) fn run(args: Args, json: bool) -> anyhow::Result<Done> {
    let ((folder, lock, config, data), chosen) = match &args.resume {
        Some(path) => {
            let (folder, config) = RunFolder::open(path)?;
            let lock = folder.lock()?;
            let data = Data::open(&config, &folder, built_in::assets())?;
            let chosen = choose(&config)?;
            ((folder, lock, config, data), chosen)
        }
        None => {
            let config = configure(&args)?;
            // Before there is a run folder, so that one that cannot be leaves none behind.
            let chosen = choose(&config)?;
            (start(&args, config)?, chosen)
        }
    };
    note(&format!("{:<9}{}", "run", folder.root().display()));
    args.backend.explain(&config.backend);
    let root = folder.root().to_owned();
    let stop = stop_on_signal()?;
    let mut progress = Progress::new().beside(chosen.predicted);
    let mut backend = chosen.backend;
    let outcome = Trainer::new(config, folder, lock, data, &mut *backend, &mut progress)
        .and_then(|trainer| trainer.run(&stop));
    progress.end();
    match outcome? {
        Outcome::Finished(summary) => {
            result(json, &summary, || report(&summary))?;
            Ok(Done::Finished)
        }
        Outcome::Interrupted { step } => {
            let root = root.display();
            note(&format!("stopped after step {step}; go on with: aneal train --resume {root}"));
            Ok(Done::Interrupted)
        }
    }
}

/// What the configuration computes on.
fn choose(config: &RunConfig) -> anyhow::Result<Chosen> {
    let workload = Workload { seq_len: config.seq_len(), tokens: config.batch.tokens };
    backend::make(&config.backend, &config.model, config.precision, workload)
}

/// Makes the run folder and opens the data. A folder is only a run once its data is good, so that
/// the same command works after the data was put right.
fn start(args: &Args, config: RunConfig) -> anyhow::Result<(RunFolder, Lock, RunConfig, Data)> {
    let root = args.out.clone().unwrap_or_else(|| default_folder(args, &config));
    let existed = root.exists();
    let folder = RunFolder::create(&root)?;
    let lock = folder.lock()?;
    let opened = Data::open(&config, &folder, built_in::assets())
        .and_then(|data| folder.save_config(&config).map(|()| data));
    match opened {
        Ok(data) => Ok((folder, lock, config, data)),
        Err(error) => {
            if !existed {
                std::fs::remove_dir_all(&root)
                    .with_context(|| format!("cannot remove {}", root.display()))?;
            }
            Err(error.into())
        }
    }
}

/// Preset or file, then the environment, then flags.
fn configure(args: &Args) -> anyhow::Result<RunConfig> {
    let mut layers = match &args.config {
        Some(path) => Layers::file(path)?,
        None => Layers::preset(&args.preset)?,
    };
    environment::apply(&mut layers, |name| std::env::var(name).ok())?;
    // A limit given by hand replaces the configured ones: the first one reached would end the run.
    if args.steps.is_some() || args.tokens.is_some() || args.seconds.is_some() {
        layers.unset("stop");
    }
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    for (path, value) in [("stop.steps", args.steps), ("stop.tokens", args.tokens)] {
        if let Some(n) = value {
            layers.set(path, count(n));
        }
    }
    if let Some(seconds) = args.seconds {
        layers.set("stop.seconds", seconds);
    }
    if let Some(seed) = args.seed {
        layers.set("seed", seed);
    }
    if let Some(precision) = args.precision {
        layers.set("precision", precision.resolve().name());
    }
    args.backend.apply(&mut layers)?;
    if let Some(separator) = args.separator {
        let kind: aneal_golf::documents::DocumentSeparator = separator.into();
        layers.set("data.separator", toml::Value::try_from(kind)?);
    }
    for assignment in &args.set {
        layers.assign(assignment)?;
    }
    let mut config = layers.resolve_unchecked()?;
    if args.data.is_some() || !args.text.is_empty() {
        config.data.path.clone_from(&args.data);
        config.data.text.clone_from(&args.text);
    }
    if args.tokenizer.is_some() {
        config.data.tokenizer.clone_from(&args.tokenizer);
    }
    // The saved configuration must mean the same from any folder.
    let data = &mut config.data;
    let paths = data.path.iter_mut().chain(&mut data.text).chain(&mut data.tokenizer);
    for path in paths {
        *path = std::path::absolute(&*path)
            .with_context(|| format!("cannot make {} absolute", path.display()))?;
    }
    config.validate()?;
    Ok(config)
}

/// `runs/NAME-YYYYMMDD-HHMMSS`, with a number behind it if that exists.
fn default_folder(args: &Args, config: &RunConfig) -> PathBuf {
    if let Some(name) = &args.run_id {
        return args.runs.join(name);
    }
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date: String = date.chars().filter(char::is_ascii_digit).collect();
    let (day, time) = date.split_at(8.min(date.len()));
    let name = format!("{}-{day}-{time}", config.name);
    let numbered = |n: u32| match n {
        1 => args.runs.join(&name),
        n => args.runs.join(format!("{name}-{n}")),
    };
    (1..).map(numbered).find(|path| !Path::new(path).exists()).unwrap_or_else(|| numbered(1))
}

/// A flag that the first ctrl-C or SIGTERM raises; the second one ends the process.
fn stop_on_signal() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        note("stopping after this update; press ctrl-C again to lose what is not saved");
    })?;
    Ok(stop)
}

fn report(summary: &Summary) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:<26}{value}\n"));
    row("training tokens", grouped(summary.tokens));
    row("updates", grouped(summary.steps));
    row("time in updates", format!("{:.1} s", summary.wall_s));
    if let Some(bpb) = summary.val_bpb_untrained {
        row("val_bpb before training", format!("{bpb:.4}"));
    }
    row("val_bpb after training", format!("{:.4}", summary.val_bpb_before));
    row("artifact", format!("{} bytes", grouped(summary.artifact_bytes)));
    row("val_bpb of the artifact", format!("{:.4}", summary.val_bpb));
    row("run folder", summary.run_dir.display().to_string());
    text
}
