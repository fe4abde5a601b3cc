//! Prints what the clock predicts beside what others published.
//!
//! `cargo run --release -p aneal-ane --example clock_calibration [-- --rows | --svg]`

#![allow(clippy::print_stdout, clippy::print_stderr)]

#[path = "../tests/published/rows.rs"]
mod rows;
#[path = "../tests/published/ten_kernel.rs"]
mod ten_kernel;

use aneal_ane::clock::{Costs, Lane, Usage};
use ten_kernel::Transformer;

fn main() -> Result<(), aneal_ane::clock::Error> {
    let costs = Costs::of("m4-pro")?;
    let golf = Transformer::GOLF;
    let step = golf.step(&costs);
    if std::env::args().any(|argument| argument == "--svg") {
        print!("{}", step.svg("ten kernels, 9 layers of 512, one sequence of 256 on M4 Pro"));
        return Ok(());
    }
    let power = costs.power(&Usage::of(&step, golf.flops(), golf.bytes()));
    println!("parameter-golf PR #801 on m4-pro, predicted (published):");
    println!("  step {:.2} ms (32.8)", step.total_ms());
    println!("  ane  {:.3} W (1.171), cpu {:.2} W (4.728)", power.ane_w, power.cpu_w);
    for lane in Lane::ALL {
        println!("  {}: {:.2} ms busy", lane.name(), step.busy_ms(lane));
        for (label, ms) in step.by_label(lane) {
            println!("    {label:12} {ms:6.2} ms");
        }
    }

    let Some(rows) = rows::load() else { return Ok(()) };
    let checks = rows::checks(&rows);
    if std::env::args().any(|argument| argument == "--rows") {
        for check in &checks {
            println!("{}", check.describe());
        }
    }
    println!("\n{} of {} rows say enough of what was run", checks.len(), rows.len());
    println!(
        "{:8} {:14} {:>4} {:>9} {:>9} {:>9}",
        "device", "what", "rows", "mean |e|", "mean e", "median e"
    );
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for check in &checks {
        if seen.contains(&(check.device, check.kind)) {
            continue;
        }
        seen.push((check.device, check.kind));
        let same = checks.iter().filter(|c| (c.device, c.kind) == (check.device, check.kind));
        let mut errors: Vec<f64> = same.map(|c| 100.0 * c.error()).collect();
        let n = errors.len() as f64;
        let absolute = errors.iter().map(|e| e.abs()).sum::<f64>() / n;
        let mean = errors.iter().sum::<f64>() / n;
        errors.sort_by(f64::total_cmp);
        let median = errors[errors.len() / 2];
        println!(
            "{:8} {:14} {:4} {absolute:7.1} % {mean:+7.1} % {median:+7.1} %",
            check.device,
            check.kind,
            errors.len()
        );
    }
    Ok(())
}
