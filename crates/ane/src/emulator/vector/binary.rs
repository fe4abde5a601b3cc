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
