//! Which training sequences come next: a pure function of the seed and of how many came before.

use aneal_golf::shard::TokenStream;
use aneal_model::Batch;
use aneal_model::philox::{Philox, Stream};
use serde::{Deserialize, Serialize};

use crate::config::SamplerKind;
use crate::{Error, Result};

/// A place in the order of training sequences. It is all there is to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// The challenge's loader: spans one after another. A span of n sequences takes
    /// n * seq_len + 1 tokens off the stream, the last of them only as a target.
    Stream {
        /// Tokens taken so far; the stream wraps at its end.
        taken: u64,
    },
    /// PR #801's loader: every sequence of seq_len + 1 tokens starts at a uniformly random place.
    Uniform {
        /// Sequences drawn so far.
        drawn: u64,
    },
}

impl Sampler {
    /// The beginning.
    pub fn new(kind: SamplerKind) -> Self {
        match kind {
            SamplerKind::Stream => Self::Stream { taken: 0 },
            SamplerKind::Uniform => Self::Uniform { drawn: 0 },
        }
    }

    /// The next `spans` spans of `sequences` sequences as one batch, and moves on.
    ///
    /// # Errors
    /// A stream shorter than one sequence, or one that cannot be read.
    pub fn next(
        &mut self,
        stream: &TokenStream,
        seed: u64,
        spans: usize,
        sequences: usize,
        seq_len: usize,
    ) -> Result<Batch> {
        let length = stream.len();
        let Some(starts) = length.checked_sub(seq_len as u64).filter(|&n| n > 0) else {
            return Err(Error::DataTooShort { what: "training", found: length, seq_len });
        };
        let row = seq_len + 1;
        let mut tokens = vec![0; spans * sequences * row];
        match self {
            Self::Stream { taken } => {
                let mut span = vec![0; sequences * seq_len + 1];
                for rows in tokens.chunks_mut(sequences * row) {
                    read_wrapping(stream, *taken % length, &mut span)?;
                    *taken += span.len() as u64;
                    for (i, out) in rows.chunks_mut(row).enumerate() {
                        out.copy_from_slice(&span[i * seq_len..][..row]);
                    }
                }
            }
            Self::Uniform { drawn } => {
                let random = Philox::new(seed, Stream::Data);
                for out in tokens.chunks_mut(row) {
                    stream.read(random.below(*drawn, starts), out)?;
                    *drawn += 1;
                }
            }
        }
        Ok(Batch::new(tokens, seq_len)?)
    }
}

fn read_wrapping(stream: &TokenStream, start: u64, out: &mut [u32]) -> Result<()> {
    let mut rest = out;
    let mut at = start;
    while !rest.is_empty() {
        let n = rest.len().min(usize::try_from(stream.len() - at).unwrap_or(usize::MAX));
        let (now, later) = rest.split_at_mut(n);
        stream.read(at, now)?;
        rest = later;
        at = 0;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aneal_golf::shard::ShardWriter;

    use super::*;

    /// A stream of the ids 0, 1, 2, .. in two files.
    fn stream(dir: &std::path::Path, n: u32) -> TokenStream {
        let files = [0..n / 3, n / 3..n].map(|ids| {
            let path = dir.join(format!("fineweb_train_{:06}.bin", ids.start));
            let mut writer = ShardWriter::create(&path, 1000).unwrap();
            writer.write(&ids.collect::<Vec<_>>()).unwrap();
            writer.finish().unwrap();
            path
        });
        TokenStream::open(&files, 1000).unwrap()
    }

    #[test]
    fn stream_takes_spans_in_order_and_wraps() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(dir.path(), 20);
        let mut sampler = Sampler::new(SamplerKind::Stream);
        let mut next = || sampler.next(&stream, 1, 2, 2, 3).unwrap().tokens().to_vec();
        // Spans of 2 x 3 + 1 tokens: 0..=6 and 7..=13.
        assert_eq!(next(), [0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10, 10, 11, 12, 13]);
        // 14..=20 wraps at 20.
        assert_eq!(next(), [14, 15, 16, 17, 17, 18, 19, 0, 1, 2, 3, 4, 4, 5, 6, 7]);
        assert_eq!(sampler, Sampler::Stream { taken: 28 });
    }

    #[test]
    fn uniform_reaches_every_start_and_only_those() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(dir.path(), 12);
        let mut sampler = Sampler::new(SamplerKind::Uniform);
        let mut seen = [0; 12];
        for _ in 0..200 {
            let batch = sampler.next(&stream, 9, 1, 2, 4).unwrap();
            for row in batch.rows() {
                assert!(row.windows(2).all(|w| w[1] == w[0] + 1), "{row:?} is not contiguous");
                seen[row[0] as usize] += 1;
            }
        }
        // 12 tokens hold 8 starts of 4 + 1.
        assert!(seen[..8].iter().all(|&n| n > 20) && seen[8..].iter().all(|&n| n == 0), "{seen:?}");
    }

    #[test]
    fn resuming_continues_the_same_order() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(dir.path(), 300);
        for kind in [SamplerKind::Stream, SamplerKind::Uniform] {
            let mut whole = Sampler::new(kind);
            let batches: Vec<Batch> =
                (0..6).map(|_| whole.next(&stream, 7, 2, 3, 5).unwrap()).collect();
            let mut first = Sampler::new(kind);
            for _ in 0..3 {
                first.next(&stream, 7, 2, 3, 5).unwrap();
            }
            let saved = serde_json::to_string(&first).unwrap();
            let mut second: Sampler = serde_json::from_str(&saved).unwrap();
            for batch in &batches[3..] {
                assert_eq!(second.next(&stream, 7, 2, 3, 5).unwrap(), *batch);
            }
        }
    }

    #[test]
    fn data_shorter_than_a_sequence_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(dir.path(), 8);
        for kind in [SamplerKind::Stream, SamplerKind::Uniform] {
            let error = Sampler::new(kind).next(&stream, 1, 1, 1, 8).unwrap_err();
            assert!(
                error.to_string().contains("8 tokens, but one sequence of 8 needs 9"),
                "{error}"
            );
            Sampler::new(kind).next(&stream, 1, 1, 1, 7).unwrap();
        }
    }
}
