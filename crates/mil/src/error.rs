//! What can go wrong with a program, said so that the reader can act on it.

use std::path::PathBuf;

/// Every failure of this crate. Messages say what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Dimensions that no tensor can have.
    #[error("the shape {dims:?} cannot be: {reason}")]
    Shape {
        /// The dimensions.
        dims: Vec<usize>,
        /// What is wrong with them.
        reason: String,
    },
    /// Data and type of a constant do not go together.
    #[error("a constant of type {ty} cannot be: {reason}")]
    Literal {
        /// The type.
        ty: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// An operation that its operands do not allow.
    #[error("{op} `{name}`: {reason}")]
    Operation {
        /// The operation's kind.
        op: String,
        /// The name of its first result.
        name: String,
        /// Operand, shapes, what was expected, what was found.
        reason: String,
    },
    /// A function or program that does not hold together.
    #[error("function `{function}`: {reason}")]
    Function {
        /// Its name.
        function: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Text that is no MIL program.
    #[error("line {line}, column {column}: {reason}\n{excerpt}")]
    Text {
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
        /// What was expected and what was found.
        reason: String,
        /// The line, with a caret below the place.
        excerpt: String,
    },
    /// Bytes that are no weight file, or do not hold what a program says.
    #[error("weight file, descriptor at byte {offset}: {reason}")]
    Blob {
        /// Of the descriptor in the file.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A weight file that a program names and nobody gave.
    #[error("the program reads `{path}`, which is not among the weights; {hint}")]
    MissingWeights {
        /// As the program spells it.
        path: String,
        /// What to do.
        hint: String,
    },
    /// Bytes that are no Core ML program, or one that this crate does not speak.
    #[error("not a Core ML program that can be read: {0}")]
    Protobuf(String),
    /// An evaluation that cannot be done.
    #[error("cannot evaluate: {0}")]
    Evaluation(String),
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "read", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn literal(ty: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self::Literal { ty: ty.to_string(), reason: reason.into() }
    }

    pub(crate) fn blob(offset: u64, reason: impl Into<String>) -> Self {
        Self::Blob { offset, reason: reason.into() }
    }

    pub(crate) fn function(function: &str, reason: impl Into<String>) -> Self {
        Self::Function { function: function.into(), reason: reason.into() }
    }
}
