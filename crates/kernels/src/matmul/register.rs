//! What the micro-kernel is made of: registers of f32 sums, and ways to multiply into them.
//!
//! The micro-kernel is written once over these traits. A register exists per instruction set; its
//! methods are only sound where that set is, which [`Kernel`](super::Kernel) sees to.

use std::marker::PhantomData;

use half::bf16;

#[cfg(target_arch = "aarch64")]
pub(super) mod neon;
pub(super) mod plain;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86;

/// 32-bit lanes that hold f32 values.
///
/// # Safety
/// Every method needs the instruction set of its type. Pointers need [`LANES`](Self::LANES) values,
/// for `spread` one, of any alignment.
pub(super) trait Register: Copy {
    /// f32 values in a register.
    const LANES: usize;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// All lanes the same value.
    unsafe fn spread(from: *const f32) -> Self;
    /// `self + a b`, lane by lane.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;
    /// The bf16 pair in each lane's bits as two registers of f32, the lower half first. Exact.
    unsafe fn split(self) -> [Self; 2];
}

/// A way to sum products of units of `E`, lane by lane.
///
/// # Safety
/// As [`Register`]; a unit is [`E::PER_UNIT`](crate::Element::PER_UNIT) values.
pub(super) trait Product<E> {
    /// Where products are summed.
    type Sum: Register;
    /// One unit a lane.
    type Units: Copy;

    unsafe fn load(from: *const E) -> Self::Units;
    /// All lanes the same unit.
    unsafe fn spread(from: *const E) -> Self::Units;
    /// `sum` plus the products of `a` and `b`.
    unsafe fn add(sum: Self::Sum, a: Self::Units, b: Self::Units) -> Self::Sum;
}

/// f32 by multiply-add.
pub(super) struct MulAdd<R>(PhantomData<R>);

impl<R: Register> Product<f32> for MulAdd<R> {
    type Sum = R;
    type Units = R;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> R {
        // SAFETY: the caller's promise.
        unsafe { R::load(from) }
    }

    #[inline(always)]
    unsafe fn spread(from: *const f32) -> R {
        // SAFETY: the caller's promise.
        unsafe { R::spread(from) }
    }

    #[inline(always)]
    unsafe fn add(sum: R, a: R, b: R) -> R {
        // SAFETY: the caller's promise.
        unsafe { sum.mul_add(a, b) }
    }
}

/// bf16 without instructions for it: both values of a unit widen exactly, then multiply as f32.
pub(super) struct Widen<R>(PhantomData<R>);

impl<R: Register> Product<bf16> for Widen<R> {
    type Sum = R;
    type Units = [R; 2];

    #[inline(always)]
    unsafe fn load(from: *const bf16) -> [R; 2] {
        // SAFETY: the caller's promise; a unit has the size of an f32.
        unsafe { R::load(from.cast()).split() }
    }

    #[inline(always)]
    unsafe fn spread(from: *const bf16) -> [R; 2] {
        // SAFETY: as above.
        unsafe { R::spread(from.cast()).split() }
    }

    #[inline(always)]
    unsafe fn add(sum: R, a: [R; 2], b: [R; 2]) -> R {
        // SAFETY: the caller's promise.
        unsafe { sum.mul_add(a[0], b[0]).mul_add(a[1], b[1]) }
    }
}
