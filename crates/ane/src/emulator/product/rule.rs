//! How products enter sums, a register of them at a time: what the innermost loop is made of.
//!
//! Every rule is the arithmetic of `Arithmetic::product` and `Accumulator` for sums that stay below
//! the limit; who calls it sees to that. Left operands of fixed-point sums come prepared, see
//! [`nudged`].

use std::cmp::Ordering;

use aneal_kernels::simd::Vector;

use crate::arithmetic::LEAST_NORMAL;

/// Steps of the fixed-point accumulator in 1 (B.2(1)).
pub(super) const STEPS: f32 = 65_536.0;

/// Whether [`Fixed`] must be `LARGE` for products of operands up to these sizes: 2^22 steps, which
/// are 64, or no number.
#[inline(always)]
pub(super) fn is_large(left: f32, right: f32) -> bool {
    !matches!((left * right).partial_cmp(&64.0), Some(Ordering::Less))
}

/// 2^22: below that, adding [`ROUNDER`] gives a value whose last bit is worth 1.
const ROUNDED: f32 = 4_194_304.0;

/// 1.5 * 2^23. Added to a value below 2^22 in size it leaves the nearest integer in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// 1.5 * 2^32: the same in units of 2^[`SHIFT`], for values up to 2^31.
const HIGH_ROUNDER: f32 = 6_442_450_944.0;

/// log2 of `HIGH_ROUNDER / ROUNDER`.
const SHIFT: u32 = 9;

/// A way to add `STEP` neighbouring products to sums. Those are f32 or i32 bits.
pub(super) trait Rule<const STEP: usize> {
    /// What every addition adds too much, as an integer.
    const OFFSET: u32 = 0;

    /// Whether a cheaper rule of the same kind would not do for operands, left and right, with
    /// these peaks and edges, see `Decode`.
    #[inline(always)]
    fn is_needed(_peaks: [f32; 2], _edges: [f32; 2]) -> bool {
        false
    }

    /// `sum` and the products of `x` and `w`. A product is dropped where the size of its `w` is
    /// below `least`, if the rule drops any.
    fn add<V: Vector>(sum: V, x: [V; STEP], least: [V; STEP], w: [V; STEP]) -> V;
}

/// One f32 sum, products rounded with it: fast mode.
pub(super) struct Plain;

impl Rule<1> for Plain {
    #[inline(always)]
    fn add<V: Vector>(sum: V, [x]: [V; 1], _: [V; 1], [w]: [V; 1]) -> V {
        x.times_plus(w, sum)
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
/// integer in the low bits, which is all that a wrapping sum needs: what constants add is
/// [`Rule::OFFSET`]. See [`add_large`] for products of 2^22 steps and more.
pub(super) struct Fixed<const LARGE: bool, const DROPS: bool>;

impl<const LARGE: bool, const DROPS: bool> Rule<1> for Fixed<LARGE, DROPS> {
    const OFFSET: u32 = if LARGE { LARGE_OFFSET } else { ROUNDER.to_bits() };

    #[inline(always)]
    fn is_needed(peaks: [f32; 2], edges: [f32; 2]) -> bool {
        LARGE && is_large(peaks[0], peaks[1]) || DROPS && edges[0] > edges[1]
    }

    #[inline(always)]
    fn add<V: Vector>(sum: V, [x]: [V; 1], [least]: [V; 1], [w]: [V; 1]) -> V {
        let w = if DROPS { w.unless_less(size(w), least) } else { w };
        if LARGE {
            add_large(sum, x.times(w))
        } else {
            sum.plus_bits(x.times_plus(w, V::splat(ROUNDER)))
        }
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
fn add_large<V: Vector>(sum: V, product: V) -> V {
    let rounded = V::splat(ROUNDED);
    let product = size(product).if_less(rounded, product, product.and_bits(!3));
    let high = product.plus(V::splat(HIGH_ROUNDER));
    let low = product.plus(V::splat(HIGH_ROUNDER + ROUNDER).minus(high));
    sum.plus_bits(high.up::<SHIFT>()).plus_bits(low)
}

/// Products rounded to fp16, those below [`LEAST_NORMAL`] flushed, each added to an f32 (6.1).
pub(super) struct Half<const AWAY: bool>;

impl<const AWAY: bool> Rule<1> for Half<AWAY> {
    #[inline(always)]
    fn add<V: Vector>(sum: V, [x]: [V; 1], _: [V; 1], [w]: [V; 1]) -> V {
        sum.plus(half_product::<V, AWAY>(x, w))
    }
}

/// The same products, summed by fours in fp16 before they are added to an f32 (6.1).
///
/// The sum of two fp16 values is rounded to f32 before it is rounded to fp16. That moves none onto a
/// tie: were the f32 inexact, the smaller one would lie 2^13 or more below the larger, which is
/// fp16, and ties are at least 2^12 away from it by that scale.
pub(super) struct HalfFours<const AWAY: bool>;

impl<const AWAY: bool> Rule<4> for HalfFours<AWAY> {
    #[inline(always)]
    fn add<V: Vector>(sum: V, x: [V; 4], _: [V; 4], w: [V; 4]) -> V {
        sum.plus(group::<V, AWAY>(x, w))
    }
}

/// [`Half`] in fixed point. An fp16 value is added exactly like a product of it and 1: its nudge is
/// the factor, 2^16 and one f32 step more.
pub(super) struct FixedHalf<const AWAY: bool>;

impl<const AWAY: bool> Rule<1> for FixedHalf<AWAY> {
    const OFFSET: u32 = LARGE_OFFSET;

    #[inline(always)]
    fn add<V: Vector>(sum: V, [x]: [V; 1], _: [V; 1], [w]: [V; 1]) -> V {
        add_large(sum, half_product::<V, AWAY>(x, w).times(V::splat(NUDGED_ONE)))
    }
}

/// [`HalfFours`] in fixed point.
pub(super) struct FixedHalfFours<const AWAY: bool>;

impl<const AWAY: bool> Rule<4> for FixedHalfFours<AWAY> {
    const OFFSET: u32 = LARGE_OFFSET;

    #[inline(always)]
    fn add<V: Vector>(sum: V, x: [V; 4], _: [V; 4], w: [V; 4]) -> V {
        add_large(sum, group::<V, AWAY>(x, w).times(V::splat(NUDGED_ONE)))
    }
}

/// [`nudged`] 1.
const NUDGED_ONE: f32 = STEPS * (1.0 + f32::EPSILON);

/// A left operand for [`Fixed`]: in steps, and one f32 value further from zero.
#[inline(always)]
pub(super) fn nudged(x: f32) -> f32 {
    let steps = x * STEPS;
    if steps == 0.0 { 0.0 } else { f32::from_bits(steps.to_bits() + 1) }
}

#[inline(always)]
fn size<V: Vector>(x: V) -> V {
    x.and_bits(0x7FFF_FFFF)
}

#[inline(always)]
fn half_product<V: Vector, const AWAY: bool>(x: V, w: V) -> V {
    let product = x.times(w);
    let rounded = to_eleven_bits::<V, AWAY>(product);
    rounded.unless_less(size(product), V::splat(LEAST_NORMAL))
}

#[inline(always)]
fn group<V: Vector, const AWAY: bool>(x: [V; 4], w: [V; 4]) -> V {
    let mut sum = half_product::<V, AWAY>(x[0], w[0]);
    for i in 1..4 {
        sum = to_eleven_bits::<V, AWAY>(sum.plus(half_product::<V, AWAY>(x[i], w[i])));
    }
    sum
}

/// Rounds to the bits of a normal fp16 value. Multiples of 2^-24 below [`LEAST_NORMAL`], which sums
/// may be, have no more bits anyway; values from 65,520 on do not occur below the limit.
#[inline(always)]
fn to_eleven_bits<V: Vector, const AWAY: bool>(x: V) -> V {
    let half = |bits| V::splat(f32::from_bits(bits));
    let moved = if AWAY {
        x.plus_bits(half(0x1000))
    } else {
        x.plus_bits(half(0x0FFF)).plus_bits(x.down::<13>().and_bits(1))
    };
    moved.and_bits(!0x1FFF)
}

#[cfg(test)]
mod tests {
    use aneal_kernels::simd::{self, Arch, Level, Work};

    use super::*;

    /// Rounds all products m n g steps that [`Fixed`] is for; m and n are all values of 11 bits.
    struct All<const LARGE: bool> {
        log_g: i32,
    }

    impl<const LARGE: bool> Work for All<LARGE> {
        /// What was rounded wrongly: m, n, found.
        type Output = Vec<(i64, i64, i32)>;

        #[inline(always)]
        fn run<A: Arch>(self) -> Self::Output {
            let mut wrong = Vec::new();
            let lanes = A::LANES;
            let signed = |n: i64| if n % 2 == 0 { n } else { -n };
            let scale = ((self.log_g - 16) as f32).exp2();
            let right: Vec<f32> = (1024..2048).map(|n| signed(n) as f32).collect();
            let mut found = [0.0; 16];
            for m in 1024..2048 {
                let x = A::Vector::splat(nudged(m as f32 * scale));
                for (block, w) in right.chunks_exact(lanes).enumerate() {
                    let zero = A::Vector::splat(0.0);
                    let w = A::Vector::load(w);
                    Fixed::<LARGE, false>::add(zero, [x], [zero], [w]).store(&mut found);
                    for (lane, found) in found[..lanes].iter().enumerate() {
                        let n = (1024 + block * lanes + lane) as i64;
                        let offset = Fixed::<LARGE, false>::OFFSET;
                        let found = found.to_bits().wrapping_sub(offset) as i32;
                        // Twice the product, one more, and halved: half away from zero.
                        let size = m * n;
                        let size = match self.log_g {
                            0.. => size << self.log_g,
                            _ => ((size >> (-self.log_g - 1)) + 1) >> 1,
                        };
                        let fits = if LARGE { size < 1 << 31 } else { size < 1 << 22 };
                        if fits && i64::from(found) != size * signed(n).signum() {
                            wrong.push((m, n, found));
                        }
                    }
                }
            }
            wrong
        }
    }

    #[test]
    fn every_product_is_rounded_half_away_from_zero() {
        for &level in Level::supported() {
            for log_g in -24..=10 {
                let wrong = simd::run(level, All::<true> { log_g });
                assert!(wrong.is_empty(), "{level:?}, large, 2^{log_g}: {:?}", wrong[0]);
            }
            for log_g in -24..=2 {
                let wrong = simd::run(level, All::<false> { log_g });
                assert!(wrong.is_empty(), "{level:?}, 2^{log_g}: {:?}", wrong[0]);
            }
        }
    }
}
