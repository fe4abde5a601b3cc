//! The price of a plan against what was published.

use aneal_ane::Profile;
use aneal_ane::clock::{Costs, Lane};
use aneal_model::ModelConfig;
use aneal_model::ane::{Plan, Pricing, Target};

fn golfwide(device: &str) -> Plan {
    let (model, profile) =
        (ModelConfig::preset("golfwide").unwrap(), Profile::named(device).unwrap());
    let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
    Plan::named("ten-kernel", &target).unwrap()
}

/// The trainer of parameter-golf PR #801 on M4 Pro: 32.8 ms a step of 256 tokens without its update,
/// 1.171 W on the engine's rail; 888 of 1,024 tokens occur. Nothing of the run went into the costs.
#[test]
fn the_published_step_is_predicted_from_its_programs() {
    let plan = golfwide("m4-pro");
    let pricing = Pricing { occurring: 888, micro_batches_per_update: None };
    let step = plan.price(&Costs::of("m4-pro").unwrap(), &pricing);
    eprintln!(
        "{:.2} ms, engine {:.2} ms, {:.3} W",
        step.ms_per_256_tokens(),
        step.timeline.busy_ms(Lane::Ane),
        step.power.ane_w
    );
    for lane in Lane::ALL {
        for (label, ms) in step.timeline.by_label(lane) {
            eprintln!("    {label:12} {ms:6.2} ms");
        }
    }
    let spans = step.timeline.spans();
    assert_eq!(spans.iter().filter(|span| span.lane == Lane::Ane).count(), 90);
    assert_eq!(plan.dispatches(), 90);
    assert!((step.ms_per_256_tokens() / 32.8 - 1.0).abs() < 0.15);
    assert!((step.power.ane_w / 1.171 - 1.0).abs() < 0.15);
}
