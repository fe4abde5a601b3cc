//! What a row kernel may assume of the level that it is compiled for.

use std::marker::PhantomData;

use half::bf16;

use crate::Element;
use crate::vector::Vector;
use crate::vector::plain::Plain;
#[cfg(target_arch = "x86_64")]
use crate::vector::x86::Zmm;

/// What the instructions of a level allow inside a row kernel.
///
/// The methods of an implementation are only called where its instructions are enabled, by
/// `row_kernel!`; others get one from [`simd::run`](crate::simd::run).
pub trait Arch {
    /// Whether a fused multiply-add is one instruction.
    const FMA: bool;
    /// The widest register.
    type Vector: Vector;
    /// f32 values in it.
    const LANES: usize = Self::Vector::LANES;

    /// Sixteen values to bf16, to nearest, ties to even.
    fn round(x: &[f32; 16]) -> [bf16; 16];
}

/// Plain multiplications and additions.
pub(crate) struct Baseline;

impl Arch for Baseline {
    type Vector = Plain;
    const FMA: bool = false;

    #[inline(always)]
    fn round(x: &[f32; 16]) -> [bf16; 16] {
        x.map(<bf16 as Element>::from_f32)
    }
}

/// Fused multiply-add on some registers: AVX2 and AVX-512 levels, NEON.
pub(crate) struct Fused<V>(PhantomData<V>);

impl<V: Vector> Arch for Fused<V> {
    type Vector = V;
    const FMA: bool = true;

    #[inline(always)]
    fn round(x: &[f32; 16]) -> [bf16; 16] {
        Baseline::round(x)
    }
}

/// Also conversion to bf16. Subnormal results become zero (Intel SDM, VCVTNEPS2BF16).
#[cfg(target_arch = "x86_64")]
pub(crate) struct FusedBf16;

#[cfg(target_arch = "x86_64")]
impl Arch for FusedBf16 {
    type Vector = Zmm;
    const FMA: bool = true;

    #[inline(always)]
    fn round(x: &[f32; 16]) -> [bf16; 16] {
        use std::arch::x86_64::{__m256bh, _mm512_cvtneps_pbh, _mm512_loadu_ps};
        // SAFETY: only called where AVX512-BF16 is enabled; sixteen values are a register, and the
        // result is sixteen bf16 in 256 bits.
        unsafe {
            let rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(x.as_ptr()));
            std::mem::transmute::<__m256bh, [bf16; 16]>(rounded)
        }
    }
}
