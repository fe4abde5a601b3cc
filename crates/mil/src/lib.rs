//! The engine's language: typed MIL programs.
//!
//! A [`Program`] is built with a [`Builder`], or read from text ([`text`]) or from a Core ML package
//! ([`coreml`]), and written as either. It can be evaluated ([`eval`]), simplified ([`passes`]) and
//! compared with what engines are known to refuse ([`lint`]). Weights that are constants live in
//! weight files ([`blob`]).
//!
//! Nothing here runs on an engine, and nothing here knows a platform.
//!
//! ```
//! use aneal_mil::{Builder, Dialect, MatMul, Opset, Program, Type, text};
//!
//! let mut b = Builder::new("main", Opset::Ios18);
//! let x = b.input("x", Type::fp16(&[1, 1, 32, 64])?)?;
//! let w = b.input("w", Type::fp16(&[1, 1, 64, 96])?)?;
//! let y = b.matmul(x, w, MatMul::default())?;
//! let y = b.relu(y)?;
//! b.output("y", y)?;
//! let program = Program::new(vec![b.finish()?]);
//!
//! let written = text::print(&program, Dialect::Modern);
//! assert!(written.contains("func main<ios18>(tensor<fp16, [1, 1, 32, 64]> i00_x"));
//! assert_eq!(text::parse(&written)?, program);
//! # Ok::<(), aneal_mil::Error>(())
//! ```

#![forbid(unsafe_code)]

mod action;
mod assembly;
pub mod blob;
mod builder;
mod check;
pub mod coreml;
mod dtype;
mod error;
pub mod eval;
mod infer;
pub mod lint;
mod literal;
mod op;
pub mod passes;
mod program;
mod shape;
pub mod text;

pub use action::{Action, Range, action};
pub use builder::{Builder, Conv, Input, MatMul, Pool, Slice, Value};
pub use check::check;
pub use dtype::DType;
pub use error::Error;
pub use literal::{BlobRef, Data, Literal};
pub use op::{OpDef, Param};
pub use program::{
    Argument, Function, Operand, Operation, Opset, Program, ValueId, ValueInfo, is_identifier,
};
pub use shape::{MAX_RANK, Shape, Type};
pub use text::Dialect;

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
