//! How numbers are rounded, multiplied and summed.

use half::f16;

use super::{Binary, Unary};
use crate::DType;

/// The arithmetic of a machine. Each method has the reference's way as default.
///
/// Values are passed as `f64`, and are values of the element type that goes with them.
pub trait Arithmetic {
    /// A result as it is stored: rounded to the element type.
    fn store(&self, value: f64, dtype: DType) -> f64;

    /// `start` plus the sum of the products of `x` and `w`, not yet stored. This is what `matmul`,
    /// `conv` and `linear` sum with; `start` is the bias.
    fn dot(&self, start: f64, x: &[f64], w: &[f64], dtype: DType) -> f64 {
        let _ = dtype;
        x.iter().zip(w).fold(start, |sum, (x, w)| x.mul_add(*w, sum))
    }

    /// The sum of `values`, not yet stored: reductions, softmax, norms.
    fn sum(&self, values: &mut dyn Iterator<Item = f64>, dtype: DType) -> f64 {
        let _ = dtype;
        values.sum()
    }

    /// A function of one number, not yet stored.
    fn unary(&self, f: Unary, x: f64, alpha: f64, beta: f64, dtype: DType) -> f64 {
        let _ = dtype;
        f.apply(x, alpha, beta)
    }

    /// A function of two numbers, not yet stored.
    fn binary(&self, f: Binary, x: f64, y: f64, dtype: DType) -> f64 {
        let _ = dtype;
        f.apply(x, y)
    }
}

/// Every float result is `fp32`, whatever type the program says: what the program means, without
/// the rounding of 16 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exact;

/// Every result is rounded once to its own type, to nearest, ties to even; sums are exact before.
/// No engine does better, and none does exactly this: a device's profile tells how it differs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Half;

impl Arithmetic for Exact {
    fn store(&self, value: f64, dtype: DType) -> f64 {
        match dtype {
            DType::Fp16 | DType::Fp32 => f64::from(value as f32),
            _ => store_integer(value, dtype),
        }
    }
}

impl Arithmetic for Half {
    fn store(&self, value: f64, dtype: DType) -> f64 {
        match dtype {
            DType::Fp16 => f16::from_f64(value).to_f64(),
            DType::Fp32 => f64::from(value as f32),
            _ => store_integer(value, dtype),
        }
    }
}

/// Integers and booleans: towards zero, held within the type.
fn store_integer(value: f64, dtype: DType) -> f64 {
    let (least, greatest) = match dtype {
        DType::Bool => (0, 1),
        _ => dtype.range(),
    };
    // NaN becomes 0, as in a cast between Rust's own types.
    if value.is_nan() { 0.0 } else { value.trunc().clamp(least as f64, greatest as f64) }
}
