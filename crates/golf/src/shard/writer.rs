//! Writing a shard of the challenge, token by token, so that it appears whole or not at all.

use std::path::Path;

use super::{HEADER_BYTES, MAGIC, TOKEN_BYTES, VERSION};
use crate::atomic_file::AtomicFile;
use crate::{Error, Result};

/// Most tokens that the header's signed count can state.
const MAX_TOKENS: usize = i32::MAX as usize;

/// A shard being written. Dropped before [`ShardWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct ShardWriter {
    file: AtomicFile,
    /// Ids must be below this.
    limit: usize,
    tokens: usize,
}

impl ShardWriter {
    /// Starts a shard that will stand at `path`, for a vocabulary of `vocab_size` ids.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the folder does not take a new file.
    pub fn create(path: &Path, vocab_size: usize) -> Result<Self> {
        let mut file = AtomicFile::create(path)?;
        // The count is not known yet: the header is written last.
        file.write(&[0; HEADER_BYTES])?;
        Ok(Self { file, limit: vocab_size.min(1 << 16), tokens: 0 })
    }

    /// Tokens written so far.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Appends tokens.
    ///
    /// # Errors
    ///
    /// [`Error::TokenUnwritable`] for an id that is not in the vocabulary or not a `u16`,
    /// [`Error::ShardFull`] past 2^31 - 1 tokens, [`Error::Io`] if the disk refuses. The first two
    /// write nothing.
    pub fn write(&mut self, ids: &[u32]) -> Result<()> {
        if let Some(offset) = ids.iter().position(|&id| id as usize >= self.limit) {
            let index = self.tokens + offset;
            return Err(Error::TokenUnwritable { index, id: ids[offset], limit: self.limit });
        }
        if ids.len() > MAX_TOKENS - self.tokens {
            return Err(Error::ShardFull { limit: MAX_TOKENS });
        }
        let mut bytes = [0; 4096];
        for ids in ids.chunks(bytes.len() / TOKEN_BYTES) {
            for (bytes, &id) in bytes.chunks_exact_mut(TOKEN_BYTES).zip(ids) {
                // Fits: ids are below 2^16.
                bytes.copy_from_slice(&(id as u16).to_le_bytes());
            }
            self.file.write(&bytes[..ids.len() * TOKEN_BYTES])?;
        }
        self.tokens += ids.len();
        Ok(())
    }

    /// Completes the header, makes the file durable and gives it its name. Returns its tokens.
    ///
    /// # Errors
    ///
    /// [`Error::ShardEmpty`] if nothing was written: readers refuse empty shards. [`Error::Io`] if
    /// the disk refuses.
    pub fn finish(mut self) -> Result<usize> {
        if self.tokens == 0 {
            return Err(Error::ShardEmpty { path: self.file.path().to_path_buf() });
        }
        // Fits: `write` stops at `i32::MAX`.
        let header = [MAGIC, VERSION, self.tokens as i32];
        self.file.patch(0, &header.map(i32::to_le_bytes).concat())?;
        self.file.commit()?;
        Ok(self.tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shard::{Shard, ShardFormat};

    fn files(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    proptest! {
        #[test]
        fn round_trip(
            pieces in prop::collection::vec(prop::collection::vec(0u32..=65535, 0..5000), 1..4),
        ) {
            let ids = pieces.concat();
            prop_assume!(!ids.is_empty());
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("shard.bin");
            let mut writer = ShardWriter::create(&path, 65536).unwrap();
            for piece in &pieces {
                writer.write(piece).unwrap();
            }
            prop_assert_eq!(writer.finish().unwrap(), ids.len());

            let shard = Shard::open(&path).unwrap();
            let mut read = vec![0; shard.len()];
            shard.read(0, &mut read).unwrap();
            prop_assert_eq!(read, ids);
            prop_assert_eq!(shard.format(), ShardFormat::Golf);
        }
    }

    #[test]
    fn the_bytes_of_the_challenge() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard.bin");
        let mut writer = ShardWriter::create(&path, 1024).unwrap();
        writer.write(&[1, 1023]).unwrap();
        writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..12], [0x88, 0xd8, 0x34, 0x01, 1, 0, 0, 0, 2, 0, 0, 0]);
        assert!(bytes[12..1024].iter().all(|&byte| byte == 0));
        assert_eq!(bytes[1024..], [1, 0, 0xff, 3]);
    }

    #[test]
    fn refuses_ids_that_do_not_belong() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard.bin");
        for (vocab_size, id) in [(1024, 1024), (1024, u32::MAX), (100_000, 65536)] {
            let mut writer = ShardWriter::create(&path, vocab_size).unwrap();
            writer.write(&[5]).unwrap();
            let message = writer.write(&[6, id]).unwrap_err().to_string();
            assert!(message.contains(&format!("token 2: id {id}")), "{message}");
            assert_eq!(writer.tokens(), 1);
        }
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn leaves_nothing_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard.bin");
        let mut writer = ShardWriter::create(&path, 1024).unwrap();
        writer.write(&[1; 100_000]).unwrap();
        drop(writer);
        let empty = ShardWriter::create(&path, 1024).unwrap().finish();
        assert!(matches!(empty, Err(Error::ShardEmpty { .. })));
        assert_eq!(files(dir.path()), 0);
    }
}
