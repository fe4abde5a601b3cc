//! `aneal bench`

use aneal_golf::tokenizer::{ByteTable, Tokenizer};
use aneal_model::ModelConfig;
use aneal_train::bench::{self, Evaluation, Peak, Product, Step, Subject, Update};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use crate::output::{grouped, note, print, result};
use crate::precision::PrecisionArg;
use crate::{Done, built_in};

/// Flags of `aneal bench`.
#[derive(Debug, Parser)]
pub(crate) struct Args {
    /// Shape of the model: quickstart, golfwide, stories110m, qwen3-0.6b
    #[arg(long, value_name = "NAME", default_value = "golfwide")]
    preset: String,
    /// Measure only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,
    /// Number type of matrix operands
    #[arg(long, value_enum, default_value_t)]
    precision: PrecisionArg,
    /// Tokens of an update
    #[arg(long, value_name = "N", default_value_t = 5120)]
    batch_tokens: usize,
    /// Repetitions of each measurement, after one that does not count
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: usize,
    /// Targets that evaluation scores
    #[arg(long, value_name = "N", default_value_t = 131_072)]
    eval_tokens: usize,
    /// Distance between the windows of evaluation
    #[arg(long, value_name = "N", default_value_t = 64)]
    stride: usize,
    /// Print the kernels that this machine uses, and measure nothing
    #[arg(long)]
    kernels: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The machine's arithmetic
    Peak,
    /// Matrix products of the model alone
    Products,
    /// Forward and backward, operation by operation
    Step,
    /// A step, clipping and the optimiser
    Update,
    /// Sliding-window evaluation
    Eval,
}

pub(crate) fn run(args: &Args, json: bool) -> anyhow::Result<Done> {
    if args.kernels {
        let kernels = bench::kernels();
        result(json, &json!({ "kernels": kernels }), || kernels.join("\n"))?;
        return Ok(Done::Finished);
    }
    let subject = Subject {
        model: ModelConfig::preset(&args.preset)?,
        precision: args.precision.resolve(),
        batch_tokens: args.batch_tokens,
        repeats: args.repeats,
    };
    subject.validate()?;
    let wants = |part| args.only.is_empty() || args.only.contains(&part);
    note(&format!(
        "{}, {}, {} threads, kernels {}",
        args.preset,
        subject.precision.name(),
        bench::threads(),
        bench::kernels().join(" and "),
    ));
    let mut report = Report { json, object: json!({}), peak: None };
    report.object["precision"] = json!(subject.precision);
    report.object["threads"] = json!(bench::threads());
    report.object["kernels"] = json!(bench::kernels());
    // Shares are of the peak in the same run, so whatever has a share measures it.
    if wants(Part::Peak) || wants(Part::Products) || wants(Part::Step) || wants(Part::Update) {
        let peak = Peak::measure();
        report.peak(&peak, subject.precision.name(), peak.of(subject.precision))?;
    }
    if wants(Part::Products) {
        report.products(&bench::products(&subject))?;
    }
    if wants(Part::Step) {
        report.step(&bench::step(&subject)?)?;
    }
    if wants(Part::Update) {
        report.update(&bench::update(&subject)?)?;
    }
    if wants(Part::Eval) {
        let tokenizer = Tokenizer::from_bytes(built_in::assets().tokenizer)?;
        let bytes = ByteTable::new(&tokenizer, subject.model.vocab_size)?;
        report.evaluation(&bench::evaluation(&subject, args.eval_tokens, args.stride, &bytes)?)?;
    }
    report.end()?;
    Ok(Done::Finished)
}

/// Rows for people as they come, or one object at the end.
struct Report {
    json: bool,
    object: Value,
    /// 10^9 multiplications and additions a second, of the operands in use.
    peak: Option<f64>,
}

impl Report {
    fn row(&self, text: &str) -> anyhow::Result<()> {
        if self.json { Ok(()) } else { print(&format!("{text}\n")) }
    }

    /// A speed and its share of the peak.
    fn share(&self, gflops: f64) -> String {
        let share = self.peak.map(|peak| format!(" {:5.1} %", 100.0 * gflops / peak));
        format!("{gflops:7.1} GFLOP/s{}", share.unwrap_or_default())
    }

    fn peak(&mut self, peak: &Peak, precision: &str, used: f64) -> anyhow::Result<()> {
        self.peak = Some(used);
        self.object["peak_bf16_gflops"] = json!(peak.peak_bf16_gflops);
        self.object["peak_f32_gflops"] = json!(peak.peak_f32_gflops);
        let (bf16, f32) = (peak.peak_bf16_gflops, peak.peak_f32_gflops);
        self.row("arithmetic, on registers alone")?;
        self.row(&format!("  bf16 dot products            {bf16:8.1} GFLOP/s"))?;
        self.row(&format!("  f32 multiply-adds            {f32:8.1} GFLOP/s"))?;
        self.row(&format!("  shares below are of {precision}"))
    }

    fn products(&mut self, products: &[Product]) -> anyhow::Result<()> {
        let total = bench::total_gflops(products);
        self.object["products_gflops"] = json!(total);
        self.object["products_share_of_peak"] = json!(self.peak.map(|peak| total / peak));
        self.object["products"] = json!(products);
        self.row("matrix products alone")?;
        for p in products {
            let sizes = format!("[{}, {}] x [{}, {}]", p.m, p.k, p.k, p.n);
            let speed = self.share(p.gflops());
            self.row(&format!("  {:<20}{sizes:<28}{speed}", p.name))?;
        }
        let speed = self.share(total);
        self.row(&format!("  {:<48}{speed}", "all, as often as a step has them"))
    }

    fn step(&mut self, step: &Step) -> anyhow::Result<()> {
        let share = self.peak.map(|peak| step.train_step_gflops / peak);
        self.object["train_step_tokens_per_s"] = json!(step.train_step_tokens_per_s);
        self.object["train_step_gflops"] = json!(step.train_step_gflops);
        self.object["train_step_share_of_peak"] = json!(share);
        self.object["train_step_seconds"] = json!(step.seconds);
        self.object["train_step_ops"] = json!(step.ops);
        let (speed, rate) = (self.share(step.train_step_gflops), step.train_step_tokens_per_s);
        self.row("step: forward and backward")?;
        self.row(&format!("  {rate:8.0} tokens/s {:>31}{speed}", ""))?;
        for op in &step.ops {
            let (ms, share) = (1e3 * op.seconds, 100.0 * op.share);
            let speed = op.gflops.map(|gflops| self.share(gflops)).unwrap_or_default();
            self.row(&format!("  {:<30}{ms:8.1} ms {share:5.1} %  {speed}", op.op))?;
        }
        Ok(())
    }

    fn update(&mut self, update: &Update) -> anyhow::Result<()> {
        let share = self.peak.map(|peak| update.train_update_gflops / peak);
        let memory = bench::peak_resident_bytes();
        self.object["train_update_tokens_per_s"] = json!(update.train_update_tokens_per_s);
        self.object["train_update_gflops"] = json!(update.train_update_gflops);
        self.object["train_update_share_of_peak"] = json!(share);
        self.object["train_update_seconds"] = json!(update.seconds);
        self.object["optimizer_share"] = json!(update.optimizer_share);
        self.object["staging_share"] = json!(update.staging_share);
        self.object["joules_per_update"] = json!(update.joules_per_update);
        self.object["peak_resident_bytes"] = json!(memory);
        let (speed, rate) =
            (self.share(update.train_update_gflops), update.train_update_tokens_per_s);
        self.row("update: a step, clipping, AdamW, packing of the new weights")?;
        self.row(&format!("  {rate:8.0} tokens/s {:>31}{speed}", ""))?;
        let (optimizer, staging) = (100.0 * update.optimizer_share, 100.0 * update.staging_share);
        self.row(&format!("  clearing, norm and AdamW {optimizer:.1} %, packing {staging:.1} %"))?;
        match update.joules_per_update {
            Some(joules) => self.row(&format!("  {joules:.1} J"))?,
            None => self.row("  energy: no counter that can be read")?,
        }
        match memory {
            Some(bytes) => self.row(&format!("  most memory in use {} MiB", bytes >> 20)),
            None => Ok(()),
        }
    }

    fn evaluation(&mut self, evaluation: &Evaluation) -> anyhow::Result<()> {
        self.object["eval_tokens_per_s"] = json!(evaluation.eval_tokens_per_s);
        self.object["eval_seconds"] = json!(evaluation.seconds);
        self.object["eval_tokens"] = json!(evaluation.tokens);
        self.object["eval_stride"] = json!(evaluation.stride);
        let (rate, stride) = (evaluation.eval_tokens_per_s, evaluation.stride);
        let tokens = grouped(evaluation.tokens);
        self.row(&format!("evaluation of {tokens} targets at stride {stride}"))?;
        self.row(&format!("  {rate:8.0} targets/s"))
    }

    fn end(self) -> anyhow::Result<()> {
        if self.json { result(true, &self.object, String::new) } else { Ok(()) }
    }
}
