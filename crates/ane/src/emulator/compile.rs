//! The compiler: reads the text, brings in the weights that were staged, refuses what the profile
//! refuses, and plans every function.

use std::collections::BTreeMap;
use std::sync::Arc;

use aneal_mil::blob::Weights;
use aneal_mil::lint::{self, Finding, Severity};
use aneal_mil::{Data, Function, Program, ValueId, text};

use super::plan::Plan;
use crate::clock::{Costs, Work};
use crate::engine::{Failure, Procedure, Reason, RowLayout, Source, Symbol};
use crate::{Profile, Result};

/// A program that can be loaded.
#[derive(Debug)]
pub(super) struct Compiled {
    /// By procedure index.
    pub(super) procedures: Vec<Procedure>,
    /// By procedure index.
    pub(super) plans: Vec<Plan>,
    /// By procedure index: what the clock prices.
    pub(super) work: Vec<Work>,
    program: Program,
}

impl Compiled {
    /// Predicted milliseconds to compile it.
    pub(super) fn compile_ms(&self, costs: &Costs) -> f64 {
        self.program.functions.iter().map(|function| costs.compile_function_ms(function)).sum()
    }
}

/// Compiles a program whose weight files are in `folder`.
///
/// # Errors
///
/// [`Failure`]s of [`Stage::Compile`](crate::engine::Stage::Compile).
pub(super) fn compile(
    source: &Source,
    folder: &BTreeMap<String, Arc<[u8]>>,
    profile: &Profile,
) -> Result<Compiled> {
    let program = text::parse(&source.text).map_err(|error| {
        // Also undeclared operations, wrong types of results and dead outputs (C19).
        let reason = refused("4", error.to_string(), "correct the text");
        Failure::compile("InvalidMILProgram", vec![reason])
    })?;
    let weights = staged(&program, source, folder)?;
    let findings = lint::check(&program, &profile.rule_set());
    let (refusals, wrong): (Vec<_>, Vec<_>) = findings
        .into_iter()
        .filter(|f| f.rule.severity != Severity::Note)
        .partition(|finding| finding.rule.severity == Severity::Refused);
    if !refusals.is_empty() {
        let reasons = refusals.iter().map(reason).collect();
        return Err(Failure::compile("CompilationFailure", reasons).into());
    }
    let mut compiled =
        Compiled { procedures: Vec::new(), plans: Vec::new(), work: Vec::new(), program };
    let (mut first_input, mut first_output) = (0, 0);
    for function in &compiled.program.functions {
        let wrong: Vec<&Finding> = wrong.iter().filter(|f| f.function == function.name).collect();
        let plan = Plan::new(function, &weights, profile, &wrong).map_err(|error| {
            let reason = refused("3.1", error.to_string(), "correct the weight files");
            Failure::compile("CompilationFailure", vec![reason])
        })?;
        let inputs = symbols(function, &function.bound_inputs(), first_input);
        let outputs = symbols(function, &function.bound_outputs(), first_output);
        // Procedures have sets of indices of their own, which clients must read (1.15). That they
        // follow each other is our choice: it makes guesses fail.
        first_input += inputs.len() as u32;
        first_output += outputs.len() as u32;
        compiled.procedures.push(Procedure { name: function.name.clone(), inputs, outputs });
        compiled.plans.push(plan);
        compiled.work.push(Work::of(function));
    }
    Ok(compiled)
}

/// Inputs or outputs in the engine's order.
fn symbols(function: &Function, ids: &[ValueId], first: u32) -> Vec<Symbol> {
    let symbol = |(place, id): (usize, &ValueId)| Symbol {
        name: function.value(*id).name.clone(),
        index: first + place as u32,
        layout: RowLayout::of(function.ty(*id)),
    };
    ids.iter().enumerate().map(symbol).collect()
}

/// The weight files that the program names: each must be a key of the dictionary that came with the
/// text, by the same characters, and a file of the folder; the file is what is read (3.2, 1.4(4)).
fn staged(
    program: &Program,
    source: &Source,
    folder: &BTreeMap<String, Arc<[u8]>>,
) -> Result<Weights, Failure> {
    let mut weights = Weights::new();
    let operations = program.functions.iter().flat_map(|function| &function.operations);
    for literal in operations.flat_map(aneal_mil::Operation::literals) {
        let Data::Blob(blob) = literal.data() else { continue };
        if weights.get(&blob.path).is_some() {
            continue;
        }
        let path = &*blob.path;
        let lacking = |what: &str, fix: &str| {
            let reason = refused("3.2", format!("`{path}` {what}"), fix);
            Failure::compile("CompilationFailure", vec![reason])
        };
        if !source.weights.contains_key(path) {
            return Err(lacking("is no key of the weights", "give it under this very name"));
        }
        let name = path.strip_prefix("@model_path/").unwrap_or(path);
        let Some(bytes) = folder.get(name) else {
            return Err(lacking("is not in the model's folder", "write it there before compiling"));
        };
        weights.insert(path, Arc::clone(bytes));
    }
    Ok(weights)
}

fn refused(constraint: &str, found: impl Into<String>, fix: &str) -> Reason {
    Reason { constraint: constraint.to_owned(), found: found.into(), fix: fix.to_owned() }
}

/// A rule's finding as reason of a failure.
fn reason(finding: &Finding) -> Reason {
    let Finding { rule, function, at, found } = finding;
    let found =
        format!("{function}/{at}: {found}: {} ({}; {})", rule.summary, rule.scope, rule.source);
    refused(rule.id, found, rule.fix)
}
