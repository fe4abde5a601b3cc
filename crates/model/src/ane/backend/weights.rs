//! The parameters that the CPU computes with; all others are in surfaces.

use std::sync::Arc;

use aneal_kernels::matmul::Kernel;

use crate::cpu::Weight;
use crate::{Layout, ModelConfig, Params};

/// See the module.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) layout: Arc<Layout>,
    /// `[V, D]`, for look-up.
    pub(super) tok_embeddings: Vec<f32>,
    /// `[V, D]`, as classifier.
    pub(super) classifier: Weight<f32>,
    /// `[D]` each.
    pub(super) layers: Vec<LayerGains>,
    /// `[D]`, of the last norm.
    pub(super) norm: Vec<f32>,
}

/// Gains of a layer's norms, `[D]` each.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerGains {
    pub(super) attention: Vec<f32>,
    pub(super) ffn: Vec<f32>,
}

impl Weights {
    pub(super) fn new(config: &ModelConfig) -> Self {
        Self {
            layout: Layout::new(config),
            tok_embeddings: Vec::new(),
            classifier: Weight::new(Kernel::best()),
            layers: vec![LayerGains::default(); config.layers],
            norm: Vec::new(),
        }
    }

    /// Takes over `params`, which have this layout.
    pub(super) fn stage(&mut self, vocab_size: usize, params: &Params) {
        let layout = params.layout();
        let copy = |to: &mut Vec<f32>, slot| {
            to.clear();
            to.extend_from_slice(params.slice(slot));
        };
        copy(&mut self.tok_embeddings, &layout.tok_embeddings);
        self.classifier.pack(params.slice(&layout.tok_embeddings), vocab_size);
        copy(&mut self.norm, &layout.norm);
        for (gains, slots) in self.layers.iter_mut().zip(&layout.layers) {
            copy(&mut gains.attention, &slots.attention_norm);
            copy(&mut gains.ffn, &slots.ffn_norm);
        }
    }
}
