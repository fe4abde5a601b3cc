//! What can go wrong in a run.

use std::path::{Path, PathBuf};

/// Every failure of this crate. Messages say what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// A configuration that cannot be.
    #[error("configuration: {0}")]
    Config(String),
    /// A checkpoint file that is not what it should be.
    #[error("{} is not a usable checkpoint: {reason}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A run folder that is not what it should be.
    #[error("{}: {reason}", path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Data too short for one sequence.
    #[error(
        "the {what} data holds {found} tokens, but one sequence of {seq_len} needs {}; give more \
         data or a shorter batch.seq_len",
        seq_len + 1
    )]
    DataTooShort {
        /// "training" or "validation".
        what: &'static str,
        /// Tokens there are.
        found: u64,
        /// Tokens in a sequence.
        seq_len: usize,
    },
    /// Gradients that stay infinite or NaN whatever the loss scale.
    #[error(
        "step {step}: gradients were not finite {skipped} times in a row, down to a loss scale of \
         {scale}; lower optimizer.lr or resume from an earlier checkpoint"
    )]
    Diverged {
        /// The update that failed last.
        step: u64,
        /// Updates skipped.
        skipped: u32,
        /// The loss scale by then.
        scale: f32,
    },
    /// From the formats.
    #[error(transparent)]
    Golf(#[from] aneal_golf::Error),
    /// From the model or its backend.
    #[error(transparent)]
    Model(#[from] aneal_model::Error),
}

impl Error {
    /// Whether the user's configuration is at fault rather than the work.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Config(_)
                | Self::Model(
                    aneal_model::Error::Config { .. }
                        | aneal_model::Error::UnknownPreset { .. }
                        | aneal_model::Error::Sampling { .. }
                )
        )
    }

    /// Adapts an [`std::io::Error`].
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
