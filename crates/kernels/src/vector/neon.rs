//! 128-bit registers of aarch64.

use std::arch::aarch64::*;

use super::Vector;

/// Four f32 values; every aarch64 CPU has the instructions.
#[derive(Clone, Copy)]
pub(crate) struct Neon(float32x4_t);

impl Neon {
    #[inline(always)]
    fn bits(self) -> uint32x4_t {
        // SAFETY: the instruction set is part of the target; so in all blocks of this file.
        unsafe { vreinterpretq_u32_f32(self.0) }
    }

    #[inline(always)]
    fn of_bits(bits: uint32x4_t) -> Self {
        // SAFETY: as above.
        Self(unsafe { vreinterpretq_f32_u32(bits) })
    }
}

impl Vector for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { vdupq_n_f32(x) })
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        // SAFETY: as above, of four values.
        Self(unsafe { vld1q_f32(from[..4].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        // SAFETY: as above, to four values.
        unsafe { vst1q_f32(to[..4].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn plus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { vaddq_f32(self.0, x.0) })
    }

    #[inline(always)]
    fn minus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { vsubq_f32(self.0, x.0) })
    }

    #[inline(always)]
    fn times(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { vmulq_f32(self.0, x.0) })
    }

    #[inline(always)]
    fn times_plus(self, x: Self, y: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { vfmaq_f32(y.0, self.0, x.0) })
    }

    #[inline(always)]
    fn plus_bits(self, x: Self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { vaddq_u32(self.bits(), x.bits()) })
    }

    #[inline(always)]
    fn and_bits(self, mask: u32) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { vandq_u32(self.bits(), vdupq_n_u32(mask)) })
    }

    #[inline(always)]
    fn up<const COUNT: u32>(self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { vshlq_u32(self.bits(), vdupq_n_s32(COUNT as i32)) })
    }

    #[inline(always)]
    fn down<const COUNT: u32>(self) -> Self {
        // SAFETY: as above; negative counts shift down.
        Self::of_bits(unsafe { vshlq_u32(self.bits(), vdupq_n_s32(-(COUNT as i32))) })
    }

    #[inline(always)]
    fn if_less(self, limit: Self, then: Self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe { Self(vbslq_f32(vcltq_f32(self.0, limit.0), then.0, other.0)) }
    }

    #[inline(always)]
    fn unless_less(self, size: Self, limit: Self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { vbicq_u32(self.bits(), vcltq_u32(size.bits(), limit.bits())) })
    }
}
