//! 256-bit and 512-bit registers.

use std::arch::x86_64::*;

use half::bf16;

use super::{Product, Register};

/// Eight f32 values; needs AVX2 and FMA.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Ymm(__m256);

impl Register for Ymm {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise, as in all methods of this file.
        Self(unsafe { _mm256_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm256_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm256_set1_ps(from.read_unaligned()) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn split(self) -> [Self; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm256_castps_si256(self.0);
            let high = _mm256_and_si256(bits, _mm256_set1_epi32(0xFFFF_0000_u32 as i32));
            [_mm256_slli_epi32::<16>(bits), high].map(|half| Self(_mm256_castsi256_ps(half)))
        }
    }
}

/// Sixteen f32 values; needs AVX-512 F.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Zmm(__m512);

impl Register for Zmm {
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_setzero_ps() })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_loadu_ps(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_set1_ps(from.read_unaligned()) })
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
    }

    #[inline(always)]
    unsafe fn split(self) -> [Self; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let bits = _mm512_castps_si512(self.0);
            let high = _mm512_and_si512(bits, _mm512_set1_epi32(0xFFFF_0000_u32 as i32));
            [_mm512_slli_epi32::<16>(bits), high].map(|half| Self(_mm512_castsi512_ps(half)))
        }
    }
}

/// bf16 by dot products of pairs; needs AVX512-BF16. Subnormal inputs count as zero, and the two
/// products of a pair are summed without a rounding of their own (Intel SDM, VDPBF16PS).
pub(in crate::matmul) struct DotPairs;

impl Product<bf16> for DotPairs {
    type Sum = Zmm;
    type Units = __m512i;

    #[inline(always)]
    unsafe fn load(from: *const bf16) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const bf16) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn add(sum: Zmm, a: __m512i, b: __m512i) -> Zmm {
        // SAFETY: the caller's promise; the types are the same 512 bits.
        unsafe {
            let [a, b] = [a, b].map(|bits| std::mem::transmute::<__m512i, __m512bh>(bits));
            Zmm(_mm512_dpbf16_ps(sum.0, a, b))
        }
    }
}
