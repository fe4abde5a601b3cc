//! Every operation but products, on fp16 buffers: fast, and bit for bit what [`Arithmetic`] says.
//!
//! Inputs are views, outputs are dense and row-major. An operation walks its operands as one
//! nest of axes (`nest`), cut into pieces that threads share; within a piece, sixteen values
//! at a time are read (`unit`), computed in f32 and rounded. Results depend neither on the number of
//! threads nor on the instruction set.
//!
//! [`Arithmetic`]: crate::Arithmetic

mod binary;
mod concat;
mod copy;
mod nest;
mod operands;
mod reduce;
mod softmax;
mod table;
#[cfg(test)]
mod testing;
mod transpose;
mod unit;

pub(crate) use binary::binary;
pub(crate) use concat::concat;
pub(crate) use copy::copy;
pub(crate) use reduce::reduce;
pub(crate) use softmax::softmax;
pub(crate) use table::{Function, Table};

/// Values that are computed together.
const LANES: usize = 16;
