//! 256-bit and 512-bit registers.

use std::arch::x86_64::*;

use super::Vector;

/// Eight f32 values; needs AVX2 and FMA.
#[derive(Clone, Copy)]
pub(crate) struct Ymm(__m256);

impl Ymm {
    #[inline(always)]
    fn bits(self) -> __m256i {
        // SAFETY: the instruction set is there, as the trait says; so in all blocks of this file.
        unsafe { _mm256_castps_si256(self.0) }
    }

    #[inline(always)]
    fn of_bits(bits: __m256i) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_castsi256_ps(bits) })
    }
}

impl Vector for Ymm {
    const LANES: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        // SAFETY: as above, of eight values.
        Self(unsafe { _mm256_loadu_ps(from[..8].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        // SAFETY: as above, to eight values.
        unsafe { _mm256_storeu_ps(to[..8].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn plus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_add_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn minus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_sub_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn times(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_mul_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn times_plus(self, x: Self, y: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm256_fmadd_ps(self.0, x.0, y.0) })
    }

    #[inline(always)]
    fn plus_bits(self, x: Self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm256_add_epi32(self.bits(), x.bits()) })
    }

    #[inline(always)]
    fn and_bits(self, mask: u32) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm256_and_si256(self.bits(), _mm256_set1_epi32(mask as i32)) })
    }

    #[inline(always)]
    fn up<const COUNT: u32>(self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm256_sll_epi32(self.bits(), _mm_cvtsi32_si128(COUNT as i32)) })
    }

    #[inline(always)]
    fn down<const COUNT: u32>(self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm256_srl_epi32(self.bits(), _mm_cvtsi32_si128(COUNT as i32)) })
    }

    #[inline(always)]
    fn if_less(self, limit: Self, then: Self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let less = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0, limit.0);
            Self(_mm256_blendv_ps(other.0, then.0, less))
        }
    }

    #[inline(always)]
    fn unless_less(self, size: Self, limit: Self) -> Self {
        // SAFETY: as above.
        let less = unsafe { _mm256_cmpgt_epi32(limit.bits(), size.bits()) };
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm256_andnot_si256(less, self.bits()) })
    }
}

/// Sixteen f32 values; needs AVX-512 F.
#[derive(Clone, Copy)]
pub(crate) struct Zmm(__m512);

impl Zmm {
    #[inline(always)]
    fn bits(self) -> __m512i {
        // SAFETY: as above.
        unsafe { _mm512_castps_si512(self.0) }
    }

    #[inline(always)]
    fn of_bits(bits: __m512i) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_castsi512_ps(bits) })
    }
}

impl Vector for Zmm {
    const LANES: usize = 16;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        // SAFETY: as above, of sixteen values.
        Self(unsafe { _mm512_loadu_ps(from[..16].as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        // SAFETY: as above, to sixteen values.
        unsafe { _mm512_storeu_ps(to[..16].as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn plus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_add_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn minus(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_sub_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn times(self, x: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_mul_ps(self.0, x.0) })
    }

    #[inline(always)]
    fn times_plus(self, x: Self, y: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_fmadd_ps(self.0, x.0, y.0) })
    }

    #[inline(always)]
    fn plus_bits(self, x: Self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm512_add_epi32(self.bits(), x.bits()) })
    }

    #[inline(always)]
    fn and_bits(self, mask: u32) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm512_and_si512(self.bits(), _mm512_set1_epi32(mask as i32)) })
    }

    #[inline(always)]
    fn up<const COUNT: u32>(self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm512_slli_epi32::<COUNT>(self.bits()) })
    }

    #[inline(always)]
    fn down<const COUNT: u32>(self) -> Self {
        // SAFETY: as above.
        Self::of_bits(unsafe { _mm512_srli_epi32::<COUNT>(self.bits()) })
    }

    #[inline(always)]
    fn if_less(self, limit: Self, then: Self, other: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, limit.0);
            Self(_mm512_mask_blend_ps(less, other.0, then.0))
        }
    }

    #[inline(always)]
    fn unless_less(self, size: Self, limit: Self) -> Self {
        // SAFETY: as above.
        unsafe {
            // Twice as many a cycle as comparisons of f32 values.
            let stays = _mm512_cmpge_epi32_mask(size.bits(), limit.bits());
            Self(_mm512_maskz_mov_ps(stays, self.0))
        }
    }
}
