//! The model on the Neural Engine, as data: which programs run, where every row and column of their
//! surfaces comes from, and what the CPU does between them.
//!
//! A [`Plan`] is made for a model, a length of sequences and a device's profile. It can be printed,
//! priced ([`Plan::price`]), written as MIL text, and walked by whatever runs it, emulator or
//! hardware: its [`Section`]s say in which order programs and [`HostOp`]s follow each other, its
//! [`KernelSpec`]s say what each program's surfaces hold. [`AneBackend`] is what runs it.
//!
//! Surfaces are matrices of fp16, rows first: a row is a channel, a column a token of the micro-batch
//! (or an output of a weight that lies beside the tokens). A backend writes [`Content::Weight`] blocks
//! once an update, [`Content::Activation`] blocks before every dispatch, and reads outputs back, unless the
//! surface's [`Passage`] says that programs pass it to each other.
//!
//! ```
//! use aneal_ane::Profile;
//! use aneal_model::{ModelConfig, ane::{Plan, Target}};
//!
//! let (model, profile) = (ModelConfig::preset("golfwide")?, Profile::named("m4-pro")?);
//! let target = Target { model: &model, profile: &profile, sequences: 1, seq_len: 256 };
//! let plan = Plan::named("ten-kernel", &target)?;
//! assert_eq!((plan.kernels.len(), plan.dispatches()), (10, 90));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod activation;
mod backend;
mod choice;
mod form;
mod fused;
mod host;
mod kernel;
mod plan;
mod price;
mod sizes;
mod steps;
mod tables;
mod ten_kernel;

pub use activation::Activation;
pub use backend::{AneBackend, Times};
pub use choice::{Candidate, Choice, Search};
pub use host::HostOp;
pub use kernel::{Block, Content, KernelSpec, Passage, Surface, WeightRef};
pub use plan::{DwOn, Order, Plan, Section, Step, Target};
pub use price::{Prediction, PricedKernel, Pricing};
