//! The parameter-golf challenge's formats: token shards, the tokenizer, bits per byte, and the
//! quantised artifact. Nothing here trains.

#![deny(unsafe_code)] // only `mapped_file` may allow it

pub mod artifact;
pub mod mapped_file;
pub mod quantize;
pub mod shard;
pub mod torch_file;

mod atomic_file;
mod error;

pub use error::Error;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
