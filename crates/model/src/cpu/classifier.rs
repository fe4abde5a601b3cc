//! The end of the model: final norm, tied classifier and loss, a block of rows at a time.

use aneal_kernels::matmul::{Left, Store, matmul};
use aneal_kernels::{Element, Mat, MatMut, cross_entropy, rms_norm};

use super::layer::Pass;
use super::workspace::{Workspace, logit_rows};
use crate::Grads;
use crate::profile::{Op, Profile};

impl<E: Element> Pass<'_, E> {
    /// The losses of all targets, `losses[T]`.
    pub(super) fn losses(&self, workspace: &mut Workspace<E>, losses: &mut [f32]) {
        let (v, d) = (self.config.vocab_size, self.config.dim);
        let Workspace { x, xn, inv_rms, logits, profile, .. } = workspace;
        profile.time(Op::RmsNorm, || {
            rms_norm::forward(xn, inv_rms, x, &self.weights.norm, self.config.norm_eps);
        });
        let block = logit_rows(self.config);
        let blocks = xn.chunks(block * d).zip(self.micro.targets.chunks(block));
        for ((x, targets), losses) in blocks.zip(losses.chunks_mut(block)) {
            let logits = &mut logits[..targets.len() * v];
            self.classify(profile, logits, x, targets.len());
            profile.time(Op::CrossEntropy, || cross_entropy::forward(losses, logits, targets, v));
        }
    }

    /// The sum of the losses; leaves `scale` times its gradient in `workspace.dx` and adds that of
    /// the classifier and the final norm to `grads`.
    pub(super) fn loss_backward(
        &self,
        workspace: &mut Workspace<E>,
        scale: f32,
        grads: &mut Grads,
    ) -> f64 {
        let (v, d) = (self.config.vocab_size, self.config.dim);
        let layout = std::sync::Arc::clone(grads.layout());
        let Workspace {
            x,
            xn,
            inv_rms,
            logits,
            dlogits,
            losses,
            dx,
            dx_rounded,
            dxn,
            partial,
            dw_operands,
            profile,
            ..
        } = workspace;
        let norm = &self.weights.norm;
        profile.time(Op::RmsNorm, || {
            rms_norm::forward(xn, inv_rms, x, norm, self.config.norm_eps);
        });
        let block = logit_rows(self.config);
        let blocks = xn.chunks(block * d).zip(self.micro.targets.chunks(block));
        let outputs = dxn.chunks_mut(block * d).zip(losses.chunks_mut(block));
        for ((x, targets), (dx, losses)) in blocks.zip(outputs) {
            let rows = targets.len();
            let (logits, dlogits) = (&mut logits[..rows * v], &mut dlogits[..rows * v]);
            self.classify(profile, logits, x, rows);
            profile.time(Op::CrossEntropy, || {
                cross_entropy::forward_backward(losses, dlogits, logits, targets, v, scale);
            });
            let dlogits = Mat::new(dlogits, rows, v);
            let store = Store { out: MatMut::new(dx, rows, d), scale: 1.0 };
            profile.product(Op::InputGrads, rows * v * d, || {
                matmul(Left::rows(dlogits), self.weights.classifier.backward(), store);
            });
            let dw = grads.slice_mut(&layout.tok_embeddings);
            dw_operands.pack_dy(profile, dlogits);
            dw_operands.add(profile, dw, 1.0, Mat::new(x, rows, d));
        }
        dx.fill(0.0);
        let input = rms_norm::Backward { dy: dxn, x, w: norm, inv_rms };
        let dw = grads.slice_mut(&layout.norm);
        profile.time(Op::RmsNormBackward, || {
            rms_norm::backward(dx, dx_rounded, dw, partial, input);
        });
        losses.iter().map(|&loss| f64::from(loss)).sum()
    }

    /// `logits[rows, V] = x[rows, D] table[V, D]^T`.
    fn classify(&self, profile: &mut Profile, logits: &mut [f32], x: &[E], rows: usize) {
        let (v, d) = (self.config.vocab_size, self.config.dim);
        let store = Store { out: MatMut::new(logits, rows, v), scale: 1.0 };
        let x = Left::rows(Mat::new(x, rows, d));
        profile.product(Op::Classifier, rows * v * d, || {
            matmul(x, self.weights.classifier.forward(), store);
        });
    }
}
