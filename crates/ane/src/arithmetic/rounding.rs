//! Rounding to fp16, with both ways of breaking ties.
//!
//! `half::f16::from_f64` is not used: it may drop low bits first, and knows only ties to even.

use half::f16;
use serde::Deserialize;

/// Where a value halfway between two fp16 values goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tie {
    /// To the one whose last bit is 0, as IEEE 754 does: 2049 becomes 2048.
    Even,
    /// Away from zero: 2049 becomes 2050, -2049 becomes -2050.
    Away,
}

/// Exponent of the least normal fp16 value.
const LEAST_EXPONENT: i32 = -14;
/// Bits of the fraction of an fp16 value.
const FRACTION_BITS: i32 = 10;
/// Bits of infinity: the first pattern past the largest value.
const INFINITY: u16 = 0x7C00;

/// The fp16 value nearest to `value`, rounded once. From 65,520 on that is infinity; NaN stays NaN.
#[must_use]
pub fn to_half(value: f64, tie: Tie) -> f16 {
    if value.is_nan() {
        return f16::NAN;
    }
    let size = value.abs();
    let bits = if size >= 65_536.0 {
        INFINITY
    } else {
        let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(LEAST_EXPONENT);
        // In units of the last place: exact, a power of two moves no bit of a value above 2^-1000,
        // and what is below is nearest to 0 anyway.
        let units = size * power_of_two(FRACTION_BITS - exponent);
        let units = match tie {
            Tie::Even => units.round_ties_even(),
            Tie::Away => units.round(),
        };
        // At most 2^11 units. The leading one of a normal value adds itself to the exponent, and so
        // does the carry of one that rounds up to the next power of two.
        ((exponent - LEAST_EXPONENT) as u16) * (1 << FRACTION_BITS) + units as u16
    };
    f16::from_bits(bits | if value.is_sign_negative() { 0x8000 } else { 0 })
}

/// 2^`exponent`, for the exponents of normal f64 values.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fp16_value_rounds_to_itself() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            for tie in [Tie::Even, Tie::Away] {
                let rounded = to_half(value.to_f64(), tie);
                assert!(
                    rounded.to_bits() == bits || value.is_nan() && rounded.is_nan(),
                    "{bits:x}"
                );
            }
        }
    }

    #[test]
    fn midpoints_and_their_neighbours_round_as_said() {
        for bits in 0..INFINITY {
            // The value after the largest is where it would be, were it a number.
            let above =
                if bits + 1 == INFINITY { 65_536.0 } else { f16::from_bits(bits + 1).to_f64() };
            let middle = (f16::from_bits(bits).to_f64() + above) / 2.0;
            let even = bits + (bits & 1);
            for (value, tie, want) in [
                (middle, Tie::Even, even),
                (middle, Tie::Away, bits + 1),
                (middle.next_down(), Tie::Even, bits),
                (middle.next_down(), Tie::Away, bits),
                (middle.next_up(), Tie::Even, bits + 1),
                (middle.next_up(), Tie::Away, bits + 1),
            ] {
                assert_eq!(to_half(value, tie).to_bits(), want, "{value:e}, {tie:?}");
                assert_eq!(to_half(-value, tie).to_bits(), want | 0x8000, "-{value:e}, {tie:?}");
            }
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        assert_eq!(to_half(f64::INFINITY, Tie::Away), f16::INFINITY);
        assert_eq!(to_half(-1e300, Tie::Even), f16::NEG_INFINITY);
        assert_eq!(to_half(f64::MIN_POSITIVE / 4.0, Tie::Away).to_bits(), 0);
        assert_eq!(to_half(-0.0, Tie::Away).to_bits(), 0x8000);
        assert!(to_half(f64::NAN, Tie::Even).is_nan());
    }
}
