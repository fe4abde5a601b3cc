//! A plan as a table for people.

use std::fmt::Write;

use aneal_ane::clock::{HostCosts, Lane, LoopRates};
use aneal_model::ane::{Candidate, Surface};

use super::report::Report;
use crate::device;
use crate::output::grouped;

pub(super) fn text(report: &Report<'_>) -> String {
    // Writing to a `String` cannot fail.
    let mut out = String::new();
    let (plan, step) = (report.plan, report.step);
    let _ = writeln!(
        out,
        "{} for {} under the rules of {}, priced as {}",
        plan.name, report.model, report.profile, report.priced_as
    );
    let _ = writeln!(
        out,
        "{} of {} tokens a micro-batch, {} an update",
        count(plan.sequences, "sequence"),
        plan.seq_len,
        count(report.micro_batches_per_update, "micro-batch"),
    );
    if report.rates == "published" {
        let LoopRates { dispatch_ms, tflops } = LoopRates::PUBLISHED;
        let _ = writeln!(
            out,
            "dispatches priced at {dispatch_ms} ms and {tflops} TFLOPS, as in published training loops"
        );
    }
    out.push_str("all times, watts and joules are predicted; nothing was run\n\n");
    candidates(&mut out, report);
    kernels(&mut out, report);
    host(&mut out, report);
    update(&mut out, report);

    let timeline = &step.timeline;
    let _ = writeln!(out, "\na micro-batch with its share of an update, predicted");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "  {name:<26}{value}");
    };
    for lane in Lane::ALL {
        let (ms, share) = (timeline.busy_ms(lane), 100.0 * timeline.busy_share(lane));
        row(&format!("{} busy", lane.name()), format!("{ms:.2} ms, {share:.0} %"));
    }
    let without = report.without_update.ms_per_256_tokens();
    row(
        "time for 256 tokens",
        format!("{:.2} ms; {without:.2} ms without the update", step.ms_per_256_tokens()),
    );
    row("speed", format!("{:.0} tokens/s", step.tokens_per_s()));
    let (total, ane, cpu) = (step.power.total_w(), step.power.ane_w, step.power.cpu_w);
    row("power", format!("{total:.2} W: engine {ane:.2}, CPU {cpu:.2}"));
    row("energy", format!("{:.0} tokens/J", step.tokens_per_joule()));
    row("dispatches", grouped(plan.dispatches() as u64));
    row("engine's clock", format!("{:.0} % of the full one", 100.0 * step.clock));
    row("compiling", format!("{:.0} ms, once", step.compile_ms));
    known_error(&mut out, report);
    objections(&mut out, report);
    out
}

fn candidates(out: &mut String, report: &Report<'_>) {
    if report.candidates.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "{:<18}{:>10}{:>12}{:>8}{:>12}{:>14}",
        "plan", "sequences", "ms for 256", "watts", "dispatches", "surfaces MiB"
    );
    for Candidate { name, sequences, outcome } in report.candidates {
        let _ = match outcome {
            Ok(choice) => writeln!(
                out,
                "{name:<18}{sequences:>10}{:>12.2}{:>8.2}{:>12}{:>14}",
                choice.prediction.ms_per_256_tokens(),
                choice.prediction.power.total_w(),
                choice.plan.dispatches(),
                choice.plan.surface_bytes() >> 20,
            ),
            Err(reason) => writeln!(out, "{name:<18}{sequences:>10}  {reason}"),
        };
    }
    out.push('\n');
}

fn kernels(out: &mut String, report: &Report<'_>) {
    let _ = writeln!(
        out,
        "{:<13}{:>4}{:>9} = {:>8}{:>9}{:>9}{:>8}{:>8}{:>10}{:>9}{:>9}{:>8}",
        "program",
        "runs",
        "ms each",
        "overhead",
        "products",
        "elements",
        "weights",
        "memory",
        "surfaces",
        "in KiB",
        "out KiB",
        "MFLOP"
    );
    for (kernel, priced) in report.plan.kernels.iter().zip(&report.step.kernels) {
        let p = &priced.price;
        let kib = |surfaces: &[Surface]| surfaces.iter().map(Surface::bytes).sum::<usize>() >> 10;
        let _ = writeln!(
            out,
            "{:<13}{:>4}{:>9.3} = {:>8.3}{:>9.3}{:>9.3}{:>8.3}{:>8.3}{:>10.3}{:>9}{:>9}{:>8.0}",
            kernel.name,
            priced.dispatches,
            p.total_ms(),
            p.overhead_ms,
            p.product_ms,
            p.elementwise_ms,
            p.weights_ms,
            p.activations_ms,
            priced.surfaces_ms,
            grouped(kib(&kernel.inputs) as u64),
            grouped(kib(&kernel.outputs) as u64),
            priced.work.flops() / 1e6,
        );
    }
    out.push_str("surfaces: the CPU's time for filling and reading them, before and after\n");
}

fn host(out: &mut String, report: &Report<'_>) {
    for (lane, what) in [(Lane::Cpu, "CPU"), (Lane::Worker, "CPU, beside")] {
        let works = report.step.timeline.by_label(lane);
        let works: Vec<_> = works.into_iter().map(|(work, ms)| format!("{work} {ms:.2}")).collect();
        let _ = writeln!(out, "{what}, ms of a micro-batch: {}", works.join(", "));
    }
}

/// The largest term that other code would replace.
fn update(out: &mut String, report: &Report<'_>) {
    let parameters = report.plan.model.parameters() as f64;
    let ns = report.costs.host.update_ns_per_param;
    let tuned = HostCosts::TUNED_ADAM_NS_PER_PARAM;
    let _ = writeln!(
        out,
        "an update: {:.1} ms of clip, Adam and staging, {ns} ns a parameter in one thread; of that, \
         Adam alone would take {:.1} ms at the {tuned} ns of a published trainer with three threads",
        parameters * ns / 1e6,
        parameters * tuned / 1e6,
    );
}

fn known_error(out: &mut String, report: &Report<'_>) {
    let device = report.priced_as;
    if report.costs.compared.is_empty() {
        let _ = writeln!(out, "\nnothing published of {device} says enough to check the clock");
        return;
    }
    let _ = writeln!(out, "\nthe clock of {device} beside what was published");
    for (what, known) in &report.costs.compared {
        let _ = writeln!(
            out,
            "  {what:<26}{:.1} % off, {:+.1} % in the mean of {}",
            known.mean_absolute_percent,
            known.mean_percent,
            count(known.rows, "measurement"),
        );
    }
}

fn objections(out: &mut String, report: &Report<'_>) {
    let broken = device::broken(report.objections);
    if broken.is_empty() {
        return;
    }
    let _ = writeln!(out, "\nwhat was reported of {} and may touch these programs", report.profile);
    for (rule, kernels) in broken {
        let (id, severity) = (rule.id, rule.severity);
        let _ = writeln!(
            out,
            "  {id} {severity}: {} ({}); {}",
            rule.summary,
            rule.scope,
            kernels.join(", ")
        );
    }
}

/// `1 sequence`, `2 sequences`, `2 micro-batches`.
fn count(n: usize, what: &str) -> String {
    let plural = if what.ends_with("ch") { "es" } else { "s" };
    format!("{} {what}{}", grouped(n as u64), if n == 1 { "" } else { plural })
}
