//! What the CPU does in a layer forward.

use std::sync::Arc;

use aneal_kernels::{embedding, rms_norm, swiglu};

use super::pass::Pass;
use super::tensors::Values;
use crate::Result;
use crate::ane::Activation;

impl Pass<'_> {
    /// The stream of the first layer.
    pub(super) fn embedding(&mut self) {
        let d = self.machine.plan.model.dim;
        let mut stream = self.state.tensors.room(self.micro.inputs.len() * d);
        embedding::forward(
            &mut stream,
            &self.micro.inputs,
            &self.machine.weights.tok_embeddings,
            d,
        );
        self.put(0, Activation::NextStream, stream);
    }

    /// AttentionNorm of the stream that the layer before left.
    pub(super) fn attention_norm(&mut self, layer: usize) -> Result<()> {
        let stream = self.shared(layer, Activation::NextStream)?;
        let mut y = self.state.tensors.room(stream.len());
        let (kept, gain) = (self.kept(layer), &self.machine.weights.layers[layer].attention);
        let norms = &mut self.state.norms[kept];
        norms.attention_inv_rms.resize(stream.len() / gain.len(), 0.0);
        let eps = self.machine.plan.model.norm_eps;
        rms_norm::forward(&mut y, &mut norms.attention_inv_rms, &stream, gain, eps);
        let old = std::mem::replace(&mut norms.stream, stream);
        self.state.tensors.done(old);
        self.put(layer, Activation::AttentionNorm, y);
        Ok(())
    }

    /// KeyRepeated and ValueRepeated.
    pub(super) fn repeat_heads(&mut self, layer: usize) -> Result<()> {
        let config = &self.machine.plan.model;
        let shared = config.heads / config.kv_heads;
        let head = config.head_dim * self.micro.inputs.len();
        for (from, to) in [
            (Activation::Key, Activation::KeyRepeated),
            (Activation::Value, Activation::ValueRepeated),
        ] {
            let x = self.shared(layer, from)?;
            let mut y = self.state.tensors.room(shared * x.len());
            for (copies, head) in y.chunks_exact_mut(shared * head).zip(x.chunks_exact(head)) {
                copies.chunks_exact_mut(head.len()).for_each(|copy| copy.copy_from_slice(head));
            }
            self.put(layer, to, y);
        }
        Ok(())
    }

    /// MiddleStream, and FfnNorm of it.
    pub(super) fn ffn_norm(&mut self, layer: usize) -> Result<()> {
        let kept = self.kept(layer);
        let stream = Arc::clone(&self.state.norms[kept].stream);
        let branch = self.shared(layer, Activation::AttentionBranch)?;
        let middle = self.plus_branch(&stream, &branch);
        let mut y = self.state.tensors.room(middle.len());
        let gain = &self.machine.weights.layers[layer].ffn;
        let inv_rms = &mut self.state.norms[kept].ffn_inv_rms;
        inv_rms.resize(middle.len() / gain.len(), 0.0);
        rms_norm::forward(&mut y, inv_rms, &middle, gain, self.machine.plan.model.norm_eps);
        self.put(layer, Activation::MiddleStream, middle);
        self.put(layer, Activation::FfnNorm, y);
        Ok(())
    }

    /// Gate, where no program makes it.
    pub(super) fn gate(&mut self, layer: usize) -> Result<()> {
        let [h1, h3] = [self.shared(layer, Activation::H1)?, self.shared(layer, Activation::H3)?];
        let mut gate = self.state.tensors.room(h1.len());
        swiglu::forward(&mut gate, &h1, &h3);
        self.put(layer, Activation::Gate, gate);
        Ok(())
    }

    /// NextStream, where no program makes it.
    pub(super) fn ffn_residual(&mut self, layer: usize) -> Result<()> {
        let middle = self.shared(layer, Activation::MiddleStream)?;
        let branch = self.shared(layer, Activation::FfnBranch)?;
        let next = self.plus_branch(&middle, &branch);
        self.put(layer, Activation::NextStream, next);
        Ok(())
    }

    /// x + a branch
    fn plus_branch(&mut self, x: &Values, branch: &Values) -> Vec<f32> {
        let scale = self.machine.plan.model.residual_scale();
        let mut sum = self.state.tensors.room(x.len());
        for ((sum, x), branch) in sum.iter_mut().zip(&**x).zip(&**branch) {
            *sum = x + scale * branch;
        }
        sum
    }
}
