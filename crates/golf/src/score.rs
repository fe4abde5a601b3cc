//! Bits per byte of a model on a token stream, as the challenge defines it.
//!
//! val_bpb = val_loss / ln 2 * tokens / bytes, where val_loss is the mean loss in nats of the scored
//! targets and bytes is what those targets are worth in the tokenizer's [`ByteTable`]. Sums are f64,
//! memory does not grow with the stream.

use aneal_model::{Backend, Batch};

use crate::shard::TokenStream;
use crate::tokenizer::ByteTable;
use crate::{Error, Result};

/// Tokens given to the backend at once, at least one window.
const BATCH_TOKENS: usize = 4096;

/// Which targets are scored, and how much they see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Tokens of context a window has.
    pub seq_len: usize,
    /// Distance between windows. With `stride == seq_len` windows are disjoint and targets behind
    /// the last whole window are dropped, as the reference evaluation does. With a smaller stride
    /// every target is scored exactly once: the first window scores all of its targets, later ones
    /// their last `stride`, and a last window that ends with the data scores what remains.
    pub stride: usize,
    /// Only this many targets from the beginning of the stream; `None` means all.
    pub max_tokens: Option<u64>,
}

/// One window: inputs start at `start`, and the last `scored` of its `len` targets count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: u64,
    len: usize,
    scored: usize,
}

impl Windows {
    /// The windows over a stream of `tokens` tokens, in order.
    fn plan(self, tokens: u64) -> Result<impl Iterator<Item = Window>> {
        let Self { seq_len, stride, max_tokens } = self;
        if seq_len == 0 || stride == 0 || stride > seq_len {
            return Err(Error::Windows { seq_len, stride });
        }
        let targets = tokens.saturating_sub(1).min(max_tokens.unwrap_or(u64::MAX));
        let (len, step) = (seq_len as u64, stride as u64);
        let disjoint = stride == seq_len;
        if targets == 0 || (disjoint && targets < len) {
            let needed = if disjoint { seq_len + 1 } else { 2 };
            return Err(Error::TooFewTokens { found: tokens.min(targets + 1), needed });
        }
        // Whole windows, then the one that ends with the data if targets remain.
        let whole = if targets < len { 0 } else { (targets - len) / step + 1 };
        let covered = if whole == 0 { 0 } else { (whole - 1) * step + len };
        let rest = if disjoint { 0 } else { targets - covered };
        let last = (rest > 0).then(|| {
            let len = targets.min(len);
            Window { start: targets - len, len: len as usize, scored: rest as usize }
        });
        let windows = (0..whole).map(move |i| Window {
            start: i * step,
            len: seq_len,
            scored: if i == 0 { seq_len } else { stride },
        });
        Ok(windows.chain(last))
    }

    /// How many targets are scored over a stream of `tokens` tokens.
    fn targets(self, tokens: u64) -> Result<u64> {
        Ok(self.plan(tokens)?.map(|window| window.scored as u64).sum())
    }
}

/// The result of scoring.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Score {
    /// Mean loss of the scored targets in nats.
    pub val_loss: f64,
    /// Bits per byte.
    pub val_bpb: f64,
    /// Targets scored.
    pub tokens: u64,
    /// Bytes they stand for.
    pub bytes: u64,
}

/// Scores the parameters that `backend` has staged; `progress` is told targets done and targets in
/// all after every batch.
///
/// # Errors
/// Windows that cannot be, a stream too short for them or with foreign ids, a failing backend.
pub fn score(
    backend: &mut dyn Backend,
    stream: &TokenStream,
    bytes: &ByteTable,
    windows: Windows,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Score> {
    let total = windows.targets(stream.len())?;
    let mut sum = Sum::default();
    let mut pending: Vec<Window> = Vec::new();
    let mut plan = windows.plan(stream.len())?.peekable();
    while let Some(window) = plan.next() {
        pending.push(window);
        // All windows of a batch have one length and score as many targets; only the first and the
        // last one may differ.
        let full = (pending.len() + 1) * window.len > BATCH_TOKENS;
        let alike = |next: &Window| (next.len, next.scored) == (window.len, window.scored);
        if full || !plan.peek().is_some_and(alike) {
            score_batch(backend, stream, bytes, &pending, &mut sum)?;
            pending.clear();
            progress(sum.tokens, total);
        }
    }
    sum.score()
}

fn score_batch(
    backend: &mut dyn Backend,
    stream: &TokenStream,
    bytes: &ByteTable,
    windows: &[Window],
    sum: &mut Sum,
) -> Result<()> {
    let Some(&Window { len, scored, .. }) = windows.first() else { return Ok(()) };
    let mut tokens = vec![0; windows.len() * (len + 1)];
    for (window, row) in windows.iter().zip(tokens.chunks_mut(len + 1)) {
        stream.read(window.start, row)?;
    }
    let batch = Batch::new(tokens, len)?;
    let mut losses = vec![0.0; windows.len() * scored];
    backend.token_losses(&batch, scored, &mut losses)?;
    for (row, losses) in batch.rows().zip(losses.chunks(scored)) {
        for (pair, &loss) in row[len - scored..].windows(2).zip(losses) {
            sum.nats += f64::from(loss);
            sum.bytes += bytes.target_bytes(pair[0], pair[1]);
            sum.tokens += 1;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Sum {
    nats: f64,
    tokens: u64,
    bytes: u64,
}

impl Sum {
    fn score(&self) -> Result<Score> {
        if self.bytes == 0 {
            return Err(Error::NoBytes { tokens: self.tokens });
        }
        let val_loss = self.nats / self.tokens as f64;
        let tokens_per_byte = self.tokens as f64 / self.bytes as f64;
        let val_bpb = val_loss / std::f64::consts::LN_2 * tokens_per_byte;
        Ok(Score { val_loss, val_bpb, tokens: self.tokens, bytes: self.bytes })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// For every target, how often it is scored and how many tokens it sees at least.
    fn coverage(windows: Windows, tokens: u64) -> Vec<(usize, usize)> {
        let mut seen = vec![(0, usize::MAX); tokens as usize - 1];
        for window in windows.plan(tokens).unwrap() {
            for t in window.len - window.scored..window.len {
                let target = &mut seen[window.start as usize + t];
                *target = (target.0 + 1, target.1.min(t + 1));
            }
        }
        seen
    }

    proptest! {
        #[test]
        fn sliding_windows_score_every_target_once(
            tokens in 2_u64..400, seq_len in 2_usize..60, stride in 1_usize..60,
        ) {
            prop_assume!(stride < seq_len);
            let windows = Windows { seq_len, stride, max_tokens: None };
            for (t, (times, context)) in coverage(windows, tokens).into_iter().enumerate() {
                prop_assert_eq!(times, 1);
                let promised = if t < seq_len { t + 1 } else { seq_len - stride + 1 };
                prop_assert!(context >= promised, "target {} sees {}", t, context);
            }
            prop_assert_eq!(windows.targets(tokens).unwrap(), tokens - 1);
        }
    }

    #[test]
    fn disjoint_windows_drop_the_rest_as_the_reference_does() {
        let windows = Windows { seq_len: 1024, stride: 1024, max_tokens: None };
        // The official validation set, and its published number of scored targets.
        assert_eq!(windows.targets(62_021_846).unwrap(), 62_021_632);
        assert_eq!(windows.targets(1025).unwrap(), 1024);
        assert_eq!(windows.targets(3000).unwrap(), 2048);
    }

    #[test]
    fn a_prefix_is_scored_like_a_shorter_stream() {
        let all = Windows { seq_len: 8, stride: 3, max_tokens: None };
        let prefix = Windows { max_tokens: Some(20), ..all };
        let plan = |windows: Windows, tokens| windows.plan(tokens).unwrap().collect::<Vec<_>>();
        assert_eq!(plan(prefix, 1000), plan(all, 21));
    }

    #[test]
    fn what_cannot_be_scored_is_refused() {
        let refuse = |seq_len, stride, tokens| {
            Windows { seq_len, stride, max_tokens: None }.targets(tokens).unwrap_err().to_string()
        };
        assert!(refuse(8, 9, 100).contains("stride"), "longer than the window");
        assert!(refuse(8, 0, 100).contains("stride"), "no stride");
        assert!(refuse(8, 8, 8).contains("9"), "no whole window");
        assert!(refuse(8, 4, 1).contains("2"), "no target");
    }
}
