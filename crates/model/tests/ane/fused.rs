//! The plans with few dispatches: on which devices they are legal, what passes between their programs,
//! what they would take, and how one is chosen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aneal_ane::Profile;
use aneal_ane::clock::{Costs, Lane, LoopRates};
use aneal_ane::emulator::{Emulator, Mode};
use aneal_mil::lint::Severity;
use aneal_model::ane::{
    Activation, AneBackend, Content, DwOn, Passage, Plan, Prediction, Pricing, Search, Target,
};
use aneal_model::{Error, ModelConfig};

const FUSED: [&str; 4] = ["fused", "fused-kept", "fused-worker", "fused-kept-worker"];

fn golfwide() -> ModelConfig {
    ModelConfig::preset("golfwide").unwrap()
}

fn plan(name: &str, device: &str, sequences: usize) -> Result<Plan, Error> {
    let (model, profile) = (golfwide(), Profile::named(device).unwrap());
    Plan::named(name, &Target { model: &model, profile: &profile, sequences, seq_len: 256 })
}

/// An update of 20 sequences; without it where it is not asked for.
fn price(plan: &Plan, costs: &Costs, update: bool) -> Prediction {
    let micro_batches_per_update = update.then_some(20 / plan.sequences);
    plan.price(costs, &Pricing { occurring: 1024, micro_batches_per_update })
}

fn in_loops() -> Costs {
    Costs { loop_rates: Some(LoopRates::PUBLISHED), ..Costs::of("m4-pro").unwrap() }
}

#[test]
fn every_device_but_the_strictest_takes_them() {
    for device in Profile::names() {
        let profile = Profile::named(device).unwrap();
        for name in FUSED {
            for sequences in [1, 4, 8, 20] {
                let what = format!("{name} of {sequences} on {device}");
                let plan = match plan(name, device, sequences) {
                    Ok(plan) => plan,
                    Err(reason) => {
                        let said = reason.to_string();
                        assert!(device == "strict" && said.contains("(C32)"), "{what}: {said}");
                        continue;
                    }
                };
                assert_ne!(device, "strict");
                assert_eq!((plan.kernels.len(), plan.dispatches()), (4, 36), "{what}");
                assert!(plan.kernels.iter().all(|kernel| kernel.inputs.len() <= 8), "{what}");
                let objections = plan.objections(&profile);
                let wrong = objections.iter().filter(|(_, f)| f.rule.severity == Severity::Wrong);
                let wrong: BTreeSet<_> = wrong.map(|(_, finding)| finding.rule.id).collect();
                assert_eq!(wrong, BTreeSet::new(), "{what}");
            }
        }
    }
    let too_wide = plan("fused", "m1", 80).unwrap_err().to_string();
    assert!(too_wide.contains("an axis of 20480, the limit is 16384"), "{too_wide}");
    let long = ModelConfig { seq_len: 1 << 14, ..golfwide() };
    let profile = Profile::named("m4").unwrap();
    let target = Target { model: &long, profile: &profile, sequences: 1, seq_len: 1 << 14 };
    let large = Plan::named("fused", &target).unwrap_err().to_string();
    assert!(large.contains("need a table of 268435456 elements"), "{large}");
}

/// What a program finds in a linked input, another has returned under that name, in the same shape;
/// only the ends of the two streams are the CPU's.
#[test]
fn every_link_has_its_other_end() {
    for name in FUSED {
        let plan = plan(name, "m4-pro", 4).unwrap();
        let linked = |surfaces: &[aneal_model::ane::Surface]| -> Vec<(Activation, [usize; 2])> {
            let linked = surfaces.iter().filter(|surface| surface.passage == Passage::Linked);
            linked
                .map(|surface| {
                    let [block] = &surface.blocks[..] else { panic!("{surface:?} is shared") };
                    let Content::Activation(activation) = block.content else {
                        panic!("{surface:?} links a weight")
                    };
                    (activation, [surface.rows, surface.columns])
                })
                .collect()
        };
        let mut returned = BTreeMap::new();
        for (activation, shape) in plan.kernels.iter().flat_map(|k| linked(&k.outputs)) {
            assert_eq!(returned.insert(activation, shape), None, "{activation:?} twice");
            if let Some(neighbour) = activation.across() {
                assert_eq!(returned.insert(neighbour, shape), None, "{neighbour:?} twice");
            }
        }
        for kernel in &plan.kernels {
            for (activation, shape) in linked(&kernel.inputs) {
                assert_eq!(returned.get(&activation), Some(&shape), "{name}: {activation:?}");
            }
            assert_eq!((kernel.written(), kernel.read()), (0, 0), "the CPU converts nothing");
        }
        let worker = plan.dw_on == DwOn::Worker;
        assert_eq!(worker, name.ends_with("worker"));
        let outputs = plan.kernels.iter().flat_map(|kernel| &kernel.outputs);
        let gradients = outputs.flat_map(|surface| &surface.blocks).filter(|block| {
            let Content::Gradient(weight) = block.content else { return false };
            assert!(!weight.transposed && weight.of_layer);
            true
        });
        assert_eq!(gradients.count(), if worker { 2 } else { 9 }, "of gains, or of all weights");
    }
}

#[test]
fn the_cpu_converts_the_ends_of_the_streams_and_reads_gradients_beside() {
    let costs = Costs::of("m4-pro").unwrap();
    let plan = plan("fused", "m4-pro", 4).unwrap();
    let step = price(&plan, &costs, false);
    let surfaces = |lane| {
        let told = step.timeline.by_label(lane);
        told.into_iter().find(|(label, _)| *label == "surfaces").unwrap().1
    };
    let convert_ms = |elements: usize| elements as f64 / costs.host.convert_g_per_s / 1e6;
    let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} {b}");
    close(surfaces(Lane::Cpu), convert_ms(4 * 4 * 256 * 512));
    // Gradients of everything but the table of embeddings and the last norm.
    close(surfaces(Lane::Worker), convert_ms(plan.model.parameters() - 1025 * 512));
    let beside: f64 = step.kernels.iter().map(|k| k.dispatches as f64 * k.beside_ms).sum();
    close(beside, surfaces(Lane::Worker));

    // Weights in a program forward and one backward, and their gradients; the stream before and in
    // the middle of each layer and behind the last, and as many gradients of it.
    let (weights, stream) = (plan.model.parameters() - 1025 * 512, 4 * 256 * 512);
    assert_eq!(plan.surface_bytes(), 2 * (3 * weights + 2 * (2 * 9 + 1) * stream));
}

/// The goal that was set for 20 sequences: at most 46 dispatches, and at most 11 ms for 256 tokens at
/// rates that training loops have reached, the optimiser aside.
#[test]
fn few_dispatches_take_little_time_at_rates_that_were_reached() {
    let device = Costs::of("m4-pro").unwrap();
    for (rates, costs) in [("device", &device), ("published", &in_loops())] {
        for name in ["ten-kernel", FUSED[0], FUSED[1], FUSED[2], FUSED[3]] {
            for sequences in [1, 4, 20] {
                let Ok(plan) = plan(name, "m4-pro", sequences) else { continue };
                let (step, all) = (price(&plan, costs, false), price(&plan, costs, true));
                let per_256 = 256.0 / plan.tokens() as f64;
                eprintln!(
                    "{rates:>9} {name:<17} x {sequences:<2} {:5.2} ms, with its update {:5.2}; engine \
                     {:5.2} ms, {:.1} GFLOP; {} dispatches, {} MiB",
                    step.ms_per_256_tokens(),
                    all.ms_per_256_tokens(),
                    step.timeline.busy_ms(Lane::Ane) * per_256,
                    step.flops() * per_256 / 1e9,
                    plan.dispatches(),
                    plan.surface_bytes() >> 20,
                );
            }
        }
    }
    let ms = |name, sequences, costs: &Costs| {
        price(&plan(name, "m4-pro", sequences).unwrap(), costs, false).ms_per_256_tokens()
    };
    assert!(ms("fused-kept-worker", 20, &in_loops()) < 11.0);
    for name in FUSED {
        assert!(plan(name, "m4-pro", 20).unwrap().dispatches() <= 46);
        for costs in [&device, &in_loops()] {
            assert!(ms(name, 1, costs) < 0.6 * ms("ten-kernel", 1, costs), "{name}");
            assert!(ms(name, 4, costs) < ms(name, 1, costs), "{name}");
        }
        // Two numbers and nothing else: overhead of the dispatches, time of the products.
        let step = price(&plan(name, "m4-pro", 20).unwrap(), &in_loops(), false);
        let want = 36.0 * 0.108 + step.flops() / 3.79e9;
        assert!((step.timeline.busy_ms(Lane::Ane) / want - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn the_best_plan_is_the_one_that_takes_least() {
    let model = golfwide();
    let search = Search {
        tokens_per_update: 5_120,
        occurring: 1_024,
        sequences: None,
        most_surface_bytes: Search::SURFACE_BYTES,
    };
    for (device, costs) in [("m4-pro", "m4-pro"), ("m1", "m1"), ("m6", "m6"), ("strict", "m1")] {
        let (profile, costs) = (Profile::named(device).unwrap(), Costs::of(costs).unwrap());
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
        let candidates = Plan::candidates(&target, &costs, &search);
        let mut least = f64::INFINITY;
        for candidate in &candidates {
            assert!(20_usize.is_multiple_of(candidate.sequences));
            match &candidate.outcome {
                Ok(choice) => least = least.min(choice.prediction.ms_per_256_tokens()),
                Err(reason) => assert!(reason.to_string().contains("C32"), "{device}: {reason}"),
            }
        }
        assert_eq!(candidates.len(), if device == "strict" { 5 } else { 1 + 4 * 6 }, "{device}");
        let best = Plan::best(&target, &costs, &search).unwrap();
        assert_eq!(best.prediction.ms_per_256_tokens(), least, "{device}");
        assert_eq!(best.plan.name == "ten-kernel", device == "strict", "{device}");
        assert_eq!(best.pricing.micro_batches_per_update, Some(20 / best.plan.sequences));
    }
}

#[test]
fn a_search_keeps_its_bounds() {
    let (model, profile) = (golfwide(), Profile::named("m4-pro").unwrap());
    let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
    let costs = Costs::of("m4-pro").unwrap();
    let search = Search {
        tokens_per_update: 5_120,
        occurring: 1_024,
        sequences: None,
        most_surface_bytes: 200 << 20,
    };
    let best = Plan::best(&target, &costs, &search).unwrap().plan;
    assert!(best.sequences < 20 && best.surface_bytes() <= 200 << 20);
    let candidates = Plan::candidates(&target, &costs, &search);
    let refused = candidates.iter().filter_map(|c| c.outcome.as_ref().err());
    assert!(refused.clone().all(|reason| reason.to_string().contains("the limit is 200")));
    assert_eq!(refused.count(), FUSED.len(), "of each the first that is too large");

    let given = Search { sequences: Some(8), ..search };
    let best = Plan::best(&target, &costs, &given).unwrap().plan;
    assert_eq!((best.name, best.sequences), ("fused", 8));
    let none = Search { most_surface_bytes: 0, ..given };
    let message = Plan::best(&target, &costs, &none).unwrap_err().to_string();
    assert!(message.starts_with("plan auto: plan ten-kernel: 8 sequences"), "{message}");
}

#[test]
fn the_backend_says_that_it_cannot_walk_them() {
    let profile = Profile::named("m4-pro").unwrap();
    let model = ModelConfig { layers: 1, seq_len: 32, ..golfwide() };
    for name in FUSED {
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 32 };
        let plan = Plan::named(name, &target).unwrap();
        let engine = Arc::new(Emulator::new(profile.clone(), Mode::Fast));
        let Err(error) = AneBackend::new(plan, engine) else { panic!("{name} was taken") };
        let message = error.to_string();
        assert!(message.contains("can be priced but not run yet; choose ten-kernel"), "{message}");
    }
}
