//! What is documented of each device, as data.
//!
//! A profile is a TOML file with a source beside every value: `profiles/*.toml` are built in, and a
//! file of the user's own may start from one of them (`base = "m4"`) and say only what differs.

mod file;
mod limits;
#[cfg(test)]
mod tests;

use std::path::Path;

use aneal_mil::lint::RuleSet;

pub use limits::Limits;

use crate::clock::Costs;
use crate::{Arithmetic, Error, Result};

/// The built-in profiles' names and texts, oldest chip first.
static BUILT_IN: [(&str, &str); 9] = [
    ("m1", include_str!("../profiles/m1.toml")),
    ("m3-pro", include_str!("../profiles/m3-pro.toml")),
    ("m3-ultra", include_str!("../profiles/m3-ultra.toml")),
    ("m4", include_str!("../profiles/m4.toml")),
    ("m4-pro", include_str!("../profiles/m4-pro.toml")),
    ("m4-max", include_str!("../profiles/m4-max.toml")),
    ("m5-max", include_str!("../profiles/m5-max.toml")),
    ("m6", include_str!("../profiles/m6.toml")),
    ("strict", include_str!("../profiles/strict.toml")),
];

/// One device, as far as it is documented.
#[derive(Clone, Debug)]
pub struct Profile {
    /// `m4-pro`, say.
    pub name: String,
    /// The engine's family as the compiler spells it: `h16g`, say.
    pub chip: String,
    /// Neural engine cores on the package; two engines of 16 count as 32.
    pub cores: u32,
    /// Numbers that a program may not exceed.
    pub limits: Limits,
    /// How it computes.
    pub arithmetic: Arithmetic,
    rules: RuleSet,
}

impl Profile {
    /// The built-in profile of that name.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownProfile`], with the names that there are.
    pub fn named(name: &str) -> Result<Self> {
        file::read(built_in(name)?, name)
    }

    /// The built-in profiles' names, oldest chip first; `strict` is last.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Every built-in profile, oldest chip first.
    ///
    /// # Errors
    ///
    /// None that a released version has: the tests read them all.
    pub fn all() -> Result<Vec<Self>> {
        BUILT_IN.iter().map(|(name, text)| file::read(text, name)).collect()
    }

    /// The profile in a file of one's own.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, [`Error::Profile`] for keys that are missing or not
    /// known, rules that do not exist, and numbers that cannot be.
    pub fn from_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
            action: "read the device profile",
            path: path.to_owned(),
            source,
        })?;
        file::read(&text, &path.display().to_string())
    }

    /// What work costs on this device, else on a documented one with the same chip, and whose costs
    /// these are. `strict` is no device, and has none.
    ///
    /// # Errors
    ///
    /// None that a released version has: the tests read them all.
    pub fn costs(&self) -> Result<Option<(&'static str, Costs)>> {
        let known = |name: &str| Costs::devices().find(|device| *device == name);
        let mut device = known(&self.name);
        if device.is_none() {
            let all = Self::all()?;
            let mut relatives = all.iter().filter(|relative| relative.chip == self.chip);
            device = relatives.find_map(|relative| known(&relative.name));
        }
        device.map(|device| Ok((device, Costs::of(device)?))).transpose()
    }

    /// The constraints in force, with their limits, for [`aneal_mil::lint::check`].
    #[must_use]
    pub fn rule_set(&self) -> RuleSet {
        let mut rules = self.rules.clone();
        rules.limits = self.limits.of_programs(); // they may have been changed since
        rules
    }
}

/// The text of a built-in profile.
fn built_in(name: &str) -> Result<&'static str> {
    let found = BUILT_IN.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text).ok_or_else(|| Error::UnknownProfile {
        name: name.to_owned(),
        known: Profile::names().collect::<Vec<_>>().join(", "),
    })
}
