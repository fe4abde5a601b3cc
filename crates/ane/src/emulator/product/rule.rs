//! How products enter sums, lane by lane, without a branch: what the innermost loop is made of.
//!
//! Every rule is the arithmetic of `Arithmetic::product` and `Accumulator` for sums that stay below
//! the limit; who calls it sees to that. Left operands of fixed-point sums come prepared, see
//! [`nudged`].

use aneal_kernels::simd::Arch;

use crate::arithmetic::LEAST_NORMAL;

/// Steps of the fixed-point accumulator in 1 (B.2(1)).
pub(super) const STEPS: f32 = 65_536.0;

/// Size of a product from which on [`Fixed`] must be `LARGE`: 2^22 steps.
pub(super) const LARGE: f32 = 64.0;

/// 2^22: below that, adding [`ROUNDER`] gives a value whose last bit is worth 1.
const ROUNDED: f32 = 4_194_304.0;

/// 1.5 * 2^23. Added to a value below 2^22 in size it leaves the nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// 1.5 * 2^32: the same in units of 2^[`SHIFT`], for values up to 2^31.
const HIGH_ROUNDER: f32 = 6_442_450_944.0;

/// log2 of `HIGH_ROUNDER / ROUNDER`.
const SHIFT: u32 = 9;

/// A way to add `STEP` neighbouring products to a sum. Sums are f32 or i32 bits.
pub(super) trait Rule<const STEP: usize> {
    /// What a lane holds meanwhile.
    type Sum: Copy + Default;

    fn start(bits: u32) -> Self::Sum;

    /// `sum` and the products of `x` and `w`. A product is dropped where the size of its `w` is
    /// below `least`, if the rule drops any.
    fn add<A: Arch>(
        sum: Self::Sum,
        x: [f32; STEP],
        least: [f32; STEP],
        w: [f32; STEP],
    ) -> Self::Sum;

    /// The sum's bits again, after `steps` additions.
    fn end(sum: Self::Sum, steps: usize) -> u32;
}

/// One f32 sum, products rounded with it: fast mode.
pub(super) struct Plain;

impl Rule<1> for Plain {
    type Sum = f32;

    #[inline(always)]
    fn start(bits: u32) -> f32 {
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn add<A: Arch>(sum: f32, [x]: [f32; 1], _: [f32; 1], [w]: [f32; 1]) -> f32 {
        mul_add::<A>(x, w, sum)
    }

    #[inline(always)]
    fn end(sum: f32, _: usize) -> u32 {
        sum.to_bits()
    }
}

/// Exact products, each rounded to a step, half away from zero, in wrapping 32-bit sums (B.2(3)).
///
/// The left operand is [`nudged`], which makes the nearest integer of its product the one that half
/// away from zero gives. Let the product be p = m n g steps, where m and n are integers from 2^10 to
/// 2^11 - 1 (what an fp16 value is, but for a power of two) and g is a power of two. An f32 step of
/// m is 2^-13, so the nudged product is larger in size by n 2^-13 g, from g/8 to less than g/4. As an
/// f32, whose step is g/8 below m n = 2^21 and g/4 from there on (where n is above 2^10), it is
/// larger by g/8 or g/4.
///
/// - If g <= 1/2, integers and ties are multiples of g like p: a tie is pushed outward, and nothing
///   that is no tie reaches one.
/// - If g >= 1, p is an integer. Below 2^22 steps g is 1 or 2, so p is pushed by at most 1/2, and by
///   that only if it is even: then the nearest even integer is p again.
///
/// So it is the same with fused multiply-add and without. Adding [`ROUNDER`] rounds, and leaves the
/// integer in the low bits, which is all that a wrapping sum needs: `end` takes away what the
/// constant adds. See [`add_large`] for products of 2^22 steps and more.
pub(super) struct Fixed<const LARGE: bool, const DROPS: bool>;

impl<const LARGE: bool, const DROPS: bool> Rule<1> for Fixed<LARGE, DROPS> {
    type Sum = u32;

    #[inline(always)]
    fn start(bits: u32) -> u32 {
        bits
    }

    #[inline(always)]
    fn add<A: Arch>(sum: u32, [x]: [f32; 1], [least]: [f32; 1], [w]: [f32; 1]) -> u32 {
        let w = if DROPS && w.abs() < least { 0.0 } else { w };
        if LARGE {
            add_large(sum, x, w)
        } else {
            sum.wrapping_add(mul_add::<A>(x, w, ROUNDER).to_bits())
        }
    }

    #[inline(always)]
    fn end(sum: u32, steps: usize) -> u32 {
        let offset = if LARGE { LARGE_OFFSET } else { ROUNDER.to_bits() };
        sum.wrapping_sub(offset.wrapping_mul(steps as u32))
    }
}

/// What [`add_large`] adds too much.
const LARGE_OFFSET: u32 = ROUNDER.to_bits().wrapping_add(HIGH_ROUNDER.to_bits() << SHIFT);

/// Adds a nudged product below 2^31 steps.
///
/// From 2^22 steps on p is an integer, and the nudge, one or two f32 steps of the product, is taken
/// away again: p has 22 bits, so its last two are 0. Then multiples of 2^9 are added apart from the
/// rest, so that both fit into low bits. What is left has a size of at most 2^8, and the constant
/// minus `high` is a multiple of 2^9 of at most 23 bits: both differences are exact.
#[inline(always)]
fn add_large(sum: u32, x: f32, w: f32) -> u32 {
    let product = x * w;
    let whole = f32::from_bits(product.to_bits() & !3);
    let product = if product.abs() < ROUNDED { product } else { whole };
    let high = product + HIGH_ROUNDER;
    let low = product + ((HIGH_ROUNDER + ROUNDER) - high);
    sum.wrapping_add(high.to_bits() << SHIFT).wrapping_add(low.to_bits())
}

/// Products rounded to fp16, those below [`LEAST_NORMAL`] flushed, each added to an f32 (6.1).
pub(super) struct Half<const AWAY: bool>;

impl<const AWAY: bool> Rule<1> for Half<AWAY> {
    type Sum = f32;

    #[inline(always)]
    fn start(bits: u32) -> f32 {
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn add<A: Arch>(sum: f32, [x]: [f32; 1], _: [f32; 1], [w]: [f32; 1]) -> f32 {
        sum + half_product::<AWAY>(x, w)
    }

    #[inline(always)]
    fn end(sum: f32, _: usize) -> u32 {
        sum.to_bits()
    }
}

/// The same products, summed by fours in fp16 before they are added to an f32 (6.1).
///
/// The sum of two fp16 values is rounded to f32 before it is rounded to fp16. That moves none onto a
/// tie: were the f32 inexact, the smaller one would lie 2^13 or more below the larger, which is
/// fp16, and ties are at least 2^12 away from it by that scale.
pub(super) struct HalfFours<const AWAY: bool>;

impl<const AWAY: bool> Rule<4> for HalfFours<AWAY> {
    type Sum = f32;

    #[inline(always)]
    fn start(bits: u32) -> f32 {
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn add<A: Arch>(sum: f32, x: [f32; 4], _: [f32; 4], w: [f32; 4]) -> f32 {
        sum + group::<AWAY>(x, w)
    }

    #[inline(always)]
    fn end(sum: f32, _: usize) -> u32 {
        sum.to_bits()
    }
}

/// [`Half`] in fixed point. An fp16 value is added exactly like a product of it and 1: its nudge is
/// the factor, 2^16 and one f32 step more.
pub(super) struct FixedHalf<const AWAY: bool>;

impl<const AWAY: bool> Rule<1> for FixedHalf<AWAY> {
    type Sum = u32;

    #[inline(always)]
    fn start(bits: u32) -> u32 {
        bits
    }

    #[inline(always)]
    fn add<A: Arch>(sum: u32, [x]: [f32; 1], _: [f32; 1], [w]: [f32; 1]) -> u32 {
        add_large(sum, nudged(1.0), half_product::<AWAY>(x, w))
    }

    #[inline(always)]
    fn end(sum: u32, steps: usize) -> u32 {
        sum.wrapping_sub(LARGE_OFFSET.wrapping_mul(steps as u32))
    }
}

/// [`HalfFours`] in fixed point.
pub(super) struct FixedHalfFours<const AWAY: bool>;

impl<const AWAY: bool> Rule<4> for FixedHalfFours<AWAY> {
    type Sum = u32;

    #[inline(always)]
    fn start(bits: u32) -> u32 {
        bits
    }

    #[inline(always)]
    fn add<A: Arch>(sum: u32, x: [f32; 4], _: [f32; 4], w: [f32; 4]) -> u32 {
        add_large(sum, nudged(1.0), group::<AWAY>(x, w))
    }

    #[inline(always)]
    fn end(sum: u32, steps: usize) -> u32 {
        sum.wrapping_sub(LARGE_OFFSET.wrapping_mul(steps as u32))
    }
}

/// A left operand for [`Fixed`]: in steps, and one f32 value further from zero.
#[inline(always)]
pub(super) fn nudged(x: f32) -> f32 {
    let steps = x * STEPS;
    if steps == 0.0 { 0.0 } else { f32::from_bits(steps.to_bits() + 1) }
}

/// `a b + c`: the fused one where that is an instruction, and else with two roundings.
#[inline(always)]
fn mul_add<A: Arch>(a: f32, b: f32, c: f32) -> f32 {
    if A::FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn half_product<const AWAY: bool>(x: f32, w: f32) -> f32 {
    let product = x * w;
    if product.abs() < LEAST_NORMAL { 0.0 } else { to_eleven_bits::<AWAY>(product) }
}

#[inline(always)]
fn group<const AWAY: bool>(x: [f32; 4], w: [f32; 4]) -> f32 {
    let first = half_product::<AWAY>(x[0], w[0]);
    let second = to_eleven_bits::<AWAY>(first + half_product::<AWAY>(x[1], w[1]));
    let third = to_eleven_bits::<AWAY>(second + half_product::<AWAY>(x[2], w[2]));
    to_eleven_bits::<AWAY>(third + half_product::<AWAY>(x[3], w[3]))
}

/// Rounds to the bits of a normal fp16 value. Multiples of 2^-24 below [`LEAST_NORMAL`], which sums
/// may be, have no more bits anyway; values from 65,520 on do not occur below the limit.
#[inline(always)]
fn to_eleven_bits<const AWAY: bool>(x: f32) -> f32 {
    let bits = x.to_bits();
    let half = if AWAY { 0x1000 } else { 0x0FFF + (bits >> 13 & 1) };
    f32::from_bits(bits.wrapping_add(half) & !0x1FFF)
}
