//! The parameter-golf challenge's formats: token shards, the tokenizer, bits per byte, and the
//! quantised artifact. Nothing here trains.

#![deny(unsafe_code)] // only `mapped_file` may allow it

pub mod artifact;
pub mod atomic_file;
pub mod corpus;
pub mod documents;
mod error;
pub mod mapped_file;
mod pack;
pub mod quantize;
pub mod score;
pub mod shard;
pub mod tokenizer;
pub mod torch_file;

pub use error::Error;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
