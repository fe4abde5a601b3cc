//! Whether devices take the programs, and what is refused.

use std::collections::BTreeSet;

use aneal_ane::Profile;
use aneal_mil::Program;
use aneal_mil::lint::{self, Severity};
use aneal_model::ane::{Plan, Target};
use aneal_model::{Error, ModelConfig};

/// What remains, reported of one machine each: element-wise operations on more than 16,384 elements
/// (C30), which is a fifth of one activation, and slices from later columns of values past 4,094
/// (C38), which packing beside each other is made of.
fn tolerated(profile: &str) -> BTreeSet<&'static str> {
    match profile {
        "m1" => BTreeSet::from(["C38"]),
        "strict" => BTreeSet::from(["C30", "C38"]),
        _ => BTreeSet::new(),
    }
}

#[test]
fn every_device_has_a_form_that_it_takes() {
    let model = ModelConfig::preset("golfwide").unwrap();
    for name in Profile::names() {
        let profile = Profile::named(name).unwrap();
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
        let plan = Plan::named("ten-kernel", &target).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut wrong = BTreeSet::new();
        for kernel in &plan.kernels {
            let program = Program::new(vec![kernel.function.clone()]);
            for finding in lint::check(&program, &profile.rule_set()) {
                assert_ne!(finding.rule.severity, Severity::Refused, "{name}: {finding}");
                if finding.rule.severity == Severity::Wrong {
                    wrong.insert(finding.rule.id);
                }
            }
        }
        assert_eq!(wrong, tolerated(name), "{name}");
        let split = name == "strict";
        assert_eq!(plan.kernels.len(), if split { 11 } else { 10 }, "{name}");
        assert_eq!(plan.dispatches(), if split { 99 } else { 90 }, "{name}");
    }
}

#[test]
fn every_preset_has_a_plan_on_every_device() {
    for preset in ModelConfig::PRESETS {
        let model = ModelConfig::preset(preset).unwrap();
        for name in Profile::names() {
            let profile = Profile::named(name).unwrap();
            let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 64 };
            let plan = Plan::named("ten-kernel", &target);
            let plan = plan.unwrap_or_else(|e| panic!("{preset} on {name}: {e}"));
            assert_eq!(plan.dispatches(), plan.kernels.len() * model.layers);
        }
    }
}

#[test]
fn what_cannot_be_is_refused_with_a_reason() {
    let golfwide = ModelConfig::preset("golfwide").unwrap();
    let long = ModelConfig { seq_len: 4096, ..golfwide.clone() };
    let endless = ModelConfig { seq_len: 1 << 20, ..golfwide.clone() };
    let wide = ModelConfig { dim: 1, heads: 1, kv_heads: 1, head_dim: 1 << 18, ..golfwide.clone() };
    let bad = ModelConfig { kv_heads: 3, ..golfwide.clone() };
    let device = |name| Profile::named(name).unwrap();
    let (m1, m4) = (device("m1"), device("m4"));
    for (name, model, profile, sequences, seq_len, says) in [
        ("eleven", &golfwide, &m4, 1, 256, "there are ten-kernel"),
        ("ten-kernel", &golfwide, &m4, 2, 256, "2 sequences asked for"),
        ("ten-kernel", &golfwide, &m4, 0, 256, "at least one sequence"),
        ("ten-kernel", &golfwide, &m4, 1, 0, "at least one sequence"),
        ("ten-kernel", &golfwide, &m4, 1, 257, "longer than the model's 256"),
        ("ten-kernel", &bad, &m4, 1, 256, "model.kv_heads"),
        ("ten-kernel", &endless, &m4, 1, 1 << 20, "a table of 1099511627776 elements"),
        ("ten-kernel", &wide, &m4, 1, 256, "a table of 68719476736 elements"),
        // Rows of the probabilities of all heads, twice.
        ("ten-kernel", &long, &m1, 1, 1024, "sdpaBwd1 cannot run on m1: an axis of 16896"),
        ("ten-kernel", &long, &m4, 1, 4096, "the limit is 65536"),
    ] {
        let target = Target { model, profile, sequences, seq_len };
        let message = Plan::named(name, &target).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
    let target = Target { model: &golfwide, profile: &m4, sequences: 2, seq_len: 256 };
    assert!(matches!(Plan::named("ten-kernel", &target), Err(Error::Plan { .. })));
}
