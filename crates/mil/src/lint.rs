//! What engines are known to refuse or get wrong, as far as a program shows it.
//!
//! A rule is an item of the catalogue of constraints (`C1` to `C103` of the fact sheets; `S2.4` for
//! one that has a section and no number). Rules contradict each other, because machines do: a
//! [`RuleSet`] says which are in force, and with which limits, so that a device's profile can choose.

mod catalogue;
mod interface;
mod numerics;
mod operations;
mod scale;
mod scan;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

pub use catalogue::{RULES, UNSEEN};
use scan::Scan;

use crate::Program;

/// What happens to a program that breaks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// It may be slow, or is a habit worth breaking.
    Note,
    /// It runs, and computes something else.
    Wrong,
    /// It does not compile, load or run.
    Refused,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Refused => "refused",
        })
    }
}

/// A constraint that somebody reported.
#[derive(Debug)]
pub struct Rule {
    /// `C12`, say: its number in the catalogue of constraints.
    pub id: &'static str,
    /// What happens.
    pub severity: Severity,
    /// Who reported it, in the catalogue's abbreviations.
    pub source: &'static str,
    /// Where it was seen.
    pub scope: &'static str,
    /// What it says.
    pub summary: &'static str,
    /// What to do instead.
    pub fix: &'static str,
    look: fn(&Scan<'_>, &Limits) -> Vec<Hit>,
}

/// A place that breaks a rule.
pub(crate) struct Hit {
    /// The name of the value.
    at: String,
    /// What was found.
    found: String,
}

impl Hit {
    pub(crate) fn new(at: &str, found: impl Into<String>) -> Self {
        Self { at: at.to_owned(), found: found.into() }
    }
}

/// Numbers that differ between machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest axis (C2): 16,384 up to M3, 65,536 from M4 on.
    pub axis: usize,
    /// Most inputs of a function that are bound right (C25).
    pub inputs: usize,
    /// Most weight blobs of a program (C6).
    pub blobs: usize,
    /// Widest convolution window (C7, C89): 13 on M1, else 15.
    pub conv_width: usize,
    /// Longest axis that softmax normalises as a whole (C13).
    pub softmax: usize,
    /// Longest chain of operations (C78).
    pub depth: usize,
    /// Most element-wise operations (C79).
    pub elementwise: usize,
    /// Longest inner dimension of a product in one pass at full speed (C52).
    pub contraction: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            axis: 16_384,
            inputs: 8,
            blobs: 16,
            conv_width: 15,
            softmax: 15_000,
            depth: 386,
            elementwise: 128,
            contraction: 2_688,
        }
    }
}

/// Rules in force, and the limits that go with them.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    ids: BTreeSet<&'static str>,
    /// See [`Limits`].
    pub limits: Limits,
}

impl RuleSet {
    /// Every rule, with the tightest limits: what no machine at all objects to passes.
    #[must_use]
    pub fn strict() -> Self {
        let limits = Limits { conv_width: 13, softmax: 4_096, ..Limits::default() };
        Self { ids: RULES.iter().map(|rule| rule.id).collect(), limits }
    }

    /// The named rules. Ids that are no rule are returned as error.
    ///
    /// # Errors
    ///
    /// The ids that are not known.
    pub fn of<'a>(
        ids: impl IntoIterator<Item = &'a str>,
        limits: Limits,
    ) -> Result<Self, Vec<String>> {
        let (mut known, mut unknown) = (BTreeSet::new(), Vec::new());
        for id in ids {
            match RULES.iter().find(|rule| rule.id == id) {
                Some(rule) => {
                    known.insert(rule.id);
                }
                None => unknown.push(id.to_owned()),
            }
        }
        if unknown.is_empty() { Ok(Self { ids: known, limits }) } else { Err(unknown) }
    }

    /// The rules in force, in the catalogue's order.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        RULES.iter().filter(|rule| self.ids.contains(rule.id))
    }
}

/// A rule broken at a place.
#[derive(Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// The function.
    pub function: String,
    /// The name of the value.
    pub at: String,
    /// What was found there.
    pub found: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, function, at, found } = self;
        write!(
            f,
            "{} {}: {function}/{at}: {found}: {} ({}; {}); {}",
            rule.id, rule.severity, rule.summary, rule.scope, rule.source, rule.fix
        )
    }
}

/// Looks for everything that the rules in force object to, in their order.
#[must_use]
pub fn check(program: &Program, rules: &RuleSet) -> Vec<Finding> {
    let mut findings = Vec::new();
    for function in &program.functions {
        let scan = Scan::new(program, function);
        for rule in rules.rules() {
            findings.extend((rule.look)(&scan, &rules.limits).into_iter().map(|hit| Finding {
                rule,
                function: function.name.clone(),
                at: hit.at,
                found: hit.found,
            }));
        }
    }
    findings
}
