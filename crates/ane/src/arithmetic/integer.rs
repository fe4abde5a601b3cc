//! Products of 8-bit integers.

use half::f16;

use super::{Tie, to_half};

/// Sums of this size have left the 32 bits of the integer accumulator (B.2(8), C69).
const LIMIT: i64 = 1 << 31;

/// The sum of `a[i] * b[i]` in a signed 32-bit accumulator, then times `scale`, as fp16. Both are
/// `[K]`; terms past the shorter one's end are not there.
///
/// A partial sum that reaches 2^31 becomes infinity and stays so. Measured on M4 and M6 (B.2(8),
/// C69); older chips expand 8-bit weights to fp16 first, see [`super::Arithmetic::dot`].
#[must_use]
pub fn dot_int8(a: &[i8], b: &[i8], scale: f32) -> f16 {
    let mut sum = 0i64;
    for (x, w) in a.iter().zip(b) {
        sum += i64::from(*x) * i64::from(*w);
        if sum.abs() >= LIMIT {
            return if sum < 0 { f16::NEG_INFINITY } else { f16::INFINITY };
        }
    }
    to_half(sum as f64 * f64::from(scale), Tie::Away)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_past_the_fixed_point_limit_are_fine() {
        // 64,512 = 4 * 126 * 128: twice what the fp16 accumulator holds (B.2(8)).
        assert_eq!(dot_int8(&[126; 4], &[-128; 4], -1.0).to_f32(), 64_512.0);
        assert_eq!(dot_int8(&[100, 27], &[100, -1], 0.001).to_f32(), 9.976_562_5);
        assert_eq!(dot_int8(&[], &[], 1.0).to_f32(), 0.0);
    }

    #[test]
    fn two_to_the_31_is_infinity_and_stays() {
        // 2^17 products of 2^14.
        let mut a = vec![-128; 1 << 17];
        let mut b = a.clone();
        assert_eq!(dot_int8(&a, &b, 1e-6), f16::INFINITY);
        a.push(-128);
        b.push(127);
        assert_eq!(dot_int8(&a, &b, 1e-6), f16::INFINITY);
        assert_eq!(dot_int8(&a[2..], &b[2..], 1e-6).to_f32(), 2_148.0); // one product short
    }
}
