//! Published measurements, and what the clock predicts for those that say what was run.

use std::path::{Path, PathBuf};

use aneal_ane::clock::{Costs, Lane, OpWork, State, Usage, Work};

use crate::ten_kernel::Transformer;

/// A line of the file, by column.
pub(crate) struct Row(Vec<(String, String)>);

/// A measurement beside its prediction.
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) device: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) published: f64,
    pub(crate) predicted: f64,
}

impl Check {
    /// On one line.
    pub(crate) fn describe(&self) -> String {
        format!(
            "{:6} {:8} {:14} {:50.50} published {:10.4} {unit}, predicted {:10.4} {unit}, {:+6.1} %",
            self.id,
            self.device,
            self.kind,
            self.what,
            self.published,
            self.predicted,
            100.0 * self.error(),
            unit = self.unit,
        )
    }

    /// Relative; positive where the clock is too high.
    pub(crate) fn error(&self) -> f64 {
        self.predicted / self.published - 1.0
    }
}

/// All lines, if this machine has the file.
pub(crate) fn load() -> Option<Vec<Row>> {
    let root = std::env::var_os("ANEAL_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let path = root.join("facts/ane-perf-calibration.csv");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!(
            "skipped: {} is absent (set ANEAL_SHARED to its folder's parent)",
            path.display()
        );
        return None;
    };
    let mut lines = text.lines().map(fields);
    let header = lines.next()?;
    Some(lines.map(|line| Row(header.iter().cloned().zip(line).collect())).collect())
}

/// Fields of a line; quotes keep commas together.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

impl Row {
    fn get(&self, column: &str) -> &str {
        self.0.iter().find(|(name, _)| name == column).map_or("", |(_, value)| value)
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.get(column).trim_start_matches('~').parse().ok()
    }

    fn count(&self, column: &str) -> Option<u64> {
        self.get(column).parse().ok()
    }

    fn device(&self) -> Option<&'static str> {
        let chip = self.get("chip");
        let known = [
            ("M3 Pro", "m3-pro"),
            ("M4 Pro", "m4-pro"),
            ("M4 Max", "m4-max"),
            ("M4", "m4"),
            ("M6", "m6"),
        ];
        known.iter().find(|(prefix, _)| chip.starts_with(prefix)).map(|(_, device)| *device)
    }

    /// The number after a prefix in the description: `sp64` gives 64 for `sp`.
    fn after(&self, prefix: &str) -> Option<u64> {
        let text = self.get("shape_other");
        text.split([' ', ',']).find_map(|word| word.strip_prefix(prefix)?.parse().ok())
    }

    /// Inputs and outputs of `768->2048`.
    fn channels(&self) -> Option<(u64, u64)> {
        let text = format!("{} {}", self.get("model_op"), self.get("shape_other"));
        let word = text.split(' ').find(|word| word.contains("->"))?;
        let (from, to) = word.split_once("->")?;
        Some((from.parse().ok()?, to.parse().ok()?))
    }

    fn milliseconds(&self) -> Option<f64> {
        let scale = match self.get("unit") {
            "ms" => 1.0,
            "us" => 1e-3,
            "s" => 1e3,
            _ => return None,
        };
        Some(self.number("value")? * scale)
    }

    fn check(
        &self,
        kind: &'static str,
        unit: &'static str,
        published: f64,
        predicted: f64,
    ) -> Check {
        let what = format!("{} {}", self.get("model_op"), self.get("shape_other"));
        let device = self.device().unwrap_or("?");
        Check { id: self.get("id").to_owned(), device, kind, what, unit, published, predicted }
    }
}

/// A prediction for every line that says enough of what was run.
pub(crate) fn checks(rows: &[Row]) -> Vec<Check> {
    rows.iter().flat_map(|row| of(row).unwrap_or_default()).collect()
}

fn of(row: &Row) -> Option<Vec<Check>> {
    let costs = Costs::of(row.device()?).ok()?;
    match row.get("kind") {
        "step" => step(row, &costs),
        "power" => power(row, &costs),
        "compile" => compile(row, &costs).map(|check| vec![check]),
        "kernel" | "dispatch" => kernel(row, &costs).map(|check| vec![check]),
        _ => None,
    }
}

/// 1x1 convolutions one after the other. The weights of chains stay where they are: the rates
/// published for them are above what any of these chips streams.
fn chain(layers: u64, from: u64, to: u64, m: u64, streamed: bool) -> Work {
    let weight_bytes = if streamed { 2 * from * to } else { 0 };
    let op = OpWork::Conv { groups: 1, m, k: from, n: to, weight_bytes };
    let ops = (0..layers).map(|_| op).collect();
    Work { input_bytes: 2 * m * from, output_bytes: 2 * m * to, ops }
}

/// A product of two inputs.
fn product(m: u64, k: u64, n: u64) -> Work {
    let ops = vec![OpWork::MatMul { groups: 1, m, k, n }];
    Work { input_bytes: 2 * (m * k + k * n), output_bytes: 2 * m * n, ops }
}

fn kernel(row: &Row, costs: &Costs) -> Option<Check> {
    let queued = State { queued: true, clock: 1.0 };
    let op = row.get("model_op");
    let (kind, work) = match op {
        "stacked 1x1 conv" => {
            let (depth, channels) = (row.after("depth")?, row.after("ch")?);
            ("conv chain", chain(depth, channels, channels, row.after("sp")?, false))
        }
        "1x1 conv const weights" => {
            let (from, to) = row.channels()?;
            let columns = row.after("sp")?;
            // A single column is another regime: M3 Pro answers sooner than it wakes otherwise.
            let kind = if columns == 1 { "conv, 1 column" } else { "conv" };
            (kind, chain(1, from, to, columns, true))
        }
        "single 1x1 conv ch=ch" => {
            let channels = row.after("ch")?;
            ("conv", chain(1, channels, channels, row.after("sp")?, true))
        }
        "ANE GEMM" => {
            let n = row.after("N=")?;
            ("matmul", product(n, n, n))
        }
        "1x1 conv layer marginal" => {
            let n = row.count("dim")?;
            let price = costs.dispatch(&chain(1, n, n, 128, false), &queued);
            return Some(row.check("layer", "ms", row.milliseconds()?, price.product_ms));
        }
        "elementwise task, two fused unary ops" | "elementwise x+y" => {
            let elements = row.get("shape_other").split(' ').next()?.parse().ok()?;
            let ops = vec![OpWork::Elementwise { elements, passes: 2 }];
            let price = costs.dispatch(&Work { ops, ..Work::default() }, &queued);
            return Some(row.check("elementwise", "ms", row.milliseconds()?, price.elementwise_ms));
        }
        _ if op.starts_with("dynamic matmul") => {
            let (from, to) = row.channels()?;
            let s = 512;
            ("matmul", product(s, from, to))
        }
        _ if op.starts_with("1x1 conv chain") => {
            let channels = if op.contains("1024ch") { 1024 } else { 512 };
            ("conv chain", chain(row.count("layers")?, channels, channels, 128, false))
        }
        _ if op.starts_with("128 tiny") => ("dispatch", chain(128, 32, 32, 32, false)),
        _ if op.starts_with("384-layer") => return governed(row, costs),
        _ => return None,
    };
    let price = costs.dispatch(&work, &queued).total_ms();
    if row.get("metric") == "throughput" {
        let published = work.flops() / row.number("value")? / 1e9;
        return Some(row.check(kind, "ms", published, price));
    }
    Some(row.check(kind, "ms", row.milliseconds()?, price))
}

/// Calls with the host asleep between them: the clock falls.
fn governed(row: &Row, costs: &Costs) -> Option<Check> {
    let sleep_ms = row.get("shape_other").split(' ').nth(1)?.parse::<f64>().ok()? / 1e3;
    let work = chain(384, 512, 512, 128, false);
    let full = costs.dispatch(&work, &State::default());
    let clock = costs.clock_ratio(full.engine_ms(), full.overhead_ms + sleep_ms);
    let predicted = costs.dispatch(&work, &State { queued: true, clock }).total_ms();
    Some(row.check("governor", "ms", row.milliseconds()?, predicted))
}

/// Rails under load, at the rate that was reached.
fn power(row: &Row, costs: &Costs) -> Option<Vec<Check>> {
    let text = row.get("shape_other");
    let gflops: f64 = text.split(" at ").nth(1)?.split(' ').next()?.parse().ok()?;
    let usage = Usage { wall_ms: 1e3, flops: gflops * 1e9, bytes: 0.0, clock: 1.0, cpu_share: 0.0 };
    let watts = costs.power(&usage).ane_w;
    let mut checks = vec![row.check("power", "W", row.number("value")?, watts)];
    // Where no latency is published, the rate is one.
    if row.device() == Some("m4-pro")
        && let Some(n) = row.after("N=")
    {
        let work = product(n, n, n);
        let price = costs.dispatch(&work, &State { queued: true, clock: 1.0 });
        let published = work.flops() / gflops / 1e6;
        checks.push(row.check("matmul", "ms", published, price.total_ms()));
    }
    Some(checks)
}

fn compile(row: &Row, costs: &Costs) -> Option<Check> {
    if row.get("metric") != "compile" {
        return None; // loads wait for a service as well
    }
    let ops = row.count("layers")? as usize;
    let elementwise = if row.get("model_op").starts_with("elementwise") { ops } else { 0 };
    Some(row.check("compile", "ms", row.milliseconds()?, costs.compile_ms(ops, elementwise)))
}

fn step(row: &Row, costs: &Costs) -> Option<Vec<Check>> {
    // Tokens that occur, where the notes say so: "compacted vocab 9205", "compacted to 8144".
    let words: Vec<_> = row.get("notes").split([' ', ';', ',']).collect();
    let occurring = words.windows(3).find_map(|w| match w {
        ["compacted", "vocab" | "to", count] => count.parse().ok(),
        _ => None,
    });
    let model = Transformer {
        layers: row.count("layers")?,
        dim: row.count("dim")?,
        hidden: row.count("hidden")?,
        heads: row.count("heads")?,
        kv_heads: row.count("kv_heads")?,
        head_dim: row.count("head_dim")?,
        seq: row.count("seq")?,
        vocab: occurring.or(row.count("vocab"))?,
    };
    let step = model.step(costs);
    let part = |name: &str| {
        let parts = row.get("breakdown").split(';').filter_map(|part| part.split_once('='));
        parts.into_iter().find(|(n, _)| *n == name).and_then(|(_, ms)| ms.parse::<f64>().ok())
    };
    let engine = part("ane_fwd")? + part("ane_bwd")?;
    Some(vec![
        row.check("step", "ms", row.milliseconds()?, step.total_ms()),
        row.check("step, engine", "ms", engine, step.busy_ms(Lane::Ane)),
    ])
}
