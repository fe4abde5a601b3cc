//! Ten clipped AdamW updates against PyTorch.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_kernels::norm::sum_of_squares;
use aneal_model::cpu::Cpu;
use aneal_model::{Backend, Grads, Precision};
use aneal_testing::{Golden, assert_close};
use aneal_train::config::AdamWConfig;
use aneal_train::optimizer::{AdamW, Optimizer, Rate, clip_factor};

/// Largest errors relative to the largest value: losses, norms, parameters.
///
/// Adam divides a gradient by its own size, so where gradients are tiny their rounding to bf16 moves
/// a parameter by whole learning rates; hence its wide last tolerance.
const TOLERANCES: [(Precision, [f32; 3]); 2] =
    [(Precision::F32, [1e-5, 1e-4, 1e-4]), (Precision::Bf16, [2e-3, 1e-2, 5e-2])];

#[test]
fn ten_updates_equal_pytorch() {
    for (precision, tolerances) in TOLERANCES {
        ten_updates(precision, tolerances);
    }
}

fn ten_updates(precision: Precision, [loss_error, norm_error, param_error]: [f32; 3]) {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let number = |key: &str| golden.adamw[key].as_f64().unwrap() as f32;
        let config = AdamWConfig {
            lr: number("lr"),
            embedding_lr: None,
            beta1: number("beta1"),
            beta2: number("beta2"),
            eps: number("eps"),
            weight_decay: number("weight_decay"),
            grad_clip: number("clip"),
        };
        let mut params = golden.params("param");
        let mut optimizer = AdamW::new(config.clone(), params.layout());
        let mut cpu = Cpu::new(&golden.config, precision).unwrap();
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        for batch in golden.batches("adamw.tokens") {
            cpu.stage(&params).unwrap();
            let mut grads = Grads::zeros(params.layout());
            losses.push(cpu.forward_backward(&batch, 1.0, &mut grads).unwrap() as f32);
            let norm = sum_of_squares(grads.values()).sqrt();
            norms.push(norm as f32);
            let grad_scale = clip_factor(norm, config.grad_clip);
            optimizer.step(&mut params, &grads, Rate { multiplier: 1.0, grad_scale });
        }
        assert_close(
            &format!("{name} {precision:?} losses"),
            &losses,
            &golden.floats("adamw.loss"),
            loss_error,
        );
        assert_close(
            &format!("{name} {precision:?} norms"),
            &norms,
            &golden.floats("adamw.grad_norm"),
            norm_error,
        );
        let want = golden.params("adamw.param");
        for (spec, values) in params.tensors() {
            let what = format!("{name} {precision:?} {} after ten updates", spec.name);
            assert_close(&what, values, want.slice(&spec.slot), param_error);
        }
    }
}
