//! Plans for the Neural Engine: what their programs compute, whether devices take them, what they
//! would cost.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

mod backend;
mod emulated;
mod formulas;
mod fused;
mod legal;
mod price;
mod programs;
mod step;
mod surfaces;
mod walk;
