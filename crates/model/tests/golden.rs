//! Every backend against PyTorch: logits, loss and each gradient by name.

#![allow(clippy::unwrap_used, clippy::panic)]

use aneal_model::cpu::{Cpu, Decoder};
use aneal_model::{Backend, Grads, Precision};
use aneal_testing::{Golden, assert_close};

/// A backend, and its largest errors relative to the largest value of a tensor.
struct Case {
    name: &'static str,
    backend: Box<dyn Backend>,
    /// Of losses.
    loss: f32,
    /// Of gradients.
    grad: f32,
}

fn cases(golden: &Golden) -> Vec<Case> {
    let cpu = |name, precision, loss, grad| Case {
        name,
        backend: Box::new(Cpu::new(&golden.config, precision).unwrap()),
        loss,
        grad,
    };
    // bf16 has an epsilon of 2^-8; errors of many roundings partly cancel.
    vec![cpu("f32", Precision::F32, 1e-5, 1e-4), cpu("bf16", Precision::Bf16, 1e-2, 3e-2)]
}

#[test]
fn loss_and_every_gradient_equal_pytorch() {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let params = golden.params("param");
        let want = golden.params("grad");
        let batch = &golden.batches("tokens")[0];
        for Case { name: precision, mut backend, loss: loss_error, grad } in cases(&golden) {
            backend.stage(&params).unwrap();
            let mut grads = Grads::zeros(params.layout());
            let loss = backend.forward_backward(batch, 1.0, &mut grads).unwrap();
            let what = format!("{name} {precision} loss");
            assert_close(&what, &[loss as f32], &golden.floats("loss"), loss_error);
            for (spec, values) in grads.tensors() {
                let what = format!("{name} {precision} grad of {}", spec.name);
                assert_close(&what, values, want.slice(&spec.slot), grad);
            }
        }
    }
}

#[test]
fn token_losses_equal_pytorch() {
    for name in Golden::NAMES {
        let golden = Golden::read(name);
        let batch = &golden.batches("tokens")[0];
        for Case { name: precision, mut backend, loss, .. } in cases(&golden) {
            backend.stage(&golden.params("param")).unwrap();
            let mut losses = vec![0.0; batch.targets()];
            backend.token_losses(batch, batch.seq_len(), &mut losses).unwrap();
            let what = format!("{name} {precision}");
            assert_close(&what, &losses, &golden.floats("token_losses"), loss);
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
                assert_close(name, decoder.push(id).unwrap(), want.next().unwrap(), 1e-4);
            }
        }
    }
}

#[test]
fn gradients_accumulate_and_scale() {
    let golden = Golden::read("gqa");
    let params = golden.params("param");
    let batch = &golden.batches("tokens")[0];
    for Case { mut backend, .. } in cases(&golden) {
        backend.stage(&params).unwrap();
        let [mut once, mut twice] = [(); 2].map(|()| Grads::zeros(params.layout()));
        backend.forward_backward(batch, 1.0, &mut once).unwrap();
        backend.forward_backward(batch, 256.0, &mut twice).unwrap();
        backend.forward_backward(batch, 256.0, &mut twice).unwrap();
        let want: Vec<f32> = once.values().iter().map(|g| 512.0 * g).collect();
        assert_close("512 times the gradient", twice.values(), &want, 1e-5);
    }
}
