//! Speed on this machine: its arithmetic, the products of a model, a step, an update, evaluation.
//!
//! Everything runs on random tokens, whose values do not change how long anything takes. A figure is
//! the median of several repetitions after one that does not count; the spread is kept beside it.

use std::time::{Duration, Instant};

use aneal_kernels::matmul::Kernel;
use aneal_kernels::{Element, bf16, peak_flops};
use aneal_model::philox::{Philox, Stream};
use aneal_model::{Batch, ModelConfig, Precision};
use serde::Serialize;

use crate::{Error, Result};

mod evaluation;
mod products;
mod step;

pub use evaluation::{Evaluation, evaluation};
pub use products::{Product, products, total_gflops};
pub use step::{OpTime, Step, Update, step, update};

/// Decides tokens and operands.
const SEED: u64 = 1;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model.
    pub model: ModelConfig,
    /// Type of operands.
    pub precision: Precision,
    /// Tokens of an update; whole sequences of the model's length.
    pub batch_tokens: usize,
    /// Repetitions that count.
    pub repeats: usize,
}

impl Subject {
    /// Accepts the sizes or says what is wrong with them.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        let (tokens, seq_len) = (self.batch_tokens, self.model.seq_len);
        if tokens == 0 || !tokens.is_multiple_of(seq_len) {
            let reason = format!("{tokens} tokens a batch are not whole sequences of {seq_len}");
            return Err(Error::Config(reason));
        }
        if self.repeats == 0 {
            return Err(Error::Config("0 repetitions measure nothing".to_owned()));
        }
        Ok(())
    }

    /// A batch of random tokens.
    fn batch(&self) -> Result<Batch> {
        let seq_len = self.model.seq_len;
        let ids = random_ids(self.batch_tokens / seq_len * (seq_len + 1), self.model.vocab_size);
        Ok(Batch::new(ids, seq_len)?)
    }

    /// Median and extremes of the seconds that `work` takes.
    fn time(&self, mut work: impl FnMut() -> Result<()>) -> Result<Seconds> {
        work()?;
        let mut all = Vec::with_capacity(self.repeats);
        for _ in 0..self.repeats {
            let start = Instant::now();
            work()?;
            all.push(start.elapsed().as_secs_f64());
        }
        Ok(Seconds::of(all))
    }
}

fn random_ids(n: usize, vocab_size: usize) -> Vec<u32> {
    let random = Philox::new(SEED, Stream::Data);
    (0..n as u64).map(|i| random.below(i, vocab_size as u64) as u32).collect()
}

/// Repeated measurements of one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seconds {
    /// The middle one; of an even number the lower of the two.
    pub median: f64,
    /// The shortest.
    pub min: f64,
    /// The longest.
    pub max: f64,
}

impl Seconds {
    /// Of at least one measurement.
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |i: usize| all.get(i).copied().unwrap_or(f64::NAN);
        let last = all.len().saturating_sub(1);
        Self { median: at(last / 2), min: at(0), max: at(last) }
    }
}

/// The most that the arithmetic of this machine gives, on all threads.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Peak {
    /// Products of bf16 pairs summed in f32, 10^9 multiplications and additions a second.
    pub peak_bf16_gflops: f64,
    /// Products of f32, likewise.
    pub peak_f32_gflops: f64,
}

impl Peak {
    /// Measures both in turn, several times, and keeps the best of each.
    pub fn measure() -> Self {
        let mut peak = Self { peak_bf16_gflops: 0.0, peak_f32_gflops: 0.0 };
        for _ in 0..5 {
            peak.peak_bf16_gflops = peak.peak_bf16_gflops.max(gflops::<bf16>());
            peak.peak_f32_gflops = peak.peak_f32_gflops.max(gflops::<f32>());
        }
        peak
    }

    /// That of a type of operands.
    pub fn of(&self, precision: Precision) -> f64 {
        match precision {
            Precision::Bf16 => self.peak_bf16_gflops,
            Precision::F32 => self.peak_f32_gflops,
        }
    }
}

fn gflops<E: Element>() -> f64 {
    peak_flops(Kernel::<E>::best(), Duration::from_millis(100)) / 1e9
}

/// Threads that share the work.
pub fn threads() -> usize {
    aneal_kernels::threads()
}

/// The micro-kernels in use, one line each.
pub fn kernels() -> Vec<String> {
    vec![Kernel::<bf16>::best().name(), Kernel::<f32>::best().name()]
}

/// The most memory that this process ever had in use, in bytes, where the system tells.
pub fn peak_resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_measurement() {
        let seconds = Seconds::of(vec![3.0, 1.0, 2.0]);
        assert_eq!(seconds, Seconds { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Seconds::of(vec![4.0, 2.0]).median, 2.0);
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let model = ModelConfig::preset("quickstart").unwrap();
        let good = Subject { model, precision: Precision::F32, batch_tokens: 512, repeats: 1 };
        good.validate().unwrap();
        let refused = |subject: Subject| subject.validate().unwrap_err().to_string();
        assert!(refused(Subject { batch_tokens: 500, ..good.clone() }).contains("256"));
        assert!(refused(Subject { repeats: 0, ..good }).contains("repetitions"));
    }
}
