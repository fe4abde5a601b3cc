//! What a partial sum is held in.

use super::Wide;

/// Steps of the fixed-point accumulator in 1: 16 bits behind the point (B.2(1)).
const STEPS: f32 = 65_536.0;

/// A partial sum.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sum {
    F32(f32),
    /// In steps of 2^-16. The device has 32 bits; the wider integer here only holds a sum between an
    /// addition and the look at its size.
    Fixed(i64),
}

impl Sum {
    pub(super) fn zero(kind: Wide) -> Self {
        match kind {
            Wide::F32 => Self::F32(0.0),
            Wide::Fixed => Self::Fixed(0),
        }
    }

    /// Adds a term, rounded to the sum's own step. A fixed-point sum knows no NaN: it adds nothing.
    pub(super) fn add(&mut self, term: f32) {
        match self {
            Self::F32(sum) => *sum += term,
            Self::Fixed(sum) => *sum = sum.saturating_add(steps(term)),
        }
    }

    /// Exact: a fixed-point sum that has not overflowed has at most 32 bits.
    pub(super) fn value(self) -> f64 {
        match self {
            Self::F32(sum) => f64::from(sum),
            Self::Fixed(sum) => sum as f64 / f64::from(STEPS),
        }
    }
}

/// A number in steps of 2^-16, to nearest, ties away from zero (B.2(3) and (5)). The scaling moves no
/// bit, so there is one rounding; a product of two operands is below 2^34, so it fits.
fn steps(value: f32) -> i64 {
    (value * STEPS).round() as i64
}

/// A number rounded to what holds it.
pub(super) fn held(value: f32, kind: Wide) -> f32 {
    match kind {
        Wide::F32 => value,
        Wide::Fixed => (value * STEPS).round() / STEPS,
    }
}
