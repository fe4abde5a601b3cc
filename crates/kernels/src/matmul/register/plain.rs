//! Four lanes without intrinsics, for every CPU.

use super::Register;

/// Four f32 values.
#[derive(Clone, Copy)]
pub(in crate::matmul) struct Plain([f32; 4]);

impl Register for Plain {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self([0.0; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Self([unsafe { from.read_unaligned() }; 4])
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }

    #[inline(always)]
    unsafe fn split(self) -> [Self; 2] {
        let bits = self.0.map(f32::to_bits);
        [bits.map(|b| b << 16), bits.map(|b| b & 0xFFFF_0000)].map(|b| Self(b.map(f32::from_bits)))
    }
}
