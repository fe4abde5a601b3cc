//! Four lanes without intrinsics, for every CPU.

use super::Vector;

/// Four f32 values.
#[derive(Clone, Copy)]
pub(crate) struct Plain([f32; 4]);

impl Plain {
    #[inline(always)]
    fn with(self, x: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let ([a, b, c, d], [x, y, z, w]) = (self.0, x.0);
        Self([f(a, x), f(b, y), f(c, z), f(d, w)])
    }

    #[inline(always)]
    fn with_bits(self, x: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        self.with(x, |a, b| f32::from_bits(f(a.to_bits(), b.to_bits())))
    }
}

impl Vector for Plain {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        Self([from[0], from[1], from[2], from[3]])
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        to[..4].copy_from_slice(&self.0);
    }

    #[inline(always)]
    fn plus(self, x: Self) -> Self {
        self.with(x, |a, b| a + b)
    }

    #[inline(always)]
    fn minus(self, x: Self) -> Self {
        self.with(x, |a, b| a - b)
    }

    #[inline(always)]
    fn times(self, x: Self) -> Self {
        self.with(x, |a, b| a * b)
    }

    #[inline(always)]
    fn times_plus(self, x: Self, y: Self) -> Self {
        self.times(x).plus(y)
    }

    #[inline(always)]
    fn plus_bits(self, x: Self) -> Self {
        self.with_bits(x, u32::wrapping_add)
    }

    #[inline(always)]
    fn and_bits(self, mask: u32) -> Self {
        self.with_bits(self, |a, _| a & mask)
    }

    #[inline(always)]
    fn up<const COUNT: u32>(self) -> Self {
        self.with_bits(self, |a, _| a << COUNT)
    }

    #[inline(always)]
    fn down<const COUNT: u32>(self) -> Self {
        self.with_bits(self, |a, _| a >> COUNT)
    }

    #[inline(always)]
    fn if_less(self, limit: Self, then: Self, other: Self) -> Self {
        let mask = self.with(limit, |a, b| f32::from_bits(if a < b { u32::MAX } else { 0 }));
        let then = then.with_bits(mask, |a, m| a & m);
        then.with_bits(other.with_bits(mask, |a, m| a & !m), |a, b| a | b)
    }

    #[inline(always)]
    fn unless_less(self, size: Self, limit: Self) -> Self {
        let less = |a, b| if a < b { 0 } else { u32::MAX };
        self.with_bits(size.with_bits(limit, less), |a, m| a & m)
    }
}
