//! Everything that determines a run, as written in TOML and saved with the run.
//!
//! Layers are merged as tables before anything is checked: a preset, then a file, then the
//! environment, then flags ([`Layers`]). What comes out is complete, so that the saved `config.toml`
//! needs no defaults of a later version.

use aneal_model::{ModelConfig, Precision, Sampling};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod backend;
mod layers;
mod preset;

pub use backend::{BackendConfig, EmulatedArithmetic, EmulatorConfig};
pub use layers::Layers;
pub use preset::{PRESETS, preset};

/// A complete run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// What the run folder is named after.
    pub name: String,
    /// Decides initial weights, data order and samples.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// What gradients are multiplied by inside the backward pass, at first. Absent means 1, or what
    /// fp16 needs on an engine that computes in it.
    #[serde(default = "default_loss_scale")]
    pub loss_scale: f32,
    /// Updates without overflow after which the loss scale is doubled; 0 means never. Absent means 0,
    /// or beside an absent `loss_scale` on an engine that computes in fp16 1000.
    #[serde(default)]
    pub loss_scale_growth: u64,
    /// Type of the operands of matrix multiplies; absent means the machine's best. The saved
    /// configuration names it, so that a run goes on as it began.
    #[serde(default = "Precision::best")]
    pub precision: Precision,
    /// What computes.
    #[serde(default)]
    pub backend: BackendConfig,
    /// The shape of the model.
    pub model: ModelConfig,
    /// What is read.
    #[serde(default)]
    pub data: DataConfig,
    /// How much is read for an update.
    pub batch: BatchConfig,
    /// How weights change.
    pub optimizer: OptimizerConfig,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: ScheduleConfig,
    /// When the run is over.
    pub stop: StopConfig,
    /// Validation during training.
    #[serde(default)]
    pub eval: EvalConfig,
    /// Text samples during and after training.
    #[serde(default)]
    pub sample: SampleConfig,
    /// Checkpoints.
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// The packed artifact.
    #[serde(default)]
    pub artifact: ArtifactConfig,
    /// Updates between two lines of the log, after the first ten; 0 logs no more but the last.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
}

fn default_seed() -> u64 {
    1337
}

fn default_loss_scale() -> f32 {
    1.0
}

fn default_log_every() -> u64 {
    10
}

/// `[data]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// Folder with training and validation shards. Without it and without `text`: the built-in
    /// corpus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<std::path::PathBuf>,
    /// Text files that are tokenized into the run folder; the last documents are held out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub text: Vec<std::path::PathBuf>,
    /// What separates the documents of a text file.
    pub separator: aneal_golf::documents::DocumentSeparator,
    /// SentencePiece model. Without it: the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<std::path::PathBuf>,
    /// Order of the training sequences.
    pub sampler: SamplerKind,
}

/// Where the next training sequence is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplerKind {
    /// The challenge's: spans of the token stream one after another, wrapping at the end.
    #[default]
    Stream,
    /// PR #801's: every sequence starts at a uniformly random place.
    Uniform,
}

/// `[batch]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchConfig {
    /// Tokens an update learns from.
    pub tokens: usize,
    /// Tokens of a training sequence; absent means the model's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq_len: Option<usize>,
    /// Spans of the stream an update is made of. Memory does not depend on it.
    #[serde(default = "default_grad_accum")]
    pub grad_accum: usize,
}

fn default_grad_accum() -> usize {
    1
}

/// Most tokens of an update: as ids they take 256 MiB.
const MAX_BATCH_TOKENS: usize = 1 << 26;

/// `[optimizer]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum OptimizerConfig {
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW(AdamWConfig),
}

/// `[optimizer]` with `kind = "adamw"`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdamWConfig {
    /// Peak learning rate.
    pub lr: f32,
    /// Peak learning rate of the embedding; absent means `lr`. Rows of rare tokens see few gradients,
    /// so short runs gain from a higher one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_lr: Option<f32>,
    /// Decay of the first moment.
    #[serde(default = "default_beta1")]
    pub beta1: f32,
    /// Decay of the second moment.
    #[serde(default = "default_beta2")]
    pub beta2: f32,
    /// Added to the root of the second moment.
    #[serde(default = "default_adam_eps")]
    pub eps: f32,
    /// Decoupled decay of matrices; norm gains do not decay.
    #[serde(default = "default_weight_decay")]
    pub weight_decay: f32,
    /// Largest global gradient norm; 0 turns clipping off.
    #[serde(default = "default_grad_clip")]
    pub grad_clip: f32,
}

impl AdamWConfig {
    /// The usual values beside a learning rate.
    pub fn with_lr(lr: f32) -> Self {
        Self {
            lr,
            embedding_lr: None,
            beta1: default_beta1(),
            beta2: default_beta2(),
            eps: default_adam_eps(),
            weight_decay: default_weight_decay(),
            grad_clip: default_grad_clip(),
        }
    }
}

fn default_beta1() -> f32 {
    0.9
}

fn default_beta2() -> f32 {
    0.95
}

fn default_adam_eps() -> f32 {
    1e-8
}

fn default_weight_decay() -> f32 {
    0.1
}

fn default_grad_clip() -> f32 {
    1.0
}

/// `[schedule]`: the learning rate as a share of its peak, over the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleConfig {
    /// Share of the run over which the rate rises linearly from 0.
    pub warmup: f64,
    /// How it falls over the rest.
    pub decay: Decay,
    /// Where it ends, as a share of the peak.
    pub final_lr: f64,
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self { warmup: 0.05, decay: Decay::Cosine, final_lr: 0.1 }
    }
}

/// The fall of the learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Half a cosine.
    Cosine,
    /// A straight line.
    Linear,
    /// None.
    Constant,
}

/// `[stop]`: the run ends at the first limit reached. At least one is needed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopConfig {
    /// Updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Training tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Seconds spent in updates (validation and checkpoints do not count). If it is the only limit,
    /// the learning rate follows the clock, and the run is not reproducible to the bit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// `[eval]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvalConfig {
    /// Updates between validations; 0 validates only before and after training.
    pub every: u64,
    /// Targets scored a window during training; absent means disjoint windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Only the first so many targets; absent means all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
}

/// `[sample]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SampleConfig {
    /// Updates between samples; 0 samples only after training.
    pub every: u64,
    /// What the sample continues.
    pub prompt: String,
    /// Tokens generated; 0 turns samples off.
    pub max_tokens: usize,
    /// How tokens are drawn.
    pub sampling: Sampling,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self { every: 0, prompt: "The".to_owned(), max_tokens: 120, sampling: Sampling::default() }
    }
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Updates between checkpoints; 0 saves only the best, the last, and on interruption.
    pub every: u64,
    /// Newest checkpoints kept; the best is kept beside them.
    pub keep: usize,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self { every: 100, keep: 2 }
    }
}

/// `[artifact]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArtifactConfig {
    /// How weights are quantised.
    pub scheme: aneal_golf::quantize::QuantScheme,
}

impl RunConfig {
    /// Tokens of a training sequence.
    pub fn seq_len(&self) -> usize {
        self.batch.seq_len.unwrap_or(self.model.seq_len)
    }

    /// Sequences in one span of the stream; `grad_accum` of them make an update.
    pub fn sequences_per_span(&self) -> usize {
        self.batch.tokens / self.batch.grad_accum / self.seq_len()
    }

    /// Updates after which the step or token limit ends the run, if there is one.
    pub fn total_steps(&self) -> Option<u64> {
        let by_tokens = self.stop.tokens.map(|tokens| tokens.div_ceil(self.batch.tokens as u64));
        [self.stop.steps, by_tokens].into_iter().flatten().min()
    }

    /// The settings of the optimiser, of which there is one kind so far.
    pub fn adamw(&self) -> &AdamWConfig {
        let OptimizerConfig::AdamW(adamw) = &self.optimizer;
        adamw
    }

    /// Accepts the configuration or says what is wrong with it.
    ///
    /// # Errors
    /// [`Error::Config`] or the model's own.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        self.sample.sampling.validate()?;
        let refuse = |reason: String| Err(Error::Config(reason));
        let seq_len = self.seq_len();
        if seq_len == 0 || seq_len > self.model.seq_len {
            let limit = self.model.seq_len;
            return refuse(format!(
                "batch.seq_len = {seq_len} must be from 1 to {limit}, the model's"
            ));
        }
        let span = seq_len.saturating_mul(self.batch.grad_accum);
        if self.batch.tokens > MAX_BATCH_TOKENS {
            let found = self.batch.tokens;
            return refuse(format!("batch.tokens = {found} must be at most {MAX_BATCH_TOKENS}"));
        }
        if span == 0 || self.batch.tokens == 0 || !self.batch.tokens.is_multiple_of(span) {
            return refuse(format!(
                "batch.tokens = {} must be a multiple of batch.grad_accum x seq_len = {} x {seq_len}",
                self.batch.tokens, self.batch.grad_accum
            ));
        }
        if self.total_steps().is_none() && self.stop.seconds.is_none() {
            return refuse("no end: set stop.steps, stop.tokens or stop.seconds".to_owned());
        }
        if self.total_steps() == Some(0) {
            return refuse("stop.steps and stop.tokens must be at least 1".to_owned());
        }
        let adamw = self.adamw();
        let positive = |v: f32| v.is_finite() && v > 0.0;
        let share = |v: f64| (0.0..=1.0).contains(&v);
        let rules = [
            ("optimizer.lr must be positive", positive(adamw.lr)),
            ("optimizer.embedding_lr must be positive", adamw.embedding_lr.is_none_or(positive)),
            ("optimizer.beta1 must be from 0 to below 1", (0.0..1.0).contains(&adamw.beta1)),
            ("optimizer.beta2 must be from 0 to below 1", (0.0..1.0).contains(&adamw.beta2)),
            ("optimizer.eps must be positive", positive(adamw.eps)),
            ("optimizer.weight_decay must be 0 or more", adamw.weight_decay >= 0.0),
            ("optimizer.grad_clip must be 0 or more", adamw.grad_clip >= 0.0),
            ("loss_scale must be positive", positive(self.loss_scale)),
            ("schedule.warmup must be from 0 to 1", share(self.schedule.warmup)),
            ("schedule.final_lr must be from 0 to 1", share(self.schedule.final_lr)),
            ("stop.seconds must be positive", self.stop.seconds.is_none_or(|s| s > 0.0)),
            (
                "eval.stride must be from 1 to batch.seq_len",
                self.eval.stride.is_none_or(|stride| (1..=seq_len).contains(&stride)),
            ),
            (
                "eval.max_tokens must be at least batch.seq_len",
                self.eval.max_tokens.is_none_or(|tokens| tokens >= seq_len as u64),
            ),
            ("checkpoint.keep must be at least 1", self.checkpoint.keep > 0),
            (
                "data.path and data.text exclude each other",
                self.data.path.is_none() || self.data.text.is_empty(),
            ),
        ];
        match rules.iter().find(|(_, holds)| !holds) {
            Some((rule, _)) => refuse((*rule).to_owned()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_cannot_be_and_names_it() {
        let good = Layers::preset("quickstart").unwrap().resolve().unwrap();
        type Edit = fn(&mut RunConfig);
        let cases: [(&str, Edit); 10] = [
            ("model.layers", |c| c.model.layers = 0),
            ("model.kv_heads", |c| c.model.kv_heads = 3),
            ("batch.seq_len", |c| c.batch.seq_len = Some(100_000)),
            ("batch.tokens", |c| c.batch.tokens += 1),
            ("no end", |c| c.stop = StopConfig::default()),
            ("stop.steps", |c| c.stop.steps = Some(0)),
            ("optimizer.lr", |c| {
                let OptimizerConfig::AdamW(adamw) = &mut c.optimizer;
                adamw.lr = f32::NAN;
            }),
            ("schedule.warmup", |c| c.schedule.warmup = 1.5),
            ("temperature", |c| c.sample.sampling.temperature = -1.0),
            ("data.path", |c| {
                c.data.path = Some("a".into());
                c.data.text = vec!["b".into()];
            }),
        ];
        for (expected, edit) in cases {
            let mut config = good.clone();
            edit(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
            assert!(error.is_usage(), "{error}");
        }
    }
}
