//! 128-bit registers of aarch64.

use std::arch::aarch64::*;

use super::Register;

/// Four f32 values; NEON is part of every aarch64 target.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Neon(float32x4_t);

impl Register for Neon {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: NEON is part of the target, here and below.
        Self(unsafe { vdupq_n_f32(0.0) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_f32(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, self.0) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { vld1q_dup_f32(from) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: NEON is part of the target.
        Self(unsafe { vfmaq_f32(self.0, a.0, b.0) })
    }

    #[inline(always)]
    unsafe fn split(self) -> [Self; 2] {
        // SAFETY: NEON is part of the target.
        unsafe {
            let bits = vreinterpretq_u32_f32(self.0);
            let high = vandq_u32(bits, vdupq_n_u32(0xFFFF_0000));
            [vshlq_n_u32::<16>(bits), high].map(|half| Self(vreinterpretq_f32_u32(half)))
        }
    }
}
