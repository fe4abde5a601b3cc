//! From fp16 to what the innermost loop multiplies, many values at a time.

use aneal_kernels::simd::{Arch, Work};
use half::f16;

use super::rule::{STEPS, nudged};
use super::tile::MAX_COLS;
use crate::arithmetic::{Arithmetic, LEAST_NORMAL, Nan, Subnormals};

/// How an operand is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding {
    /// All exponents are those of numbers.
    number: bool,
    flush: bool,
    pub(super) role: Role,
}

/// What an operand is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Role {
    /// A factor and no more.
    Factor,
    /// The left one of fixed-point sums: values are [`nudged`]. With thresholds, if products are
    /// dropped whose operands' powers of two have a product below `least`.
    FixedLeft { least: Option<f32> },
    /// The right one of fixed-point sums.
    FixedRight,
}

impl Decoding {
    pub(super) fn new(arithmetic: &Arithmetic, role: Role) -> Self {
        Self {
            number: arithmetic.nan == Nan::Number,
            flush: arithmetic.subnormal_operands == Subnormals::Flush,
            role,
        }
    }

    /// Whether values have thresholds of their own.
    pub(super) fn has_thresholds(self) -> bool {
        matches!(self.role, Role::FixedLeft { least: Some(_) })
    }

    /// What values are multiplied by.
    pub(super) fn scale(self) -> f32 {
        if matches!(self.role, Role::FixedLeft { .. }) { STEPS } else { 1.0 }
    }

    /// As [`Arithmetic::operand`], but for signs of zeros, which no sum shows.
    #[inline(always)]
    fn decode(self, x: f16) -> f32 {
        let bits = u32::from(x.to_bits());
        let size = (bits & 0x7FFF) << 13;
        // The exponent starts at -14 instead of -126; all ones become 16.
        let normal = f32::from_bits(size + (112 << 23));
        let subnormal = f32::from_bits(size + (113 << 23)) - LEAST_NORMAL;
        let subnormal = if self.flush { 0.0 } else { subnormal };
        let value = if size < 1 << 23 { subnormal } else { normal };
        let special = f32::from_bits(size | f32::INFINITY.to_bits());
        let value = if !self.number && size >= 0x1F << 23 { special } else { value };
        f32::from_bits(value.to_bits() | (bits & 0x8000) << 16)
    }
}

/// The size below which a right operand's product with `x` is dropped: 2 to the power of what its
/// exponent must be at least. Zero and subnormals count as 2^-14 (B.2(3)), so no threshold is there
/// or below. Nothing is dropped that is 0 anyway.
#[inline(always)]
fn threshold(x: f32, least: f32) -> f32 {
    let exponent = (x.to_bits() & f32::INFINITY.to_bits()).max(LEAST_NORMAL.to_bits());
    let inverse = f32::from_bits((254_u32 << 23).wrapping_sub(exponent));
    let size = least * inverse;
    if size <= LEAST_NORMAL || x == 0.0 { 0.0 } else { size }
}

/// Decodes some inner indices of a panel.
pub(super) struct Decode<'a> {
    pub(super) decoding: Decoding,
    /// `[count, width]`
    pub(super) source: &'a [f16],
    pub(super) width: usize,
    /// `[count, width]`
    pub(super) values: &'a mut [f32],
    /// `[count, width]`, or empty without thresholds.
    pub(super) least: &'a mut [f32],
    /// `[count]`: largest sizes.
    pub(super) peaks: &'a mut [f32],
    /// `[count]`: of a left operand the largest threshold, of a right one the smallest size that is
    /// not 0.
    pub(super) edges: &'a mut [f32],
}

impl Work for Decode<'_> {
    /// Sums of squares of the lanes.
    type Output = [f32; MAX_COLS];

    #[inline(always)]
    fn run<A: Arch>(self) -> [f32; MAX_COLS] {
        match self.width {
            4 => self.sized::<4>(),
            8 => self.sized::<8>(),
            16 => self.sized::<16>(),
            _ => self.sized::<MAX_COLS>(),
        }
    }
}

impl Decode<'_> {
    #[inline(always)]
    fn sized<const WIDTH: usize>(self) -> [f32; MAX_COLS] {
        let decoding = self.decoding;
        let mut squares = [0.0; MAX_COLS];
        let (source, _) = self.source.as_chunks::<WIDTH>();
        let (values, _) = self.values.as_chunks_mut::<WIDTH>();
        for (source, values) in source.iter().zip(values.iter_mut()) {
            for lane in 0..WIDTH {
                let value = decoding.decode(source[lane]);
                squares[lane] += value * value;
                values[lane] = value;
            }
        }
        if decoding.role == Role::Factor {
            return squares;
        }
        for ((values, peak), edge) in values.iter().zip(self.peaks).zip(self.edges.iter_mut()) {
            // Without a sign, values are ordered like their bits; 0 comes last when 1 is taken off.
            let (mut largest, mut smallest) = (0, u32::MAX);
            for value in values {
                let size = value.to_bits() & 0x7FFF_FFFF;
                largest = size.max(largest);
                smallest = size.wrapping_sub(1).min(smallest);
            }
            *peak = f32::from_bits(largest);
            *edge = f32::from_bits(smallest.wrapping_add(1));
        }
        let Role::FixedLeft { least } = decoding.role else {
            self.edges
                .iter_mut()
                .filter(|edge| **edge == 0.0)
                .for_each(|edge| *edge = f32::INFINITY);
            return squares;
        };
        for edge in self.edges {
            *edge = least.map_or(0.0, |least| threshold(*edge, least));
        }
        for (out, value) in self.least.iter_mut().zip(values.as_flattened()) {
            *out = least.map_or(0.0, |least| threshold(*value, least));
        }
        for value in values.as_flattened_mut() {
            *value = nudged(*value);
        }
        squares
    }
}

/// Counts values that are not 0 and below a size.
pub(super) struct Count<'a> {
    /// `[K, width]`
    pub(super) values: &'a [f32],
    pub(super) width: usize,
    pub(super) size: f32,
}

impl Work for Count<'_> {
    /// The most that a lane has.
    type Output = f32;

    #[inline(always)]
    fn run<A: Arch>(self) -> f32 {
        match self.width {
            4 => self.sized::<4>(),
            8 => self.sized::<8>(),
            16 => self.sized::<16>(),
            _ => self.sized::<MAX_COLS>(),
        }
    }
}

impl Count<'_> {
    #[inline(always)]
    fn sized<const WIDTH: usize>(self) -> f32 {
        let mut counts = [0_u32; WIDTH];
        for values in self.values.as_chunks::<WIDTH>().0 {
            for lane in 0..WIDTH {
                let size = values[lane].abs();
                counts[lane] += u32::from(size < self.size && size > 0.0);
            }
        }
        let mut most = 0;
        for count in counts {
            most = count.max(most);
        }
        most as f32
    }
}

#[cfg(test)]
mod tests {
    use aneal_kernels::simd::{self, Level};

    use super::*;
    use crate::Profile;

    /// Decodes values in panels of `width`; values, thresholds, peaks, edges.
    fn decoded(level: Level, decoding: Decoding, source: &[f16], width: usize) -> [Vec<f32>; 4] {
        let mut found = [source.len(), source.len(), source.len() / width, source.len() / width]
            .map(|len| vec![f32::NAN; len]);
        let [values, least, peaks, edges] = &mut found;
        simd::run(level, Decode { decoding, source, width, values, least, peaks, edges });
        found
    }

    #[test]
    fn every_pattern_is_decoded_as_the_profile_says() {
        let source: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for name in ["m1", "m4", "strict"] {
            let mut arithmetic = Profile::named(name).unwrap().arithmetic;
            for flush in [Subnormals::Flush, Subnormals::Keep] {
                arithmetic.subnormal_operands = flush;
                for &level in Level::supported() {
                    let decoding = Decoding::new(&arithmetic, Role::Factor);
                    let [values, ..] = decoded(level, decoding, &source, 16);
                    for (x, found) in source.iter().zip(values) {
                        let want = arithmetic.operand(*x);
                        let same = want == found || want.is_nan() && found.is_nan();
                        assert!(same, "{x:?} is {want}, not {found}, on {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn thresholds_drop_what_exponents_say() {
        let m4 = Profile::named("m4").unwrap().arithmetic;
        // Two values of every exponent, and subnormals.
        let source: Vec<f16> = (0..64).map(|i| f16::from_bits(i * 512 + 77)).collect();
        for exponent in [-40, -16, -12, 0, 20] {
            let arithmetic = Arithmetic { least_product_exponent: Some(exponent), ..m4.clone() };
            let role = Role::FixedLeft { least: Some((exponent as f32).exp2()) };
            let left = Decoding::new(&arithmetic, role);
            let right = Decoding::new(&arithmetic, Role::FixedRight);
            let [_, least, _, left_edges] = decoded(Level::best(), left, &source, 4);
            let [values, _, peaks, right_edges] = decoded(Level::best(), right, &source, 4);
            let mut dropped = vec![false; 16 * 16];
            for (i, (x, least)) in values.iter().zip(&least).enumerate() {
                for (j, w) in values.iter().enumerate() {
                    let want = arithmetic.product(*x, *w) == 0.0;
                    assert_eq!(w.abs() < *least, want, "{x} {w} {exponent}");
                    dropped[i / 4 * 16 + j / 4] |= want;
                }
            }
            for (at, dropped) in dropped.into_iter().enumerate() {
                assert_eq!(left_edges[at / 16] > right_edges[at % 16], dropped, "{at} {exponent}");
            }
            assert!(peaks.iter().zip(values.chunks(4)).all(|(peak, v)| *peak == v[0].max(v[3])));
        }
        let zeros = [
            f16::ZERO,
            f16::NEG_ZERO,
            f16::ZERO,
            f16::ONE,
            f16::ZERO,
            f16::ZERO,
            f16::ZERO,
            f16::ZERO,
        ];
        let right = Decoding::new(&m4, Role::FixedRight);
        let [.., edges] = decoded(Level::best(), right, &zeros, 4);
        assert_eq!(edges, [1.0, f32::INFINITY]);
        let left = Decoding::new(&m4, Role::FixedLeft { least: Some(0.5) });
        let [values, least, _, edges] = decoded(Level::best(), left, &zeros, 4);
        assert_eq!((values[3], least[0], least[3]), (65_536.0_f32.next_up(), 0.0, 0.5));
        assert_eq!(edges, [0.5, 0.0]);
    }
}
