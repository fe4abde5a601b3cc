//! Weights as the passes read them: packed both ways, once an update.

use std::ops::Range;

use aneal_kernels::matmul::{Kernel, Panels, PanelsView};
use aneal_kernels::{Element, Mat};

use crate::{ModelConfig, Params};

/// A `[out, in]` matrix, packed for `x W^T` and for `dy W`.
#[derive(Debug)]
pub(crate) struct Weight<E: Element> {
    forward: Panels<E>,
    backward: Panels<E>,
}

impl<E: Element> Weight<E> {
    /// Nothing packed yet.
    pub(crate) fn new(kernel: Kernel<E>) -> Self {
        Self { forward: Panels::new(kernel), backward: Panels::new(kernel) }
    }

    /// Takes over `values[out, in]`.
    pub(crate) fn pack(&mut self, values: &[f32], out: usize) {
        let matrix = Mat::new(values, out, values.len() / out);
        self.forward.pack(matrix.t());
        self.backward.pack(matrix);
    }

    /// Right operand `[in, out]` of the forward pass.
    pub(crate) fn forward(&self) -> PanelsView<'_, E> {
        self.forward.view()
    }

    /// Right operand `[out, in]` of the gradient of the input.
    pub(crate) fn backward(&self) -> PanelsView<'_, E> {
        self.backward.view()
    }
}

/// One layer. Matrices with a common input are one matrix, as they are neighbours in the arena.
#[derive(Debug)]
pub(super) struct LayerWeights<E: Element> {
    /// `[D]`
    pub(super) attention_norm: Vec<f32>,
    /// wq, wk, wv: `[(heads + 2 kv_heads) * head_dim, D]`
    pub(super) wqkv: Weight<E>,
    /// `[D, heads * head_dim]`
    pub(super) wo: Weight<E>,
    /// `[D]`
    pub(super) ffn_norm: Vec<f32>,
    /// w1, w3: `[2 H, D]`
    pub(super) w13: Weight<E>,
    /// `[D, H]`
    pub(super) w2: Weight<E>,
}

/// All weights of a model.
#[derive(Debug)]
pub(super) struct Weights<E: Element> {
    /// `[V, D]`, for look-up.
    pub(super) tok_embeddings: Vec<f32>,
    /// `[V, D]`, as classifier.
    pub(super) classifier: Weight<E>,
    pub(super) layers: Vec<LayerWeights<E>>,
    /// `[D]`
    pub(super) norm: Vec<f32>,
}

impl<E: Element> Weights<E> {
    /// Nothing packed yet.
    pub(super) fn new(config: &ModelConfig, kernel: Kernel<E>) -> Self {
        let layer = |_| LayerWeights {
            attention_norm: Vec::new(),
            wqkv: Weight::new(kernel),
            wo: Weight::new(kernel),
            ffn_norm: Vec::new(),
            w13: Weight::new(kernel),
            w2: Weight::new(kernel),
        };
        Self {
            tok_embeddings: Vec::new(),
            classifier: Weight::new(kernel),
            layers: (0..config.layers).map(layer).collect(),
            norm: Vec::new(),
        }
    }

    /// Takes over `params`.
    pub(super) fn stage(&mut self, config: &ModelConfig, params: &Params) {
        let layout = params.layout();
        let copy = |to: &mut Vec<f32>, slot: &Range<usize>| {
            to.clear();
            to.extend_from_slice(params.slice(slot));
        };
        copy(&mut self.tok_embeddings, &layout.tok_embeddings);
        self.classifier.pack(params.slice(&layout.tok_embeddings), config.vocab_size);
        copy(&mut self.norm, &layout.norm);
        for (layer, slots) in self.layers.iter_mut().zip(&layout.layers) {
            copy(&mut layer.attention_norm, &slots.attention_norm);
            copy(&mut layer.ffn_norm, &slots.ffn_norm);
            layer.wqkv.pack(params.slice(&slots.wqkv()), config.qkv_width());
            layer.wo.pack(params.slice(&slots.wo), config.dim);
            layer.w13.pack(params.slice(&slots.w13()), 2 * config.hidden);
            layer.w2.pack(params.slice(&slots.w2), config.dim);
        }
    }
}
