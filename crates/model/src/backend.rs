//! The seam between the training loop and whatever computes a step.

use crate::{Batch, Grads, Params, Result};

/// One training step, on one kind of hardware.
///
/// All backends give the same numbers within their stated tolerance, and one test suite runs over
/// all of them. The caller stages parameters after every change and before the first step.
pub trait Backend: Send {
    /// What computes and how, in one line for the log.
    fn describe(&self) -> String;

    /// Takes over the current parameters.
    ///
    /// # Errors
    /// When the hardware refuses them.
    fn stage(&mut self, params: &Params) -> Result<()>;

    /// The mean loss of the batch in nats, and `scale` times its gradient added to `grads`.
    ///
    /// # Errors
    /// A batch that does not fit the model, or failing hardware. A loss that is not finite is not an
    /// error; the caller decides.
    fn forward_backward(&mut self, batch: &Batch, scale: f32, grads: &mut Grads) -> Result<f64>;

    /// The losses in nats of the last `scored` targets of every sequence, `losses[B, scored]`.
    ///
    /// # Errors
    /// As [`forward_backward`](Self::forward_backward).
    fn token_losses(&mut self, batch: &Batch, scored: usize, losses: &mut [f32]) -> Result<()>;
}
