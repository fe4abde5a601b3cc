//! `aneal mil`: for people who have a program in hand, as text or as a Core ML package.

mod check;
mod convert;
mod input;
mod run;

use std::path::PathBuf;

use aneal_mil::{Dialect, text};
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::json;

use crate::Done;
use crate::output::{print, result};
use input::Input;

/// Flags of `aneal mil`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what a program takes and returns, whether its weights are whole, and what engines object to
    Check(check::Args),
    /// Print a program as text, always spelled the same way
    Print(Print),
    /// Write a program as text or as a Core ML package, with its weights
    Convert(convert::Args),
    /// Run a program on an emulated engine, beside what it means in fp32
    Run(run::Args),
}

#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  aneal mil print layer.mil                         # tidied up
  aneal mil print layer.mlpackage --dialect 1.0     # for M1 and M2 that insist on it")]
struct Print {
    /// MIL text, an .mlpackage folder, or its model.mlmodel
    file: PathBuf,
    /// How scalars are spelled [default: that of FILE; 1.3 for a package]
    #[arg(long, value_enum)]
    dialect: Option<Spelling>,
}

/// The command line's words for [`Dialect`].
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Spelling {
    /// fp16(0.5): macOS 15 and later, most machines
    #[value(name = "1.3")]
    Modern,
    /// tensor<fp16, []>(0.5): what some M1 and M2 insist on
    #[value(name = "1.0")]
    Verbose,
}

impl From<Spelling> for Dialect {
    fn from(spelling: Spelling) -> Self {
        match spelling {
            Spelling::Modern => Self::Modern,
            Spelling::Verbose => Self::Verbose,
        }
    }
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    match &args.command {
        Command::Check(args) => check::run(args, json)?,
        Command::Print(args) => run_print(args, json)?,
        Command::Convert(args) => convert::run(args, json)?,
        Command::Run(args) => run::run(args, json)?,
    }
    Ok(Done::Finished)
}

fn run_print(args: &Print, json: bool) -> anyhow::Result<()> {
    let input = Input::read(&args.file)?;
    let dialect = input.dialect_or(args.dialect);
    let text = text::print(&input.program, dialect);
    if json {
        let object = json!({ "file": args.file, "dialect": dialect.version(), "text": text });
        return result(true, &object, String::new);
    }
    print(&text)
}
