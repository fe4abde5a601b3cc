//! Functions of two tensors, element by element.
//!
//! One f32 operation on two fp16 values, rounded to fp16, is the exact result rounded once. Products
//! are exact in f32 (22 bits). A sum or quotient may be rounded twice, which is wrong only if the f32
//! rounding moves it onto a midpoint `m` of two fp16 values (65,520 is one):
//!
//! - A sum `x + y`, `|x| >= |y|`, of exponent `e`, is inexact in f32 only if a bit of `y` is below
//!   2^(e-23), so `|y| < 2^(e-12)`. Then `x`'s exponent is `e`, or `e + 1` just above a power of two,
//!   and `x` is a multiple of 2^(e-10), half of that away from every midpoint: `x + y` stays 2^(e-12)
//!   away, and f32 moves it by 2^(e-24) at most. Sums below 2^-14 are multiples of 2^-24 and exact.
//! - A quotient `X / Y` of 11-bit whole numbers differs from a midpoint `M 2^k`, `M` of 12 bits at
//!   most, by `|X - M Y 2^k| / Y`. Scaled to whole numbers the numerator is 1 at least and `M Y` is
//!   below 2^23, so relative to the midpoint the quotient is more than 2^-23 away, and f32 moves it by
//!   2^-24 at most. Subnormal results have midpoints of fewer bits, so they are further away still.
//!
//! Neither argument asks which way a tie goes, and none of these f32 results is subnormal: the least
//! quotient is 2^-40.

use aneal_kernels::simd::{self, Arch, Level, Work};
use aneal_mil::eval::Binary;
use half::f16;

use super::super::layout::View;
use super::nest::Nest;
use super::operands::{Operands, scratch};
use super::unit::{Unit, map};
use crate::Arithmetic;

/// `f(x, y)`, row-major. The operands are broadcast to equal dimensions, `out` has as many elements.
/// As [`Arithmetic::binary`]; of a zero and the other zero, `maximum` and `minimum` give `y`.
pub(crate) fn binary(
    arithmetic: &Arithmetic,
    f: Binary,
    x: View<'_>,
    y: View<'_>,
    out: &mut [f16],
) {
    binary_at(Level::best(), arithmetic, f, [x, y], out);
}

fn binary_at(level: Level, arithmetic: &Arithmetic, f: Binary, xy: [View<'_>; 2], out: &mut [f16]) {
    let nest = Nest::new([&xy[0].layout, &xy[1].layout]);
    let data = xy.map(|view| view.data);
    let unit = Unit::new(arithmetic);
    match f {
        Binary::Add => lanes(level, unit, nest, data, out, |[x, y]| x + y),
        Binary::Sub => lanes(level, unit, nest, data, out, |[x, y]| x - y),
        Binary::Mul => lanes(level, unit, nest, data, out, |[x, y]| x * y),
        Binary::RealDiv => lanes(level, unit, nest, data, out, |[x, y]| x / y),
        // A NaN gives way to a number, as in `f64::max`.
        Binary::Maximum => {
            lanes(level, unit, nest, data, out, |[x, y]| if x > y || y.is_nan() { x } else { y })
        }
        Binary::Minimum => {
            lanes(level, unit, nest, data, out, |[x, y]| if x < y || y.is_nan() { x } else { y })
        }
        Binary::FloorDiv | Binary::Mod | Binary::Pow => {
            nest.divide(out, 1, &|nest, out| {
                for ([x, y], out) in nest.each().zip(out) {
                    *out = arithmetic.binary(data[0][x], data[1][y], |x, y| f.apply(x, y));
                }
            });
        }
    }
}

fn lanes(
    level: Level,
    unit: Unit,
    nest: Nest<2>,
    data: [&[f16]; 2],
    out: &mut [f16],
    f: impl Fn([f32; 2]) -> f32 + Copy + Sync,
) {
    nest.divide(out, 1, &|nest, out| {
        let scratch = scratch(&nest, data);
        let operands = Operands::new(nest, data, &scratch);
        simd::run(level, Piece { operands, unit, out, f });
    });
}

struct Piece<'a, F> {
    operands: Operands<'a, 2>,
    unit: Unit,
    out: &'a mut [f16],
    f: F,
}

impl<F: Fn([f32; 2]) -> f32 + Copy> Work for Piece<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        self.operands.blocks(self.out, |x, out| map(self.unit, x, out, self.f));
    }
}

#[cfg(test)]
mod tests {
    use aneal_mil::Shape;
    use proptest::prelude::*;

    use super::super::super::layout::Layout;
    use super::super::testing::{
        Source, arithmetics, assert_bits, bits, dims, in_threads, units, view_of,
    };
    use super::*;

    const ALL: [Binary; 9] = [
        Binary::Add,
        Binary::FloorDiv,
        Binary::Maximum,
        Binary::Minimum,
        Binary::Mod,
        Binary::Mul,
        Binary::Pow,
        Binary::RealDiv,
        Binary::Sub,
    ];

    fn computed(
        level: Level,
        arithmetic: &Arithmetic,
        f: Binary,
        x: View<'_>,
        y: View<'_>,
    ) -> Vec<f16> {
        let mut out = vec![f16::ONE; x.layout.elements()];
        binary_at(level, arithmetic, f, [x, y], &mut out);
        out
    }

    /// By the scalar definition; which of two zeros `max` gives is left open there.
    fn reference(arithmetic: &Arithmetic, f: Binary, x: f16, y: f16) -> f16 {
        let [a, b] = [x, y].map(|x| arithmetic.element(x));
        match f {
            Binary::Maximum | Binary::Minimum if a == b => arithmetic.store(b),
            _ => arithmetic.binary(x, y, |x, y| f.apply(x, y)),
        }
    }

    fn pair() -> impl Strategy<Value = (Source, Source)> {
        dims(60).prop_flat_map(|dims| (view_of(dims.clone()), view_of(dims)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn gives_what_the_definition_gives(
            (x, y) in pair(), arithmetic in arithmetics(), f in prop::sample::select(&ALL[..]),
        ) {
            let (x, y) = (x.view(), y.view());
            let want: Vec<f16> =
                x.iter().zip(y.iter()).map(|(x, y)| reference(&arithmetic, f, x, y)).collect();
            for &level in Level::supported() {
                let found = computed(level, &arithmetic, f, x, y);
                assert_bits(&format!("{f:?} at {level:?}"), &found, &want);
            }
        }
    }

    /// No f32 result is taken for a tie that it is not: all values against some, both ways.
    #[test]
    fn f32_results_round_as_exact_ones_do() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let shape = Shape::new(&[all.len()]).unwrap();
        let every = View { data: &all, layout: Layout::dense(&shape, 0).unwrap() };
        let some = bits(0, 12).into_iter().chain(bits(1, 12)).chain(bits(2, 6));
        for (i, one) in some.enumerate() {
            let data = [one];
            let single = Layout::dense(&Shape::SCALAR, 0).unwrap().broadcast(&shape).unwrap();
            let single = View { data: &data, layout: single };
            let arithmetic = &units()[i % 8];
            for f in [Binary::Add, Binary::Sub, Binary::Mul, Binary::RealDiv] {
                for (x, y) in [(every, single), (single, every)] {
                    let found = computed(Level::best(), arithmetic, f, x, y);
                    let pairs = x.iter().zip(y.iter());
                    let want: Vec<f16> =
                        pairs.map(|(x, y)| reference(arithmetic, f, x, y)).collect();
                    assert_bits(&format!("{f:?} with {one:e}"), &found, &want);
                }
            }
        }
    }

    #[test]
    fn threads_change_nothing() {
        let data = bits(1, 300 * 400);
        let shape = Shape::new(&[300, 400]).unwrap();
        let wide = Layout::dense(&shape, 0).unwrap();
        let column = Layout::dense(&Shape::new(&[300, 1]).unwrap(), 7).unwrap();
        let turned = Layout::dense(&Shape::new(&[400, 300]).unwrap(), 0).unwrap();
        let arithmetic = &crate::Profile::named("m4").unwrap().arithmetic;
        for y in [column.broadcast(&shape).unwrap(), turned.permuted(&[1, 0])] {
            let [x, y] = [wide, y].map(|layout| View { data: &data, layout });
            for f in [Binary::Add, Binary::Mod] {
                let run = || computed(Level::best(), arithmetic, f, x, y);
                let want: Vec<f16> =
                    x.iter().zip(y.iter()).map(|(x, y)| reference(arithmetic, f, x, y)).collect();
                assert_bits("one thread", &in_threads(1, run), &want);
                assert_bits("two threads", &in_threads(2, run), &want);
            }
        }
    }
}
