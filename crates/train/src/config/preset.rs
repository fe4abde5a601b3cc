//! Run presets: the files of `configs/`, built in.

use crate::{Error, Result};

/// Name and text of every preset.
pub const PRESETS: [(&str, &str); 5] = [
    ("quickstart", include_str!("../../../../configs/quickstart.toml")),
    ("golfwide", include_str!("../../../../configs/golfwide.toml")),
    ("pr801", include_str!("../../../../configs/pr801.toml")),
    ("stories110m", include_str!("../../../../configs/stories110m.toml")),
    ("qwen3-0.6b", include_str!("../../../../configs/qwen3-0.6b.toml")),
];

/// The text of a preset.
///
/// # Errors
/// [`Error::Config`] lists the names there are.
pub fn preset(name: &str) -> Result<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).ok_or_else(|| {
        let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        Error::Config(format!("no preset is called {name:?}; there are {}", known.join(", ")))
    })
}
