//! `aneal mil check`

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use aneal_mil::Function;
use aneal_mil::lint::{self, Finding, RULES, RuleSet, Severity};
use anyhow::bail;
use clap::Parser;
use serde::Serialize;

use super::input::{Input, Reference, WeightFiles};
use crate::output::{grouped, result, usage};

#[derive(Debug, Parser)]
#[command(after_help = "\
Exit code 0: nothing found, or notes only. 1: the program or its weights are faulty, or a rule says
that an engine refuses it or computes something else.

Examples:
  aneal mil check layer.mil                         # everything that was ever reported
  aneal mil check layer.mlpackage --rules C2,C12    # two constraints only
  aneal mil check layer.mil --rules none            # the program and its weights only
  aneal mil check layer.mil --weights weights --json")]
pub(super) struct Args {
    /// MIL text, an .mlpackage folder, or its model.mlmodel
    file: PathBuf,
    /// Folder of the weight files [default: where FILE names them, beside it]
    #[arg(long, value_name = "DIR")]
    weights: Option<PathBuf>,
    /// Constraints to look at: `all`, `none`, or numbers such as C2,C12. Machines differ, so `all` is
    /// what no machine objects to
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "all")]
    rules: Vec<String>,
}

/// What is said about a program.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    /// The version of a text; absent for a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'static str>,
    /// Whether nothing worse than a note was found.
    ok: bool,
    functions: Vec<Signature<'a>>,
    weights: Vec<WeightFile<'a>>,
    weight_faults: Vec<WeightFault<'a>>,
    rules: usize,
    findings: Vec<Objection<'a>>,
}

#[derive(Serialize)]
struct Signature<'a> {
    name: &'a str,
    opset: &'static str,
    inputs: Vec<Port<'a>>,
    outputs: Vec<Port<'a>>,
    operations: BTreeMap<&'static str, usize>,
}

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    #[serde(rename = "type")]
    ty: String,
}

#[derive(Serialize)]
struct WeightFile<'a> {
    /// As the program spells it.
    path: &'a str,
    file: &'a Path,
    bytes: usize,
    constants: usize,
}

#[derive(Serialize)]
struct WeightFault<'a> {
    function: &'a str,
    value: &'a str,
    #[serde(rename = "type")]
    ty: String,
    path: &'a str,
    offset: u64,
    fault: String,
}

#[derive(Serialize)]
struct Objection<'a> {
    rule: &'static str,
    severity: String,
    function: &'a str,
    value: &'a str,
    found: &'a str,
    message: &'static str,
    scope: &'static str,
    source: &'static str,
    fix: &'static str,
}

pub(super) fn run(args: &Args, json: bool) -> anyhow::Result<()> {
    let rules = rule_set(&args.rules)?;
    let input = Input::read(&args.file)?;
    let files = input.weights(args.weights.as_deref());
    let references = input.references();
    let findings = lint::check(&input.program, &rules);
    let weight_faults = weight_faults(&references, &files);
    let graver = findings.iter().filter(|f| f.rule.severity > Severity::Note).count();
    let faults = weight_faults.len();
    let report = Report {
        file: &args.file,
        dialect: input.dialect.map(aneal_mil::Dialect::version),
        ok: faults + graver == 0,
        functions: input.program.functions.iter().map(signature).collect(),
        weights: weight_files(&references, &files),
        weight_faults,
        rules: rules.rules().count(),
        findings: findings.iter().map(objection).collect(),
    };
    result(json, &report, || told(&report, &findings))?;
    if !report.ok {
        let file = args.file.display();
        bail!(
            "{file} is refused: {}, {} graver than a note; choose the constraints of your machine \
             with --rules",
            count(faults, "weight fault"),
            count(graver, "finding"),
        );
    }
    Ok(())
}

/// The rules that the command line names, with the tightest limits.
fn rule_set(words: &[String]) -> anyhow::Result<RuleSet> {
    let strict = RuleSet::strict();
    match words {
        [word] if word == "all" => return Ok(strict),
        [word] if word == "none" => return Ok(RuleSet::default()),
        _ => {}
    }
    let ids: Vec<String> = words.iter().map(|word| rule_id(word)).collect();
    RuleSet::of(ids.iter().map(String::as_str), strict.limits).map_err(|unknown| {
        let known: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        usage(format!(
            "--rules: {} is no constraint that a program shows; expected `all`, `none`, or some of {}",
            unknown.join(", "),
            known.join(", ")
        ))
    })
}

/// `12` and `c12` mean `C12`.
fn rule_id(word: &str) -> String {
    let word = word.trim().to_ascii_uppercase();
    let bare = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    if bare { format!("C{word}") } else { word }
}

fn signature(function: &Function) -> Signature<'_> {
    let port = |id| {
        let value = function.value(id);
        Port { name: &value.name, ty: value.ty.to_string() }
    };
    let mut operations = BTreeMap::new();
    for operation in &function.operations {
        *operations.entry(operation.def.name).or_default() += 1;
    }
    Signature {
        name: &function.name,
        opset: function.opset.name(),
        inputs: function.input_ids().map(port).collect(),
        outputs: function.outputs.iter().copied().map(port).collect(),
        operations,
    }
}

fn weight_files<'a>(references: &[Reference<'a>], files: &'a WeightFiles) -> Vec<WeightFile<'a>> {
    let found = files.found.iter().map(|(path, file)| WeightFile {
        path,
        file,
        bytes: files.weights.get(path).map_or(0, <[u8]>::len),
        constants: references.iter().filter(|r| *r.blob.path == **path).count(),
    });
    found.collect()
}

fn weight_faults<'a>(references: &[Reference<'a>], files: &WeightFiles) -> Vec<WeightFault<'a>> {
    let faults = references.iter().filter_map(|reference| {
        Some(WeightFault {
            function: reference.function,
            value: reference.value,
            ty: reference.literal.ty().to_string(),
            path: &reference.blob.path,
            offset: reference.blob.offset,
            fault: files.fault(reference)?,
        })
    });
    faults.collect()
}

fn objection(finding: &Finding) -> Objection<'_> {
    let Finding { rule, function, at, found } = finding;
    Objection {
        rule: rule.id,
        severity: rule.severity.to_string(),
        function,
        value: at,
        found,
        message: rule.summary,
        scope: rule.scope,
        source: rule.source,
        fix: rule.fix,
    }
}

/// The report for people.
fn told(report: &Report<'_>, findings: &[Finding]) -> String {
    // Writing to a `String` cannot fail.
    let mut out = String::new();
    let kind = report.dialect.map_or("package".to_owned(), |version| format!("program({version})"));
    let _ = writeln!(out, "{}: {kind}", report.file.display());
    for function in &report.functions {
        let _ = writeln!(out, "function {}<{}>", function.name, function.opset);
        for (what, ports) in [("input", &function.inputs), ("output", &function.outputs)] {
            for port in ports {
                let _ = writeln!(out, "  {what:<6} {}: {}", port.name, port.ty);
            }
        }
        let total: usize = function.operations.values().sum();
        let counts: Vec<_> =
            function.operations.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let _ = writeln!(out, "  {}: {}", count(total, "operation"), counts.join(", "));
    }
    for file in &report.weights {
        let (place, bytes) = (file.file.display(), grouped(file.bytes as u64));
        let _ =
            writeln!(out, "weights {place}: {bytes} bytes, {}", count(file.constants, "constant"));
    }
    for WeightFault { function, value, fault, .. } in &report.weight_faults {
        let _ = writeln!(out, "faulty {function}/{value}: {fault}");
    }
    for finding in findings {
        let _ = writeln!(out, "{finding}");
    }
    let (found, rules) = (count(findings.len(), "finding"), count(report.rules, "constraint"));
    let _ = writeln!(out, "{found} under {rules}");
    out
}

/// `1 constant`, `2 constants`.
fn count(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n as u64), if n == 1 { "" } else { "s" })
}
