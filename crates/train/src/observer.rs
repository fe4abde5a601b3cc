//! What a run tells whoever watches it.

use std::path::Path;

use aneal_golf::score::Score;
use aneal_golf::shard::TokenStream;

use crate::RunConfig;

/// Something that happened in a run, in the order it happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A run starts or goes on.
    Started {
        /// The resolved configuration.
        config: &'a RunConfig,
        /// What computes.
        backend: &'a str,
        /// Training tokens.
        train: &'a TokenStream,
        /// Validation tokens.
        val: &'a TokenStream,
    },
    /// One line for the reader, also in `train.log`.
    Note(&'a str),
    /// An update was made or skipped.
    Step {
        /// Updates so far.
        step: u64,
        /// Updates in all, when that is known.
        total: Option<u64>,
        /// Share of the run that lies behind.
        done: f64,
        /// Mean training loss of the update in nats.
        loss: f64,
        /// Learning rate.
        lr: f64,
        /// Global gradient norm before clipping.
        grad_norm: f64,
        /// Training tokens an update.
        batch_tokens: usize,
        /// Milliseconds this update took.
        step_ms: f64,
        /// Seconds spent in updates so far.
        train_s: f64,
    },
    /// Validation has come this far.
    Validating {
        /// Targets scored.
        done: u64,
        /// Targets in all.
        total: u64,
    },
    /// Validation is done.
    Validated {
        /// Updates so far.
        step: u64,
        /// The result.
        score: &'a Score,
        /// What was scored: "untrained", "model" or "artifact".
        what: &'static str,
    },
    /// Some text was generated.
    Sampled {
        /// Updates so far.
        step: u64,
        /// Prompt and continuation.
        text: &'a str,
    },
    /// A checkpoint was written.
    Saved {
        /// Updates so far.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
    /// The model was packed.
    Packed {
        /// The artifact.
        path: &'a Path,
        /// Its size.
        bytes: u64,
    },
}

/// Whoever watches a run.
pub trait Observer {
    /// Takes note of an event.
    fn event(&mut self, event: Event<'_>);
}
