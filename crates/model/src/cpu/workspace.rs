//! Buffers of a micro-batch, made once and used for every step.

use aneal_kernels::matmul::Kernel;
use aneal_kernels::{Element, attention, rms_norm};

use super::buffer::Buffer;
use super::weight_grads::WeightGradOperands;
use crate::{ModelConfig, Profile};

/// Most logits held at once, so that a large vocabulary does not decide the memory.
const LOGITS: usize = 1 << 22;

/// What the backward pass of one layer needs from its forward pass. T rows each.
#[derive(Debug, Default)]
pub(super) struct Activations<E: Element> {
    /// `[T, D]`, the layer's input.
    pub(super) x: Buffer<f32>,
    /// `[T]`
    pub(super) attention_inv_rms: Buffer<f32>,
    /// `[T, (heads + 2 kv_heads) * head_dim]`, queries and keys turned.
    pub(super) qkv: Buffer<E>,
    /// `[T, heads * head_dim]`
    pub(super) attention: Buffer<E>,
    /// `[B, heads, S]`
    pub(super) lse: Buffer<f32>,
    /// `[T, D]`, the residual stream between attention and feed-forward.
    pub(super) x_mid: Buffer<f32>,
    /// `[T]`
    pub(super) ffn_inv_rms: Buffer<f32>,
    /// `[T, 2 H]`
    pub(super) h: Buffer<E>,
}

/// All buffers of a pass over a micro-batch.
#[derive(Debug)]
pub(super) struct Workspace<E: Element> {
    /// At least [`kept`](Self::kept) sets.
    pub(super) layers: Vec<Activations<E>>,
    /// Sets of activations in use: one a layer when a backward pass follows, else a single one that
    /// all layers overwrite.
    pub(super) kept: usize,
    /// `[T, D]`, the residual stream behind the last layer.
    pub(super) x: Buffer<f32>,
    /// `[T, D]`, a normalised input of a product.
    pub(super) xn: Buffer<E>,
    /// `[T]`
    pub(super) inv_rms: Buffer<f32>,
    /// `[T, H]`
    pub(super) gate: Buffer<E>,
    /// `[rows, V]`, where rows is [`logit_rows`].
    pub(super) logits: Buffer<f32>,
    /// `[rows, V]`
    pub(super) dlogits: Buffer<E>,
    /// `[T]`
    pub(super) losses: Buffer<f32>,
    /// `[T, D]`, gradient of the residual stream.
    pub(super) dx: Buffer<f32>,
    /// `[T, D]`, the same, rounded.
    pub(super) dx_rounded: Buffer<E>,
    /// `[T, D]`, gradient of a normalised input.
    pub(super) dxn: Buffer<f32>,
    /// `[T, 2 H]`
    pub(super) dh: Buffer<E>,
    /// `[T, heads * head_dim]`
    pub(super) dattention: Buffer<E>,
    /// `[T, (heads + 2 kv_heads) * head_dim]`
    pub(super) dqkv: Buffer<E>,
    /// Sums of a norm gain's gradient.
    pub(super) partial: Buffer<f32>,
    pub(super) dw_operands: WeightGradOperands<E>,
    pub(super) attend: attention::Workspace<E>,
    pub(super) profile: Profile,
}

/// Rows of logits held at once.
pub(super) fn logit_rows(config: &ModelConfig) -> usize {
    (LOGITS / config.vocab_size).max(64)
}

impl<E: Element> Workspace<E> {
    /// Empty, for products by `kernel`.
    pub(super) fn new(kernel: Kernel<E>) -> Self {
        Self {
            layers: Vec::new(),
            kept: 0,
            x: Buffer::default(),
            xn: Buffer::default(),
            inv_rms: Buffer::default(),
            gate: Buffer::default(),
            logits: Buffer::default(),
            dlogits: Buffer::default(),
            losses: Buffer::default(),
            dx: Buffer::default(),
            dx_rounded: Buffer::default(),
            dxn: Buffer::default(),
            dh: Buffer::default(),
            dattention: Buffer::default(),
            dqkv: Buffer::default(),
            partial: Buffer::default(),
            dw_operands: WeightGradOperands::new(kernel),
            attend: attention::Workspace::new(kernel),
            profile: Profile::default(),
        }
    }

    /// Bytes that one token of a micro-batch costs in a training step.
    pub(super) fn bytes_per_token(config: &ModelConfig) -> usize {
        let (d, h) = (config.dim, config.hidden);
        let (q, qkv, operand) = (config.q_width(), config.qkv_width(), size_of::<E>());
        let layer = 4 * (2 * d + config.heads + 2) + operand * (qkv + q + 2 * h);
        let shared = 4 * (3 * d + 2) + operand * (5 * d + 5 * h + q + 2 * qkv);
        config.layers * layer + shared
    }

    /// Gives every buffer its exact length for `tokens` rows and `kept` sets of activations; those
    /// of the backward pass only if there are as many sets as layers.
    ///
    /// Buffers never give memory back, so a steady run allocates nothing.
    pub(super) fn fit(&mut self, config: &ModelConfig, tokens: usize, kept: usize) {
        let t = tokens;
        let (d, h) = (t * config.dim, t * config.hidden);
        let (q, qkv) = (t * config.q_width(), t * config.qkv_width());
        if self.layers.len() < kept {
            self.layers.resize_with(kept, Activations::default);
        }
        self.kept = kept;
        for a in &mut self.layers[..kept] {
            fit_all([
                (&mut a.x, d),
                (&mut a.attention_inv_rms, t),
                (&mut a.lse, t * config.heads),
                (&mut a.x_mid, d),
                (&mut a.ffn_inv_rms, t),
            ]);
            fit_all([(&mut a.qkv, qkv), (&mut a.attention, q), (&mut a.h, 2 * h)]);
        }
        let logits = logit_rows(config).min(t) * config.vocab_size;
        fit_all([(&mut self.x, d), (&mut self.inv_rms, t), (&mut self.logits, logits)]);
        fit_all([(&mut self.xn, d), (&mut self.gate, h)]);
        if kept == config.layers {
            let partial = rms_norm::partial_len(t, config.dim);
            fit_all([
                (&mut self.losses, t),
                (&mut self.dx, d),
                (&mut self.dxn, d),
                (&mut self.partial, partial),
            ]);
            fit_all([
                (&mut self.dlogits, logits),
                (&mut self.dx_rounded, d),
                (&mut self.dh, 2 * h),
                (&mut self.dattention, q),
                (&mut self.dqkv, qkv),
            ]);
        }
    }

    /// Moves what the rest of a layer needs of the last `kept` tokens of every sequence to the front.
    pub(super) fn keep_tails(
        &mut self,
        config: &ModelConfig,
        layer: usize,
        seq_len: usize,
        kept: usize,
    ) {
        let Activations { x, attention, .. } = &mut self.layers[layer.min(self.kept - 1)];
        x.keep_tails(config.dim, seq_len, kept);
        attention.keep_tails(config.q_width(), seq_len, kept);
    }
}

fn fit_all<T: Element, const N: usize>(buffers: [(&mut Buffer<T>, usize); N]) {
    for (buffer, len) in buffers {
        buffer.fit(len);
    }
}
