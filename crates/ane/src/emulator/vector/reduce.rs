//! Folds along axes, many results at a time.
//!
//! A fold rounds at every term, so its terms come one after another; results are independent, and
//! [`SIDE`] of them are folded side by side. Where neighbours among the results are neighbours in the
//! buffer (channels folded, columns kept), a term's lanes are a slice; elsewhere a tile is copied
//! into that order first.

use aneal_kernels::simd::{self, Arch, Level, Work};
use aneal_mil::eval::Reduce;
use half::f16;

use super::super::layout::View;
use super::LANES;
use super::nest::Nest;
use super::transpose::transpose;
use super::unit::Unit;
use crate::Arithmetic;
use crate::arithmetic::Fold;

/// Vectors of results that are folded together: rounding is a chain of some ten instructions, and
/// each chain waits for itself only.
const VECTORS: usize = 4;
/// Results that are folded together.
const SIDE: usize = VECTORS * LANES;
/// Terms of a tile.
const TILE: usize = 64;

/// `f` of `x` along `axes`, row-major over the other axes: `out` has an element for each of their
/// places. As [`Arithmetic::reduce`] of the gathered terms, row-major over `axes`.
pub(crate) fn reduce(
    arithmetic: &Arithmetic,
    f: Reduce,
    x: View<'_>,
    axes: &[usize],
    out: &mut [f16],
) {
    reduce_at(Level::best(), arithmetic, f, x, axes, out);
}

fn reduce_at(
    level: Level,
    arithmetic: &Arithmetic,
    f: Reduce,
    x: View<'_>,
    axes: &[usize],
    out: &mut [f16],
) {
    let layout = &x.layout;
    let along = |inside: bool, offset: usize| {
        let chosen = (0..layout.rank()).filter(|axis| axes.contains(axis) == inside);
        Nest::of([offset], chosen.map(|axis| (layout.dims()[axis], [layout.steps()[axis]])))
    };
    let (kept, folded) = (along(false, layout.offset), along(true, 0));
    kept.divide(out, folded.places(), &|kept, out| {
        let mut starts = kept.each();
        for out in out.chunks_mut(SIDE) {
            // Lanes without a result fold a neighbour's terms.
            let mut from = [0; SIDE];
            let mut last = 0;
            for from in &mut from[..out.len()] {
                [last] = starts.next().unwrap_or_default();
                *from = last;
            }
            from[out.len()..].fill(last);
            let neighbours = from.windows(2).all(|two| two[1] == two[0] + 1);
            let terms = Terms { data: x.data, from, neighbours, folded };
            side_by_side(level, arithmetic, f, &terms, out);
        }
    });
}

/// Folds of up to [`SIDE`] results.
fn side_by_side(
    level: Level,
    arithmetic: &Arithmetic,
    f: Reduce,
    terms: &Terms<'_>,
    out: &mut [f16],
) {
    let unit = Unit::new(arithmetic);
    let half = arithmetic.reduce_sum == Fold::Half;
    macro_rules! fold {
        ($start:expr, $step:expr) => {
            simd::run(level, Folding { unit, terms, start: $start, step: $step })
        };
    }
    // Rounding a sum of two fp16 values from f32 is rounding it once, see `binary`.
    let sides = match (f, half) {
        (Reduce::LogSum | Reduce::Mean | Reduce::Sum, true) => {
            fold!(0.0, |unit: Unit, sum, x| unit.keep(sum + x))
        }
        (Reduce::LogSum | Reduce::Mean | Reduce::Sum, false) => fold!(0.0, |_, sum, x| sum + x),
        (Reduce::L1Norm, true) => fold!(0.0, |unit: Unit, sum, x: f32| unit.keep(sum + x.abs())),
        (Reduce::L1Norm, false) => fold!(0.0, |_, sum, x: f32| sum + x.abs()),
        (Reduce::L2Norm | Reduce::SumSquare, true) => {
            fold!(0.0, |unit: Unit, sum, x: f32| unit.keep(odd_sum(sum, x * x)))
        }
        (Reduce::L2Norm | Reduce::SumSquare, false) => fold!(0.0, |_, sum, x: f32| sum + x * x),
        (Reduce::Max, _) => fold!(f32::NEG_INFINITY, |_, top, x| if x > top { x } else { top }),
        (Reduce::Min, _) => fold!(f32::INFINITY, |_, low, x| if x < low { x } else { low }),
        (Reduce::LogSumExp | Reduce::Prod, _) => {
            for (lane, out) in out.iter_mut().enumerate() {
                *out = arithmetic.reduce(f, &terms.of(lane));
            }
            return;
        }
    };
    for (out, &folded) in out.iter_mut().zip(sides.as_flattened()) {
        *out = arithmetic.finish(f, folded.into(), terms.folded.places());
    }
}

/// `a + b`, rounded to f32 such that what is not exact ends in an odd bit. Rounding that to fp16 is
/// rounding the exact sum (Boldo and Melquiond 2008, "Emulation of a FMA and correctly rounded sums").
/// A square of 22 bits plus a sum needs it: to nearest it could land on a midpoint of fp16.
#[inline(always)]
fn odd_sum(a: f32, b: f32) -> f32 {
    let sum = a + b;
    // The error of the sum, exactly (Knuth's TwoSum).
    let part = sum - a;
    let error = (a - (sum - part)) + (b - part);
    // Not of infinities, whose error is NaN.
    let inexact = error.abs() > 0.0;
    let bits = sum.to_bits();
    let even = bits & 1 == 0;
    let away = (error > 0.0) == (sum > 0.0);
    let odd = if away { bits.wrapping_add(1) } else { bits.wrapping_sub(1) };
    f32::from_bits(if inexact & even { odd } else { bits })
}

/// What results that are folded side by side fold.
struct Terms<'a> {
    data: &'a [f16],
    /// Where each result's first term is.
    from: [usize; SIDE],
    /// Whether all lanes of a term are one slice.
    neighbours: bool,
    /// One result's terms, from 0 on.
    folded: Nest<1>,
}

impl Terms<'_> {
    /// Terms' places from each result's first on, in runs: place, terms, and the step between them.
    #[inline(always)]
    fn runs(&self) -> impl Iterator<Item = (isize, usize, isize)> {
        let (row, [step]) = (self.folded.row(), self.folded.row_steps());
        self.folded.rows().flat_map(move |[at]| {
            // From 0 on: what lies in front of it has wrapped, and unwraps again.
            let at = at as isize;
            (0..row).step_by(TILE).map(move |i| (at + i as isize * step, TILE.min(row - i), step))
        })
    }

    /// One result's terms in order.
    fn of(&self, lane: usize) -> Vec<f16> {
        self.folded.starting_at([self.from[lane]]).each().map(|[at]| self.data[at]).collect()
    }

    /// Copies a run's terms into a tile, all lanes of each.
    fn tile(&self, (place, terms, step): (isize, usize, isize), tile: &mut [[f16; SIDE]]) {
        let at = |lane: usize| self.from[lane].wrapping_add_signed(place);
        if step == 1 {
            transpose(self.data, at, [SIDE, terms], tile.as_flattened_mut(), SIDE);
            return;
        }
        for (term, lanes) in tile[..terms].iter_mut().enumerate() {
            let offset = term as isize * step;
            if self.neighbours {
                lanes.copy_from_slice(&self.data[at(0).wrapping_add_signed(offset)..][..SIDE]);
            } else {
                for (lane, x) in lanes.iter_mut().enumerate() {
                    *x = self.data[at(lane).wrapping_add_signed(offset)];
                }
            }
        }
    }
}

struct Folding<'a, F> {
    unit: Unit,
    terms: &'a Terms<'a>,
    start: f32,
    step: F,
}

impl<F: Fn(Unit, f32, f32) -> f32> Work for Folding<'_, F> {
    type Output = [[f32; LANES]; VECTORS];

    #[inline(always)]
    fn run<A: Arch>(self) -> Self::Output {
        let mut sides = [[self.start; LANES]; VECTORS];
        let mut tile = [[f16::ZERO; SIDE]; TILE];
        for run in self.terms.runs() {
            self.terms.tile(run, &mut tile);
            for lanes in &tile[..run.1] {
                for (side, lanes) in sides.iter_mut().zip(lanes.as_chunks::<LANES>().0) {
                    let x = self.unit.read(lanes);
                    for i in 0..LANES {
                        side[i] = (self.step)(self.unit, side[i], x[i]);
                    }
                }
            }
        }
        sides
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::Shape;
    use proptest::prelude::*;

    use super::super::super::layout::Layout;
    use super::super::testing::{arithmetics, assert_bits, bits, gathered, in_threads, view};
    use super::*;

    const ALL: [Reduce; 10] = [
        Reduce::L1Norm,
        Reduce::L2Norm,
        Reduce::LogSum,
        Reduce::LogSumExp,
        Reduce::Max,
        Reduce::Mean,
        Reduce::Min,
        Reduce::Prod,
        Reduce::Sum,
        Reduce::SumSquare,
    ];

    fn check(level: Level, arithmetic: &Arithmetic, f: Reduce, x: View<'_>, axes: &[usize]) {
        let want: Vec<f16> =
            gathered(x, axes).iter().map(|row| arithmetic.reduce(f, row)).collect();
        let mut found = vec![f16::ONE; want.len()];
        reduce_at(level, arithmetic, f, x, axes, &mut found);
        assert_bits(&format!("{f:?} along {axes:?} at {level:?}"), &found, &want);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn folds_as_defined(
            source in view(140), arithmetic in arithmetics(), f in prop::sample::select(&ALL[..]),
            inside in 1usize..32,
        ) {
            let x = source.view();
            let axes: Vec<usize> = (0..x.layout.rank()).filter(|axis| inside >> axis & 1 == 1).collect();
            for &level in Level::supported() {
                check(level, &arithmetic, f, x, &axes);
            }
        }
    }

    /// 47 squared is 2,209, halfway between two fp16 values; what is more than that, however small,
    /// decides, though f32 does not hold it.
    #[test]
    fn squares_are_rounded_with_the_sum_only() {
        let even = crate::Profile::named("m1").unwrap().arithmetic;
        for (first, want) in [(0.0, 2208.0), (0.007_812_5, 2210.0)] {
            let data = [first, 47.0].map(f16::from_f32);
            let layout = Layout::dense(&Shape::new(&[2]).unwrap(), 0).unwrap();
            let x = View { data: &data, layout };
            assert_eq!(even.reduce(Reduce::SumSquare, &data).to_f32(), want);
            for &level in Level::supported() {
                check(level, &even, Reduce::SumSquare, x, &[0]);
            }
        }
    }

    #[test]
    fn large_tensors_are_shared_by_threads() {
        let data = bits(3, 500 * 200);
        let layout = Layout::dense(&Shape::new(&[500, 200]).unwrap(), 0).unwrap();
        let x = View { data: &data, layout };
        let arithmetic = &crate::Profile::named("m4").unwrap().arithmetic;
        for threads in [1, 2] {
            for axes in [&[0][..], &[1], &[0, 1]] {
                in_threads(threads, || check(Level::best(), arithmetic, Reduce::Sum, x, axes));
            }
        }
    }
}
