//! Whether devices take the programs.

use std::collections::BTreeMap;

use aneal_ane::Profile;
use aneal_mil::Program;
use aneal_mil::lint::{self, Severity};
use aneal_model::ModelConfig;
use aneal_model::ane::{Plan, Target};

#[test]
fn every_device_has_a_form_that_it_takes() {
    let model = ModelConfig::preset("golfwide").unwrap();
    for name in Profile::names() {
        let profile = Profile::named(name).unwrap();
        let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
        let plan = Plan::named("ten-kernel", &target).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut wrong: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for kernel in &plan.kernels {
            let program = Program::new(vec![kernel.function.clone()]);
            for finding in lint::check(&program, &profile.rule_set()) {
                assert_ne!(finding.rule.severity, Severity::Refused, "{name}: {finding}");
                if finding.rule.severity == Severity::Wrong {
                    wrong
                        .entry(finding.rule.id)
                        .or_default()
                        .push(format!("{}: {}", kernel.name, finding.found));
                }
            }
        }
        eprintln!("{name}: {} programs, {} dispatches", plan.kernels.len(), plan.dispatches());
        for (id, at) in wrong {
            eprintln!("   {id} {} e.g. {}", at.len(), at[0]);
        }
    }
}
