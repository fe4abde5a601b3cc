//! Weight files: constants outside the program, each behind a descriptor that the program names.
//!
//! Layout (facts section 3.1, checked byte for byte against coremltools' writer): a header of 64
//! bytes, `u32` number of blobs and `u32` version 2; then for each blob, at a multiple of 64, a
//! descriptor of 64 bytes and the data. The descriptor holds `u32 0xDEADBEEF`, `u32` element type,
//! `u64` bytes, `u64` offset of the data from the start of the file, `u64` unused bits in the last
//! byte. All little-endian.

mod reader;
mod weights;
mod writer;

pub use reader::{Check, Reader};
pub use weights::Weights;
pub use writer::Writer;

/// Bytes of the header and of a descriptor; descriptors and data start at multiples of it.
const ALIGNMENT: usize = 64;
/// Bytes of the header, before which no descriptor starts.
pub(crate) const HEADER: usize = ALIGNMENT;
/// What each descriptor starts with.
const SENTINEL: u32 = 0xDEAD_BEEF;
/// The only version there is.
const VERSION: u32 = 2;
