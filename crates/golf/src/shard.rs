//! Token shards: files of 16-bit token ids, with the challenge's header or without one.
//!
//! A shard of the challenge is 256 little-endian `i32` (20240520, version 1, token count, zeros),
//! then that many little-endian `u16`, and nothing after. A file without that header is taken as
//! the bare stream of `u16` that many small trainers write.

use std::path::{Path, PathBuf};

use crate::mapped_file::MappedFile;
use crate::{Error, Result};

mod find;
mod stream;
mod writer;

pub use find::{Split, find_shards};
pub use stream::{ShardSummary, TokenStream};
pub use writer::ShardWriter;

/// First `i32` of a shard of 16-bit tokens.
const MAGIC: i32 = 20_240_520;
/// First `i32` of the same family's shards of 32-bit tokens, which are not read.
const MAGIC_32_BIT: i32 = 20_240_801;
/// The one version there is.
const VERSION: i32 = 1;
/// 256 `i32`.
const HEADER_BYTES: usize = 1024;
/// A token id is a `u16`.
const TOKEN_BYTES: usize = 2;

/// How the tokens of a shard are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFormat {
    /// The challenge's 1,024-byte header, then tokens.
    Golf,
    /// Tokens from the first byte on.
    Headerless,
}

impl std::fmt::Display for ShardFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Golf => "golf",
            Self::Headerless => "headerless",
        })
    }
}

/// One open shard.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    format: ShardFormat,
    file: MappedFile,
}

impl Shard {
    /// Opens a shard and checks its header against its size. Token ids are not looked at.
    ///
    /// # Errors
    ///
    /// A file that starts with the challenge's magic must be a valid shard; each way of not being
    /// one has its own error, as has a magic in another byte order. Any other file must be
    /// non-empty and of even size.
    pub fn open(path: &Path) -> Result<Self> {
        let file = MappedFile::open(path)?;
        let format = detect(path, &file)?;
        Ok(Self { path: path.to_path_buf(), format, file })
    }

    /// Where the shard was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is framed.
    #[must_use]
    pub fn format(&self) -> ShardFormat {
        self.format
    }

    /// Tokens in the shard; never zero.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // an empty shard does not open
    pub fn len(&self) -> usize {
        (self.file.len() - self.first_byte()) / TOKEN_BYTES
    }

    /// Copies the tokens from `start` on into `out`, as they are in the file.
    ///
    /// # Errors
    ///
    /// [`Error::TokenRange`] if the shard ends before `out` is full.
    pub fn read(&self, start: usize, out: &mut [u32]) -> Result<()> {
        let end = start.checked_add(out.len()).filter(|&end| end <= self.len());
        let Some(end) = end else {
            let (start, len) = (start as u64, self.len() as u64);
            return Err(Error::TokenRange { start, wanted: out.len(), len });
        };
        let bytes = &self.file[self.byte_of(start)..self.byte_of(end)];
        // A mapped shard is neither aligned nor of the host's byte order by contract; this loop
        // compiles to plain widening loads where it is.
        for (token, bytes) in out.iter_mut().zip(bytes.chunks_exact(TOKEN_BYTES)) {
            *token = u32::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        }
        Ok(())
    }

    /// Byte offset of a token in the file.
    fn byte_of(&self, token: usize) -> usize {
        self.first_byte() + token * TOKEN_BYTES
    }

    fn first_byte(&self) -> usize {
        match self.format {
            ShardFormat::Golf => HEADER_BYTES,
            ShardFormat::Headerless => 0,
        }
    }
}

/// Tells the format of a file and checks that it holds what it promises.
fn detect(path: &Path, file: &[u8]) -> Result<ShardFormat> {
    let path = || path.to_path_buf();
    let found = file.len();
    if let Some(&first) = file.first_chunk::<4>() {
        let [a, b, c, d] = first;
        match i32::from_le_bytes(first) {
            MAGIC => return check_golf(path, file),
            MAGIC_32_BIT => return Err(Error::ShardTokenWidth { path: path() }),
            _ => {}
        }
        // Written on a big-endian machine, or with its bytes or its halves swapped on the way.
        if [[d, c, b, a], [b, a, d, c], [c, d, a, b]].map(i32::from_le_bytes).contains(&MAGIC) {
            return Err(Error::ShardByteOrder { path: path(), found: first });
        }
    }
    match found {
        0 => Err(Error::ShardEmpty { path: path() }),
        _ if !found.is_multiple_of(TOKEN_BYTES) => Err(Error::ShardOddSize { path: path(), found }),
        _ => Ok(ShardFormat::Headerless),
    }
}

fn check_golf(path: impl Fn() -> PathBuf, file: &[u8]) -> Result<ShardFormat> {
    let found = file.len();
    let Some(header) = file.first_chunk::<HEADER_BYTES>() else {
        return Err(Error::ShardHeader { path: path(), found });
    };
    let word = |at: usize| {
        i32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let (version, count) = (word(4), word(8));
    if version != VERSION {
        return Err(Error::ShardVersion { path: path(), found: version });
    }
    let tokens =
        usize::try_from(count).map_err(|_| Error::ShardCount { path: path(), found: count })?;
    if tokens == 0 {
        return Err(Error::ShardEmpty { path: path() });
    }
    let expected = HEADER_BYTES + tokens * TOKEN_BYTES;
    if found != expected {
        return Err(Error::ShardSize { path: path(), tokens, expected, found });
    }
    Ok(ShardFormat::Golf)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard file with any header fields and any body.
    fn golf(words: [i32; 3], body: &[u16]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.resize(HEADER_BYTES, 0);
        bytes.extend(body.iter().flat_map(|token| token.to_le_bytes()));
        bytes
    }

    fn open(bytes: &[u8]) -> Result<(ShardFormat, Vec<u32>)> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard.bin");
        std::fs::write(&path, bytes).unwrap();
        let shard = Shard::open(&path)?;
        let mut tokens = vec![0; shard.len()];
        shard.read(0, &mut tokens)?;
        Ok((shard.format(), tokens))
    }

    #[test]
    fn reads_both_formats() {
        let tokens = [1u16, 0, 65535, 1023, 258];
        let ids: Vec<u32> = tokens.iter().map(|&token| token.into()).collect();
        let whole = golf([MAGIC, 1, 5], &tokens);
        assert_eq!(open(&whole).unwrap(), (ShardFormat::Golf, ids.clone()));
        assert_eq!(open(&whole[HEADER_BYTES..]).unwrap(), (ShardFormat::Headerless, ids));
        // Shorter than a magic, but two bytes are a token.
        assert_eq!(open(&[2, 1]).unwrap(), (ShardFormat::Headerless, vec![258]));
    }

    #[test]
    fn refuses_bad_files_each_in_its_own_words() {
        let whole = golf([MAGIC, 1, 5], &[7; 5]);
        let swapped = |order: [usize; 4]| {
            let mut bytes = whole.clone();
            for (to, from) in order.into_iter().enumerate() {
                bytes[to] = whole[from];
            }
            bytes
        };
        let longer = [&whole[..], &[0]].concat();
        let cases: [(&str, Vec<u8>, &str); 14] = [
            ("empty file", vec![], "holds no tokens"),
            ("odd size", vec![1, 2, 3], "3 bytes without a shard header"),
            ("only the magic", whole[..4].to_vec(), "expected 1024 bytes, found 4"),
            ("header cut", whole[..1023].to_vec(), "expected 1024 bytes, found 1023"),
            ("version", golf([MAGIC, 2, 5], &[7; 5]), "shard version 2, expected 1"),
            ("negative", golf([MAGIC, 1, -5], &[7; 5]), "says -5 tokens"),
            ("no tokens", golf([MAGIC, 1, 0], &[]), "holds no tokens"),
            ("body cut", whole[..1033].to_vec(), "truncated: its header says 5 tokens"),
            ("no body", whole[..1024].to_vec(), "expected 1034 bytes, found 1024"),
            ("over-long", longer, "too long: its header says 5 tokens, so expected 1034 bytes"),
            ("big-endian", swapped([3, 2, 1, 0]), "starts with [01, 34, d8, 88]"),
            ("bytes swapped", swapped([1, 0, 3, 2]), "another byte order"),
            ("halves swapped", swapped([2, 3, 0, 1]), "another byte order"),
            ("32-bit", golf([MAGIC_32_BIT, 1, 5], &[7; 10]), "32-bit tokens"),
        ];
        for (name, bytes, expected) in cases {
            let message = open(&bytes).unwrap_err().to_string();
            assert!(message.contains(expected), "{name}: {message}");
            assert!(message.contains("shard.bin"), "{name}: {message}");
        }
    }

    #[test]
    fn reads_only_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shard.bin");
        std::fs::write(&path, golf([MAGIC, 1, 3], &[10, 11, 12])).unwrap();
        let shard = Shard::open(&path).unwrap();
        let mut out = [0; 2];
        shard.read(1, &mut out).unwrap();
        assert_eq!(out, [11, 12]);
        shard.read(3, &mut []).unwrap();
        for start in [2, 3, 4, usize::MAX] {
            assert!(matches!(shard.read(start, &mut out), Err(Error::TokenRange { .. })));
        }
    }
}
