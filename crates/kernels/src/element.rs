//! The number types of matrix operands: f32, and bf16 with sums in f32.

use half::bf16;

use crate::arch::Arch;
use crate::lanes::map;
use crate::matmul::Kernel;
use crate::simd::{Level, row_kernel};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for half::bf16 {}
}

/// A number type of matrix operands and of what is kept for the backward pass.
///
/// Products are summed in f32 whatever the type.
pub trait Element:
    sealed::Sealed + bytemuck::Pod + Default + Send + Sync + PartialEq + std::fmt::Debug + 'static
{
    /// The name shown to users.
    const NAME: &'static str;
    /// Values in a unit, the 32 bits that a vector lane takes at once. Units run along the inner
    /// dimension of a product.
    const PER_UNIT: usize;
    /// Largest relative error of rounding to this type.
    const EPSILON: f32;

    /// Rounds to nearest, ties to even.
    fn from_f32(x: f32) -> Self;

    /// Sixteen at once.
    fn from_lanes<A: Arch>(x: &[f32; 16]) -> [Self; 16];

    /// Exact.
    fn from_bf16(x: bf16) -> Self;

    /// Exact.
    fn to_f32(self) -> f32;

    /// `self` as another element type.
    fn cast<T: Element>(self) -> T;

    /// The micro-kernel for this type at a level.
    fn kernel(level: Level) -> Kernel<Self>;
}

impl Element for f32 {
    const NAME: &'static str = "f32";
    const PER_UNIT: usize = 1;
    const EPSILON: f32 = f32::EPSILON / 2.0;

    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn from_lanes<A: Arch>(x: &[f32; 16]) -> [Self; 16] {
        *x
    }

    #[inline(always)]
    fn from_bf16(x: bf16) -> Self {
        Element::to_f32(x)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }

    #[inline(always)]
    fn cast<T: Element>(self) -> T {
        T::from_f32(self)
    }

    fn kernel(level: Level) -> Kernel<Self> {
        Kernel::for_f32(level)
    }
}

impl Element for bf16 {
    const NAME: &'static str = "bf16";
    const PER_UNIT: usize = 2;
    const EPSILON: f32 = 1.0 / 256.0;

    /// The arithmetic of `half::bf16::from_f32` without its branch, so that loops vectorise.
    #[inline(always)]
    fn from_f32(x: f32) -> Self {
        let bits = x.to_bits();
        let even = (bits >> 16) & 1;
        let rounded = bits.wrapping_add(0x7FFF + even) >> 16;
        let quiet = (bits >> 16) | 0x40;
        bf16::from_bits(if x.is_nan() { quiet } else { rounded } as u16)
    }

    #[inline(always)]
    fn from_lanes<A: Arch>(x: &[f32; 16]) -> [Self; 16] {
        A::round(x)
    }

    #[inline(always)]
    fn from_bf16(x: bf16) -> Self {
        x
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline(always)]
    fn cast<T: Element>(self) -> T {
        T::from_bf16(self)
    }

    fn kernel(level: Level) -> Kernel<Self> {
        Kernel::for_bf16(level)
    }
}

row_kernel! {
    /// `dst[n] = src[n]`, rounded.
    pub(crate) fn convert<E: Element>(level: Level, dst: &mut [E], src: &[f32]) {
        map::<A, _, _>(dst, src, |x| x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::uniform;

    #[test]
    fn rounds_to_bf16_as_half_does() {
        let mut values = uniform(3, 1000);
        let special = [0.0, -0.0, 1e-40, f32::MAX, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
        values.extend(special);
        // Halfway cases: ties go to the even neighbour.
        values.extend((0..64_u32).map(|i| f32::from_bits(0x3F80_8000 + (i << 16))));
        for &level in Level::supported() {
            let mut got = vec![bf16::ZERO; values.len()];
            convert(level, &mut got, &values);
            for (got, &x) in got.iter().zip(&values) {
                let want = bf16::from_f32(x);
                let flushed = level.has_bf16() && x.is_subnormal() && got.to_f32() == 0.0;
                assert!(flushed || got.to_bits() == want.to_bits(), "{x} at {level:?}");
                let back = Element::to_f32(*got);
                assert!(back == got.to_f32() || back.is_nan());
            }
        }
    }
}
