//! The training step on an emulated engine against the one on the CPU.

use std::sync::Arc;

use aneal_ane::Profile;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_model::ane::{AneBackend, Plan, Target};
use aneal_model::cpu::Cpu;
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Grads, ModelConfig, Params, Precision, init};

/// What the trainer multiplies gradients by on the engine.
const SCALE: f32 = 256.0;

/// Heads, key-value heads, width of a head: each its own, shared, one for all; not the model's width.
const HEADS: [(usize, usize, usize); 3] = [(2, 2, 32), (4, 2, 32), (3, 1, 32)];

fn model((heads, kv_heads, head_dim): (usize, usize, usize)) -> ModelConfig {
    ModelConfig {
        vocab_size: 90,
        dim: 64,
        layers: 2,
        heads,
        kv_heads,
        head_dim,
        hidden: 96,
        seq_len: 32,
        ..ModelConfig::preset("golfwide").unwrap()
    }
}

fn batch(config: &ModelConfig, sequences: usize, seq_len: usize) -> Batch {
    let random = Philox::new(3, Stream::Data);
    let ids = 0..(sequences * (seq_len + 1)) as u64;
    let ids = ids.map(|i| random.below(i, config.vocab_size as u64) as u32).collect();
    Batch::new(ids, seq_len).unwrap()
}

fn on_engine(config: &ModelConfig, profile: &Profile, mode: Mode) -> (AneBackend, Emulator) {
    let target = Target { model: config, profile, sequences: 1, seq_len: config.seq_len };
    let plan = Plan::named("ten-kernel", &target).unwrap();
    let emulator = Emulator::new(profile.clone(), mode);
    (AneBackend::new(plan, Arc::new(emulator.clone())).unwrap(), emulator)
}

fn step(backend: &mut dyn Backend, params: &Params, batch: &Batch, scale: f32) -> (f64, Grads) {
    backend.stage(params).unwrap();
    let mut grads = Grads::zeros(params.layout());
    let loss = backend.forward_backward(batch, scale, &mut grads).unwrap();
    (loss, grads)
}

/// Of two gradients' directions.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn a_step_is_that_of_the_cpu() {
    for name in Profile::names() {
        let profile = Profile::named(name).unwrap();
        for heads in HEADS {
            let config = model(heads);
            let params = init(&config, 5);
            let batch = batch(&config, 3, 32);
            let mut cpu = Cpu::new(&config, Precision::F32).unwrap();
            let (want_loss, want) = step(&mut cpu, &params, &batch, SCALE);
            for mode in [Mode::Exact, Mode::Fast] {
                let (mut backend, _) = on_engine(&config, &profile, mode);
                let (loss, grads) = step(&mut backend, &params, &batch, SCALE);
                let mut worst = (1.0, String::new());
                for ((tensor, got), (_, want)) in grads.tensors().zip(want.tensors()) {
                    let c = cosine(got, want);
                    if !(c >= worst.0) {
                        worst = (c, tensor.name.clone());
                    }
                }
                eprintln!(
                    "{name} {heads:?} {mode:?} loss {loss} {want_loss} worst {worst:?} beyond {}",
                    backend.beyond_range()
                );
            }
        }
    }
}
