//! How programs are written for a device: what its rules leave of the ways to say the same.

use aneal_ane::Profile;
use aneal_mil::lint::RuleSet;

/// Choices that all pieces of a plan share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// Outputs are joined along channels, as published trainers do; else each is its own (C16).
    pub(super) joins: bool,
    /// Activations are reshaped and turned explicitly, as published trainers do; else surfaces are
    /// declared in the shapes that products need, which takes more programs and inputs (C32).
    pub(super) reshapes: bool,
    /// `softmax` as one operation, as published trainers do; else written out (C13, C40).
    pub(super) softmax: bool,
    /// Tables are as they are for all heads alike; else there is one for each head (C29).
    pub(super) broadcasts: bool,
    /// Channels are summed by a fold; else by a product with ones (C11, C12).
    pub(super) folds: bool,
    /// Longest axis (C2).
    pub(super) axis: usize,
}

impl Form {
    /// The form for sequences of `seq_len` on a device.
    pub(super) fn of(profile: &Profile, seq_len: usize) -> Self {
        let rules = profile.rule_set();
        let tiled = forbids(&rules, "C13") && seq_len > rules.limits.softmax;
        let odd = forbids(&rules, "C40") && !seq_len.is_power_of_two();
        Self {
            joins: !forbids(&rules, "C16") && !forbids(&rules, "C32"),
            reshapes: !forbids(&rules, "C32"),
            softmax: !tiled && !odd,
            broadcasts: !forbids(&rules, "C29"),
            folds: !forbids(&rules, "C11") && !forbids(&rules, "C12"),
            axis: if forbids(&rules, "C2") { rules.limits.axis } else { usize::MAX },
        }
    }
}

/// Whether a rule is in force.
fn forbids(rules: &RuleSet, id: &str) -> bool {
    rules.rules().any(|rule| rule.id == id)
}
