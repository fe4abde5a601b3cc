//! One layer forward and backward, and the passes over all of them.

use aneal_kernels::matmul::{AddTo, Epilogue, Left, PanelsView, Store, matmul};
use aneal_kernels::rope::StoreTurned;
use aneal_kernels::swiglu::{StoreGate, StoreGateGrad};
use aneal_kernels::{Element, Mat, MatMut, attention, embedding, rms_norm, rope};

use super::MicroBatch;
use super::weights::{LayerWeights, Weights};
use super::workspace::{Activations, Workspace};
use crate::profile::{Op, Profile};
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
        self.embed(workspace);
        for index in 0..self.config.layers {
            self.forward_attention(index, workspace);
            self.forward_rest(index, workspace);
        }
    }

    /// The same for a micro-batch of which only `tail`, the last tokens of every sequence, is wanted
    /// behind the last layer: its other tokens only lend that layer their keys and values.
    pub(super) fn forward_to(&self, tail: &Pass<'_, E>, workspace: &mut Workspace<E>) {
        self.embed(workspace);
        let last = self.config.layers - 1;
        for index in 0..last {
            self.forward_attention(index, workspace);
            self.forward_rest(index, workspace);
        }
        self.forward_attention(last, workspace);
        workspace.keep_tails(self.config, last, self.micro.seq_len, tail.micro.seq_len);
        workspace.fit(self.config, tail.micro.tokens(), workspace.kept);
        tail.forward_rest(last, workspace);
    }

    fn embed(&self, workspace: &mut Workspace<E>) {
        let table = &self.weights.tok_embeddings;
        let Workspace { x, profile, .. } = workspace;
        profile.time(Op::Embedding, || {
            embedding::forward(x, &self.micro.inputs, table, self.config.dim);
        });
    }

    /// From `workspace.x`, which becomes the layer's `x`, to its `attention`.
    fn forward_attention(&self, index: usize, workspace: &mut Workspace<E>) {
        let weights = &self.weights.layers[index];
        let Workspace { layers, kept, x: stream, xn, attend, profile, .. } = workspace;
        let acts = &mut layers[index.min(*kept - 1)];
        std::mem::swap(stream, &mut acts.x);
        let Activations { x, attention_inv_rms, qkv, attention, lse, .. } = acts;
        let config = self.config;
        profile.time(Op::RmsNorm, || {
            rms_norm::forward(xn, attention_inv_rms, x, &weights.attention_norm, config.norm_eps);
        });
        let turned = StoreTurned {
            out: self.rows_mut(qkv),
            width: config.q_width() + config.kv_width(),
            seq_len: self.micro.seq_len,
            table: self.rope,
            first: 0,
        };
        self.product(profile, Op::AttentionProducts, xn, weights.wqkv.forward(), turned);
        let shape = self.attention_shape();
        profile.product(Op::Attention, self.attention_mul_adds(), || {
            attention::forward(attention, lse, qkv, &shape, attend);
        });
    }

    /// From the layer's `x` and `attention` to `workspace.x`.
    fn forward_rest(&self, index: usize, workspace: &mut Workspace<E>) {
        let weights = &self.weights.layers[index];
        let Workspace { layers, kept, x: stream, xn, gate, profile, .. } = workspace;
        let acts = &mut layers[index.min(*kept - 1)];
        let Activations { x, attention, x_mid, ffn_inv_rms, h, .. } = acts;
        let scale = self.config.residual_scale();
        let residual = AddTo { out: self.rows_mut(x_mid), base: x, scale };
        self.product(profile, Op::AttentionProducts, attention, weights.wo.forward(), residual);

        profile.time(Op::RmsNorm, || {
            rms_norm::forward(xn, ffn_inv_rms, x_mid, &weights.ffn_norm, self.config.norm_eps);
        });
        let gated = StoreGate { h: self.rows_mut(h), gate: self.rows_mut(gate) };
        self.product(profile, Op::FeedForwardProducts, xn, weights.w13.forward(), gated);
        let residual = AddTo { out: self.rows_mut(stream), base: x_mid, scale };
        self.product(profile, Op::FeedForwardProducts, gate, weights.w2.forward(), residual);
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
        let Workspace { dx, profile, .. } = workspace;
        profile.time(Op::EmbeddingBackward, || {
            embedding::backward(table, &self.micro.inputs, dx, self.config.dim);
        });
    }

    fn backward_ffn(
        &self,
        weights: &LayerWeights<E>,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace<E>,
        grads: &mut Grads,
    ) {
        let Workspace {
            layers,
            xn,
            gate,
            dx,
            dx_rounded,
            dxn,
            dh,
            partial,
            dw_operands,
            profile,
            ..
        } = workspace;
        let Activations { x_mid, ffn_inv_rms, h, .. } = &layers[index];
        let scale = self.config.residual_scale();

        let (dh_rows, gate_rows) = (self.rows_mut(dh), self.rows_mut(gate));
        let gated = StoreGateGrad { h, dh: dh_rows, gate: gate_rows, scale };
        self.product(profile, Op::InputGrads, dx_rounded, weights.w2.backward(), gated);
        dw_operands.pack_dy(profile, self.rows(dx_rounded));
        dw_operands.add(profile, grads.slice_mut(&slots.w2), scale, self.rows(gate));

        let store = Store { out: self.rows_mut(dxn), scale: 1.0 };
        self.product(profile, Op::InputGrads, dh, weights.w13.backward(), store);
        profile.time(Op::RmsNormAgain, || {
            rms_norm::apply(xn, x_mid, &weights.ffn_norm, ffn_inv_rms);
        });
        dw_operands.pack_dy(profile, self.rows(dh));
        dw_operands.add(profile, grads.slice_mut(&slots.w13()), 1.0, self.rows(xn));

        let (w, inv_rms) = (&weights.ffn_norm, ffn_inv_rms);
        let input = rms_norm::Backward { dy: dxn, x: x_mid, w, inv_rms };
        let dw = grads.slice_mut(&slots.ffn_norm);
        profile.time(Op::RmsNormBackward, || {
            rms_norm::backward(dx, dx_rounded, dw, partial, input);
        });
    }

    fn backward_attention(
        &self,
        weights: &LayerWeights<E>,
        slots: &LayerSlots,
        index: usize,
        workspace: &mut Workspace<E>,
        grads: &mut Grads,
    ) {
        let Workspace {
            layers,
            xn,
            dx,
            dx_rounded,
            dxn,
            dattention,
            dqkv,
            partial,
            dw_operands,
            attend,
            profile,
            ..
        } = workspace;
        let Activations { x, attention_inv_rms, attention, lse, qkv, .. } = &layers[index];
        let scale = self.config.residual_scale();

        let store = Store { out: self.rows_mut(dattention), scale };
        self.product(profile, Op::InputGrads, dx_rounded, weights.wo.backward(), store);
        dw_operands.pack_dy(profile, self.rows(dx_rounded));
        dw_operands.add(profile, grads.slice_mut(&slots.wo), scale, self.rows(attention));

        let input = attention::Backward { dout: dattention, out: attention, lse, qkv };
        // Of five products one computes the scores again, which is no work of its own.
        profile.product(Op::AttentionBackward, 2 * self.attention_mul_adds(), || {
            attention::backward(dqkv, input, &self.attention_shape(), attend);
        });
        let (width, turned) =
            (self.config.qkv_width(), self.config.q_width() + self.config.kv_width());
        profile.time(Op::RopeBackward, || {
            self.rope.rotate_back(dqkv, width, turned, self.micro.seq_len);
        });

        let store = Store { out: self.rows_mut(dxn), scale: 1.0 };
        self.product(profile, Op::InputGrads, dqkv, weights.wqkv.backward(), store);
        profile.time(Op::RmsNormAgain, || {
            rms_norm::apply(xn, x, &weights.attention_norm, attention_inv_rms);
        });
        dw_operands.pack_dy(profile, self.rows(dqkv));
        dw_operands.add(profile, grads.slice_mut(&slots.wqkv()), 1.0, self.rows(xn));

        let (w, inv_rms) = (&weights.attention_norm, attention_inv_rms);
        let input = rms_norm::Backward { dy: dxn, x, w, inv_rms };
        let dw = grads.slice_mut(&slots.attention_norm);
        profile.time(Op::RmsNormBackward, || {
            rms_norm::backward(dx, dx_rounded, dw, partial, input);
        });
    }

    /// Multiply-adds of causal attention forward, half of the square.
    fn attention_mul_adds(&self) -> usize {
        self.micro.tokens() * self.config.q_width() * self.micro.seq_len
    }

    /// A product of all rows of `x`.
    fn product(
        &self,
        profile: &mut Profile,
        op: Op,
        x: &[E],
        weight: PanelsView<'_, E>,
        epilogue: impl Epilogue,
    ) {
        let left = Left::rows(self.rows(x));
        profile.product(op, x.len() * weight.cols(), || matmul(left, weight, epilogue));
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
}
