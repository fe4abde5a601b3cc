//! Changes to programs that keep what they compute, one file each.
//!
//! Each takes a function and returns the changed one. Names of outputs and inputs stay; all but
//! [`pad_width()`] also keep their types.

mod dead_code;
mod fold_constants;
mod pad_width;
mod reduce_by_matmul;
mod remove_identity;
mod rewrite;
mod rsqrt_to_pow;
#[cfg(test)]
mod tests;
mod unique_names;

pub use dead_code::dead_code;
pub use fold_constants::fold_constants;
pub use pad_width::pad_width;
pub use reduce_by_matmul::reduce_by_matmul;
pub use remove_identity::remove_identity;
pub use rsqrt_to_pow::rsqrt_to_pow;
pub use unique_names::unique_names;
