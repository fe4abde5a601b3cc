//! `exp` for the inner loops, written so that the compiler vectorises it.

use crate::arch::{Arch, Baseline};
use crate::lanes::mul_add;

/// e^x for finite or infinite `x`, within 2 ULP of the true value.
///
/// Below -87.3 the result is 0 (no subnormals), above 88.3 it is infinite, a little before f32 ends.
/// Range reduction x = n ln 2 + r with |r| <= ln 2 / 2 and ln 2 split in two (Cody and Waite), then
/// the Taylor polynomial of degree 7, whose error on that interval is below 2^-28.
#[inline(always)]
pub(crate) fn exp<A: Arch>(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 0.693_359_4; // 355/512: few enough bits that n * LN2_HIGH is exact
    const LN2_LOW: f32 = -2.121_944_4e-4; // ln 2 - LN2_HIGH
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding and subtracting it rounds to an integer
    const LOWEST: f32 = -87.336_54; // ln of the smallest normal f32
    const HIGHEST: f32 = 88.3; // n stays below 128, whose power of two is no f32

    let inside = x.clamp(LOWEST, HIGHEST);
    let shifted = mul_add::<A>(inside, LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = mul_add::<A>(-n, LN2_LOW, mul_add::<A>(-n, LN2_HIGH, inside));
    let mut p = 1.0 / 5040.0;
    p = mul_add::<A>(p, r, 1.0 / 720.0);
    p = mul_add::<A>(p, r, 1.0 / 120.0);
    p = mul_add::<A>(p, r, 1.0 / 24.0);
    p = mul_add::<A>(p, r, 1.0 / 6.0);
    p = mul_add::<A>(p, r, 0.5);
    p = mul_add::<A>(p, r, 1.0);
    p = mul_add::<A>(p, r, 1.0);
    // The low bits of `shifted` are n; a cast would saturate, which the compiler does lane by lane.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32);
    let y = p * pow2(n);
    if x < LOWEST {
        0.0
    } else if x > HIGHEST {
        f32::INFINITY
    } else {
        y
    }
}

/// e^x like the kernels' own, within 2 ULP, without fused multiply-add: the same bits at every
/// [`Level`](crate::simd::Level), for loops that must not depend on it.
#[inline(always)]
#[must_use]
pub fn exp_unfused(x: f32) -> f32 {
    exp::<Baseline>(x)
}

/// 2^n for -126 <= n <= 127.
#[inline(always)]
fn pow2(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) as u32) << 23)
}

#[cfg(test)]
mod tests {
    use crate::arch::{Arch, Baseline, Fused};
    use crate::vector::plain::Plain;

    fn stays_within_two_ulp<A: Arch>() {
        let mut worst = 0.0_f64;
        let mut x = -87.3_f32;
        while x < 88.3 {
            let want = f64::from(x).exp();
            let ulp = f64::from(f32::from_bits((want as f32).to_bits() + 1)) - want as f32 as f64;
            worst = worst.max((f64::from(super::exp::<A>(x)) - want).abs() / ulp);
            x += 0.000_37;
        }
        assert!(worst < 2.0, "worst error {worst} ULP");
    }

    #[test]
    fn stays_within_two_ulp_over_the_normal_range() {
        stays_within_two_ulp::<Baseline>();
        stays_within_two_ulp::<Fused<Plain>>();
    }

    #[test]
    fn saturates_outside_and_keeps_nan() {
        let exp = super::exp::<Baseline>;
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(100.0), f32::INFINITY);
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
    }
}
