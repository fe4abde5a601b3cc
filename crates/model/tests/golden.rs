//! Every backend against PyTorch: logits, loss and each gradient by name.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_model::cpu::{Cpu, Decoder};
use aneal_model::{Backend, Grads};
use aneal_testing::{Golden, assert_close};

/// Largest error relative to the largest value of a tensor, f32.
const TOLERANCE: f32 = 1e-4;

fn backends(golden: &Golden) -> Vec<Box<dyn Backend>> {
    vec![Box::new(Cpu::new(&golden.config).unwrap())]
}

#[test]
fn loss_and_every_gradient_equal_pytorch() {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let params = golden.params("param");
        let want = golden.params("grad");
        let batch = &golden.batches("tokens")[0];
        for mut backend in backends(&golden) {
            backend.stage(&params).unwrap();
            let mut grads = Grads::zeros(params.layout());
            let loss = backend.forward_backward(batch, 1.0, &mut grads).unwrap();
            assert_close(&format!("{name} loss"), &[loss as f32], &golden.floats("loss"), 1e-5);
            for (spec, values) in grads.tensors() {
                let what = format!("{name} grad of {}", spec.name);
                assert_close(&what, values, want.slice(&spec.slot), TOLERANCE);
            }
        }
    }
}

#[test]
fn token_losses_equal_pytorch() {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let batch = &golden.batches("tokens")[0];
        for mut backend in backends(&golden) {
            backend.stage(&golden.params("param")).unwrap();
            let mut losses = vec![0.0; batch.targets()];
            backend.token_losses(batch, &mut losses).unwrap();
            assert_close(name, &losses, &golden.floats("token_losses"), 1e-5);
        }
    }
}

#[test]
fn decoded_logits_equal_pytorch() {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let params = golden.params("param");
        let batch = &golden.batches("tokens")[0];
        let want = golden.floats("logits");
        let mut want = want.chunks(golden.config.vocab_size);
        for row in batch.rows() {
            let mut decoder = Decoder::new(&golden.config, &params).unwrap();
            for &id in &row[..batch.seq_len()] {
                assert_close(name, decoder.push(id).unwrap(), want.next().unwrap(), TOLERANCE);
            }
        }
    }
}

#[test]
fn gradients_accumulate_and_scale() {
    let golden = Golden::read("gqa");
    let params = golden.params("param");
    let batch = &golden.batches("tokens")[0];
    for mut backend in backends(&golden) {
        backend.stage(&params).unwrap();
        let [mut once, mut twice] = [(); 2].map(|()| Grads::zeros(params.layout()));
        backend.forward_backward(batch, 1.0, &mut once).unwrap();
        backend.forward_backward(batch, 256.0, &mut twice).unwrap();
        backend.forward_backward(batch, 256.0, &mut twice).unwrap();
        let want: Vec<f32> = once.values().iter().map(|g| 512.0 * g).collect();
        assert_close("512 times the gradient", twice.values(), &want, 1e-5);
    }
}
