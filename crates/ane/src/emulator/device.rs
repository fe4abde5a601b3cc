//! A device's arithmetic in place of the reference evaluator's: the slow and plain way to compute any
//! operation as the device does, and the oracle of the fast ones.

use aneal_mil::DType;
use aneal_mil::eval::{self, Binary, Unary};
use half::f16;

use crate::arithmetic::{Arithmetic, Fold, to_half};

/// Values of the evaluator are numbers of fp16 wherever a device has no other: it computes nothing
/// in fp32, which is a type of its interface only (6.1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device<'a>(pub(crate) &'a Arithmetic);

impl Device<'_> {
    /// As an operand is held.
    fn half(&self, value: f64) -> f16 {
        to_half(value, self.0.tie)
    }
}

impl eval::Arithmetic for Device<'_> {
    fn store(&self, value: f64, dtype: DType) -> f64 {
        match dtype {
            DType::Fp16 | DType::Fp32 => self.0.store(value).to_f64(),
            _ => eval::Half.store(value, dtype),
        }
    }

    fn dot(&self, start: f64, x: &[f64], w: &[f64], _: DType) -> f64 {
        let halves = |values: &[f64]| values.iter().map(|&v| self.half(v)).collect::<Vec<_>>();
        self.0.dot_from(self.half(start), &halves(x), &halves(w)).to_f64()
    }

    fn sum(&self, values: &mut dyn Iterator<Item = f64>, dtype: DType) -> f64 {
        match self.0.reduce_sum {
            _ if !dtype.is_float() => values.sum(),
            Fold::Half => values.fold(0.0, |sum, v| self.0.store(sum + v).to_f64()),
            Fold::F32 => values.fold(0.0_f32, |sum, v| sum + v as f32).into(),
        }
    }

    fn unary(&self, f: Unary, x: f64, alpha: f64, beta: f64, dtype: DType) -> f64 {
        if dtype.is_float() {
            self.0.unary(f, self.half(x), alpha, beta).to_f64()
        } else {
            f.apply(x, alpha, beta)
        }
    }

    fn binary(&self, f: Binary, x: f64, y: f64, dtype: DType) -> f64 {
        if dtype.is_float() {
            self.0.binary(self.half(x), self.half(y), |x, y| f.apply(x, y)).to_f64()
        } else {
            f.apply(x, y)
        }
    }
}
