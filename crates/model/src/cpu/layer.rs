//! One layer forward and backward, and the passes over all of them.

use std::ops::Range;

use aneal_kernels::matmul::{Add, AddTo, Left, Panels, Store, matmul};
use aneal_kernels::rope::StoreTurned;
use aneal_kernels::swiglu::{StoreGate, StoreGateGrad};
use aneal_kernels::{Element, Mat, MatMut, attention, embedding, rms_norm, rope};

use super::MicroBatch;
use super::weights::{LayerWeights, Weights};
use super::workspace::{Activations, Workspace};
use crate::{Grads, LayerSlots, ModelConfig};

/// A micro-batch on its way through the model.
pub(super) struct Pass<'a, E: Element> {
    pub(super) config: &'a ModelConfig,
    pub(super) weights: &'a Weights<E>,
    pub(super) rope: &'a rope::Table,
    pub(super) micro: &'a MicroBatch,
}

impl<E: Element> Pass<'_, E> {
    /// Leaves the residual stream behind the last layer in `workspace.x`, and every layer's
    /// activations if the workspace has room for them.
    pub(super) fn forward(&self, workspace: &mut Workspace<E>) {
        let table = &self.weights.tok_embeddings;
        let Workspace { layers, kept, x, xn, gate, attend, .. } = workspace;
        embedding::forward(x, &self.micro.inputs, table, self.config.dim);
        for (index, weights) in self.weights.layers.iter().enumerate() {
            let acts = &mut layers[index.min(*kept - 1)];
            std::mem::swap(x, &mut acts.x);
            self.forward_layer(weights, acts, x, xn, gate, attend);
        }
    }

    /// From `acts.x` to `x`.
    fn forward_layer(
        &self,
        weights: &LayerWeights<E>,
        acts: &mut Activations<E>,
        x: &mut [f32],
        xn: &mut [E],
        gate: &mut [E],
        attend: &attention::Workspace<E>,
    ) {
        let (config, eps) = (self.config, self.config.norm_eps);
        let scale = config.residual_scale();
        let shape = self.attention_shape();

        rms_norm::forward(xn, &mut acts.attention_inv_rms, &acts.x, &weights.attention_norm, eps);
        let turned = StoreTurned {
            out: self.rows_mut(&mut acts.qkv),
            width: config.q_width() + config.kv_width(),
            seq_len: self.micro.seq_len,
            table: self.rope,
            first: 0,
        };
        matmul(self.left(xn), weights.wqkv.forward(), turned);
        attention::forward(&mut acts.attention, &mut acts.lse, &acts.qkv, &shape, attend);
        let residual = AddTo { out: self.rows_mut(&mut acts.x_mid), base: &acts.x, scale };
        matmul(self.left(&acts.attention), weights.wo.forward(), residual);

        rms_norm::forward(xn, &mut acts.ffn_inv_rms, &acts.x_mid, &weights.ffn_norm, eps);
        let gated = StoreGate { h: self.rows_mut(&mut acts.h), gate: self.rows_mut(gate) };
        matmul(self.left(xn), weights.w13.forward(), gated);
        let residual = AddTo { out: self.rows_mut(x), base: &acts.x_mid, scale };
        matmul(self.left(gate), weights.w2.forward(), residual);
    }

    /// Takes the gradient of the residual stream in `workspace.dx` back to the embedding.
    pub(super) fn backward(&self, workspace: &mut Workspace<E>, grads: &mut Grads) {
        let layout = std::sync::Arc::clone(grads.layout());
        for (index, slots) in layout.layers.iter().enumerate().rev() {
            let weights = &self.weights.layers[index];
            self.backward_ffn(weights, slots, index, workspace, grads);
            self.backward_attention(weights, slots, index, workspace, grads);
        }
        let table = grads.slice_mut(&layout.tok_embeddings);
        embedding::backward(table, &self.micro.inputs, &workspace.dx, self.config.dim);
    }

    fn backward_ffn(
        &self,
        weights: &LayerWeights<E>,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace<E>,
        grads: &mut Grads,
    ) {
        let acts = &workspace.layers[index];
        let Workspace { xn, gate, dx, dx_rounded, dxn, dh, partial, dy_panels, x_panels, .. } =
            workspace;
        let scale = self.config.residual_scale();
        let mut weight_grads = WeightGrads { grads, dy_panels, x_panels };

        let gated =
            StoreGateGrad { h: &acts.h, dh: self.rows_mut(dh), gate: self.rows_mut(gate), scale };
        matmul(self.left(dx_rounded), weights.w2.backward(), gated);
        weight_grads.pack_dy(self.rows(dx_rounded));
        weight_grads.add(&slots.w2, scale, self.rows(gate));

        let out = self.rows_mut(dxn);
        matmul(self.left(dh), weights.w13.backward(), Store { out, scale: 1.0 });
        rms_norm::apply(xn, &acts.x_mid, &weights.ffn_norm, &acts.ffn_inv_rms);
        weight_grads.pack_dy(self.rows(dh));
        weight_grads.add(&slots.w13(), 1.0, self.rows(xn));

        let (w, inv_rms) = (&weights.ffn_norm, &acts.ffn_inv_rms);
        let input = rms_norm::Backward { dy: dxn, x: &acts.x_mid, w, inv_rms };
        rms_norm::backward(dx, dx_rounded, grads.slice_mut(&slots.ffn_norm), partial, input);
    }

    fn backward_attention(
        &self,
        weights: &LayerWeights<E>,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace<E>,
        grads: &mut Grads,
    ) {
        let acts = &workspace.layers[index];
        let Workspace {
            xn,
            dx,
            dx_rounded,
            dxn,
            dattention,
            dqkv,
            partial,
            dy_panels,
            x_panels,
            attend,
            ..
        } = workspace;
        let scale = self.config.residual_scale();
        let mut weight_grads = WeightGrads { grads, dy_panels, x_panels };

        let out = self.rows_mut(dattention);
        matmul(self.left(dx_rounded), weights.wo.backward(), Store { out, scale });
        weight_grads.pack_dy(self.rows(dx_rounded));
        weight_grads.add(&slots.wo, scale, self.rows(&acts.attention));

        let Activations { attention: out, lse, qkv, .. } = acts;
        let input = attention::Backward { dout: dattention, out, lse, qkv };
        attention::backward(dqkv, input, &self.attention_shape(), attend);
        let turned = self.config.q_width() + self.config.kv_width();
        self.rope.rotate_back(dqkv, self.config.qkv_width(), turned, self.micro.seq_len);

        let out = self.rows_mut(dxn);
        matmul(self.left(dqkv), weights.wqkv.backward(), Store { out, scale: 1.0 });
        rms_norm::apply(xn, &acts.x, &weights.attention_norm, &acts.attention_inv_rms);
        weight_grads.pack_dy(self.rows(dqkv));
        weight_grads.add(&slots.wqkv(), 1.0, self.rows(xn));

        let (w, inv_rms) = (&weights.attention_norm, &acts.attention_inv_rms);
        let input = rms_norm::Backward { dy: dxn, x: &acts.x, w, inv_rms };
        rms_norm::backward(dx, dx_rounded, grads.slice_mut(&slots.attention_norm), partial, input);
    }

    fn attention_shape(&self) -> attention::Shape {
        attention::Shape {
            batch: self.micro.sequences,
            seq_len: self.micro.seq_len,
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
        }
    }

    /// The rows of a `[T, width]` buffer.
    fn rows<'b, T: Element>(&self, x: &'b [T]) -> Mat<'b, T> {
        let t = self.micro.tokens();
        Mat::new(x, t, x.len() / t)
    }

    fn rows_mut<'b, T: Element>(&self, x: &'b mut [T]) -> MatMut<'b, T> {
        let t = self.micro.tokens();
        let width = x.len() / t;
        MatMut::new(x, t, width)
    }

    /// The rows of a `[T, width]` buffer as left operand.
    fn left<'b>(&self, x: &'b [E]) -> Left<'b, E> {
        Left::rows(self.rows(x))
    }
}

/// Products that give gradients of weights, `dW[out, in] += scale dy[T, out]^T x[T, in]`.
pub(super) struct WeightGrads<'a, E: Element> {
    pub(super) grads: &'a mut Grads,
    pub(super) dy_panels: &'a mut Panels<E>,
    pub(super) x_panels: &'a mut Panels<E>,
}

impl<E: Element> WeightGrads<'_, E> {
    /// Packs the gradient of an output, for all weights that share it.
    pub(super) fn pack_dy(&mut self, dy: Mat<'_, E>) {
        self.dy_panels.pack(dy);
    }

    /// Adds the gradient of the weights in `slot`, whose output's gradient was packed last.
    pub(super) fn add(&mut self, slot: &Range<usize>, scale: f32, x: Mat<'_, E>) {
        self.x_panels.pack(x);
        let dw = self.grads.slice_mut(slot);
        let (out, width) = (dw.len() / x.cols(), x.cols());
        let out = MatMut::new(dw, out, width);
        let dy = Left::transposed(self.dy_panels.view());
        matmul(dy, self.x_panels.view(), Add { out, scale });
    }
}
