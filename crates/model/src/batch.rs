//! Token sequences as the training step takes them.

use crate::{Error, ModelConfig, Result};

/// `[B, S + 1]` token ids: position s of a row is the input whose target is position s + 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    tokens: Vec<u32>,
    seq_len: usize,
}

impl Batch {
    /// Takes `B * (seq_len + 1)` ids.
    ///
    /// # Errors
    /// [`Error::BatchShape`] when the length is not a positive number of rows.
    pub fn new(tokens: Vec<u32>, seq_len: usize) -> Result<Self> {
        if tokens.is_empty() || seq_len == 0 || !tokens.len().is_multiple_of(seq_len + 1) {
            return Err(Error::BatchShape { found: tokens.len(), seq_len });
        }
        Ok(Self { tokens, seq_len })
    }

    /// B.
    pub fn sequences(&self) -> usize {
        self.tokens.len() / (self.seq_len + 1)
    }

    /// S.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// B * S, the number of targets.
    pub fn targets(&self) -> usize {
        self.sequences() * self.seq_len
    }

    /// One `[S + 1]` row a sequence.
    pub fn rows(&self) -> impl Iterator<Item = &[u32]> {
        self.tokens.chunks_exact(self.seq_len + 1)
    }

    /// All ids, `[B, S + 1]`.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Accepts the batch for a model or says why not.
    ///
    /// # Errors
    /// [`Error::SequenceTooLong`], [`Error::TokenId`].
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        if self.seq_len > config.seq_len {
            return Err(Error::SequenceTooLong { found: self.seq_len, limit: config.seq_len });
        }
        let vocab_size = config.vocab_size;
        match self.tokens.iter().position(|&id| id as usize >= vocab_size) {
            Some(position) => {
                Err(Error::TokenId { id: self.tokens[position], position, vocab_size })
            }
            None => Ok(()),
        }
    }
}
