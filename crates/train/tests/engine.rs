//! Updates on an emulated engine against updates on the CPU.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use aneal_ane::Profile;
use aneal_ane::emulator::{Call, Effect, Emulator, Fault, Mode};
use aneal_model::ane::{AneBackend, Plan, Target};
use aneal_model::cpu::Cpu;
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Grads, ModelConfig, Precision, init};
use aneal_train::Error;
use aneal_train::config::AdamWConfig;
use aneal_train::loss_scale::LossScaler;
use aneal_train::optimizer::AdamW;
use aneal_train::update::{Learner, Settings, Update};

const SETTINGS: Settings =
    Settings { step: 0, multiplier: 1.0, grad_clip: 1.0, loss_scale_growth: 0 };

fn model() -> ModelConfig {
    ModelConfig {
        vocab_size: 61,
        dim: 64,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        head_dim: 32,
        hidden: 96,
        seq_len: 32,
        ..ModelConfig::preset("golfwide").unwrap()
    }
}

/// Sequences in which every token but the first follows from the one before.
fn batch(model: &ModelConfig, update: u64) -> Batch {
    let (vocab, length) = (model.vocab_size as u64, model.seq_len + 1);
    let random = Philox::new(11, Stream::Data);
    let ids = (0..4).flat_map(|row| {
        let first = random.below(4 * update + row, vocab);
        std::iter::successors(Some(first), |id| Some((7 * id + 3) % vocab)).take(length)
    });
    let ids = ids.map(|id| id as u32);
    Batch::new(ids.collect(), model.seq_len).unwrap()
}

fn learner(model: &ModelConfig) -> Learner {
    let params = init(model, 5);
    let optimizer = AdamW::new(AdamWConfig::with_lr(3e-3), params.layout());
    Learner { grads: Grads::zeros(params.layout()), optimizer: Box::new(optimizer), params }
}

fn on_engine(model: &ModelConfig, profile: &str, mode: Mode) -> (AneBackend, Emulator) {
    let profile = Profile::named(profile).unwrap();
    let target = Target { model, profile: &profile, sequences: 1, seq_len: model.seq_len };
    let plan = Plan::named("ten-kernel", &target).unwrap();
    let emulator = Emulator::new(profile, mode);
    (AneBackend::new(plan, Arc::new(emulator.clone())).unwrap(), emulator)
}

/// 30 updates from a loss scale on.
fn train(backend: &mut dyn Backend, scale: f32, loss_scale_growth: u64) -> Vec<Update> {
    let model = model();
    let (mut learner, mut scaler) = (learner(&model), LossScaler::new(scale));
    backend.stage(&learner.params).unwrap();
    let update = |step| {
        let settings = Settings { step, loss_scale_growth, ..SETTINGS };
        learner.update(backend, &batch(&model, step), &mut scaler, settings).unwrap()
    };
    (0..30).map(update).collect()
}

#[test]
fn a_run_follows_that_of_the_cpu() {
    let want = train(&mut Cpu::new(&model(), Precision::F32).unwrap(), 1.0, 0);
    assert!(want[29].loss < 0.5 * want[0].loss, "it learns: {} {}", want[0].loss, want[29].loss);
    for (profile, mode) in [
        ("m4-pro", Mode::Fast),
        ("m4-pro", Mode::Exact),
        ("m1", Mode::Exact),
        ("strict", Mode::Fast),
    ] {
        let got = train(&mut on_engine(&model(), profile, mode).0, 65_536.0, 0);
        for (step, (got, want)) in got.iter().zip(&want).enumerate() {
            assert!(got.accepted, "{profile} {mode:?} step {step}");
            let ratio = got.loss / want.loss;
            assert!((ratio - 1.0).abs() < 0.01, "{profile} {mode:?} step {step}: {ratio}");
        }
    }
}

#[test]
fn a_scale_that_is_too_large_is_halved_until_it_fits() {
    let updates = train(&mut on_engine(&model(), "m4-pro", Mode::Fast).0, 1e9, 10);
    let skipped = updates.iter().take_while(|update| !update.accepted).count();
    assert!((1..15).contains(&skipped), "{skipped} skipped");
    // Growth tries the next power of two now and then.
    let later = updates[skipped..].iter().filter(|update| !update.accepted).count();
    assert!(later <= 3, "{later} skipped later");
    assert!(updates.iter().all(|update| update.loss.is_finite()));
    assert!(updates[29].loss < updates[0].loss);
}

#[test]
fn an_engine_that_fails_leaves_parameters_as_they_were() {
    let model = model();
    let (mut backend, emulator) = on_engine(&model, "m4-pro", Mode::Fast);
    let (mut learner, mut scaler) = (learner(&model), LossScaler::new(65_536.0));
    backend.stage(&learner.params).unwrap();
    let before = learner.params.values().to_vec();
    emulator.inject(Fault::at(Call::Evaluate, 30, Effect::Fail));
    let error = learner.update(&mut backend, &batch(&model, 0), &mut scaler, SETTINGS);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Model(aneal_model::Error::Engine { .. })), "{error}");
    assert_eq!(learner.params.values(), before);
    let update = learner.update(&mut backend, &batch(&model, 0), &mut scaler, SETTINGS).unwrap();
    assert!(update.accepted);
}
