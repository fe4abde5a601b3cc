//! Every known constraint of the engine, and what the emulator does about it.
//!
//! Constraints have numbers, C1 to C103, as in the sources that collected them. Those that a program
//! shows are rules of the linter ([`aneal_mil::lint`]), and what they say is taken from there; the others
//! are about requests, arithmetic, time, or ways to the engine that the emulator does not take. The
//! table is printed as `docs/constraints.md` by [`document()`].

mod document;
mod table;

use aneal_mil::lint::{RULES, Rule};

pub use document::document;

use crate::clock::Costs;
use crate::{Profile, Result};

/// What the emulator does about a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Programs that break it do not compile.
    CompileError,
    /// Programs that break it do not load, or requests that break it end with an error.
    RunTimeError,
    /// It is computed as the device computes it, which is not what the program says.
    WrongResult,
    /// The linter notes it; nothing else happens.
    Warning,
    /// The clock charges for it.
    Cost,
    /// It allows something that might not be expected, and so does the emulator.
    Allowed,
    /// Nothing, and why.
    NotModelled(&'static str),
}

impl Class {
    /// In a word or two.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CompileError => "compile error",
            Self::RunTimeError => "run-time error",
            Self::WrongResult => "wrong result",
            Self::Warning => "warning",
            Self::Cost => "cost",
            Self::Allowed => "allowed",
            Self::NotModelled(_) => "not modelled",
        }
    }
}

/// A known constraint.
#[derive(Clone, Copy, Debug)]
pub struct Constraint {
    /// Its number, from 1 to 103.
    pub number: u8,
    /// What the emulator does.
    pub class: Class,
    /// The module, the costs' key or the function that does it; empty where nothing does.
    pub place: &'static str,
    force: Force,
    /// Empty where a rule of the linter says it.
    own: Own,
}

/// What is said of a constraint that is no rule of the linter.
#[derive(Clone, Copy, Debug, Default)]
struct Own {
    scope: &'static str,
    says: &'static str,
    way_round: &'static str,
}

/// On which profiles it is in force.
#[derive(Clone, Copy, Debug)]
enum Force {
    /// Those that list the rule of that number.
    Rule,
    /// All.
    Every,
    /// None.
    Nowhere,
    /// Those for which it holds.
    Where(fn(&Profile) -> bool),
    /// Those of devices whose costs are known and for which it holds.
    Priced(fn(&Costs) -> bool),
}

impl Constraint {
    /// All, by number.
    #[must_use]
    pub fn all() -> &'static [Self] {
        table::TABLE
    }

    /// The one with that number.
    #[must_use]
    pub fn numbered(number: u8) -> Option<&'static Self> {
        Self::all().iter().find(|constraint| constraint.number == number)
    }

    /// `C12`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("C{}", self.number)
    }

    /// The linter's rule of that number, if there is one.
    #[must_use]
    pub fn rule(&self) -> Option<&'static Rule> {
        let id = self.id();
        RULES.iter().find(|rule| rule.id == id)
    }

    /// What it says, in a sentence.
    #[must_use]
    pub fn says(&self) -> &'static str {
        self.rule().map_or(self.own.says, |rule| rule.summary)
    }

    /// Where it was seen.
    #[must_use]
    pub fn scope(&self) -> &'static str {
        self.rule().map_or(self.own.scope, |rule| rule.scope)
    }

    /// What to do instead; empty where there is nothing to do.
    #[must_use]
    pub fn way_round(&self) -> &'static str {
        self.rule().map_or(self.own.way_round, |rule| rule.fix)
    }

    /// Whether it is in force on a device.
    #[must_use]
    pub fn in_force(&self, profile: &Profile) -> bool {
        match self.force {
            Force::Rule => {
                let id = self.id();
                profile.rule_set().rules().any(|rule| rule.id == id)
            }
            Force::Every => true,
            Force::Nowhere => false,
            Force::Where(holds) => holds(profile),
            Force::Priced(holds) => Costs::of(&profile.name).is_ok_and(|costs| holds(&costs)),
        }
    }

    /// The built-in profiles on which it is in force, oldest chip first.
    ///
    /// # Errors
    ///
    /// As [`Profile::all`].
    pub fn profiles(&self) -> Result<Vec<String>> {
        let all = Profile::all()?.into_iter();
        Ok(all.filter(|profile| self.in_force(profile)).map(|profile| profile.name).collect())
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::lint::Severity;

    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let numbers: Vec<u8> = Constraint::all().iter().map(|c| c.number).collect();
        assert_eq!(numbers, (1..=103).collect::<Vec<_>>());
        assert_eq!(Constraint::numbered(12).map(Constraint::id).as_deref(), Some("C12"));
        assert!(Constraint::numbered(104).is_none());
    }

    #[test]
    fn classes_agree_with_the_linter_s_severities() {
        for constraint in Constraint::all() {
            let id = constraint.id();
            let Some(rule) = constraint.rule() else {
                assert!(!matches!(constraint.force, Force::Rule), "{id} is no rule");
                continue;
            };
            let agrees = match rule.severity {
                Severity::Refused => constraint.class == Class::CompileError,
                Severity::Wrong => constraint.class == Class::WrongResult,
                Severity::Note => matches!(constraint.class, Class::Warning | Class::Cost),
            };
            assert!(agrees, "{id} is {:?}, its rule {}", constraint.class, rule.severity);
        }
    }

    #[test]
    fn every_constraint_says_all_that_there_is_to_say() {
        for constraint in Constraint::all() {
            let id = constraint.id();
            assert!(!constraint.says().is_empty() && !constraint.scope().is_empty(), "{id}");
            assert_eq!(constraint.own.says.is_empty(), constraint.rule().is_some(), "{id}");
            let profiles = constraint.profiles().unwrap();
            match constraint.class {
                Class::NotModelled(reason) => {
                    assert!(!reason.is_empty() && constraint.place.is_empty(), "{id}");
                    assert!(profiles.is_empty(), "{id}");
                }
                _ => assert!(!constraint.place.is_empty() && !profiles.is_empty(), "{id}"),
            }
        }
    }
}
