//! What can go wrong with an engine or its description.

use std::path::PathBuf;

/// Every failure of this crate. Messages say what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A name that no built-in profile has.
    #[error("there is no device profile `{name}`; expected one of {known}, or a file")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A description of a device that cannot be used.
    #[error("device profile {origin}: {reason}")]
    Profile {
        /// The built-in profile's name, or the file.
        origin: String,
        /// What was expected, what was found, and what to do.
        reason: String,
    },
}
