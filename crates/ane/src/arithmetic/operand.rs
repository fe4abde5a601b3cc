//! From fp16 bits to the number that the multiplier sees.

use half::f16;

use super::{Arithmetic, LEAST_NORMAL, Nan, Subnormals};

impl Arithmetic {
    /// The value of an operand of a product. Vectorised code decodes each operand once and keeps the
    /// f32.
    ///
    /// Where exponents of all ones are numbers (B.2(2), measured on M4 and M6), infinity is 65,536,
    /// 0x7E00 is 98,304, and -0 is 0.
    #[must_use]
    pub fn operand(&self, x: f16) -> f32 {
        let value = self.decoded(x);
        match self.subnormal_operands {
            Subnormals::Flush if value.abs() < LEAST_NORMAL => 0.0,
            _ => value,
        }
    }

    /// The number that the bits mean: what a bias starts a sum at, for no source flushes it.
    pub(super) fn decoded(&self, x: f16) -> f32 {
        match self.nan {
            Nan::Ieee => x.to_f32(),
            Nan::Number => number(x),
        }
    }
}

/// The bits read as a number whatever their exponent.
fn number(x: f16) -> f32 {
    let (bits, infinity) = (x.to_bits(), f16::INFINITY.to_bits());
    if bits & infinity == infinity {
        let size = 65_536.0 + 64.0 * f32::from(bits & 0x3FF); // 2^16 (1 + fraction / 2^10)
        return if x.is_sign_negative() { -size } else { size };
    }
    x.to_f32() + 0.0 // -0 + 0 is 0
}
