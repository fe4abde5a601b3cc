//! The training step on an emulated engine against the one on the CPU, and what becomes of engines
//! that fail, numbers that fp16 cannot hold, and batches that do not fit.

use std::sync::Arc;

use aneal_ane::Profile;
use aneal_ane::emulator::{Call, Effect, Emulator, Fault, Mode};
use aneal_model::ane::{AneBackend, Plan, Target};
use aneal_model::cpu::Cpu;
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Error, Grads, ModelConfig, Params, Precision, Result, init};

/// What the trainer multiplies gradients by on an engine.
const SCALE: f32 = 65_536.0;
/// Tokens of a sequence that plans are made for; rows of surfaces of 32 halves are whole (C22).
const SEQ_LEN: usize = 32;

/// Heads, key-value heads, width of a head: each its own, shared, one for all; together not as wide
/// as the model.
const HEADS: [(usize, usize, usize); 3] = [(2, 2, 64), (4, 2, 32), (3, 1, 32)];

fn model((heads, kv_heads, head_dim): (usize, usize, usize)) -> ModelConfig {
    ModelConfig {
        vocab_size: 90,
        dim: 64,
        layers: 2,
        heads,
        kv_heads,
        head_dim,
        hidden: 96,
        seq_len: SEQ_LEN,
        ..ModelConfig::preset("golfwide").unwrap()
    }
}

/// Weights as they begin, or large enough that softmax and gate are no straight lines.
fn params(config: &ModelConfig, spread: f32) -> Params {
    let mut params = init(config, 5);
    let random = Philox::new(9, Stream::Data);
    for (i, v) in params.values_mut().iter_mut().enumerate() {
        *v += spread * (2.0 * random.uniform(i as u64) as f32 - 1.0);
    }
    params
}

fn batch(config: &ModelConfig, sequences: usize, seq_len: usize) -> Batch {
    let random = Philox::new(3, Stream::Data);
    let ids = 0..(sequences * (seq_len + 1)) as u64;
    let ids = ids.map(|i| random.below(i, config.vocab_size as u64) as u32).collect();
    Batch::new(ids, seq_len).unwrap()
}

fn plan(config: &ModelConfig, profile: &Profile) -> Plan {
    let target = Target { model: config, profile, sequences: 1, seq_len: config.seq_len };
    Plan::named("ten-kernel", &target).unwrap()
}

fn on_engine(config: &ModelConfig, profile: &Profile, mode: Mode) -> (AneBackend, Emulator) {
    let emulator = Emulator::new(profile.clone(), mode);
    let backend = AneBackend::new(plan(config, profile), Arc::new(emulator.clone())).unwrap();
    (backend, emulator)
}

/// A staged backend on an emulated M4 Pro.
fn staged(config: &ModelConfig) -> (AneBackend, Emulator) {
    let (mut backend, emulator) = on_engine(config, &Profile::named("m4-pro").unwrap(), Mode::Fast);
    backend.stage(&params(config, 0.0)).unwrap();
    (backend, emulator)
}

fn step(backend: &mut dyn Backend, batch: &Batch, layout: &Params) -> Result<(f64, Grads)> {
    let mut grads = Grads::zeros(layout.layout());
    let loss = backend.forward_backward(batch, SCALE, &mut grads)?;
    Ok((loss, grads))
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The loss within 0.1 %, gradients of like direction and length.
#[track_caller]
fn assert_like(what: &str, got: &(f64, Grads), want: &(f64, Grads)) {
    let (loss, want_loss) = (got.0, want.0);
    assert!((loss / want_loss - 1.0).abs() < 1e-3, "{what}: loss {loss}, want {want_loss}");
    for ((tensor, got), (_, want)) in got.1.tensors().zip(want.1.tensors()) {
        let cosine = cosine(got, want);
        assert!(cosine > 0.999, "{what}: {} has a cosine of {cosine}", tensor.name);
        let norm = |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        let ratio = norm(got) / norm(want);
        assert!((ratio - 1.0).abs() < 0.01, "{what}: {} is {ratio} times as long", tensor.name);
    }
}

#[test]
fn a_step_is_that_of_the_cpu_on_every_device() {
    for heads in HEADS {
        let config = model(heads);
        for spread in [0.0, 0.1] {
            let params = params(&config, spread);
            let batch = batch(&config, 3, SEQ_LEN);
            let mut cpu = Cpu::new(&config, Precision::F32).unwrap();
            cpu.stage(&params).unwrap();
            let want = step(&mut cpu, &batch, &params).unwrap();
            for profile in Profile::all().unwrap() {
                for mode in [Mode::Exact, Mode::Fast] {
                    let (mut backend, emulator) = on_engine(&config, &profile, mode);
                    backend.stage(&params).unwrap();
                    let got = step(&mut backend, &batch, &params).unwrap();
                    let what = format!("{} {mode:?} {heads:?} {spread}", profile.name);
                    assert_like(&what, &got, &want);
                    let dispatches = 3 * backend.plan().dispatches() as u64;
                    assert_eq!(emulator.statistics().evaluates, dispatches);
                    assert_eq!(backend.beyond_range(), 0);
                }
            }
        }
    }
}

#[test]
fn shorter_sequences_are_filled_up() {
    let config = model((4, 2, 32));
    let params = params(&config, 0.1);
    let mut cpu = Cpu::new(&config, Precision::F32).unwrap();
    cpu.stage(&params).unwrap();
    let (mut backend, _) = on_engine(&config, &Profile::named("m4").unwrap(), Mode::Exact);
    backend.stage(&params).unwrap();
    for length in [1, 7, 31] {
        let batch = batch(&config, 2, length);
        let want = step(&mut cpu, &batch, &params).unwrap();
        let got = step(&mut backend, &batch, &params).unwrap();
        // A single token attends to itself alone: queries and keys have no gradient but rounding.
        if length > 1 {
            assert_like(&format!("{length} tokens"), &got, &want);
        }
        assert!((got.0 / want.0 - 1.0).abs() < 1e-3, "{length} tokens");
        backend.token_losses(&batch, 0, &mut []).unwrap();
        for scored in [1, length] {
            let [mut got, mut want] = [(); 2].map(|()| vec![0.0; 2 * scored]);
            backend.token_losses(&batch, scored, &mut got).unwrap();
            cpu.token_losses(&batch, scored, &mut want).unwrap();
            aneal_testing::assert_close(&format!("{scored} of {length}"), &got, &want, 2e-3);
        }
    }
}

#[test]
fn training_and_scoring_take_turns() {
    let config = model((4, 2, 32));
    let params = params(&config, 0.1);
    let batch = batch(&config, 2, SEQ_LEN);
    let (mut backend, _) = staged(&config);
    backend.stage(&params).unwrap();
    let want = step(&mut backend, &batch, &params).unwrap();
    let mut losses = vec![0.0; 2 * SEQ_LEN];
    backend.token_losses(&batch, SEQ_LEN, &mut losses).unwrap();
    let mean = losses.iter().map(|&l| f64::from(l)).sum::<f64>() / losses.len() as f64;
    assert!((mean / want.0 - 1.0).abs() < 1e-6, "{mean} is not {}", want.0);
    let again = step(&mut backend, &batch, &params).unwrap();
    assert_eq!((again.0, again.1.values()), (want.0, want.1.values()));
    // Other weights, and back again.
    backend.stage(&init(&config, 8)).unwrap();
    assert_ne!(step(&mut backend, &batch, &params).unwrap().0, want.0);
    backend.stage(&params).unwrap();
    assert_eq!(step(&mut backend, &batch, &params).unwrap().0, want.0);
}

#[test]
fn threads_do_not_change_a_bit() {
    let config = model((4, 2, 32));
    let params = params(&config, 0.1);
    let batch = batch(&config, 4, SEQ_LEN);
    let profile = Profile::named("m4-pro").unwrap();
    for mode in [Mode::Exact, Mode::Fast] {
        let in_threads = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
            pool.install(|| {
                let (mut backend, _) = on_engine(&config, &profile, mode);
                backend.stage(&params).unwrap();
                step(&mut backend, &batch, &params).unwrap()
            })
        };
        let want = in_threads(1);
        for threads in [1, 2, 5] {
            let got = in_threads(threads);
            assert_eq!((got.0, got.1.values()), (want.0, want.1.values()), "{threads} {mode:?}");
        }
    }
}

#[test]
fn gradients_are_added_and_scaled() {
    let config = model((4, 2, 32));
    let params = params(&config, 0.1);
    let batch = batch(&config, 2, SEQ_LEN);
    let (mut backend, _) = staged(&config);
    backend.stage(&params).unwrap();
    let (_, once) = step(&mut backend, &batch, &params).unwrap();
    let mut grads = Grads::zeros(params.layout());
    for scale in [SCALE, SCALE / 2.0] {
        backend.forward_backward(&batch, scale, &mut grads).unwrap();
    }
    let want: Vec<f32> = once.values().iter().map(|g| 1.5 * g).collect();
    aneal_testing::assert_close("1.5 times the gradient", grads.values(), &want, 1e-3);
}

/// What goes beyond fp16 does not come out as a number.
#[test]
fn overflow_is_never_silent() {
    let config = model((4, 2, 32));
    let batch = batch(&config, 2, SEQ_LEN);
    let (mut backend, _) = staged(&config);
    let mut grads = Grads::zeros(params(&config, 0.0).layout());
    let loss = backend.forward_backward(&batch, 1e12, &mut grads).unwrap();
    assert!(loss.is_finite() && backend.beyond_range() > 0, "only gradients overflow");
    assert!(grads.values().iter().all(|g| g.is_nan()));

    // In the forward pass: a norm's gain, then a weight, that makes it so.
    for name in ["layers.0.ffn_norm.weight", "layers.1.attention.wv.weight"] {
        let mut large = params(&config, 0.0);
        let slot = large.layout().find(name).unwrap().slot.clone();
        large.slice_mut(&slot).fill(1e6);
        backend.stage(&large).unwrap();
        grads.clear();
        let loss = backend.forward_backward(&batch, 1.0, &mut grads).unwrap();
        assert!(loss.is_nan() && backend.beyond_range() > 0, "{name}: {loss}");
        assert!(grads.values().iter().all(|g| g.is_nan()), "{name}");
        let mut losses = vec![0.0; 2];
        backend.token_losses(&batch, 1, &mut losses).unwrap();
        assert!(losses.iter().all(|loss| loss.is_nan()), "{name}");
    }
    // And it is over with other weights.
    backend.stage(&params(&config, 0.0)).unwrap();
    grads.clear();
    assert!(backend.forward_backward(&batch, SCALE, &mut grads).unwrap().is_finite());
    assert!(grads.values().iter().all(|g| g.is_finite()) && backend.beyond_range() == 0);
}

#[test]
fn failures_of_the_engine_are_told_and_nothing_stays_behind() {
    let config = model((4, 2, 32));
    let params = params(&config, 0.1);
    let batch = batch(&config, 2, SEQ_LEN);
    let profile = Profile::named("m4-pro").unwrap();
    for (call, nth) in [(Call::Compile, 3), (Call::Load, 7)] {
        let emulator = Emulator::new(profile.clone(), Mode::Fast);
        emulator.inject(Fault::at(call, nth, Effect::Fail));
        let error = AneBackend::new(plan(&config, &profile), Arc::new(emulator)).err().unwrap();
        let name = plan(&config, &profile).kernels[nth as usize - 1].name;
        let text = error.to_string();
        assert!(text.contains(name) && text.contains("emulated m4-pro"), "{text}");
    }
    let (mut backend, emulator) = staged(&config);
    backend.stage(&params).unwrap();
    let want = step(&mut backend, &batch, &params).unwrap();
    // In the forward pass of the last layer, and early in the backward pass.
    for (dispatch, expected) in [(4, "sdpaFwd of layer 1"), (8, "ffnBwdW13t of layer 1")] {
        let next = emulator.statistics().evaluates + dispatch;
        emulator.inject(Fault::at(Call::Evaluate, next, Effect::Status(0x12)));
        let error = step(&mut backend, &batch, &params).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Engine { .. }), "{text}");
        for part in [expected, "emulated m4-pro", "status=0x12"] {
            assert!(text.contains(part), "{text}");
        }
        let again = step(&mut backend, &batch, &params).unwrap();
        assert_eq!((again.0, again.1.values()), (want.0, want.1.values()));
    }
}

#[test]
fn bad_batches_and_weights_are_refused() {
    let config = ModelConfig { seq_len: 64, ..model((4, 2, 32)) };
    let profile = Profile::named("m4-pro").unwrap();
    let target = Target { model: &config, profile: &profile, sequences: 1, seq_len: SEQ_LEN };
    let plan = Plan::named("ten-kernel", &target).unwrap();
    let engine = Arc::new(Emulator::new(profile, Mode::Fast));
    let mut backend = AneBackend::new(plan, engine).unwrap();
    let mut losses = vec![0.0; 1];
    let mut refused = |tokens: Vec<u32>| {
        let batch = Batch::new(tokens.clone(), tokens.len() - 1).unwrap();
        backend.token_losses(&batch, 1, &mut losses).unwrap_err()
    };
    assert!(matches!(refused(vec![1; 66]), Error::SequenceTooLong { found: 65, limit: 64 }));
    let error = refused(vec![1; 34]);
    assert!(error.to_string().contains("33 tokens is longer than the 32"), "{error}");
    assert!(matches!(refused(vec![90; 33]), Error::TokenId { id: 90, .. }));

    let other = init(&ModelConfig { layers: 3, ..config.clone() }, 1);
    assert!(matches!(backend.stage(&other), Err(Error::Weights(_))));
    let mut grads = Grads::zeros(other.layout());
    let error = backend.forward_backward(&batch(&config, 1, 32), 1.0, &mut grads).unwrap_err();
    assert!(matches!(error, Error::Weights(_)), "{error}");
}
