//! What can go wrong with an engine or its description.

use std::path::PathBuf;

use crate::engine::{Failure, Stage};

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
    /// The engine, or its compiler, refused or failed.
    #[error("the Neural Engine failed to {}: {failure}", verb(failure.stage))]
    Engine {
        /// What the framework reports.
        failure: Box<Failure>,
    },
    /// Elements and a surface that do not go together.
    #[error("a tensor of type {layout} and a surface: {reason}")]
    Surface {
        /// The tensor's type.
        layout: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// Costs of a device that cannot be.
    #[error(transparent)]
    Costs(#[from] crate::clock::Error),
    /// A program that cannot be.
    #[error(transparent)]
    Program(#[from] aneal_mil::Error),
    /// A description of a device that cannot be used.
    #[error("device profile {origin}: {reason}")]
    Profile {
        /// The built-in profile's name, or the file.
        origin: String,
        /// What was expected, what was found, and what to do.
        reason: String,
    },
}

impl Error {
    /// The engine's own report, if this is one.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Engine { failure } => Some(failure),
            _ => None,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Engine { failure: Box::new(failure) }
    }
}

/// What it was about to do.
fn verb(stage: Stage) -> &'static str {
    match stage {
        Stage::Surface => "provide a surface",
        Stage::Compile => "compile",
        Stage::Load => "load",
        Stage::Request => "take a request",
        Stage::Evaluate => "evaluate",
    }
}
