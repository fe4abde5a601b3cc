//! Several shards read as one stream of tokens.

use std::path::PathBuf;

use super::{Shard, ShardFormat};
use crate::{Error, Result};

/// Shards in order, as one logical stream. Documents may straddle file borders, so reads do too.
#[derive(Debug)]
pub struct TokenStream {
    shards: Vec<Shard>,
    /// Stream position just past each shard, rising.
    ends: Vec<u64>,
    vocab_size: usize,
}

/// What is known of one file of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSummary {
    /// The file.
    pub path: PathBuf,
    /// How it is framed.
    pub format: ShardFormat,
    /// Tokens in it.
    pub tokens: usize,
}

impl TokenStream {
    /// Opens the files of `paths` in the order given. Their tokens must be ids below `vocab_size`,
    /// which is checked as they are read.
    ///
    /// # Errors
    ///
    /// [`Error::NoShards`] if `paths` is empty, else what [`Shard::open`] says of the first bad
    /// file.
    pub fn open(paths: &[PathBuf], vocab_size: usize) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::NoShards { searched: "the list of files is empty".into() });
        }
        let shards: Vec<Shard> =
            paths.iter().map(|path| Shard::open(path)).collect::<Result<_>>()?;
        let ends = shards
            .iter()
            .scan(0, |end, shard| {
                *end += shard.len() as u64;
                Some(*end)
            })
            .collect();
        Ok(Self { shards, ends, vocab_size })
    }

    /// Tokens in all files together; never zero.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // an empty stream does not open
    pub fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Ids that the vocabulary has.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// Path, format and token count of each file, in stream order.
    #[must_use]
    pub fn describe(&self) -> Vec<ShardSummary> {
        let summary = |shard: &Shard| ShardSummary {
            path: shard.path().to_path_buf(),
            format: shard.format(),
            tokens: shard.len(),
        };
        self.shards.iter().map(summary).collect()
    }

    /// Copies the tokens from stream position `start` on into `out`.
    ///
    /// # Errors
    ///
    /// [`Error::TokenRange`] if the stream ends before `out` is full, [`Error::ShardToken`] if a
    /// token is not an id of the vocabulary. `out` is then partly written.
    pub fn read(&self, start: u64, out: &mut [u32]) -> Result<()> {
        let wanted = out.len();
        if start.checked_add(wanted as u64).is_none_or(|end| end > self.len()) {
            return Err(Error::TokenRange { start, wanted, len: self.len() });
        }
        let mut index = self.ends.partition_point(|&end| end <= start);
        let mut position = start;
        let mut rest = out;
        while !rest.is_empty() {
            let shard = &self.shards[index];
            // Fits: it is less than the length of a shard.
            let first = shard.len() - (self.ends[index] - position) as usize;
            let (here, later) = rest.split_at_mut(rest.len().min(shard.len() - first));
            shard.read(first, here)?;
            self.check(shard, first, here)?;
            position += here.len() as u64;
            rest = later;
            index += 1;
        }
        Ok(())
    }

    /// Refuses the first token of `tokens`, which start at token `first` of `shard`, that is not
    /// in the vocabulary.
    fn check(&self, shard: &Shard, first: usize, tokens: &[u32]) -> Result<()> {
        let Some(offset) = tokens.iter().position(|&id| id as usize >= self.vocab_size) else {
            return Ok(());
        };
        let token = first + offset;
        Err(Error::ShardToken {
            path: shard.path().to_path_buf(),
            token,
            byte: shard.byte_of(token),
            id: tokens[offset],
            vocab_size: self.vocab_size,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shard::ShardWriter;

    /// Writes one file per list of ids, alternating formats, and opens them as one stream.
    fn stream(dir: &tempfile::TempDir, files: &[Vec<u32>], vocab_size: usize) -> TokenStream {
        let paths: Vec<PathBuf> =
            (0..files.len()).map(|i| dir.path().join(format!("{i}.bin"))).collect();
        for (i, (path, ids)) in paths.iter().zip(files).enumerate() {
            if i % 2 == 0 {
                let mut writer = ShardWriter::create(path, 65536).unwrap();
                writer.write(ids).unwrap();
                writer.finish().unwrap();
            } else {
                let bytes: Vec<u8> = ids.iter().flat_map(|&id| (id as u16).to_le_bytes()).collect();
                std::fs::write(path, bytes).unwrap();
            }
        }
        TokenStream::open(&paths, vocab_size).unwrap()
    }

    proptest! {
        #[test]
        fn any_window_over_any_files(
            files in prop::collection::vec(prop::collection::vec(0u32..1024, 1..40), 1..6),
            start in 0usize..200,
            len in 0usize..200,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let stream = stream(&dir, &files, 1024);
            let all = files.concat();
            prop_assert_eq!(stream.len(), all.len() as u64);
            let mut out = vec![u32::MAX; len];
            let result = stream.read(start as u64, &mut out);
            match all.get(start..start + len) {
                Some(expected) => {
                    prop_assert!(result.is_ok());
                    prop_assert_eq!(&out[..], expected);
                }
                None => prop_assert!(matches!(result, Err(Error::TokenRange { .. })), "{:?}", result),
            }
        }
    }

    #[test]
    fn describes_files_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let found = stream(&dir, &[vec![1; 3], vec![2; 5]], 1024).describe();
        let found: Vec<_> = found.into_iter().map(|file| (file.format, file.tokens)).collect();
        assert_eq!(found, [(ShardFormat::Golf, 3), (ShardFormat::Headerless, 5)]);
    }

    #[test]
    fn a_foreign_token_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(&dir, &[vec![1, 2, 1024], vec![5, 6, 7, 9999]], 1024);
        let mut out = [0; 2];
        stream.read(0, &mut out).unwrap();
        for (start, file, token, byte, id) in
            [(1, "0.bin", 2, 1028, 1024), (5, "1.bin", 3, 6, 9999)]
        {
            let message = stream.read(start, &mut out).unwrap_err().to_string();
            let expected = format!("{file}: token {token} (byte {byte}) is id {id}, expected less");
            assert!(message.contains(&expected), "{message}");
        }
    }

    #[test]
    fn positions_beyond_any_file_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let stream = stream(&dir, &[vec![1; 3]], 1024);
        for start in [3, u64::MAX] {
            let result = stream.read(start, &mut [0]);
            assert!(matches!(result, Err(Error::TokenRange { len: 3, .. })));
        }
        assert!(matches!(TokenStream::open(&[], 1024), Err(Error::NoShards { .. })));
    }
}
