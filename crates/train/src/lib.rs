//! The training loop: what is read, in which order, how weights change, and what a run leaves behind.
//!
//! A run lives in a folder that alone reproduces it (see [`run_folder`]). [`Trainer`] drives a
//! [`Backend`](aneal_model::Backend) without knowing what hardware it is, and reports through an
//! [`Observer`]; nothing here writes to a terminal.

#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!(
    "token shards, checkpoints and artifacts are little-endian, and so must the host be"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!("sizes of files and models need 64 bits");

pub mod bench;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod energy;
mod error;
pub mod generate;
pub mod loss_scale;
mod observer;
pub mod optimizer;
pub mod run_folder;
pub mod sampler;
pub mod schedule;
mod trainer;
pub mod update;

pub use config::RunConfig;
pub use error::Error;
pub use observer::{Event, Observer};
pub use trainer::{Outcome, Summary, Trainer};

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
