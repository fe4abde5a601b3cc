//! Folds: sums along an axis, outside of the multiplier.

use half::f16;

use super::{Arithmetic, Fold};

impl Arithmetic {
    /// The sum of `values` as `reduce_sum` computes it, in their order. Narrow where a profile says
    /// so (6.1, C60): 4,096 ones then sum to 2,048 with ties to even. A product with a row of ones,
    /// [`Arithmetic::dot`], sums widely.
    #[must_use]
    pub fn reduce_sum(&self, values: &[f16]) -> f16 {
        match self.reduce_sum {
            Fold::Half => values.iter().fold(f16::ZERO, |sum, x| self.add(sum, *x)),
            Fold::F32 => {
                let sum = values.iter().fold(0.0, |sum, x| sum + self.element(*x) as f32);
                self.store(f64::from(sum))
            }
        }
    }
}
