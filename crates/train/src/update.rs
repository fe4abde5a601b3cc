//! One update: gradients, clipping, optimiser, new parameters staged.

use aneal_kernels::norm::sum_of_squares;
use aneal_model::{Backend, Batch, Grads, Params};

use crate::Result;
use crate::loss_scale::LossScaler;
use crate::optimizer::{Optimizer, Rate, clip_factor};

/// What learns: parameters, and everything that changes them.
pub struct Learner {
    /// The trained values.
    pub params: Params,
    /// Their gradients, of the update at hand.
    pub grads: Grads,
    /// How gradients change parameters.
    pub optimizer: Box<dyn Optimizer>,
}

/// The scalars of one update.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Updates made before, for messages.
    pub step: u64,
    /// Multiplier of every peak learning rate.
    pub multiplier: f64,
    /// Largest global norm of the gradients; 0 means any.
    pub grad_clip: f32,
    /// Updates without overflow after which the loss scale is doubled; 0 means never.
    pub loss_scale_growth: u64,
}

/// How an update went.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Mean loss of the batch in nats.
    pub loss: f64,
    /// Global norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Whether parameters changed; not if gradients were not finite.
    pub accepted: bool,
}

impl Learner {
    /// Learns from one batch. The backend must have staged the parameters.
    ///
    /// # Errors
    /// A failing backend; gradients that stay infinite.
    pub fn update(
        &mut self,
        backend: &mut dyn Backend,
        batch: &Batch,
        loss_scale: &mut LossScaler,
        settings: Settings,
    ) -> Result<Update> {
        self.grads.clear();
        let scale = loss_scale.scale();
        let loss = backend.forward_backward(batch, scale, &mut self.grads)?;
        let grad_norm = sum_of_squares(self.grads.values()).sqrt() / f64::from(scale);
        let accepted =
            loss_scale.accept(grad_norm, settings.step + 1, settings.loss_scale_growth)?;
        if accepted {
            let clip = clip_factor(grad_norm, settings.grad_clip);
            let rate = Rate { multiplier: settings.multiplier, grad_scale: clip / scale };
            self.optimizer.step(&mut self.params, &self.grads, rate);
            backend.stage(&self.params)?;
        }
        Ok(Update { loss, grad_norm, accepted })
    }
}
