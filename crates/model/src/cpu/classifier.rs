//! The end of the model: final norm, tied classifier and loss, a block of rows at a time.

use aneal_kernels::{Mat, MatMut, cross_entropy, matmul, rms_norm};

use super::layer::Pass;
use super::workspace::{LOGIT_ROWS, Workspace};
use crate::Grads;

impl Pass<'_> {
    /// The loss of every target, `losses[T]`.
    pub(super) fn losses(&mut self, workspace: &mut Workspace, losses: &mut [f32]) {
        self.final_norm(workspace);
        let (v, d) = (self.config.vocab_size, self.config.dim);
        let table = self.params.slice(&self.params.layout().tok_embeddings);
        let Workspace { xn, logits, .. } = workspace;
        let blocks = xn.chunks(LOGIT_ROWS * d).zip(self.micro.targets.chunks(LOGIT_ROWS));
        for ((x, targets), losses) in blocks.zip(losses.chunks_mut(LOGIT_ROWS)) {
            let logits = &mut logits[..targets.len() * v];
            classify(logits, x, table, targets.len(), v, d);
            cross_entropy::forward(losses, logits, targets, v);
        }
    }

    /// The sum of the losses; leaves `scale` times its gradient in `workspace.dx` and adds that of
    /// the classifier and the final norm to `grads`.
    pub(super) fn loss_backward(
        &mut self,
        workspace: &mut Workspace,
        scale: f32,
        grads: &mut Grads,
    ) -> f64 {
        self.final_norm(workspace);
        let (v, d) = (self.config.vocab_size, self.config.dim);
        let layout = self.params.layout();
        let table = self.params.slice(&layout.tok_embeddings);
        let Workspace { x, xn, inv_rms, logits, losses, dx, dxn, .. } = workspace;
        let blocks = xn.chunks(LOGIT_ROWS * d).zip(self.micro.targets.chunks(LOGIT_ROWS));
        let outputs = dxn.chunks_mut(LOGIT_ROWS * d).zip(losses.chunks_mut(LOGIT_ROWS));
        for ((x, targets), (dx, losses)) in blocks.zip(outputs) {
            let rows = targets.len();
            let logits = &mut logits[..rows * v];
            classify(logits, x, table, rows, v, d);
            cross_entropy::forward_backward(losses, logits, targets, v, scale);
            let dlogits = Mat::new(logits, rows, v);
            matmul(MatMut::new(dx, rows, d), 0.0, 1.0, dlogits, Mat::new(table, v, d));
            let dtable = MatMut::new(grads.slice_mut(&layout.tok_embeddings), v, d);
            matmul(dtable, 1.0, 1.0, dlogits.t(), Mat::new(x, rows, d));
        }
        dx.fill(0.0);
        let dnorm = grads.slice_mut(&layout.norm);
        rms_norm::backward(dx, dnorm, dxn, x, self.params.slice(&layout.norm), inv_rms);
        losses.iter().map(|&loss| f64::from(loss)).sum()
    }

    fn final_norm(&self, workspace: &mut Workspace) {
        let Workspace { x, xn, inv_rms, .. } = workspace;
        let norm = self.params.slice(&self.params.layout().norm);
        rms_norm::forward(xn, inv_rms, x, norm, self.config.norm_eps);
    }
}

/// `logits[rows, V] = x[rows, D] table[V, D]^T`.
fn classify(logits: &mut [f32], x: &[f32], table: &[f32], rows: usize, v: usize, d: usize) {
    let logits = MatMut::new(logits, rows, v);
    matmul(logits, 0.0, 1.0, Mat::new(x, rows, d), Mat::new(table, v, d).t());
}
