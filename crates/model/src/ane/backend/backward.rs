//! What the CPU does in a layer backward: gates, norms, heads and positions; sums of gradients are
//! handed over.

use std::ops::Range;
use std::sync::Arc;

use aneal_kernels::{rms_norm, swiglu};

use super::beside::Job;
use super::pass::Pass;
use crate::Result;
use crate::ane::Activation;

impl Pass<'_> {
    /// H1Grad and H3Grad.
    pub(super) fn gate_backward(&mut self, layer: usize) -> Result<()> {
        let h1 = self.shared(layer, Activation::H1)?;
        let h3 = self.shared(layer, Activation::H3)?;
        let gate_grad = self.shared(layer, Activation::GateGrad)?;
        let mut of_h1 = self.state.tensors.room(h1.len());
        let mut of_h3 = self.state.tensors.room(h1.len());
        swiglu::backward(&mut of_h1, &mut of_h3, &gate_grad, &h1, &h3);
        self.put(layer, Activation::H1Grad, of_h1);
        self.put(layer, Activation::H3Grad, of_h3);
        Ok(())
    }

    pub(super) fn ffn_weight_grads(&mut self, layer: usize) -> Result<()> {
        let slots = &self.machine.weights.layout.layers[layer];
        self.weight_grad(layer, &slots.w1, Activation::H1Grad, Activation::FfnNorm)?;
        self.weight_grad(layer, &slots.w3, Activation::H3Grad, Activation::FfnNorm)?;
        self.weight_grad(layer, &slots.w2, Activation::FfnBranchGrad, Activation::Gate)
    }

    pub(super) fn attention_weight_grads(&mut self, layer: usize) -> Result<()> {
        let slots = &self.machine.weights.layout.layers[layer];
        self.weight_grad(layer, &slots.wq, Activation::QueryGrad, Activation::AttentionNorm)?;
        self.weight_grad(layer, &slots.wk, Activation::KeyGrad, Activation::AttentionNorm)?;
        self.weight_grad(layer, &slots.wv, Activation::ValueGrad, Activation::AttentionNorm)?;
        self.weight_grad(layer, &slots.wo, Activation::AttentionBranchGrad, Activation::Attention)
    }

    /// The gradient of the weights that made what `dy` is the gradient of from `x`.
    fn weight_grad(
        &self,
        layer: usize,
        slot: &Range<usize>,
        dy: Activation,
        x: Activation,
    ) -> Result<()> {
        let (tokens, slot) = (self.micro.inputs.len(), slot.clone());
        let operand = |a| self.state.tensors.operand(self.kept(layer), a, tokens);
        (self.beside)(Job::Product { slot, dy: operand(dy)?, x: operand(x)?, scale: self.share() });
        Ok(())
    }

    /// dMiddleStream.
    pub(super) fn ffn_norm_backward(&mut self, layer: usize) -> Result<()> {
        let weights = self.machine.weights;
        let dy = self.shared(layer, Activation::FfnNormGrad)?;
        let x = self.shared(layer, Activation::MiddleStream)?;
        let inv_rms = std::mem::take(&mut self.state.norms[layer].ffn_inv_rms);
        let w = &weights.layers[layer].ffn;
        let input = rms_norm::Backward { dy: &dy, x: &x, w, inv_rms: &inv_rms };
        self.stream_backward(weights.layout.layers[layer].ffn_norm.clone(), input);
        self.state.norms[layer].ffn_inv_rms = inv_rms;
        self.put_branch_grad(Activation::AttentionBranchGrad);
        Ok(())
    }

    /// dNextStream of the layer before.
    pub(super) fn attention_norm_backward(&mut self, layer: usize) -> Result<()> {
        let weights = self.machine.weights;
        let of_query = self.shared(layer, Activation::NormGradOfQuery)?;
        let of_others = self.shared(layer, Activation::NormGradOfKeyValue)?;
        let mut dy = self.state.tensors.room(of_query.len());
        for ((sum, a), b) in dy.iter_mut().zip(&*of_query).zip(&*of_others) {
            *sum = a + b;
        }
        let x = Arc::clone(&self.state.norms[layer].stream);
        let inv_rms = std::mem::take(&mut self.state.norms[layer].attention_inv_rms);
        let w = &weights.layers[layer].attention;
        let input = rms_norm::Backward { dy: &dy, x: &x, w, inv_rms: &inv_rms };
        self.stream_backward(weights.layout.layers[layer].attention_norm.clone(), input);
        self.state.norms[layer].attention_inv_rms = inv_rms;
        self.state.tensors.done(Arc::new(dy));
        self.put_branch_grad(Activation::FfnBranchGrad);
        Ok(())
    }

    /// KeyGradTurned and ValueGrad: sums over the query heads that share a key-value head.
    pub(super) fn sum_heads(&mut self, layer: usize) -> Result<()> {
        let config = &self.machine.plan.model;
        let shared = config.heads / config.kv_heads;
        let head = config.head_dim * self.micro.inputs.len();
        for (from, to) in [
            (Activation::KeyRepeatedGradTurned, Activation::KeyGradTurned),
            (Activation::ValueRepeatedGrad, Activation::ValueGrad),
        ] {
            let x = self.shared(layer, from)?;
            let mut y = self.state.tensors.room(x.len() / shared);
            for (sum, parts) in y.chunks_exact_mut(head).zip(x.chunks_exact(shared * head)) {
                let (first, others) = parts.split_at(head);
                sum.copy_from_slice(first);
                for part in others.chunks_exact(head) {
                    sum.iter_mut().zip(part).for_each(|(sum, v)| *sum += v);
                }
            }
            self.put(layer, to, y);
        }
        Ok(())
    }

    /// QueryGrad and KeyGrad.
    pub(super) fn rope_backward(&mut self, layer: usize) -> Result<()> {
        for (from, to) in [
            (Activation::QueryGradTurned, Activation::QueryGrad),
            (Activation::KeyGradTurned, Activation::KeyGrad),
        ] {
            let x = self.shared(layer, from)?;
            let mut y = self.state.tensors.room(x.len());
            self.machine.angles.turn_back(&mut y, &x, self.micro.inputs.len());
            self.put(layer, to, y);
        }
        Ok(())
    }

    /// The gradient of the table as embedding.
    pub(super) fn embedding_backward(&mut self) {
        let (layout, share) = (&self.machine.weights.layout, self.share());
        let state = &mut *self.state;
        let mut dx = state.tensors.room(state.stream_grad.len());
        dx.iter_mut().zip(&state.stream_grad).for_each(|(dx, v)| *dx = share * v);
        let dx = Arc::new(dx);
        state.tensors.done(Arc::clone(&dx));
        let (slot, ids) = (layout.tok_embeddings.clone(), self.micro.inputs.clone());
        (self.beside)(Job::Embedding { slot, ids, dx, width: self.machine.plan.model.dim });
    }

    /// rms_norm backward, into the gradient of the residual stream.
    fn stream_backward(&mut self, gain: Range<usize>, input: rms_norm::Backward<'_>) {
        let mut dx = std::mem::take(&mut self.state.stream_grad);
        self.norm_backward(&mut dx, gain, input);
        self.state.stream_grad = dx;
    }

    /// rms_norm backward; the gradient of the gain, which lies at `gain`, is handed over.
    pub(super) fn norm_backward(
        &mut self,
        dx: &mut [f32],
        gain: Range<usize>,
        input: rms_norm::Backward<'_>,
    ) {
        let state = &mut *self.state;
        let (mut copy, mut dw) = (state.tensors.room(dx.len()), state.tensors.room(gain.len()));
        dw.fill(0.0);
        state.partial.resize(rms_norm::partial_len(input.inv_rms.len(), gain.len()), 0.0);
        rms_norm::backward(dx, &mut copy, &mut dw, &mut state.partial, input);
        let values = Arc::new(dw);
        state.tensors.done(Arc::new(copy));
        state.tensors.done(Arc::clone(&values));
        (self.beside)(Job::Add { slot: gain, values, scale: self.share() });
    }

    /// a times the gradient of the residual stream, where the next program looks for it.
    pub(super) fn put_branch_grad(&mut self, activation: Activation) {
        let scale = self.machine.plan.model.residual_scale();
        let mut grad = self.state.tensors.room(self.state.stream_grad.len());
        for (grad, v) in grad.iter_mut().zip(&self.state.stream_grad) {
            *grad = scale * v;
        }
        self.put(0, activation, grad);
    }
}
