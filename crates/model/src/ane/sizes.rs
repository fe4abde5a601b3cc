//! The sizes that programs are made of, and the names of the weights that they take.

use crate::ModelConfig;

/// A model's sizes with those of a micro-batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// D
    pub(super) d: usize,
    /// H
    pub(super) h: usize,
    /// Width of all queries.
    pub(super) q: usize,
    /// Width of all keys.
    pub(super) kv: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
    /// Sequences of a dispatch.
    pub(super) b: usize,
    /// Tokens of a sequence.
    pub(super) s: usize,
    pub(super) rope_theta: f64,
    pub(super) norm_eps: f32,
    pub(super) residual_scale: f32,
}

impl Sizes {
    pub(super) fn of(config: &ModelConfig, sequences: usize, s: usize) -> Self {
        Self {
            d: config.dim,
            h: config.hidden,
            q: config.q_width(),
            kv: config.kv_width(),
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            b: sequences,
            s,
            rope_theta: config.rope_theta,
            norm_eps: config.norm_eps,
            residual_scale: config.residual_scale(),
        }
    }

    /// Whether query heads share key-value heads.
    pub(super) fn grouped(&self) -> bool {
        self.kv_heads < self.heads
    }

    /// Tokens of a dispatch.
    pub(super) fn tokens(&self) -> usize {
        self.b * self.s
    }

    /// What scores are multiplied by before their softmax.
    pub(super) fn score_scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

pub(super) const WQ: &str = "attention.wq.weight";
pub(super) const WK: &str = "attention.wk.weight";
pub(super) const WV: &str = "attention.wv.weight";
pub(super) const WO: &str = "attention.wo.weight";
pub(super) const W1: &str = "feed_forward.w1.weight";
pub(super) const W2: &str = "feed_forward.w2.weight";
pub(super) const W3: &str = "feed_forward.w3.weight";
pub(super) const ATTENTION_NORM: &str = "attention_norm.weight";
pub(super) const FFN_NORM: &str = "ffn_norm.weight";
