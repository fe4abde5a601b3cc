//! Devices by the names that commands take, and what is known against running programs on them.

use std::collections::BTreeMap;
use std::path::Path;

use aneal_ane::Profile;
use aneal_mil::lint::{Finding, Rule};

use crate::output::usage;

/// A built-in profile, else one in a file. A name that is neither is bad usage.
pub(crate) fn profile(name: &str) -> anyhow::Result<Profile> {
    match is_file(name) {
        true => Ok(Profile::from_file(Path::new(name))?),
        false => Profile::named(name).map_err(|error| usage(error.to_string())),
    }
}

/// Whether that is a profile's file rather than a name.
pub(crate) fn is_file(name: &str) -> bool {
    Profile::names().all(|known| known != name) && Path::new(name).exists()
}

/// Rules that programs break and still compile under, gravest first, with the programs that break
/// each.
pub(crate) fn broken(
    objections: &[(&'static str, Finding)],
) -> Vec<(&'static Rule, Vec<&'static str>)> {
    let mut rules: BTreeMap<&str, (&'static Rule, Vec<&'static str>)> = BTreeMap::new();
    for (kernel, finding) in objections {
        let (_, kernels) =
            rules.entry(finding.rule.id).or_insert_with(|| (finding.rule, Vec::new()));
        if kernels.last() != Some(kernel) {
            kernels.push(kernel);
        }
    }
    let mut rules: Vec<_> = rules.into_values().collect();
    rules.sort_by_key(|(rule, _)| std::cmp::Reverse(rule.severity));
    rules
}
