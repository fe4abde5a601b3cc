//! CPU operations of a transformer training step, forward and backward, in f32 or with bf16 operands.
//!
//! One file per operation. Each holds the fast path, a `reference` module with the same signature
//! written as plainly as the formula, and tests that compare the two over odd shapes.
//!
//! Letters used throughout: `B` sequences in a batch, `S` tokens in a sequence, `T = B * S` rows,
//! `D` model width, `H` hidden width of the feed-forward layer, `V` vocabulary. Matrices are
//! row-major unless a [`Mat`] says otherwise; "accumulates" means `+=`.
//!
//! Results do not depend on the number of threads: work is cut by shape alone, and every reduction
//! is a fixed tree. Shapes that do not fit are a caller's mistake and panic through asserts; nothing
//! here reads files or takes input from users.

pub mod adamw;
mod aligned;
mod arch;
pub mod attention;
pub mod cross_entropy;
mod disjoint;
mod element;
pub mod embedding;
mod exp;
mod lanes;
pub mod matmul;
mod matvec;
pub mod norm;
mod peak;
pub mod rms_norm;
pub mod rope;
pub mod simd;
pub mod swiglu;
#[cfg(test)]
mod testing;
mod vector;

pub use element::Element;
pub use exp::exp_unfused;
pub use half::bf16;
pub use matmul::{Mat, MatMut, matmul};
pub use matvec::matvec;
pub use peak::peak_flops;

/// Threads that the operations called from here share.
pub fn threads() -> usize {
    rayon::current_num_threads()
}
