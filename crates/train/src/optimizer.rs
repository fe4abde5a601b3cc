//! How gradients change weights. One file an optimiser.

use aneal_model::{Arena, Grads, Params};

mod adamw;

pub use adamw::AdamW;

use crate::config::{OptimizerConfig, RunConfig};

/// The scalars of one update that the optimiser does not decide itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Multiplier of every peak learning rate, from the schedule.
    pub multiplier: f64,
    /// Multiplier of every gradient: clipping, and the inverse of the loss scale.
    pub grad_scale: f32,
}

/// An optimiser with its moments.
pub trait Optimizer: Send {
    /// Makes one update.
    fn step(&mut self, params: &mut Params, grads: &Grads, rate: Rate);

    /// Updates made so far.
    fn updates(&self) -> u64;

    /// Continues after that many updates.
    fn set_updates(&mut self, updates: u64);

    /// Peak learning rate of matrices, for the log.
    fn peak_lr(&self) -> f64;

    /// Every moment with the name it is saved under.
    fn moments(&self) -> Vec<(&'static str, &Arena)>;

    /// Every moment with the name it is saved under.
    fn moments_mut(&mut self) -> Vec<(&'static str, &mut Arena)>;
}

/// The optimiser of a run, with empty moments.
pub fn new(config: &RunConfig, params: &Params) -> Box<dyn Optimizer> {
    match &config.optimizer {
        OptimizerConfig::AdamW(adamw) => Box::new(AdamW::new(adamw.clone(), params.layout())),
    }
}

/// What gradients of global norm `norm` are multiplied by so that it does not exceed `limit`;
/// `limit` 0 means there is none.
pub fn clip_factor(norm: f64, limit: f32) -> f32 {
    let limit = f64::from(limit);
    if limit > 0.0 && norm > limit { (limit / norm) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::clip_factor;

    #[test]
    fn only_large_norms_are_clipped() {
        assert_eq!(clip_factor(0.2, 0.3), 1.0);
        assert_eq!(clip_factor(0.6, 0.3), 0.5);
        assert_eq!(clip_factor(1e9, 0.0), 1.0);
    }
}
