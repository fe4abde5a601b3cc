//! The engine as those see it who run programs on it: [`Engine`] compiles a [`Source`] to a
//! [`Kernel`], a kernel evaluates [`Request`]s over [`Surface`]s.
//!
//! The shape is that of Apple's private framework (facts sections 1 and 2), so that it fits behind
//! these traits unchanged: weight files go with the text, values are bound by symbol index, sizes and
//! row strides are read from the loaded program, failures carry the framework's domain and code. Who
//! holds a `dyn Engine` does not know whether it is emulated.

mod failure;
mod request;
mod source;
mod surface;
mod symbol;

use std::sync::Arc;

pub use failure::{Failure, Reason, Stage};
pub use request::{Binding, Request};
pub use source::{Identifier, Source};
pub use surface::{Memory, ReadGuard, Surface, WriteGuard};
pub use symbol::{Procedure, RowLayout, Symbol};

use crate::Result;

/// A Neural Engine, and the compiler that goes with it.
pub trait Engine: Send + Sync {
    /// The device, and whether it is emulated: one line for logs.
    fn describe(&self) -> String;

    /// Memory that this engine reads and writes, all zeros.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of [`Stage::Surface`].
    fn surface(&self, bytes: usize) -> Result<Surface>;

    /// Compiles a program, unless the same was compiled before, and loads it. The kernel is unloaded
    /// when it is dropped; how many can be loaded at once is limited (C1).
    ///
    /// # Errors
    ///
    /// A [`Failure`] of [`Stage::Compile`] or [`Stage::Load`].
    fn compile(&self, source: &Source) -> Result<Arc<dyn Kernel>>;
}

/// A program that is compiled and loaded.
pub trait Kernel: Send + Sync {
    /// Its functions, with what they read and write.
    fn procedures(&self) -> &[Procedure];

    /// Runs a procedure to its end: outputs are complete when this returns (1.3).
    ///
    /// # Errors
    ///
    /// A [`Failure`] of [`Stage::Request`] for a request that does not fit the program, of
    /// [`Stage::Evaluate`] for what the engine refuses.
    fn evaluate(&self, request: &Request) -> Result<()>;
}
