//! The table as a page of documentation.

use std::fmt::Write;

use aneal_mil::lint::{RULES, Rule};

use super::{Class, Constraint};
use crate::{Profile, Result};

/// What the page says before its table.
const HEAD: &str = "\
# Constraints of the Neural Engine

Every constraint that somebody reported of the engine, what the emulator does about it, and the
profiles of devices on which it is in force. This page is printed by
`cargo run -p aneal-ane --example constraints > docs/constraints.md`, and a test compares the two.

- *compile error*, *run-time error*: the program or the request is refused, as the device refuses it.
- *wrong result*: it runs, and computes what the device computes.
- *warning*: the linter notes it (`aneal mil check`).
- *cost*: the clock charges for it; keys are those of `crates/ane/profiles/costs/*.toml`.
- *allowed*: it works, against expectation, in the emulator as well.

Places are below `crates/ane/src`; `lint` is `crates/mil/src/lint`. Nothing here has been compared
with hardware by this project, and several constraints contradict each other, as their sources do:
profiles choose.

| | Constraint | Seen on | Emulator | Where | Profiles | Way round |
|---|---|---|---|---|---|---|
";

/// What it says before the rules that have no number.
const UNNUMBERED: &str = "
Rules of the linter that have a section of the fact sheets instead of a number; both are refused by
the compiler.

| | Rule | Seen on | Profiles | Way round |
|---|---|---|---|---|
";

/// `docs/constraints.md`.
///
/// # Errors
///
/// As [`Profile::all`].
pub fn document() -> Result<String> {
    let names: Vec<&str> = Profile::names().collect();
    let mut out = HEAD.to_owned();
    for constraint in Constraint::all() {
        let profiles = constraint.profiles()?;
        let (emulator, place) = match constraint.class {
            Class::NotModelled(reason) => (format!("not modelled: {reason}"), "-"),
            class => (class.name().to_owned(), constraint.place),
        };
        let cells = [
            &constraint.id(),
            constraint.says(),
            constraint.scope(),
            &emulator,
            place,
            &listed(&profiles, &names),
            or_dash(constraint.way_round()),
        ];
        row(&mut out, &cells);
    }
    out.push_str(UNNUMBERED);
    let all = Profile::all()?;
    let unnumbered = |rule: &&Rule| !rule.id.starts_with('C');
    for rule in RULES.iter().filter(unnumbered) {
        let in_force = |profile: &&Profile| profile.rule_set().rules().any(|r| r.id == rule.id);
        let profiles: Vec<String> = all.iter().filter(in_force).map(|p| p.name.clone()).collect();
        let cells = [rule.id, rule.summary, rule.scope, &listed(&profiles, &names), rule.fix];
        row(&mut out, &cells);
    }
    Ok(out)
}

fn row(out: &mut String, cells: &[&str]) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// The profiles by name, or whichever way is shorter to read.
fn listed(profiles: &[String], names: &[&str]) -> String {
    let others: Vec<&str> =
        names.iter().copied().filter(|name| !profiles.iter().any(|p| p == name)).collect();
    match (profiles, &others[..]) {
        ([], _) => "-".to_owned(),
        (_, []) => "all".to_owned(),
        (_, [_] | [_, _]) => format!("all but {}", others.join(", ")),
        _ => profiles.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_listed_the_shorter_way() {
        let names = ["a", "b", "c", "d"];
        for (profiles, want) in [
            (&[][..], "-"),
            (&["a", "b", "c", "d"], "all"),
            (&["a", "c"], "all but b, d"),
            (&["d"], "d"),
        ] {
            let profiles: Vec<String> = profiles.iter().map(|&name| name.to_owned()).collect();
            assert_eq!(listed(&profiles, &names), want);
        }
    }
}
