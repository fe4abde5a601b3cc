//! The clock against what others measured and published.
//!
//! The measurements are not part of the project. `facts/ane-perf-calibration.csv` is looked for below
//! `$ANEAL_SHARED`, else below `shared` beside the workspace; where it is absent the tests that need
//! it say so and pass.

#![allow(clippy::print_stderr)]

mod rows;
mod ten_kernel;

use aneal_ane::clock::{Costs, Lane, Usage};
use ten_kernel::Transformer;

/// The trainer of parameter-golf PR #801 on M4 Pro: 32.8 ms a sequence of 256 tokens, of which the
/// log gives the engine 14.5 to 19 ms; 1.171 W on the engine's rail. Nothing of the run went into the
/// costs.
#[test]
fn a_published_training_step_is_predicted() {
    let costs = Costs::of("m4-pro").unwrap();
    let golf = Transformer::GOLF;
    let step = golf.step(&costs);
    assert_eq!(step.spans().iter().filter(|span| span.lane == Lane::Ane).count(), 90);

    let predicted_ms = step.total_ms();
    let power = costs.power(&Usage::of(&step, golf.flops(), golf.bytes()));
    eprintln!(
        "predicted {predicted_ms:.2} ms, engine {:.2} ms, {:.3} W",
        step.busy_ms(Lane::Ane),
        power.ane_w
    );
    assert!((predicted_ms / 32.8 - 1.0).abs() < 0.15, "{predicted_ms} ms");
    let known = costs.compared["step"];
    assert!((100.0 * (predicted_ms / 32.8 - 1.0) - known.mean_percent).abs() < 0.1, "{known:?}");
    assert!((power.ane_w / 1.171 - 1.0).abs() < 0.15, "{power:?}");
}

#[test]
fn published_measurements_are_near_the_predictions() {
    let Some(rows) = rows::load() else { return };
    let checks = rows::checks(&rows);
    assert!(checks.len() > 100, "only {} of {} rows were understood", checks.len(), rows.len());
    let mut groups: Vec<Vec<&rows::Check>> = Vec::new();
    for check in &checks {
        let same = |group: &&mut Vec<&rows::Check>| {
            group[0].device == check.device && group[0].kind == check.kind
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(check),
            None => groups.push(vec![check]),
        }
    }
    for mut group in groups {
        group.sort_by(|a, b| a.error().abs().total_cmp(&b.error().abs()));
        let (n, worst) = (group.len(), group[group.len() - 1].describe());
        let mean = group.iter().map(|check| check.error().abs()).sum::<f64>() / n as f64;
        let signed = group.iter().map(|check| check.error()).sum::<f64>() / n as f64;
        let (device, kind) = (group[0].device, group[0].kind);
        let known = Costs::of(device).unwrap().compared.remove(kind);
        let known = known.unwrap_or_else(|| panic!("{device}: `{kind}` is not in its costs"));
        let told = [known.rows as f64, known.mean_absolute_percent, known.mean_percent];
        for (told, found) in told.into_iter().zip([n as f64, 100.0 * mean, 100.0 * signed]) {
            assert!((told - found).abs() < 0.06, "{device} {kind}: {known:?}, found {found}");
        }
        eprintln!("{n} rows, mean absolute error {:.1} %, worst {worst}", 100.0 * mean);
        // One column on M3 Pro is faster than its own overhead elsewhere; nothing here explains it.
        assert!(mean < 0.3 || group[0].kind == "conv, 1 column", "{mean}: {worst}");
    }
}
