//! The price of a plan: against what was published, and that nothing of it is lost or counted twice.

use aneal_ane::Profile;
use aneal_ane::clock::{Costs, Lane};
use aneal_model::ModelConfig;
use aneal_model::ane::{Plan, Prediction, Pricing, Target};

fn golfwide(device: &str) -> Plan {
    let (model, profile) =
        (ModelConfig::preset("golfwide").unwrap(), Profile::named(device).unwrap());
    let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
    Plan::named("ten-kernel", &target).unwrap()
}

fn price(device: &str, micro_batches_per_update: Option<usize>) -> Prediction {
    let pricing = Pricing { occurring: 888, micro_batches_per_update };
    golfwide(device).price(&Costs::of(device).unwrap(), &pricing)
}

/// The trainer of parameter-golf PR #801 on M4 Pro: 32.8 ms a step of 256 tokens without its update,
/// 38.6 ms with it, validation and logging; 1.171 W on the engine's rail; 888 of 1,024 tokens occur.
/// Nothing of the run went into the costs.
#[test]
fn the_published_step_is_predicted_from_its_programs() {
    let (step, updated) = (price("m4-pro", None), price("m4-pro", Some(20)));
    eprintln!(
        "step {:.2} ms (32.8), engine {:.2} ms, {:.3} W (1.171); with its update {:.2} ms (38.6)",
        step.ms_per_256_tokens(),
        step.timeline.busy_ms(Lane::Ane),
        step.power.ane_w,
        updated.ms_per_256_tokens(),
    );
    let spans = step.timeline.spans();
    assert_eq!(spans.iter().filter(|span| span.lane == Lane::Ane).count(), 90);
    let error = step.ms_per_256_tokens() / 32.8 - 1.0;
    assert!(error.abs() < 0.15, "{error}");
    assert!((step.power.ane_w / 1.171 - 1.0).abs() < 0.15, "{:?}", step.power);
    assert!((updated.ms_per_256_tokens() / 38.6 - 1.0).abs() < 0.15);
    // Close to what operations counted by hand give, which the costs tell as the clock's error.
    let known = Costs::of("m4-pro").unwrap().compared["step"].mean_percent;
    assert!((100.0 * error - known).abs() < 3.0, "{error} {known}");
}

#[test]
fn every_dispatch_is_in_the_timeline_once() {
    let plan = golfwide("m4-pro");
    let step = price("m4-pro", None);
    let labels = step.timeline.by_label(Lane::Ane);
    assert_eq!(labels.len(), plan.kernels.len());
    for ((label, ms), (kernel, priced)) in labels.iter().zip(plan.kernels.iter().zip(&step.kernels))
    {
        assert_eq!((*label, priced.dispatches), (kernel.name, 9));
        assert!((ms / (9.0 * priced.price.total_ms()) - 1.0).abs() < 1e-9, "{label}");
        // The engine's view of its surfaces and ours are the same bytes.
        let bytes = |surfaces: &[aneal_model::ane::Surface]| {
            surfaces.iter().map(|surface| surface.bytes() as u64).sum::<u64>()
        };
        assert_eq!(priced.work.input_bytes, bytes(&kernel.inputs), "{label}");
        assert_eq!(priced.work.output_bytes, bytes(&kernel.outputs), "{label}");
    }
    let surfaces: f64 = step.kernels.iter().map(|k| k.dispatches as f64 * k.surfaces_ms).sum();
    let told = step.timeline.by_label(Lane::Cpu);
    let (_, ms) = told.iter().find(|(label, _)| *label == "surfaces").unwrap();
    assert!((ms / surfaces - 1.0).abs() < 1e-9);
}

#[test]
fn an_update_is_shared_by_its_micro_batches() {
    let without = price("m4-pro", None).timeline.total_ms();
    let update_ms = |sharing| price("m4-pro", Some(sharing)).timeline.total_ms() - without;
    let costs = Costs::of("m4-pro").unwrap();
    let all = costs.host.update_ns_per_param * 21_767_680.0 / 1e6;
    assert!((update_ms(1) / all - 1.0).abs() < 1e-9);
    assert!((update_ms(20) / all - 0.05).abs() < 1e-9);
}

#[test]
fn the_engine_slows_down_while_the_cpu_works() {
    assert_eq!(price("m4-pro", None).clock, 1.0, "no governor is known");
    let (step, costs) = (price("m6", None), Costs::of("m6").unwrap());
    assert_eq!(step.clock, costs.governor.floor(), "it waits for the CPU most of the time");
    let full = costs.dispatch(&step.kernels[0].work, &aneal_ane::clock::State::default());
    let slowed = step.kernels[0].price.product_ms;
    assert!((slowed * step.clock / full.product_ms - 1.0).abs() < 1e-9);
}

/// Gradients of weights are beside everything else, so that only an update waits for them.
#[test]
fn slow_products_delay_the_end_and_nothing_before_it() {
    let plan = golfwide("m4-pro");
    let pricing = Pricing { occurring: 888, micro_batches_per_update: Some(20) };
    let mut costs = Costs::of("m4-pro").unwrap();
    let ends = |costs: &Costs| {
        let timeline = plan.price(costs, &pricing).timeline;
        let end = |lane| {
            let spans = timeline.spans().iter().filter(move |span| span.lane == lane);
            spans.map(|span| span.end_ms).fold(0.0, f64::max)
        };
        (end(Lane::Ane), end(Lane::Worker), timeline.total_ms())
    };
    let (engine, worker, total) = ends(&costs);
    assert!(worker < total);
    costs.host.matmul_tflops /= 100.0;
    let (later_engine, later_worker, later) = ends(&costs);
    let head_ms = 99.0 * 2.0 * 2.0 * 256.0 * 888.0 * 512.0 / 2.6e12 * 1e3;
    assert!((later_engine - engine - head_ms).abs() < 1e-6, "{later_engine} {engine} {head_ms}");
    assert!(later_worker > later_engine && later > later_worker);
}
