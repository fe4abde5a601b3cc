//! The element-wise unit: floating point, one rounding, the whole range of fp16.

use half::f16;

use super::{Arithmetic, LEAST_NORMAL, Nan, Subnormals, to_half};

impl Arithmetic {
    /// The value of an element as the element-wise unit reads it. Where NaN is no NaN it is read as
    /// infinity (B.2(9): "NaN input becomes +inf-like").
    #[must_use]
    pub fn element(&self, x: f16) -> f64 {
        self.cleaned(x).to_f64()
    }

    /// An element-wise result as it is stored: rounded once, ties as the device breaks them (C67).
    /// What has no value (infinity less infinity) is treated like a NaN that is read.
    #[must_use]
    pub fn store(&self, value: f64) -> f16 {
        self.cleaned(to_half(value, self.tie))
    }

    /// `x + y`.
    #[must_use]
    pub fn add(&self, x: f16, y: f16) -> f16 {
        self.binary(x, y, |x, y| x + y)
    }

    /// `x - y`.
    #[must_use]
    pub fn sub(&self, x: f16, y: f16) -> f16 {
        self.binary(x, y, |x, y| x - y)
    }

    /// `x * y`.
    #[must_use]
    pub fn mul(&self, x: f16, y: f16) -> f16 {
        self.binary(x, y, |x, y| x * y)
    }

    /// `f(x, y)`, rounded once. In f64, sums and products of two fp16 values are exact, and a
    /// quotient is too far from any tie of fp16 to be moved onto one.
    #[must_use]
    pub fn binary(&self, x: f16, y: f16, f: impl FnOnce(f64, f64) -> f64) -> f16 {
        self.store(f(self.element(x), self.element(y)))
    }

    /// NaN and subnormals, as the unit sees them.
    fn cleaned(&self, x: f16) -> f16 {
        if x.is_nan() && self.nan == Nan::Number {
            f16::INFINITY
        } else if self.subnormal_elements == Subnormals::Flush && x.to_f32().abs() < LEAST_NORMAL {
            f16::ZERO
        } else {
            x
        }
    }
}
