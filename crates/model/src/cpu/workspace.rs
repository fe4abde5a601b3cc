//! Buffers of a micro-batch, made once and used for every step.

use crate::ModelConfig;

/// Rows of logits held at once, so that a large vocabulary does not decide the memory.
pub(super) const LOGIT_ROWS: usize = 256;

/// What the backward pass of one layer needs from its forward pass. T rows each.
#[derive(Debug, Default)]
pub(super) struct Activations {
    /// `[T, D]`, the layer's input.
    pub(super) x: Vec<f32>,
    /// `[T]`
    pub(super) attention_inv_rms: Vec<f32>,
    /// `[T, heads * head_dim]`, turned.
    pub(super) q: Vec<f32>,
    /// `[T, kv_heads * head_dim]`, turned.
    pub(super) k: Vec<f32>,
    /// `[T, kv_heads * head_dim]`
    pub(super) v: Vec<f32>,
    /// `[T, heads * head_dim]`
    pub(super) attention: Vec<f32>,
    /// `[B, heads, S]`
    pub(super) lse: Vec<f32>,
    /// `[T, D]`, the residual stream between attention and feed-forward.
    pub(super) x_mid: Vec<f32>,
    /// `[T]`
    pub(super) ffn_inv_rms: Vec<f32>,
    /// `[T, H]`
    pub(super) h1: Vec<f32>,
    /// `[T, H]`
    pub(super) h3: Vec<f32>,
}

/// All buffers of a pass over a micro-batch.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// At least [`kept`](Self::kept) sets.
    pub(super) layers: Vec<Activations>,
    /// Sets of activations in use: one a layer when a backward pass follows, else a single one that
    /// all layers overwrite.
    pub(super) kept: usize,
    /// `[T, D]`, the residual stream.
    pub(super) x: Vec<f32>,
    /// `[T, D]`, its normalised form where one is needed.
    pub(super) xn: Vec<f32>,
    /// `[T]`
    pub(super) inv_rms: Vec<f32>,
    /// `[T, H]`
    pub(super) gate: Vec<f32>,
    /// `[LOGIT_ROWS, V]`
    pub(super) logits: Vec<f32>,
    /// `[T]`
    pub(super) losses: Vec<f32>,
    /// `[T, D]`, gradient of the residual stream.
    pub(super) dx: Vec<f32>,
    /// `[T, D]`, gradient of a normalised input.
    pub(super) dxn: Vec<f32>,
    /// `[T, H]` each.
    pub(super) dgate: Vec<f32>,
    pub(super) dh1: Vec<f32>,
    pub(super) dh3: Vec<f32>,
    /// `[T, heads * head_dim]` each.
    pub(super) dattention: Vec<f32>,
    pub(super) dq: Vec<f32>,
    /// `[T, kv_heads * head_dim]` each.
    pub(super) dk: Vec<f32>,
    pub(super) dv: Vec<f32>,
}

impl Workspace {
    /// Bytes that one token of a micro-batch costs in a training step.
    pub(super) fn bytes_per_token(config: &ModelConfig) -> usize {
        let (d, h) = (config.dim, config.hidden);
        let (q, kv) = (config.q_width(), config.kv_width());
        let layer = 2 * d + 2 * q + 2 * kv + 2 * h + config.heads + 2;
        let shared = 4 * d + 4 * h + 2 * q + 2 * kv + 2;
        4 * (config.layers * layer + shared)
    }

    /// Gives every buffer its exact length for `tokens` rows and `kept` sets of activations.
    ///
    /// Buffers shrink in length but not in capacity, so a steady run allocates nothing.
    pub(super) fn fit(&mut self, config: &ModelConfig, tokens: usize, kept: usize) {
        let t = tokens;
        let (d, h) = (t * config.dim, t * config.hidden);
        let (q, kv) = (t * config.q_width(), t * config.kv_width());
        if self.layers.len() < kept {
            self.layers.resize_with(kept, Activations::default);
        }
        self.kept = kept;
        for a in &mut self.layers[..kept] {
            for (buffer, len) in [
                (&mut a.x, d),
                (&mut a.attention_inv_rms, t),
                (&mut a.q, q),
                (&mut a.k, kv),
                (&mut a.v, kv),
                (&mut a.attention, q),
                (&mut a.lse, t * config.heads),
                (&mut a.x_mid, d),
                (&mut a.ffn_inv_rms, t),
                (&mut a.h1, h),
                (&mut a.h3, h),
            ] {
                buffer.resize(len, 0.0);
            }
        }
        for (buffer, len) in [
            (&mut self.x, d),
            (&mut self.xn, d),
            (&mut self.inv_rms, t),
            (&mut self.gate, h),
            (&mut self.logits, LOGIT_ROWS.min(t) * config.vocab_size),
            (&mut self.losses, t),
            (&mut self.dx, d),
            (&mut self.dxn, d),
            (&mut self.dgate, h),
            (&mut self.dh1, h),
            (&mut self.dh3, h),
            (&mut self.dattention, q),
            (&mut self.dq, q),
            (&mut self.dk, kv),
            (&mut self.dv, kv),
        ] {
            buffer.resize(len, 0.0);
        }
    }
}
