//! The same sums with big integers, as plainly as the facts say them: the oracle of [`Arithmetic::dot`].
//!
//! Every number is an integer times 2^-`PLACES`. Products of fp16 values are multiples of 2^-48 and
//! below 2^34, so an `i128` holds any sum of them, and nothing here uses floating point.

use half::f16;

use super::{Arithmetic, Groups, Overflow, Product, Subnormals, Tie, Wide};

/// Binary places: 2^-48 is the product of the two least subnormals.
const PLACES: u32 = 48;

/// The number that finite fp16 bits mean, in units of 2^-24, and its exponent (subnormals: -14).
fn decode(x: f16) -> (i128, i32) {
    let bits = x.to_bits();
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), i128::from(bits & 1023));
    let size = if exponent == 0 { fraction } else { (1024 + fraction) << (exponent - 1) };
    (if bits >> 15 == 1 { -size } else { size }, exponent.max(1) - 15)
}

/// To the nearest multiple of 2^`shift` units.
fn round(value: i128, shift: u32, tie: Tie) -> i128 {
    let (size, unit) = (value.abs(), 1i128 << shift);
    let (whole, rest) = (size / unit, size % unit);
    let up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => tie == Tie::Away || whole % 2 == 1,
    };
    (whole + i128::from(up)) * unit * value.signum()
}

/// To `bits` significant bits, but no finer than multiples of 2^`least` units.
fn significant(value: i128, bits: u32, least: u32, tie: Tie) -> i128 {
    let length = 128 - value.abs().leading_zeros();
    round(value, length.saturating_sub(bits).max(least), tie)
}

/// To fp16. Results may be past the largest fp16 value.
fn half(value: i128, tie: Tie) -> i128 {
    significant(value, 11, PLACES - 24, tie)
}

/// Bits of a value that is an fp16 value, or too large for one. What rounds to 0 keeps its sign.
fn store(value: i128, negative: bool) -> u16 {
    let sign = if negative { 0x8000 } else { 0 };
    let units = value.abs() >> (PLACES - 24); // of 2^-24
    let length = (128 - units.leading_zeros()) as u16;
    let bits = match length {
        0..=10 => units as u16,
        11..=40 => ((length - 10) << 10) + (units >> (length - 11)) as u16 - 1024,
        _ => 0x7C00,
    };
    sign | bits.min(0x7C00)
}

/// Bits of the dot product of finite operands. Where products are summed by fours, no four may reach
/// 65,520 together: infinities inside of a group are not modelled.
pub(super) fn dot(arithmetic: &Arithmetic, bias: f16, a: &[f16], b: &[f16]) -> u16 {
    let normal = 1i128 << (PLACES - 14);
    let held = |value, kind| match kind {
        Wide::F32 => significant(value, 24, 0, Tie::Even),
        Wide::Fixed => round(value, PLACES - 16, Tie::Away),
    };
    let mut terms = Vec::new();
    for (x, w) in a.iter().zip(b) {
        let ((x, p), (w, q)) = (decode(*x), decode(*w));
        let flushed = |v: i128| {
            arithmetic.subnormal_operands == Subnormals::Flush && v.abs() < 1 << (24 - 14)
        };
        let mut product = x * w;
        if flushed(x)
            || flushed(w)
            || arithmetic.least_product_exponent.is_some_and(|least| p + q < least)
            || arithmetic.subnormal_products == Subnormals::Flush && product.abs() < normal
        {
            product = 0;
        }
        if arithmetic.product == Product::Half || arithmetic.groups == Groups::Four {
            product = half(product, arithmetic.tie);
        }
        terms.push(product);
    }
    if arithmetic.groups == Groups::Four {
        let four =
            |group: &[i128]| group.iter().fold(0, |sum, term| half(sum + term, arithmetic.tie));
        terms = terms.chunks(4).map(four).collect();
    }
    let bias = held(decode(bias).0 << (PLACES - 24), arithmetic.bias);
    let limit = (arithmetic.partial_limit as i128) << PLACES;
    let mut sum = 0;
    for term in std::iter::once(bias).chain(terms) {
        sum = match arithmetic.accumulator {
            Wide::F32 => held(sum + term, Wide::F32),
            Wide::Fixed => sum + held(term, Wide::Fixed),
        };
        if sum.abs() >= limit {
            return match arithmetic.overflow {
                Overflow::Zero => 0,
                Overflow::Infinity if sum < 0 => 0xFC00,
                Overflow::Infinity => 0x7C00,
            };
        }
    }
    store(half(sum, arithmetic.tie), sum < 0)
}
