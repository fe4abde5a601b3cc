//! What can go wrong between a configuration and a training step.

/// Every failure of this crate. Messages say what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model that cannot be built.
    #[error("model.{field} = {found} cannot be: {expected}")]
    Config {
        /// The field of [`ModelConfig`](crate::ModelConfig).
        field: &'static str,
        /// Its value.
        found: String,
        /// The rule it breaks.
        expected: String,
    },
    /// A name that is no preset.
    #[error("no model preset is called {name:?}; there are {known}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A token id that has no embedding.
    #[error(
        "token id {id} at position {position} of the batch has no embedding: the model's vocabulary \
         ends at {vocab_size}; use the tokenizer that the model was made for"
    )]
    TokenId {
        /// The id.
        id: u32,
        /// Its index in the batch.
        position: usize,
        /// Ids must be below this.
        vocab_size: usize,
    },
    /// A batch whose length is not a number of sequences.
    #[error("a batch of {found} tokens is not a number of sequences of {seq_len} + 1 tokens")]
    BatchShape {
        /// Tokens given.
        found: usize,
        /// Sequence length expected.
        seq_len: usize,
    },
    /// A sequence longer than the model was made for.
    #[error("a sequence of {found} tokens is longer than the model's {limit}")]
    SequenceTooLong {
        /// Tokens given.
        found: usize,
        /// [`ModelConfig::seq_len`](crate::ModelConfig::seq_len).
        limit: usize,
    },
    /// Weights that are not this model's.
    #[error("the weights do not fit the model: {0}")]
    Weights(String),
    /// Sampling settings outside their range.
    #[error("{field} = {found} cannot be: {expected}")]
    Sampling {
        /// The setting.
        field: &'static str,
        /// Its value.
        found: String,
        /// The rule it breaks.
        expected: &'static str,
    },
    /// A name that is no plan.
    #[error("no plan is called {name:?}; there are {known}")]
    UnknownPlan {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A plan that cannot be made.
    #[error("plan {plan}: {reason}")]
    Plan {
        /// Its name.
        plan: String,
        /// What was found, what was expected, what to do.
        reason: String,
    },
    /// The engine refused something, or failed.
    #[error("{engine}: cannot {action}: {source}")]
    Engine {
        /// What was to be done, with program and layer.
        action: String,
        /// What was to do it.
        engine: String,
        /// Its own report.
        source: Box<aneal_ane::Error>,
    },
    /// A program that cannot be written.
    #[error("a program of the engine cannot be written: {0}")]
    Mil(#[from] aneal_mil::Error),
}
