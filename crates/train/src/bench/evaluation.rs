//! Sliding-window evaluation of a stream of random tokens.

use aneal_golf::corpus::VAL_SHARD;
use aneal_golf::score::{Windows, score};
use aneal_golf::shard::{ShardWriter, Split, TokenStream, find_shards};
use aneal_golf::tokenizer::ByteTable;
use aneal_model::cpu::Cpu;
use aneal_model::{Backend, init};
use serde::Serialize;

use super::{SEED, Seconds, Subject, random_ids};
use crate::{Error, Result};

/// Evaluation as `aneal eval` does it, from a shard on disk.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Of the whole stream.
    pub seconds: Seconds,
    /// Scored targets a second.
    pub eval_tokens_per_s: f64,
    /// Targets that were scored.
    pub tokens: u64,
    /// Distance between windows.
    pub stride: usize,
}

/// Measures the evaluation of `tokens` targets in windows of the model's length.
///
/// # Errors
/// Sizes that cannot be; a temporary file that cannot be written.
pub fn evaluation(
    subject: &Subject,
    tokens: usize,
    stride: usize,
    bytes: &ByteTable,
) -> Result<Evaluation> {
    subject.validate()?;
    let folder = tempfile::tempdir().map_err(Error::io("make", &std::env::temp_dir()))?;
    let mut shard = ShardWriter::create(&folder.path().join(VAL_SHARD), subject.model.vocab_size)?;
    // Ids of a shard are 16 bits wide.
    shard.write(&random_ids(tokens + 1, subject.model.vocab_size.min(1 << 16)))?;
    shard.finish()?;
    let stream =
        TokenStream::open(&find_shards(folder.path(), Split::Val)?, subject.model.vocab_size)?;
    let mut cpu = Cpu::new(&subject.model, subject.precision)?;
    cpu.stage(&init(&subject.model, SEED))?;
    let windows = Windows { seq_len: subject.model.seq_len, stride, max_tokens: None };
    let mut scored = 0;
    let seconds = subject.time(|| {
        scored = score(&mut cpu, &stream, bytes, windows, &mut |_, _| {})?.tokens;
        Ok(())
    })?;
    let eval_tokens_per_s = scored as f64 / seconds.median;
    Ok(Evaluation { seconds, eval_tokens_per_s, tokens: scored, stride })
}
