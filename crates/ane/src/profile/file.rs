//! A profile's text: what it starts from, what it says itself, and whether that can be.
//!
//! Keys: `base` (a built-in profile), `name`, `chip`, `cores`, `rules` (replaces the base's list),
//! `more_rules` and `without_rules` (change it), `[limits]`, `[arithmetic]`. What is not said comes
//! from the base; without a base everything must be said.

use aneal_mil::lint::RuleSet;
use serde::Deserialize;
use toml::{Table, Value};

use super::{Limits, Profile, built_in};
use crate::{Arithmetic, Error, Result};

/// Built-in profiles that may stand upon one another: none needs more than two.
const DEEPEST: usize = 4;

/// What a file says once its base is filled in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    chip: String,
    cores: u32,
    rules: Vec<String>,
    limits: Limits,
    arithmetic: Arithmetic,
}

/// The profile in `text`; `origin` is for messages.
pub(super) fn read(text: &str, origin: &str) -> Result<Profile> {
    let refuse = |reason: String| Error::Profile { origin: origin.to_owned(), reason };
    let Written { name, chip, cores, rules, limits, arithmetic } =
        resolve(text, origin, DEEPEST)?.try_into().map_err(|e| refuse(e.to_string()))?;
    if cores == 0 {
        return Err(refuse("cores is 0, expected at least 1".to_owned()));
    }
    if let Some((key, _)) = limits.entries().into_iter().find(|(_, limit)| *limit == 0) {
        return Err(refuse(format!("limits.{key} is 0, expected at least 1")));
    }
    let limit = arithmetic.partial_limit;
    if !(limit >= 1.0 && limit.is_finite()) {
        return Err(refuse(format!(
            "arithmetic.partial_limit is {limit}, expected a finite number from 1 up, as 32768.0"
        )));
    }
    let rules =
        RuleSet::of(rules.iter().map(String::as_str), limits.of_programs()).map_err(|unknown| {
            let unknown = unknown.join(", ");
            refuse(format!("no rule is called {unknown}; expected ids as \"C12\" or \"S2.4\""))
        })?;
    Ok(Profile { name, chip, cores, limits, arithmetic, rules })
}

/// The file's table laid over its base's.
fn resolve(text: &str, origin: &str, levels: usize) -> Result<Table> {
    let refuse = |reason: String| Error::Profile { origin: origin.to_owned(), reason };
    let mut own: Table = text.parse().map_err(|e| refuse(format!("not TOML: {e}")))?;
    let more = ids(&mut own, "more_rules").map_err(refuse)?;
    let without = ids(&mut own, "without_rules").map_err(refuse)?;
    let mut table = match own.remove("base") {
        None => Table::new(),
        Some(_) if levels == 0 => {
            return Err(refuse(format!("more than {DEEPEST} profiles stand upon one another")));
        }
        Some(Value::String(base)) => resolve(built_in(&base)?, &base, levels - 1)?,
        Some(other) => return Err(refuse(format!("base is {other}, expected a profile's name"))),
    };
    lay_over(&mut table, own);
    if more.is_empty() && without.is_empty() {
        return Ok(table);
    }
    let Some(Value::Array(rules)) = table.get_mut("rules") else {
        return Err(refuse("more_rules and without_rules need a list of rules to change".into()));
    };
    for id in without {
        let Some(place) = rules.iter().position(|rule| rule.as_str() == Some(&id)) else {
            return Err(refuse(format!(
                "without_rules names {id}, which is not in force; drop it"
            )));
        };
        rules.remove(place);
    }
    rules.extend(more.into_iter().map(Value::String));
    Ok(table)
}

/// Takes a list of rule ids out of the table; a key that is not there is an empty list.
fn ids(table: &mut Table, key: &str) -> Result<Vec<String>, String> {
    let Some(value) = table.remove(key) else { return Ok(Vec::new()) };
    value.try_into().map_err(|e| format!("{key}: {e}expected a list of rule ids"))
}

/// Puts `upper` over `lower`: tables key by key, anything else whole.
fn lay_over(lower: &mut Table, upper: Table) {
    for (key, value) in upper {
        match (lower.get_mut(&key), value) {
            (Some(Value::Table(lower)), Value::Table(upper)) => lay_over(lower, upper),
            (_, value) => {
                lower.insert(key, value);
            }
        }
    }
}
