//! The model: a Llama-like decoder, its parameters, and one training step behind [`Backend`].
//!
//! Letters used throughout: `B` sequences in a batch, `S` tokens in a sequence, `T = B * S` rows,
//! `D` model width ([`ModelConfig::dim`]), `H` hidden width of the feed-forward layer, `L` layers,
//! `V` vocabulary. Weight matrices are row-major `[out, in]`.
//!
//! ```text
//! x = tok_embeddings[ids]
//! L times:  x += a * wo(attention(rope(wq(n)), rope(wk(n)), wv(n)))   with n = rms_norm(x)
//!           x += a * w2(silu(w1(n)) * w3(n))                          with n = rms_norm(x)
//! logits = tok_embeddings(rms_norm(x))
//! ```
//!
//! `a` is [`ModelConfig::residual_scale`]. Nothing here reads files or loops over a data set.

#![forbid(unsafe_code)]

pub mod ane;
mod arena;
mod backend;
mod batch;
mod config;
pub mod cpu;
mod error;
mod init;
mod layout;
pub mod philox;
mod precision;
mod preset;
mod profile;
mod sampling;

pub use arena::{Arena, Grads, Params};
pub use backend::Backend;
pub use batch::Batch;
pub use config::ModelConfig;
pub use error::Error;
pub use init::init;
pub use layout::{LayerSlots, Layout, TensorSpec};
pub use precision::Precision;
pub use profile::{Op, Profile};
pub use sampling::Sampling;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
