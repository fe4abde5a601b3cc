//! What devices are known to compute wrongly: from the linter's findings of severity `Wrong` to what
//! the plan of a function does about them.
//!
//! A finding names a rule and a value. Most defects spoil that value after it was computed right
//! ([`Spoil`]); others change what an operation reads, how it is computed, which surface is which
//! input, or what the process can do afterwards. A profile without the rule has no finding, and
//! computes right. Where sources say "wrong" or "garbage" and not in which way, the way is ours,
//! deterministic, and marked (INF).

mod spoil;

use std::borrow::Cow;
use std::collections::HashMap;

use aneal_mil::eval::Unary;
use aneal_mil::lint::Finding;
use aneal_mil::{Function, Operand, Operation, ValueId};

use crate::Profile;
use crate::engine::RowLayout;
pub(super) use spoil::Spoil;

/// One thing that a device gets wrong. Operations are named by their first result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Defect {
    /// The value is spoiled, wherever it is used.
    Value(ValueId, Spoil),
    /// The value is spoiled where the function returns it, and right inside.
    Output(ValueId, Spoil),
    /// The operation reads something else as that operand.
    Operand(ValueId, &'static str, Misreading),
    /// The operation does without that operand.
    Dropped(ValueId, &'static str),
    /// The operation normalises so many elements at a time.
    Tiled(ValueId, usize),
    /// Two inputs, by their places among the symbols, read each other's surface.
    Exchanged(usize, usize),
    /// Surfaces of inputs never fit: every request ends with 0x1d.
    Misfit,
    /// Once it has run, nothing else runs in this process.
    Poison,
}

/// What an operation reads in place of an operand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Misreading {
    /// Zeros.
    Zeros,
    /// A function of the operand that is rightly another's.
    Of(Unary, &'static str),
}

/// A finding, and what it was found in.
struct Case<'a> {
    function: &'a Function,
    profile: &'a Profile,
    /// The value that it names.
    value: ValueId,
}

/// The defects that a finding stands for.
type Make = fn(&Case<'_>) -> Vec<Defect>;

/// By the finding's rule.
static DEFECTS: &[(&str, Make)] = &[
    // "Silently ignores it": nothing of the weight arrives, and what is left is the bias (INF).
    ("C10", |case| vec![Defect::Operand(case.value, "weight", Misreading::Zeros)]),
    ("C13", |case| vec![Defect::Tiled(case.value, case.profile.limits.softmax)]),
    ("C17", |case| vec![Defect::Output(case.value, Spoil::NotANumber)]),
    ("C18", unreliable),
    ("C22", |case| {
        // A row of less than 64 bytes is not read and not written.
        let input = case.value.index() < case.function.inputs;
        let defect = if input { Defect::Value } else { Defect::Output };
        vec![defect(case.value, Spoil::Zeros)]
    }),
    ("C25", misbound),
    ("C28", |case| vec![Defect::Value(case.value, Spoil::Zeros)]),
    ("C29", |case| vec![Defect::Value(case.value, Spoil::FirstChannelOnly)]),
    ("C30", |case| vec![Defect::Value(case.value, Spoil::Repeated(LARGE))]),
    ("C31", exchanged_root),
    ("C33", |case| vec![Defect::Value(case.value, Spoil::Zeros)]),
    ("C37", |case| vec![Defect::Value(case.value, Spoil::Noise)]),
    ("C38", |case| vec![Defect::Value(case.value, Spoil::Overflow(4_094.0))]),
    ("C39", |case| vec![Defect::Dropped(case.value, "attn_mask")]),
];

/// Elements from which on element-wise operations go wrong (C30).
const LARGE: usize = 16_384;

/// `softplus` is infinite where its exponential passes 2^15, which is at 10.4 (M5DOC; that it becomes
/// infinite is INF); a program with `tile` runs, and nothing after it (FG, C42). What else the rule
/// names is said to be missing by some and to be right by others (5d(7), 4.5b): it is computed.
fn unreliable(case: &Case<'_>) -> Vec<Defect> {
    match case.function.origin(case.value).map(|operation| operation.def.name) {
        Some("softplus") => vec![Defect::Value(case.value, Spoil::Overflow(10.4))],
        Some("tile") => vec![Defect::Poison],
        _ => Vec::new(),
    }
}

/// The last input and the nearest before it that lies alike read each other's surface; where none
/// lies alike nothing fits (2.4(7)). Which inputs are exchanged is not published (INF).
fn misbound(case: &Case<'_>) -> Vec<Defect> {
    let bound = case.function.bound_inputs();
    let layout = |&id: &ValueId| RowLayout::of(case.function.ty(id));
    let Some((last, before)) = bound.split_last() else { return Vec::new() };
    let partner = before.iter().rposition(|id| layout(id) == layout(last));
    vec![partner.map_or(Defect::Misfit, |at| Defect::Exchanged(at, before.len()))]
}

/// "B/sqrt(A) style error", we take it where A / sqrt(B) is asked for: operands change places, and the
/// root is taken of the wrong one (INF). What is read as B is the square of the root that there is.
fn exchanged_root(case: &Case<'_>) -> Vec<Defect> {
    let Some(operation) = case.function.origin(case.value) else { return Vec::new() };
    let broadcast_root = |name: &str| {
        let [Operand::Value(id)] = operation.argument(name).map_or(&[][..], |a| a.operands())
        else {
            return false;
        };
        let root = case.function.origin(*id).is_some_and(|origin| origin.def.name == "sqrt");
        root && case.function.ty(*id).shape != case.function.ty(case.value).shape
    };
    let (root, other) = if broadcast_root("x") { ("x", "y") } else { ("y", "x") };
    vec![
        Defect::Operand(case.value, other, Misreading::Of(Unary::Square, root)),
        Defect::Operand(case.value, root, Misreading::Of(Unary::Sqrt, other)),
    ]
}

/// What a device gets wrong in a function.
#[derive(Debug, Default)]
pub(super) struct Defects(Vec<Defect>);

impl Defects {
    /// The defects that the findings stand for, in their order.
    pub(super) fn new(function: &Function, profile: &Profile, findings: &[&Finding]) -> Self {
        if findings.is_empty() {
            return Self::default();
        }
        let results = function.operations.iter().flat_map(|operation| &operation.results);
        let ids = function.input_ids().chain(results.copied());
        let by_name: HashMap<&str, ValueId> =
            ids.map(|id| (function.value(id).name.as_str(), id)).collect();
        let defects = findings.iter().filter_map(|finding| {
            let (_, make) = DEFECTS.iter().find(|(id, _)| *id == finding.rule.id)?;
            let value = *by_name.get(finding.at.as_str())?;
            Some(make(&Case { function, profile, value }))
        });
        Self(defects.flatten().collect())
    }

    /// What happens to a value.
    pub(super) fn of_value(&self, id: ValueId) -> impl Iterator<Item = Spoil> {
        self.0.iter().filter_map(move |defect| match defect {
            Defect::Value(at, spoil) if *at == id => Some(*spoil),
            _ => None,
        })
    }

    /// What happens to a value on its way to a surface.
    pub(super) fn of_output(&self, id: ValueId) -> impl Iterator<Item = Spoil> {
        self.0.iter().filter_map(move |defect| match defect {
            Defect::Output(at, spoil) if *at == id => Some(*spoil),
            _ => None,
        })
    }

    /// Operands that an operation misreads, by parameter.
    pub(super) fn misread(
        &self,
        operation: &Operation,
    ) -> impl Iterator<Item = (&'static str, Misreading)> {
        self.0.iter().filter_map(move |defect| match defect {
            Defect::Operand(at, parameter, how) if operation.results.first() == Some(at) => {
                Some((*parameter, *how))
            }
            _ => None,
        })
    }

    /// The longest row that an operation normalises as a whole, if it has one.
    pub(super) fn tile(&self, operation: &Operation) -> Option<usize> {
        self.0.iter().find_map(|defect| match defect {
            Defect::Tiled(at, length) if operation.results.first() == Some(at) => Some(*length),
            _ => None,
        })
    }

    /// The function without the operands that the device does without.
    pub(super) fn edited<'a>(&self, function: &'a Function) -> Cow<'a, Function> {
        let mut edited = Cow::Borrowed(function);
        for defect in &self.0 {
            let Defect::Dropped(at, parameter) = defect else { continue };
            let operations = &mut edited.to_mut().operations;
            if let Some(operation) = operations.iter_mut().find(|op| op.results.first() == Some(at))
            {
                operation.arguments.retain(|(name, _)| name != parameter);
            }
        }
        edited
    }

    /// The inputs by the place of the symbol whose surface they read.
    pub(super) fn bound_inputs(&self, function: &Function) -> Vec<ValueId> {
        let mut bound = function.bound_inputs();
        for defect in &self.0 {
            if let Defect::Exchanged(a, b) = defect {
                bound.swap(*a, *b);
            }
        }
        bound
    }

    /// Whether no request fits.
    pub(super) fn misfit(&self) -> bool {
        self.0.contains(&Defect::Misfit)
    }

    /// Whether a run is the last one of its process.
    pub(super) fn poison(&self) -> bool {
        self.0.contains(&Defect::Poison)
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::lint::{RULES, Severity};

    use super::*;

    /// Rules whose wrong results come about without a defect: rows are read at their stride (C23),
    /// symbols sorted by name (C24), and small numbers, infinities and biases are what the profile's
    /// arithmetic makes of them (C59, C63, C68).
    const BY_THEMSELVES: &[&str] = &["C23", "C24", "C59", "C63", "C68"];

    #[test]
    fn every_rule_about_wrong_results_has_its_defect() {
        for rule in RULES {
            let defects = DEFECTS.iter().filter(|(id, _)| *id == rule.id).count();
            let known = defects + BY_THEMSELVES.iter().filter(|id| **id == rule.id).count();
            assert_eq!(known, usize::from(rule.severity == Severity::Wrong), "{}", rule.id);
        }
    }
}
