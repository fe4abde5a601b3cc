//! The quantised artifact: a compressed torch file that the challenge's own loader opens.
//!
//! It is the zlib stream, level 9, of `torch.save` of one dictionary: `__quant_format__`,
//! `quantized`, `scales`, `dtypes`, `passthrough`, and, where they hold anything, `qmeta` and
//! `passthrough_orig_dtypes`. One key is ours, `model_config`, a plain dictionary that says what
//! model the weights belong to; the challenge's loader does not look at it.

use std::io::{Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::atomic_file::AtomicFile;
use crate::quantize::QuantizedState;
use crate::{Error, Result, torch_file};

mod config;
mod dictionary;

/// Most bytes that an artifact may unpack to. The challenge's 16,000,000-byte artifacts unpack to
/// a few tens of millions.
const MAX_RAW_BYTES: usize = 1 << 30;

/// Quantised weights, and what model they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifact {
    /// The weights.
    pub state: QuantizedState,
    /// The model's configuration; the challenge's own artifacts have none.
    pub model_config: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The sizes that the challenge's log states, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactSizes {
    /// The artifact itself: what counts against the 16,000,000.
    pub artifact: usize,
    /// The torch file inside.
    pub raw_torch: usize,
    /// The tensors inside that.
    pub payload: usize,
    /// The same tensors before quantisation.
    pub baseline: usize,
}

impl std::fmt::Display for ArtifactSizes {
    /// The line of the challenge's log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { artifact, raw_torch, payload, baseline } = self;
        let ratio = *baseline as f64 / (*payload).max(1) as f64;
        write!(
            f,
            "Serialized model int8+zlib: {artifact} bytes \
             (payload:{payload} raw_torch:{raw_torch} payload_ratio:{ratio:.2}x)"
        )
    }
}

impl Artifact {
    /// The artifact's bytes, and its sizes. The same artifact gives the same bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] if the configuration holds what the format does not,
    /// [`Error::TorchZip`] if the torch file would pass 4 GiB.
    pub fn to_bytes(&self) -> Result<(Vec<u8>, ArtifactSizes)> {
        let raw = torch_file::save(&dictionary::from_artifact(self)?)?;
        let bytes = deflate(&raw)?;
        let sizes = ArtifactSizes {
            artifact: bytes.len(),
            raw_torch: raw.len(),
            payload: self.state.payload_bytes(),
            baseline: self.state.baseline_bytes(),
        };
        Ok((bytes, sizes))
    }

    /// Writes the artifact to `path`, whole or not at all.
    ///
    /// # Errors
    ///
    /// As [`Artifact::to_bytes`], and [`Error::Io`] if the disk refuses.
    pub fn write(&self, path: &Path) -> Result<ArtifactSizes> {
        let (bytes, sizes) = self.to_bytes()?;
        let mut file = AtomicFile::create(path)?;
        file.write(&bytes)?;
        file.commit()?;
        Ok(sizes)
    }

    /// Reads the artifact at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be read, else [`Error::InFile`] around what
    /// [`Artifact::from_bytes`] says.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |source| Error::Io { action: "read", path: path.to_path_buf(), source };
        let in_file = |source| Error::InFile { path: path.to_path_buf(), source: Box::new(source) };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_RAW_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() > MAX_RAW_BYTES {
            return Err(in_file(Error::ArtifactTooLarge { limit: MAX_RAW_BYTES }));
        }
        Self::from_bytes(&bytes).map_err(in_file)
    }

    /// Reads an artifact, ours or one that the challenge's script wrote with torch.
    ///
    /// Entries come back in the order of the file: quantised tensors, then the others.
    ///
    /// # Errors
    ///
    /// [`Error::Artifact`] if the bytes are not one whole zlib stream or not of this format,
    /// [`Error::ArtifactTooLarge`] if they unpack to more than 1 GiB, [`Error::TorchZip`] and
    /// [`Error::TorchPickle`] if the torch file is broken, [`Error::ArtifactTensor`] if a tensor
    /// and its scales do not go together.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let raw = inflate(bytes, MAX_RAW_BYTES)?;
        dictionary::to_artifact(torch_file::load(&raw)?)
    }
}

/// The bytes of Python's `zlib.compress(raw, 9)`.
fn deflate(raw: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder
        .write_all(raw)
        .and_then(|()| encoder.finish())
        .map_err(|source| Error::Artifact { reason: format!("zlib cannot pack it: {source}") })
}

/// Unpacks one zlib stream of at most `limit` bytes.
fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>> {
    let broken = |reason: &str| Error::Artifact { reason: reason.to_owned() };
    // Method 8 in the low bits, and a check that makes the first two bytes a multiple of 31.
    let is_zlib = bytes.first_chunk().is_some_and(|&head: &[u8; 2]| {
        head[0] & 0xf == 8 && u16::from_be_bytes(head).is_multiple_of(31)
    });
    if !is_zlib {
        return Err(broken("it does not start as a zlib stream; name an int8+zlib artifact"));
    }
    let mut decoder = ZlibDecoder::new(bytes);
    let mut raw = Vec::new();
    let result = decoder.by_ref().take(limit as u64 + 1).read_to_end(&mut raw);
    if let Err(error) = result {
        return Err(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                broken("the zlib stream ends early; the file is cut, fetch it again")
            }
            _ => broken(&format!("the zlib stream is damaged ({error}); fetch the file again")),
        });
    }
    if raw.len() > limit {
        return Err(Error::ArtifactTooLarge { limit });
    }
    let rest = bytes.len() - decoder.total_in() as usize;
    if rest > 0 {
        return Err(broken(&format!("{rest} bytes follow the zlib stream; fetch the file again")));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests;
