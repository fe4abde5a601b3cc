//! Writing weight files.

use super::{ALIGNMENT, SENTINEL, VERSION};
use crate::{Error, Literal, Result};

/// A weight file being put together in memory.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    blobs: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// An empty file.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; ALIGNMENT], blobs: 0 }
    }

    /// Appends a constant and returns the offset of its descriptor, which is what programs name.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] for a constant that is not in memory, or of a type that weight files do
    /// not hold.
    pub fn push(&mut self, literal: &Literal) -> Result<u64> {
        let ty = literal.ty();
        let (Some(code), Some(data)) = (ty.dtype.blob(), literal.bytes()) else {
            let reason = "expected numbers in memory, which weight files hold";
            return Err(Error::literal(ty, reason));
        };
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let offset = self.bytes.len() as u64;
        let unused = data.len() * 8 - ty.shape.elements() * ty.dtype.bits();
        self.bytes.extend_from_slice(&SENTINEL.to_le_bytes());
        self.bytes.extend_from_slice(&code.to_le_bytes());
        for field in [data.len() as u64, offset + ALIGNMENT as u64, unused as u64] {
            self.bytes.extend_from_slice(&field.to_le_bytes());
        }
        self.bytes.resize(offset as usize + ALIGNMENT, 0);
        self.bytes.extend_from_slice(data);
        self.blobs += 1;
        Ok(offset)
    }

    /// Whether nothing was appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.blobs == 0
    }

    /// The file.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes[..4].copy_from_slice(&self.blobs.to_le_bytes());
        self.bytes[4..8].copy_from_slice(&VERSION.to_le_bytes());
        self.bytes
    }
}
