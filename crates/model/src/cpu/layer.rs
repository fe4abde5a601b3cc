//! One layer forward and backward, and the passes over all of them.

use aneal_kernels::attention::{self, Qkv, QkvGrads};
use aneal_kernels::{Mat, MatMut, embedding, matmul, rms_norm, rope, swiglu};

use super::MicroBatch;
use super::workspace::{Activations, Workspace};
use crate::{Grads, LayerSlots, ModelConfig, Params};

/// A micro-batch on its way through the model.
pub(super) struct Pass<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) params: &'a Params,
    pub(super) rope: &'a rope::Table,
    pub(super) micro: &'a MicroBatch,
}

impl Pass<'_> {
    /// Leaves the residual stream behind the last layer in `workspace.x`, and every layer's
    /// activations if the workspace has room for them.
    pub(super) fn forward(&mut self, workspace: &mut Workspace) {
        let layout = self.params.layout();
        let table = self.params.slice(&layout.tok_embeddings);
        embedding::forward(&mut workspace.x, &self.micro.inputs, table, self.config.dim);
        for (index, slots) in layout.layers.iter().enumerate() {
            let Workspace { layers, kept, x, xn, gate, .. } = workspace;
            let keep = index.min(*kept - 1);
            self.forward_layer(slots, x, &mut layers[keep], xn, gate);
        }
    }

    fn forward_layer(
        &self,
        slots: &LayerSlots,
        x: &mut [f32],
        acts: &mut Activations,
        xn: &mut [f32],
        gate: &mut [f32],
    ) {
        let (config, eps) = (self.config, self.config.norm_eps);
        let scale = config.residual_scale();
        let seq_len = self.micro.seq_len;
        let weight = |slot| self.params.slice(slot);

        acts.x.copy_from_slice(x);
        let norm = weight(&slots.attention_norm);
        rms_norm::forward(xn, &mut acts.attention_inv_rms, x, norm, eps);
        self.project(&mut acts.q, xn, weight(&slots.wq));
        self.project(&mut acts.k, xn, weight(&slots.wk));
        self.project(&mut acts.v, xn, weight(&slots.wv));
        self.rope.rotate(&mut acts.q, config.heads, seq_len);
        self.rope.rotate(&mut acts.k, config.kv_heads, seq_len);
        let qkv = Qkv { q: &acts.q, k: &acts.k, v: &acts.v };
        attention::forward(&mut acts.attention, &mut acts.lse, qkv, &self.attention_shape());
        self.project_onto(x, scale, &acts.attention, weight(&slots.wo));

        acts.x_mid.copy_from_slice(x);
        rms_norm::forward(xn, &mut acts.ffn_inv_rms, x, weight(&slots.ffn_norm), eps);
        self.project(&mut acts.h1, xn, weight(&slots.w1));
        self.project(&mut acts.h3, xn, weight(&slots.w3));
        swiglu::forward(gate, &acts.h1, &acts.h3);
        self.project_onto(x, scale, gate, weight(&slots.w2));
    }

    /// Takes the gradient of the residual stream in `workspace.dx` back to the embedding.
    pub(super) fn backward(&mut self, workspace: &mut Workspace, grads: &mut Grads) {
        let layout = self.params.layout();
        for (index, slots) in layout.layers.iter().enumerate().rev() {
            self.backward_ffn(slots, index, workspace, grads);
            self.backward_attention(slots, index, workspace, grads);
        }
        let table = grads.slice_mut(&layout.tok_embeddings);
        embedding::backward(table, &self.micro.inputs, &workspace.dx, self.config.dim);
    }

    fn backward_ffn(
        &self,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace,
        grads: &mut Grads,
    ) {
        let Workspace { layers, xn, gate, dx, dxn, dgate, dh1, dh3, .. } = workspace;
        let acts = &layers[index];
        let scale = self.config.residual_scale();
        let weight = |slot| self.params.slice(slot);

        swiglu::forward(gate, &acts.h1, &acts.h3);
        self.weight_grad(grads.slice_mut(&slots.w2), scale, dx, gate);
        self.input_grad(dgate, 0.0, scale, dx, weight(&slots.w2));
        swiglu::backward(dh1, dh3, dgate, &acts.h1, &acts.h3);
        rms_norm::apply(xn, &acts.x_mid, weight(&slots.ffn_norm), &acts.ffn_inv_rms);
        self.weight_grad(grads.slice_mut(&slots.w1), 1.0, dh1, xn);
        self.weight_grad(grads.slice_mut(&slots.w3), 1.0, dh3, xn);
        self.input_grad(dxn, 0.0, 1.0, dh1, weight(&slots.w1));
        self.input_grad(dxn, 1.0, 1.0, dh3, weight(&slots.w3));
        let dw = grads.slice_mut(&slots.ffn_norm);
        rms_norm::backward(dx, dw, dxn, &acts.x_mid, weight(&slots.ffn_norm), &acts.ffn_inv_rms);
    }

    fn backward_attention(
        &self,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace,
        grads: &mut Grads,
    ) {
        let Workspace { layers, xn, dx, dxn, dattention, dq, dk, dv, .. } = workspace;
        let acts = &layers[index];
        let (config, seq_len) = (self.config, self.micro.seq_len);
        let scale = config.residual_scale();
        let weight = |slot| self.params.slice(slot);

        self.weight_grad(grads.slice_mut(&slots.wo), scale, dx, &acts.attention);
        self.input_grad(dattention, 0.0, scale, dx, weight(&slots.wo));
        let qkv = Qkv { q: &acts.q, k: &acts.k, v: &acts.v };
        attention::backward(
            QkvGrads { dq, dk, dv },
            dattention,
            &acts.attention,
            &acts.lse,
            qkv,
            &self.attention_shape(),
        );
        self.rope.rotate_back(dq, config.heads, seq_len);
        self.rope.rotate_back(dk, config.kv_heads, seq_len);
        let norm = weight(&slots.attention_norm);
        rms_norm::apply(xn, &acts.x, norm, &acts.attention_inv_rms);
        self.weight_grad(grads.slice_mut(&slots.wq), 1.0, dq, xn);
        self.weight_grad(grads.slice_mut(&slots.wk), 1.0, dk, xn);
        self.weight_grad(grads.slice_mut(&slots.wv), 1.0, dv, xn);
        self.input_grad(dxn, 0.0, 1.0, dq, weight(&slots.wq));
        self.input_grad(dxn, 1.0, 1.0, dk, weight(&slots.wk));
        self.input_grad(dxn, 1.0, 1.0, dv, weight(&slots.wv));
        let dw = grads.slice_mut(&slots.attention_norm);
        rms_norm::backward(dx, dw, dxn, &acts.x, norm, &acts.attention_inv_rms);
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
    pub(super) fn rows<'b>(&self, x: &'b [f32]) -> Mat<'b> {
        let t = self.micro.tokens();
        Mat::new(x, t, x.len() / t)
    }

    fn rows_mut<'b>(&self, x: &'b mut [f32]) -> MatMut<'b> {
        let t = self.micro.tokens();
        let width = x.len() / t;
        MatMut::new(x, t, width)
    }

    /// `y[T, out] = x[T, in] w[out, in]^T`.
    fn project(&self, y: &mut [f32], x: &[f32], w: &[f32]) {
        self.product(y, 0.0, 1.0, x, w);
    }

    /// `y += scale x w^T`: a residual branch.
    fn project_onto(&self, y: &mut [f32], scale: f32, x: &[f32], w: &[f32]) {
        self.product(y, 1.0, scale, x, w);
    }

    fn product(&self, y: &mut [f32], beta: f32, alpha: f32, x: &[f32], w: &[f32]) {
        let (y, x) = (self.rows_mut(y), self.rows(x));
        let w = Mat::new(w, y.cols(), x.cols());
        matmul(y, beta, alpha, x, w.t());
    }

    /// `dx[T, in] = beta dx + alpha dy[T, out] w[out, in]`.
    fn input_grad(&self, dx: &mut [f32], beta: f32, alpha: f32, dy: &[f32], w: &[f32]) {
        let (dx, dy) = (self.rows_mut(dx), self.rows(dy));
        let w = Mat::new(w, dy.cols(), dx.cols());
        matmul(dx, beta, alpha, dy, w);
    }

    /// `dw[out, in] += alpha dy[T, out]^T x[T, in]`.
    fn weight_grad(&self, dw: &mut [f32], alpha: f32, dy: &[f32], x: &[f32]) {
        let (dy, x) = (self.rows(dy), self.rows(x));
        let dw = MatMut::new(dw, dy.cols(), x.cols());
        matmul(dw, 1.0, alpha, dy.t(), x);
    }
}
