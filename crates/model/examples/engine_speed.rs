//! Times the engine's part of a training step on the emulator in turns with the whole step on the CPU
//! in f32, and prints medians: how much of the CPU's speed is left for whoever trains on an emulated
//! engine.
//!
//! The engine's part is every dispatch of the plan, on the values of a real step. A ratio is
//! operations a second of the engine over operations a second of the CPU's step.
//!
//! `cargo run --release -p aneal-model --example engine_speed [-- PRESET PROFILE ROUNDS]`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use aneal_ane::Profile;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_model::ane::{AneBackend, Plan, Target, Times};
use aneal_model::cpu::Cpu;
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Backend, Batch, Grads, ModelConfig, Params, Precision, init};

const SEQ_LEN: usize = 256;
/// As the trainer scales gradients.
const SCALE: f32 = 65_536.0;

/// An emulated engine, and how long things took.
struct Engine {
    mode: Mode,
    backend: AneBackend,
    dispatches_s: Vec<f64>,
    steps_s: Vec<f64>,
    times: Times,
}

impl Engine {
    fn new(mode: Mode, plan: &Plan, profile: &Profile) -> Result<Self, Box<dyn Error>> {
        let backend =
            AneBackend::new(plan.clone(), Arc::new(Emulator::new(profile.clone(), mode)))?;
        let (dispatches_s, steps_s) = (Vec::new(), Vec::new());
        Ok(Self { mode, backend, dispatches_s, steps_s, times: Times::default() })
    }
}

/// Seconds of `f`.
fn time<E>(f: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let start = Instant::now();
    f()?;
    Ok(start.elapsed().as_secs_f64())
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut next = |usual: &str| args.next().unwrap_or_else(|| usual.to_owned());
    let (preset, device, rounds) = (next("golfwide"), next("m4-pro"), next("5").parse()?);
    let model = ModelConfig::preset(&preset)?;
    let profile = Profile::named(&device)?;
    let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: SEQ_LEN };
    let plan = Plan::named("ten-kernel", &target)?;

    let random = Philox::new(1, Stream::Data);
    let ids = (0..=SEQ_LEN as u64).map(|i| random.below(i, model.vocab_size as u64) as u32);
    let batch = Batch::new(ids.collect(), SEQ_LEN)?;
    let params = init(&model, 1);
    let mut grads = Grads::zeros(params.layout());

    let mut cpu = Cpu::new(&model, Precision::F32)?;
    let mut engines =
        [Engine::new(Mode::Fast, &plan, &profile)?, Engine::new(Mode::Exact, &plan, &profile)?];
    warm_up(&mut cpu, &mut engines, &params, &batch, &mut grads)?;
    let mut cpu_s = Vec::new();
    for _ in 0..rounds {
        for engine in &mut engines {
            cpu_s.push(time(|| cpu.forward_backward(&batch, SCALE, &mut grads).map(drop))?);
            engine.dispatches_s.push(time(|| engine.backend.dispatch_all())?);
            let step =
                time(|| engine.backend.forward_backward(&batch, SCALE, &mut grads).map(drop));
            engine.steps_s.push(step?);
            engine.times = engine.backend.take_times();
        }
    }

    let flops_of = |place| plan.dispatches_of(place) as f64;
    let engine_flops: f64 =
        plan.kernels.iter().enumerate().map(|(at, k)| flops_of(at) * k.work().flops()).sum();
    let cpu_flops = SEQ_LEN as f64 * model.train_flops_per_token(SEQ_LEN);
    let cpu_s = median(cpu_s);
    let cpu_rate = cpu_flops / cpu_s;
    println!("{preset}, {SEQ_LEN} tokens, {} dispatches on {device}", plan.dispatches());
    println!("cpu f32 step      {:8.1} ms  {:7.1} GFLOP/s", 1e3 * cpu_s, cpu_rate / 1e9);
    for Engine { mode, dispatches_s, steps_s, times, .. } in engines {
        let (seconds, step_s) = (median(dispatches_s), median(steps_s));
        let rate = engine_flops / seconds;
        println!(
            "{:<5} dispatches  {:8.1} ms  {:7.1} GFLOP/s, {:.3} of the cpu's",
            mode.name(),
            1e3 * seconds,
            rate / 1e9,
            rate / cpu_rate
        );
        println!(
            "{:<5} whole step  {:8.1} ms: engine {:.1}, surfaces {:.1}, host {:.1}, waiting {:.1}; \
             beside them {:.1}",
            mode.name(),
            1e3 * step_s,
            1e3 * times.engine_s,
            1e3 * times.surfaces_s,
            1e3 * times.host_s,
            1e3 * times.waiting_s,
            1e3 * times.beside_s
        );
    }
    Ok(())
}

/// Parameters in place, and one step of each that does not count.
fn warm_up(
    cpu: &mut Cpu,
    engines: &mut [Engine],
    params: &Params,
    batch: &Batch,
    grads: &mut Grads,
) -> aneal_model::Result<()> {
    cpu.stage(params)?;
    cpu.forward_backward(batch, SCALE, grads)?;
    for engine in engines {
        engine.backend.stage(params)?;
        engine.backend.forward_backward(batch, SCALE, grads)?;
        engine.backend.take_times();
    }
    Ok(())
}
