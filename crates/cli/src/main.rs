//! The `aneal` command: parse, resolve, run. No arithmetic happens here.
//!
//! Exit codes: 0 done, 1 the work failed, 2 bad usage or configuration, 130 interrupted and
//! resumable.

#![forbid(unsafe_code)]

mod backend;
mod built_in;
mod command;
mod device;
mod environment;
mod evaluation;
mod output;
mod precision;
mod progress;
mod source;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train small language models on Apple's Neural Engine, or on any CPU
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// CPU threads; results do not depend on it [default: all cores]
    #[arg(long, global = true, env = "ANEAL_THREADS", value_name = "N")]
    threads: Option<std::num::NonZero<usize>>,
    /// Print one JSON object on stdout; text for people goes to stderr
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model; with no argument, a small one on the built-in corpus
    Train(Box<command::train::Args>),
    /// Score a model in bits per byte
    Eval(command::eval::Args),
    /// Quantise a checkpoint into the challenge's artifact, and score what was packed
    Pack(command::pack::Args),
    /// Continue a text
    Generate(command::generate::Args),
    /// Make token shards from text, or look into them
    Data(command::data::Args),
    /// Measure the speed of this machine: arithmetic, products, steps, updates, evaluation
    Bench(command::bench::Args),
    /// Predict a training step on the Neural Engine: programs, time, energy
    Plan(command::plan::Args),
    /// Check, print and convert programs of the Neural Engine's language
    Mil(command::mil::Args),
}

/// How a command ended well.
enum Done {
    Finished,
    Interrupted,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(Done::Finished) => ExitCode::SUCCESS,
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::note(&format!("error: {}", output::explain(&error)));
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Done> {
    let threads = cli.threads.map_or(0, std::num::NonZero::get);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    aneal_kernels::simd::Level::requested().map_err(output::usage)?;
    let json = cli.json;
    pool.install(|| match cli.command {
        Command::Train(args) => command::train::run(*args, json),
        Command::Eval(args) => command::eval::run(&args, json),
        Command::Pack(args) => command::pack::run(&args, json),
        Command::Generate(args) => command::generate::run(&args, json),
        Command::Data(args) => command::data::run(&args, json),
        Command::Bench(args) => command::bench::run(&args, json),
        Command::Plan(args) => command::plan::run(&args, json),
        Command::Mil(args) => command::mil::run(&args, json),
    })
}

/// Whether the command line or the configuration is at fault, rather than the work.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<output::Usage>()
        || error.downcast_ref::<aneal_train::Error>().is_some_and(aneal_train::Error::is_usage)
        || error.downcast_ref::<aneal_model::Error>().is_some_and(|error| {
            matches!(
                error,
                aneal_model::Error::Config { .. }
                    | aneal_model::Error::UnknownPreset { .. }
                    | aneal_model::Error::Sampling { .. }
                    | aneal_model::Error::SequenceTooLong { .. }
                    | aneal_model::Error::UnknownPlan { .. }
                    | aneal_model::Error::Plan { .. }
            )
        })
        || error.downcast_ref::<aneal_ane::Error>().is_some_and(|error| {
            matches!(
                error,
                aneal_ane::Error::UnknownProfile { .. } | aneal_ane::Error::Profile { .. }
            )
        })
}
