//! Folds: many values along axes become one, outside of the multiplier.
//!
//! Documented is that `reduce_sum` is narrow (6.1, C60: "accumulates narrow (fp16)"), not in what
//! order it adds. Assumed is that every other fold that sums is narrow in the same way, and that what
//! comes before and after its sum is not rounded: squares, sizes and exponentials are added as they
//! are, and the root, the logarithm or the quotient is taken of the last sum and rounded once. That is
//! what `aneal_mil::eval` means by these operations. Products are assumed to be rounded once, at the
//! end.

use aneal_mil::eval::Reduce;
use half::f16;

use super::{Arithmetic, Fold};

impl Arithmetic {
    /// The sum of `values` as `reduce_sum` computes it, in their order. Narrow where a profile says
    /// so (6.1, C60): 4,096 ones then sum to 2,048 with ties to even. A product with a row of ones,
    /// [`Arithmetic::dot`], sums widely.
    #[must_use]
    pub fn reduce_sum(&self, values: &[f16]) -> f16 {
        self.reduce(Reduce::Sum, values)
    }

    /// `f` of `values`, in their order, as it is stored.
    #[must_use]
    pub fn reduce(&self, f: Reduce, values: &[f16]) -> f16 {
        let terms = || values.iter().map(|x| self.element(*x));
        // Of equals, and against a NaN, what is there stays.
        let greatest = || terms().fold(f64::NEG_INFINITY, |top, x| if x > top { x } else { top });
        let folded = match f {
            Reduce::L1Norm => self.summed(terms().map(f64::abs)),
            Reduce::L2Norm | Reduce::SumSquare => self.summed(terms().map(|x| x * x)),
            Reduce::LogSum | Reduce::Mean | Reduce::Sum => self.summed(terms()),
            Reduce::LogSumExp => {
                // The greatest is taken out, so that nothing overflows.
                let top = greatest();
                top + self.summed(terms().map(|x| (x - top).exp())).ln()
            }
            Reduce::Max => greatest(),
            Reduce::Min => terms().fold(f64::INFINITY, |low, x| if x < low { x } else { low }),
            Reduce::Prod => terms().product(),
        };
        self.finish(f, folded, values.len())
    }

    /// What is stored of a fold of `count` terms.
    pub(crate) fn finish(&self, f: Reduce, folded: f64, count: usize) -> f16 {
        self.store(match f {
            Reduce::L2Norm => folded.sqrt(),
            Reduce::LogSum => folded.ln(),
            Reduce::Mean => folded / count as f64,
            _ => folded,
        })
    }

    /// Terms are exact here but for exponentials, and an f64 sum of one with an fp16 value is far
    /// from any midpoint that it is not on: each step rounds once.
    fn summed(&self, terms: impl Iterator<Item = f64>) -> f64 {
        match self.reduce_sum {
            Fold::Half => terms.fold(0.0, |sum, x| self.element(self.store(sum + x))),
            Fold::F32 => terms.fold(0.0_f32, |sum, x| sum + x as f32).into(),
        }
    }
}
