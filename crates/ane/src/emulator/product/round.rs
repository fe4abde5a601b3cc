//! Rounding of many f32 values to fp16, without a branch: `arithmetic::to_half` for vectors.

use aneal_kernels::simd::{self, Arch, Level, Work};
use half::f16;

use super::rule::STEPS;
use crate::arithmetic::{LEAST_NORMAL, Tie};

/// What the bits of a sum are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Sums {
    /// f32, to be divided by a power of two.
    F32 { scale: f32 },
    /// i32 in steps of 2^-16.
    Steps,
}

/// Rounds sums as a profile stores them. As many as the shorter of the two has.
pub(super) fn store(level: Level, kind: Sums, tie: Tie, sums: &[u32], out: &mut [f16]) {
    match (kind, tie) {
        (Sums::F32 { scale }, Tie::Even) => {
            simd::run(level, Store::<false, false> { sums, scale: 1.0 / scale, out });
        }
        (Sums::F32 { scale }, Tie::Away) => {
            simd::run(level, Store::<false, true> { sums, scale: 1.0 / scale, out });
        }
        (Sums::Steps, Tie::Even) => {
            simd::run(level, Store::<true, false> { sums, scale: STEP, out })
        }
        (Sums::Steps, Tie::Away) => {
            simd::run(level, Store::<true, true> { sums, scale: STEP, out })
        }
    }
}

/// 2^-16 (B.2(1)).
const STEP: f32 = 1.0 / STEPS;

struct Store<'a, const FIXED: bool, const AWAY: bool> {
    sums: &'a [u32],
    scale: f32,
    out: &'a mut [f16],
}

impl<const FIXED: bool, const AWAY: bool> Work for Store<'_, FIXED, AWAY> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        let scale = self.scale;
        let round = |bits: u32| {
            let value = if FIXED { to_f32(bits as i32) } else { f32::from_bits(bits) };
            f16::from_bits(to_half::<AWAY>(value * scale))
        };
        for (out, bits) in self.out.iter_mut().zip(self.sums) {
            *out = round(*bits);
        }
    }
}

/// An integer as an f32 that rounds to the same fp16 value, however that breaks ties.
///
/// Below 2^24 it is exact. From there on the last bits of an fp16 value are worth 2^14 or more: of
/// the eight lowest bits it only matters whether any is set, and the ninth may say that.
#[inline(always)]
fn to_f32(sum: i32) -> f32 {
    let size = sum.unsigned_abs();
    let rest = if size & 0xFF == 0 { 0 } else { 0x100 };
    let odd = (size & !0xFF) | rest;
    let size = if size < 1 << 24 { size } else { odd } as i32 as f32;
    if sum < 0 { -size } else { size }
}

/// The bits of the fp16 value nearest to `value`.
#[inline(always)]
fn to_half<const AWAY: bool>(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, size) = (bits >> 16 & 0x8000, bits & 0x7FFF_FFFF);
    // Normal values: 13 bits go, and the exponent starts at -14 instead of -126. A carry moves on
    // into the exponent; from 65,520 on that is infinity, and above it stays so.
    let half = if AWAY { 0x1000 } else { 0x0FFF + (size >> 13 & 1) };
    let normal = ((size + half) >> 13).saturating_sub(112 << 10).min(0x7C00);
    // Subnormal ones: in units of 2^-24, less than 2^10, added to 2^23 to round them to even.
    let units = f32::from_bits(size) * 16_777_216.0;
    let even = units + 8_388_608.0;
    let up = AWAY && units - (even - 8_388_608.0) == 0.5;
    let subnormal = (even.to_bits() & 0x7FF) + u32::from(up);
    let half = if f32::from_bits(size) < LEAST_NORMAL { subnormal } else { normal };
    let half = if size > f32::INFINITY.to_bits() { 0x7E00 } else { sign | half };
    half as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arithmetic;

    #[track_caller]
    fn check(values: &[f32]) {
        let bits: Vec<u32> = values.iter().map(|v| v.to_bits()).collect();
        for &level in Level::supported() {
            for tie in [Tie::Even, Tie::Away] {
                let mut found = vec![f16::ZERO; bits.len()];
                store(level, Sums::F32 { scale: 1.0 }, tie, &bits, &mut found);
                for (value, found) in values.iter().zip(&found) {
                    let want = arithmetic::to_half(f64::from(*value), tie);
                    assert_eq!(found.to_bits(), want.to_bits(), "{value:e}, {tie:?}, {level:?}");
                }
            }
        }
    }

    #[test]
    fn values_at_and_beside_every_tie() {
        for top in 0..=0x7C_u16 {
            let mut values = Vec::new();
            for bits in (top << 8)..(top << 8) + 256 {
                let value = f16::from_bits(bits).to_f32();
                let above = f16::from_bits(bits + 1).to_f32();
                let middle = if above.is_infinite() { 65_520.0 } else { (value + above) / 2.0 };
                for v in [value, middle, middle.next_up(), middle.next_down()] {
                    values.extend([v, -v]);
                }
            }
            check(&values);
        }
        check(&[f32::NAN, -f32::NAN, f32::MAX, 65_536.0, 1e-40, -1e-40, 0.0, -0.0]);
    }

    proptest! {
        #[test]
        fn any_bits(bits in prop::collection::vec(any::<u32>(), 1..400)) {
            check(&bits.into_iter().map(f32::from_bits).collect::<Vec<_>>());
        }

        #[test]
        fn any_steps(sums in prop::collection::vec((any::<i32>(), 0_u32..31), 1..200)) {
            // Shifted, so that small ones come up; half of them near ties of fp16.
            let sums = sums.into_iter().flat_map(|(sum, shift)| {
                let small = (sum >> shift).max(-i32::MAX);
                let unit = small.unsigned_abs().checked_ilog2().unwrap_or(0).saturating_sub(11);
                [small, small >> unit << unit, (small >> unit << unit) + 1]
            });
            let sums: Vec<i32> = sums.filter(|sum| *sum != i32::MIN).collect();
            let bits: Vec<u32> = sums.iter().map(|sum| *sum as u32).collect();
            for &level in Level::supported() {
                for tie in [Tie::Even, Tie::Away] {
                    let mut found = vec![f16::ZERO; bits.len()];
                    store(level, Sums::Steps, tie, &bits, &mut found);
                    for (sum, found) in sums.iter().zip(found) {
                        let want = arithmetic::to_half(f64::from(*sum) / 65_536.0, tie);
                        prop_assert_eq!(found.to_bits(), want.to_bits(), "{} steps", sum);
                    }
                }
            }
        }
    }
}
