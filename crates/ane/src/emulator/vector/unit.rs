//! How the element-wise unit reads and stores, for sixteen values at once.
//!
//! [`Arithmetic::element`] and [`Arithmetic::store`] without branches: which way a device goes is
//! data that masks select by, so that one loop serves every device.

use half::f16;

use super::LANES;
use crate::arithmetic::{Arithmetic, Nan, Subnormals, Tie};

/// The sign of an fp16 value.
const SIGN: u32 = 0x8000;
/// Exponent and fraction of fp16's infinity.
const INFINITY: u32 = 0x7C00;
/// The least normal fp16 value.
const LEAST: u32 = 0x0400;
/// Bits by which f32's fraction is longer.
const SHIFT: u32 = 13;
/// What must be added to fp16's exponent to make it f32's.
const REBIAS: u32 = 112 << 23;
/// f32's infinity.
const WIDE_INFINITY: u32 = 0x7F80_0000;
/// The least normal fp16 value, 2^-14, as f32.
const WIDE_LEAST: u32 = 0x3880_0000;
/// 65,536, which fp16 does not have.
const WIDE_LIMIT: u32 = 0x4780_0000;

/// A device's element-wise unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// 1 where ties go away from zero, else 0.
    away: u32,
    /// The fp16 bits that a NaN is stored as.
    nan: u32,
    /// Whether a NaN is read as infinity.
    number: bool,
    /// Sizes below these fp16 bits are 0.
    least: u32,
}

impl Unit {
    pub(super) fn new(arithmetic: &Arithmetic) -> Self {
        let number = arithmetic.nan == Nan::Number;
        Self {
            away: u32::from(arithmetic.tie == Tie::Away),
            nan: if number { INFINITY } else { u32::from(f16::NAN.to_bits()) },
            number,
            least: if arithmetic.subnormal_elements == Subnormals::Flush { LEAST } else { 0 },
        }
    }

    /// The values of elements, as [`Arithmetic::element`].
    #[inline(always)]
    pub(super) fn read(&self, x: &[f16; LANES]) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        for i in 0..LANES {
            out[i] = self.read_one(x[i]);
        }
        out
    }

    #[inline(always)]
    pub(super) fn read_one(&self, x: f16) -> f32 {
        let bits = u32::from(x.to_bits());
        let (size, sign) = (bits & !SIGN, (bits & SIGN) << 16);
        // A subnormal's fraction behind a leading one of 2^-14, less that one, is its value: exact,
        // and without subnormals of f32, which are slow.
        let least = f32::from_bits(WIDE_LEAST);
        let small = f32::from_bits((size << SHIFT) + WIDE_LEAST) - least;
        let rebias = if size >= INFINITY { 2 * REBIAS } else { REBIAS };
        let normal = (size << SHIFT) + rebias;
        let wide = if size < LEAST { small.to_bits() } else { normal } | sign;
        let wide = if self.number && size > INFINITY { WIDE_INFINITY } else { wide };
        f32::from_bits(if size < self.least { 0 } else { wide })
    }

    /// What is stored of values, as [`Arithmetic::store`].
    #[inline(always)]
    pub(super) fn store(&self, x: &[f32; LANES]) -> [f16; LANES] {
        let mut out = [f16::ZERO; LANES];
        for i in 0..LANES {
            out[i] = f16::from_bits(self.store_bits(x[i]) as u16);
        }
        out
    }

    #[inline(always)]
    fn store_bits(&self, x: f32) -> u32 {
        const UNITS: f32 = 16_777_216.0; // 2^24: subnormal fp16 values are multiples of 2^-24
        const ROUND: f32 = 8_388_608.0; // 2^23: adding it leaves whole numbers
        let (bits, size) = (x.to_bits(), x.to_bits() & 0x7FFF_FFFF);
        // Adding just below half of the last place carries whatever is above half; at half, the last
        // bit decides, or `away` does. The carry may reach the exponent, as it should.
        let up = ((size >> SHIFT) & 1) | self.away;
        let normal = ((size + 0xFFF + up) >> SHIFT).wrapping_sub(REBIAS >> SHIFT);
        // The sum rounds to even; what it dropped is exact, and half only of a tie that went down.
        let units = f32::from_bits(size) * UNITS;
        let shifted = units + ROUND;
        let tie = u32::from(units - (shifted - ROUND) == 0.5) & self.away;
        let small = (shifted.to_bits() & 0x7FF) + tie;
        let half = if size < WIDE_LEAST { small } else { normal }.min(INFINITY);
        let half = if half < self.least { 0 } else { half | (bits >> 16 & SIGN) };
        if size > WIDE_INFINITY { self.nan } else { half }
    }

    /// The value that an element has once `x` was stored in it: `read(store(x))`, without fp16 between.
    #[inline(always)]
    pub(super) fn keep(&self, x: f32) -> f32 {
        const ROUND: f32 = 0.5; // multiples of 2^-24 are what is left of a sum with it
        const HALF_STEP: f32 = 2.980_232_2e-8; // 2^-25
        let (bits, size) = (x.to_bits(), x.to_bits() & 0x7FFF_FFFF);
        let up = ((size >> SHIFT) & 1) | self.away;
        let normal = (size + 0xFFF + up) & !0x1FFF;
        let normal = if normal >= WIDE_LIMIT { WIDE_INFINITY } else { normal };
        let value = f32::from_bits(size);
        let rounded = (value + ROUND) - ROUND;
        let tie = (value - rounded == HALF_STEP) & (self.away == 1);
        let small = if tie { rounded + 2.0 * HALF_STEP } else { rounded };
        let kept = if size < WIDE_LEAST { small.to_bits() } else { normal };
        let sign = bits & 0x8000_0000;
        let flushed = self.least == LEAST && kept < WIDE_LEAST;
        let kept = if flushed { 0 } else { kept | sign };
        let nan = if self.number { WIDE_INFINITY } else { bits };
        f32::from_bits(if size > WIDE_INFINITY { nan } else { kept })
    }
}

/// `out = f(x[0], .., x[M - 1])` sixteen at a time, rounded. All are `[N]`.
#[inline(always)]
pub(super) fn map<const M: usize>(
    unit: Unit,
    x: [&[f16]; M],
    out: &mut [f16],
    f: impl Fn([f32; M]) -> f32,
) {
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    let xs = x.map(|x| x.as_chunks::<LANES>());
    for (i, out) in outs.iter_mut().enumerate() {
        *out = map_lanes(unit, xs.map(|(x, _)| x[i]), &f);
    }
    if !out_rest.is_empty() {
        let mut padded = [[f16::ZERO; LANES]; M];
        for (padded, (_, rest)) in padded.iter_mut().zip(xs) {
            padded[..rest.len()].copy_from_slice(rest);
        }
        let y = map_lanes(unit, padded, &f);
        out_rest.copy_from_slice(&y[..out_rest.len()]);
    }
}

#[inline(always)]
fn map_lanes<const M: usize>(
    unit: Unit,
    x: [[f16; LANES]; M],
    f: &impl Fn([f32; M]) -> f32,
) -> [f16; LANES] {
    let mut wide = [[0.0; LANES]; M];
    for m in 0..M {
        wide[m] = unit.read(&x[m]);
    }
    let mut y = [0.0; LANES];
    for i in 0..LANES {
        let mut operands = [0.0; M];
        for m in 0..M {
            operands[m] = wide[m][i];
        }
        y[i] = f(operands);
    }
    unit.store(&y)
}

#[cfg(test)]
mod tests {
    use aneal_kernels::simd::{self, Arch, Level, Work};

    use super::super::testing::units;
    use super::*;

    /// Every kind of f32: all exponents with fractions at fp16's steps, midpoints and neighbours of
    /// them, of both signs, and bits without a pattern.
    fn values() -> Vec<f32> {
        let fractions = [0, 1, 0xFFF, 0x1000, 0x1001, 0x1FFF, 0x2000, 0x2FFF, 0x3000, 0x3001];
        let ends = [0x7F_0000, 0x7F_EFFF, 0x7F_F000, 0x7F_F001, 0x7F_FFFF, 0x40_0000, 0x60_0001];
        let mut out = Vec::new();
        for exponent in 0..=255u32 {
            for fraction in fractions.iter().chain(&ends) {
                out.push(f32::from_bits(exponent << 23 | fraction));
            }
        }
        // Midpoints of all fp16 values, and of what is around the subnormal ones.
        for half in 0..0x7C00 {
            let [a, b] = [half, half + 1].map(|bits| f16::from_bits(bits).to_f32());
            let b = if b.is_infinite() { 65_536.0 } else { b };
            let middle = (a + b) / 2.0;
            out.extend([a, middle, middle.next_down(), middle.next_up()]);
        }
        out.extend((0..100_000u32).map(|i| f32::from_bits(i.wrapping_mul(0x9E37_79B9))));
        let negative: Vec<f32> = out.iter().map(|x| -x).collect();
        out.extend(negative);
        out
    }

    /// Stores in a loop as operations do, compiled for every level.
    struct Round<'a> {
        unit: Unit,
        x: &'a [f32],
        out: &'a mut [f16],
    }

    impl Work for Round<'_> {
        type Output = ();

        #[inline(always)]
        fn run<A: Arch>(self) {
            let (xs, x_rest) = self.x.as_chunks::<LANES>();
            let (outs, out_rest) = self.out.as_chunks_mut::<LANES>();
            for (out, x) in outs.iter_mut().zip(xs) {
                *out = self.unit.store(x);
            }
            for (out, &x) in out_rest.iter_mut().zip(x_rest) {
                *out = f16::from_bits(self.unit.store_bits(x) as u16);
            }
        }
    }

    #[test]
    fn stores_what_the_definition_stores() {
        let values = values();
        for arithmetic in units() {
            let want: Vec<f16> = values.iter().map(|&x| arithmetic.store(x.into())).collect();
            for &level in Level::supported() {
                let mut found = vec![f16::ZERO; values.len()];
                let unit = Unit::new(&arithmetic);
                simd::run(level, Round { unit, x: &values, out: &mut found });
                for ((found, want), x) in found.iter().zip(&want).zip(&values) {
                    assert_eq!(found.to_bits(), want.to_bits(), "{x:e} at {level:?}");
                }
            }
        }
    }

    #[test]
    fn keeps_what_would_be_read_after_a_store() {
        let values = values();
        for arithmetic in units() {
            let unit = Unit::new(&arithmetic);
            for &x in &values {
                let found = unit.keep(x);
                let want = arithmetic.element(arithmetic.store(x.into())) as f32;
                let equal = found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan();
                assert!(equal, "{x:e}: {found:e}, expected {want:e}");
            }
        }
    }

    #[test]
    fn reads_what_the_definition_reads() {
        for arithmetic in units() {
            let unit = Unit::new(&arithmetic);
            for x in (0..=u16::MAX).map(f16::from_bits) {
                let (found, want) = (unit.read_one(x), arithmetic.element(x) as f32);
                let equal = found.to_bits() == want.to_bits() || found.is_nan() && want.is_nan();
                assert!(equal, "{x:e}: {found:e}, expected {want:e}");
                assert_eq!(unit.read(&[x; LANES]).map(f32::to_bits), [found.to_bits(); LANES]);
            }
        }
    }
}
