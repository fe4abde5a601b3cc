//! The end of the model on the CPU: final norm, tied classifier and loss, of those tokens only that
//! have a loss.

use std::sync::Arc;

use aneal_kernels::matmul::{Left, Store, matmul};
use aneal_kernels::{Mat, MatMut, cross_entropy, rms_norm};

use super::beside::Job;
use super::pass::{Pass, Purpose};
use super::tensors::{Operand, Values};
use crate::Result;
use crate::ane::Activation;

/// Tensors of the head; R of the micro-batch's tokens have a loss.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// `[R, D]`: the stream behind the last layer.
    stream: Vec<f32>,
    /// `[R]`
    inv_rms: Vec<f32>,
    /// `[R, D]`: its norm.
    norm: Values,
    /// `[R, V]`
    logits: Vec<f32>,
    /// `[R, V]`
    logit_grads: Values,
    /// `[R, D]`
    norm_grad: Vec<f32>,
    /// `[R]`, in nats; NaN once fp16 could not hold what they come from.
    pub(super) losses: Vec<f32>,
}

impl Pass<'_> {
    /// The norm behind the last layer.
    pub(super) fn final_norm(&mut self) -> Result<()> {
        let gain = &self.machine.weights.norm;
        let (rows, d) = (self.micro.rows.len(), gain.len());
        let all = self.shared(self.machine.plan.model.layers - 1, Activation::NextStream)?;
        let mut norm = self.state.tensors.room(rows * d);
        let head = &mut self.state.head;
        head.stream.resize(rows * d, 0.0);
        head.inv_rms.resize(rows, 0.0);
        for (row, &token) in head.stream.chunks_exact_mut(d).zip(&self.micro.rows) {
            row.copy_from_slice(&all[token * d..][..d]);
        }
        let eps = self.machine.plan.model.norm_eps;
        rms_norm::forward(&mut norm, &mut head.inv_rms, &head.stream, gain, eps);
        let old = std::mem::replace(&mut head.norm, Arc::new(norm));
        self.state.tensors.done(old);
        Ok(())
    }

    /// Logits from the tied table.
    pub(super) fn classifier(&mut self) {
        let config = &self.machine.plan.model;
        let (rows, d, v) = (self.micro.rows.len(), config.dim, config.vocab_size);
        let head = &mut self.state.head;
        head.logits.resize(rows * v, 0.0);
        let store = Store { out: MatMut::new(&mut head.logits, rows, v), scale: 1.0 };
        let norm = Left::rows(Mat::new(&head.norm, rows, d));
        matmul(norm, self.machine.weights.classifier.forward(), store);
    }

    /// Losses, and the gradient of the logits where one is wanted.
    pub(super) fn loss(&mut self) {
        let v = self.machine.plan.model.vocab_size;
        let (rows, targets) = (self.micro.rows.len(), &self.micro.targets);
        let mut grads = match self.purpose {
            Purpose::Train { .. } => self.state.tensors.room(rows * v),
            Purpose::Score => Vec::new(),
        };
        let Head { losses, logits, .. } = &mut self.state.head;
        losses.resize(rows, 0.0);
        match self.purpose {
            Purpose::Train { scale, .. } => {
                let scale = scale / rows as f32;
                cross_entropy::forward_backward(losses, &mut grads, logits, targets, v, scale);
                let old = std::mem::replace(&mut self.state.head.logit_grads, Arc::new(grads));
                self.state.tensors.done(old);
            }
            Purpose::Score => cross_entropy::forward(losses, logits, targets, v),
        }
        if self.state.beyond > 0 {
            self.state.head.losses.fill(f32::NAN);
        }
    }

    /// The gradient of the final norm's output.
    pub(super) fn classifier_backward(&mut self) {
        let config = &self.machine.plan.model;
        let (rows, d, v) = (self.micro.rows.len(), config.dim, config.vocab_size);
        let head = &mut self.state.head;
        head.norm_grad.resize(rows * d, 0.0);
        let store = Store { out: MatMut::new(&mut head.norm_grad, rows, d), scale: 1.0 };
        let grads = Left::rows(Mat::new(&head.logit_grads, rows, v));
        matmul(grads, self.machine.weights.classifier.backward(), store);
    }

    /// The gradient of the table as classifier.
    pub(super) fn classifier_weight_grad(&mut self) {
        let operand = |values: &Values| {
            let values = Arc::clone(values);
            Operand { values, tokens: self.micro.rows.len(), by_token: true }
        };
        let Head { norm, logit_grads, .. } = &self.state.head;
        let slot = self.machine.weights.layout.tok_embeddings.clone();
        let (dy, x) = (operand(logit_grads), operand(norm));
        (self.beside)(Job::Product { slot, dy, x, scale: self.share() });
    }

    /// The gradient of the stream behind the last layer; that of tokens without a loss is 0.
    pub(super) fn final_norm_backward(&mut self) {
        let weights = self.machine.weights;
        let (tokens, rows, d) =
            (self.micro.inputs.len(), self.micro.rows.len(), weights.norm.len());
        let mut dx = self.state.tensors.room(rows * d);
        dx.fill(0.0);
        let (dy, x) = (
            std::mem::take(&mut self.state.head.norm_grad),
            std::mem::take(&mut self.state.head.stream),
        );
        let inv_rms = std::mem::take(&mut self.state.head.inv_rms);
        let input = rms_norm::Backward { dy: &dy, x: &x, w: &weights.norm, inv_rms: &inv_rms };
        self.norm_backward(&mut dx, weights.layout.norm.clone(), input);
        let head = &mut self.state.head;
        (head.norm_grad, head.stream, head.inv_rms) = (dy, x, inv_rms);
        let stream_grad = &mut self.state.stream_grad;
        stream_grad.clear();
        stream_grad.resize(tokens * d, 0.0);
        for (row, &token) in dx.chunks_exact(d).zip(&self.micro.rows) {
            stream_grad[token * d..][..d].copy_from_slice(row);
        }
        self.state.tensors.done(Arc::new(dx));
        self.put_branch_grad(Activation::FfnBranchGrad);
    }
}
