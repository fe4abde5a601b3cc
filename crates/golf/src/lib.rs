//! The parameter-golf challenge's formats: token shards, the tokenizer, bits per byte, and the
//! quantised artifact. Nothing here trains.

#![deny(unsafe_code)] // only `mapped_file` may allow it

pub mod mapped_file;
pub mod shard;

mod atomic_file;
mod error;

pub use error::Error;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
