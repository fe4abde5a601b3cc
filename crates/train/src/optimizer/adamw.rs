//! AdamW over the arena: matrices decay, norm gains do not.

use std::sync::Arc;

use aneal_kernels::adamw;
use aneal_model::{Arena, Grads, Layout, Params};

use super::{Optimizer, Rate};
use crate::config::AdamWConfig;

/// AdamW with both moments.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    updates: u64,
    first: Arena,
    second: Arena,
}

impl AdamW {
    /// Empty moments.
    pub fn new(config: AdamWConfig, layout: &Arc<Layout>) -> Self {
        Self { config, updates: 0, first: Arena::zeros(layout), second: Arena::zeros(layout) }
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, params: &mut Params, grads: &Grads, rate: Rate) {
        self.updates += 1;
        let AdamWConfig { lr, embedding_lr, beta1, beta2, eps, weight_decay, .. } = self.config;
        // The exponent is exact up to 2^31 updates, far beyond the point where the powers vanish.
        let t = i32::try_from(self.updates).unwrap_or(i32::MAX);
        let correction = |beta: f32| (1.0 - f64::from(beta).powi(t)) as f32;
        let now = |peak: f32| (f64::from(peak) * rate.multiplier) as f32;
        let step = adamw::Step {
            lr: now(lr),
            beta1,
            beta2,
            eps,
            weight_decay: 0.0,
            correction1: correction(beta1),
            correction2: correction(beta2),
            grad_scale: rate.grad_scale,
        };
        let layout = Arc::clone(params.layout());
        for spec in &layout.tensors {
            let weight_decay = if spec.is_matrix() { weight_decay } else { 0.0 };
            let embedding = spec.slot == layout.tok_embeddings;
            let lr = if embedding { now(embedding_lr.unwrap_or(lr)) } else { step.lr };
            adamw::update(
                params.slice_mut(&spec.slot),
                self.first.slice_mut(&spec.slot),
                self.second.slice_mut(&spec.slot),
                grads.slice(&spec.slot),
                &adamw::Step { lr, weight_decay, ..step },
            );
        }
    }

    fn updates(&self) -> u64 {
        self.updates
    }

    fn set_updates(&mut self, updates: u64) {
        self.updates = updates;
    }

    fn peak_lr(&self) -> f64 {
        f64::from(self.config.lr)
    }

    fn moments(&self) -> Vec<(&'static str, &Arena)> {
        vec![("adamw.first", &self.first), ("adamw.second", &self.second)]
    }

    fn moments_mut(&mut self) -> Vec<(&'static str, &mut Arena)> {
        vec![("adamw.first", &mut self.first), ("adamw.second", &mut self.second)]
    }
}
