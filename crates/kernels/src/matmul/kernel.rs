//! The micro-kernel: a tile of sums, `[ROWS, COLS]`, over the whole inner dimension, in registers.
//!
//! One body over [`Product`]; a [`Kernel`] is that body compiled for a level and an element type.
//! The tile's size fills the register file of each level: `ROWS * VECTORS` sums, `VECTORS` registers
//! of the right operand and one spread value of the left.

use half::bf16;

use super::register::plain::Plain;
use super::register::{MulAdd, Product, Register, Widen};
use crate::Element;
use crate::simd::Level;

/// Most columns a tile of any kernel has, so that an epilogue gets at once.
pub(crate) const MAX_COLS: usize = 32;

/// Where a tile's left operand lies: unit u of row i at `start + i * row + u * unit`, in values.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeftTile<E> {
    pub(super) start: *const E,
    pub(super) row: usize,
    pub(super) unit: usize,
}

/// Units, left tile, right panel `[units, COLS, PER_UNIT]`, sums `[ROWS, COLS]` (overwritten).
type Run<E> = unsafe fn(usize, LeftTile<E>, *const E, *mut f32);

/// Steps, and one unit to multiply: the same arithmetic without memory.
type Spin<E> = unsafe fn(usize, *const E) -> f32;

/// A micro-kernel for operands of type `E`.
#[derive(Debug)]
pub struct Kernel<E: 'static> {
    level: Level,
    rows: usize,
    cols: usize,
    run: Run<E>,
    spin: Spin<E>,
}

impl<E> Clone for Kernel<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Kernel<E> {}

impl<E: Element> Kernel<E> {
    /// The fastest of this machine.
    pub fn best() -> Self {
        E::kernel(Level::best())
    }

    /// The level it was compiled for.
    pub fn level(&self) -> Level {
        self.level
    }

    /// The name shown to users: operands, level, tile.
    pub fn name(&self) -> String {
        format!("{} {} {}x{}", E::NAME, self.level.name(), self.rows, self.cols)
    }

    /// Rows of a tile; divides [`cols`](Self::cols).
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Columns of a tile.
    pub(super) fn cols(&self) -> usize {
        self.cols
    }

    /// Computes one tile.
    ///
    /// # Safety
    /// `left` must reach `rows` rows of `units` units, `right` `units * cols` units, and `sums`
    /// `rows * cols` values.
    #[inline]
    pub(super) unsafe fn run(
        &self,
        units: usize,
        left: LeftTile<E>,
        right: *const E,
        sums: *mut f32,
    ) {
        // SAFETY: a kernel is only made for levels of this machine; the rest is the caller's.
        unsafe { (self.run)(units, left, right, sums) }
    }
}

impl<E: Element> Kernel<E> {
    /// Runs the arithmetic of `steps` steps of a tile on registers alone, which is the most that
    /// this kernel could reach. Returns what must not be optimised away.
    pub(crate) fn spin(&self, steps: usize) -> f32 {
        let unit = [E::from_f32(0.5); 2];
        // SAFETY: a kernel is only made for levels of this machine, and a unit is at most two values.
        unsafe { (self.spin)(steps, std::hint::black_box(unit.as_ptr())) }
    }

    /// Multiplications and additions of one step of a tile.
    pub(crate) fn flops_per_step(&self) -> f64 {
        (2 * E::PER_UNIT * self.rows * self.cols) as f64
    }
}

/// The body.
///
/// # Safety
/// As [`Kernel::run`], and the instruction set of `P` must be enabled where this is inlined.
#[inline(always)]
unsafe fn tile<E: Element, P: Product<E>, const ROWS: usize, const VECTORS: usize>(
    units: usize,
    left: LeftTile<E>,
    right: *const E,
    sums: *mut f32,
) {
    let lanes = P::Sum::LANES;
    // SAFETY: the caller's promise, for every pointer of this block.
    unsafe {
        let mut tile = [[P::Sum::zero(); VECTORS]; ROWS];
        // One pointer for every four rows, whose relation the compiler must not know: it would reach
        // every row from the one before, a chain of additions longer than the products take.
        let offsets = [0, left.row, 2 * left.row, std::hint::black_box(3 * left.row)];
        let mut a: [*const E; 2] = std::array::from_fn(|group| {
            let start = left.start.wrapping_add(4 * group * left.row);
            if group == 0 { start } else { std::hint::black_box(start) }
        });
        let mut b = right;
        for _ in 0..units {
            let right: [P::Units; VECTORS] =
                std::array::from_fn(|j| P::load(b.add(j * lanes * E::PER_UNIT)));
            for (i, sums) in tile.iter_mut().enumerate() {
                let left = P::spread(a[i / 4].add(offsets[i % 4]));
                for (sum, right) in sums.iter_mut().zip(right) {
                    *sum = P::add(*sum, left, right);
                }
            }
            // The last step leaves the operands, hence no `add`.
            for a in &mut a {
                *a = a.wrapping_add(left.unit);
            }
            b = b.wrapping_add(VECTORS * lanes * E::PER_UNIT);
        }
        for (i, row) in tile.into_iter().enumerate() {
            for (j, sum) in row.into_iter().enumerate() {
                sum.store(sums.add((i * VECTORS + j) * lanes));
            }
        }
    }
}

/// The arithmetic of [`tile`] on one unit, over and over.
///
/// # Safety
/// `unit` must be a unit, and the instruction set of `P` enabled where this is inlined.
#[inline(always)]
unsafe fn spin<E: Element, P: Product<E>, const ROWS: usize, const VECTORS: usize>(
    steps: usize,
    unit: *const E,
) -> f32 {
    // SAFETY: the caller's promise; `sum` has the lanes that `store` writes.
    unsafe {
        let (left, right) = (P::spread(unit), P::spread(unit));
        let mut tile = [[P::Sum::zero(); VECTORS]; ROWS];
        for _ in 0..steps {
            for sum in tile.as_flattened_mut() {
                *sum = P::add(*sum, left, right);
            }
        }
        let mut total = 0.0;
        for register in tile.as_flattened() {
            let mut lanes = [0.0; MAX_COLS];
            register.store(lanes.as_mut_ptr());
            total += lanes[0];
        }
        total
    }
}

/// Kernels of one element type: level, required features, product, rows, registers a row.
macro_rules! kernels {
    ($constructor:ident, $element:ty: $($(#[$cfg:meta])* $level:ident $(($features:literal))? => $product:ty, $rows:literal x $vectors:literal;)*) => {
        impl Kernel<$element> {
            pub(crate) fn $constructor(level: Level) -> Self {
                assert!(Level::supported().contains(&level), "{level:?} is not of this machine");
                match level {
                    $($(#[$cfg])* Level::$level => {
                        $(#[target_feature(enable = $features)])?
                        unsafe fn run(
                            units: usize,
                            left: LeftTile<$element>,
                            right: *const $element,
                            sums: *mut f32,
                        ) {
                            // SAFETY: the caller's promise; the features are enabled here.
                            unsafe {
                                tile::<$element, $product, $rows, $vectors>(units, left, right, sums)
                            }
                        }
                        $(#[target_feature(enable = $features)])?
                        unsafe fn spinning(steps: usize, unit: *const $element) -> f32 {
                            // SAFETY: as above.
                            unsafe { spin::<$element, $product, $rows, $vectors>(steps, unit) }
                        }
                        const COLS: usize = $vectors * <$product as Product<$element>>::Sum::LANES;
                        const { assert!(COLS % $rows == 0 && COLS <= MAX_COLS) };
                        Kernel { level, rows: $rows, cols: COLS, run, spin: spinning }
                    })*
                    #[allow(unreachable_patterns)]
                    _ => Self::$constructor(Level::Portable),
                }
            }
        }
    };
}

#[cfg(target_arch = "aarch64")]
use super::register::neon::Neon;
#[cfg(target_arch = "x86_64")]
use super::register::x86::{DotPairs, Ymm, Zmm};

kernels! { for_f32, f32:
    Portable => MulAdd<Plain>, 4 x 2;
    #[cfg(target_arch = "aarch64")]
    Neon => MulAdd<Neon>, 8 x 2;
    #[cfg(target_arch = "x86_64")]
    Avx2("avx2,fma") => MulAdd<Ymm>, 4 x 3;
    #[cfg(target_arch = "x86_64")]
    Avx512("avx512f") => MulAdd<Zmm>, 8 x 2;
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16("avx512f") => MulAdd<Zmm>, 8 x 2;
}

kernels! { for_bf16, bf16:
    Portable => Widen<Plain>, 4 x 2;
    #[cfg(target_arch = "aarch64")]
    Neon => Widen<Neon>, 8 x 2;
    #[cfg(target_arch = "x86_64")]
    Avx2("avx2,fma") => Widen<Ymm>, 4 x 2;
    #[cfg(target_arch = "x86_64")]
    Avx512("avx512f") => Widen<Zmm>, 8 x 2;
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16("avx512f,avx512bf16") => DotPairs, 8 x 2;
}
