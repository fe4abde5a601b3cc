//! The innermost loop: a tile of sums in registers, over a stretch of the inner dimension.
//!
//! Written once over [`Rule`]s and compiled for every instruction set. Tiles are sized to the
//! register file, as those of `aneal_kernels::matmul` are.

use std::marker::PhantomData;

use aneal_kernels::simd::{self, Arch, Level, Vector, Work};

use super::rule::{Fixed, FixedHalf, FixedHalfFours, Half, HalfFours, Plain, Rule};

/// Registers in a row of a tile.
const VECTORS: usize = 2;
/// Most columns of a tile.
pub(super) const MAX_COLS: usize = 32;
/// Most sums of a tile.
pub(super) const MAX_SUMS: usize = 8 * MAX_COLS;

/// The rules that there are loops for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    Plain,
    Fixed { large: bool, drops: bool },
    Half { fours: bool, fixed: bool, away: bool },
}

/// Rows and columns of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) rows: usize,
    pub(super) cols: usize,
}

impl Size {
    pub(super) fn of(level: Level) -> Self {
        struct Ask;
        impl Work for Ask {
            type Output = Size;

            #[inline(always)]
            fn run<A: Arch>(self) -> Size {
                Size::on::<A>()
            }
        }
        simd::run(level, Ask)
    }

    #[inline(always)]
    fn on<A: Arch>() -> Self {
        // Sixteen or 32 registers: half of them hold sums.
        let rows = if A::LANES == 16 || A::FMA && A::LANES == 4 { 8 } else { 4 };
        Self { rows, cols: VECTORS * A::LANES }
    }
}

/// What a tile is the product of: `left[K, rows]`, `right[K, cols]` and the thresholds of
/// [`Rule::add`], `least[K, rows]`. K is a multiple of 4.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch<'a> {
    pub(super) left: &'a [f32],
    pub(super) least: &'a [f32],
    pub(super) right: &'a [f32],
}

/// Adds products to `sums[rows, cols]`, which are f32 or i32 bits as the rule has them.
pub(super) fn add(level: Level, kernel: Kernel, stretch: Stretch<'_>, sums: &mut [u32]) {
    match kernel {
        Kernel::Plain => run::<Plain, 1>(level, stretch, sums),
        Kernel::Fixed { large: false, drops: false } => {
            run::<Fixed<false, false>, 1>(level, stretch, sums);
        }
        Kernel::Fixed { large: false, drops: true } => {
            run::<Fixed<false, true>, 1>(level, stretch, sums);
        }
        Kernel::Fixed { large: true, drops: false } => {
            run::<Fixed<true, false>, 1>(level, stretch, sums);
        }
        Kernel::Fixed { large: true, drops: true } => {
            run::<Fixed<true, true>, 1>(level, stretch, sums);
        }
        Kernel::Half { away: true, fours, fixed } => {
            half::<true>(level, fours, fixed, stretch, sums)
        }
        Kernel::Half { away: false, fours, fixed } => {
            half::<false>(level, fours, fixed, stretch, sums);
        }
    }
}

fn half<const AWAY: bool>(
    level: Level,
    fours: bool,
    fixed: bool,
    stretch: Stretch<'_>,
    sums: &mut [u32],
) {
    match (fours, fixed) {
        (false, false) => run::<Half<AWAY>, 1>(level, stretch, sums),
        (false, true) => run::<FixedHalf<AWAY>, 1>(level, stretch, sums),
        (true, false) => run::<HalfFours<AWAY>, 4>(level, stretch, sums),
        (true, true) => run::<FixedHalfFours<AWAY>, 4>(level, stretch, sums),
    }
}

fn run<R: Rule<STEP>, const STEP: usize>(level: Level, stretch: Stretch<'_>, sums: &mut [u32]) {
    simd::run(level, Tile { rule: PhantomData::<R>, stretch, sums });
}

struct Tile<'a, R, const STEP: usize> {
    rule: PhantomData<R>,
    stretch: Stretch<'a>,
    sums: &'a mut [u32],
}

impl<R: Rule<STEP>, const STEP: usize> Work for Tile<'_, R, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        match Size::on::<A>().rows {
            8 => self.sized::<A::Vector, 8>(),
            _ => self.sized::<A::Vector, 4>(),
        }
    }
}

impl<R: Rule<STEP>, const STEP: usize> Tile<'_, R, STEP> {
    #[inline(always)]
    fn sized<V: Vector, const ROWS: usize>(self) {
        let Stretch { left, least, right } = self.stretch;
        let cols = VECTORS * V::LANES;
        let out: &mut [f32] = bytemuck::cast_slice_mut(self.sums);
        assert!(left.len() * cols == right.len() * ROWS && out.len() == ROWS * cols);
        // Loops where `map` would do: that is a function of its own, for another instruction set.
        let mut sums = [[V::splat(0.0); VECTORS]; ROWS];
        for (sums, out) in sums.iter_mut().zip(out.chunks_exact(cols)) {
            for (sum, out) in sums.iter_mut().zip(out.chunks_exact(V::LANES)) {
                *sum = V::load(out);
            }
        }
        let steps = left.chunks_exact(STEP * ROWS).zip(least.chunks_exact(STEP * ROWS));
        for ((left, least), right) in steps.zip(right.chunks_exact(STEP * cols)) {
            let mut w = [[V::splat(0.0); STEP]; VECTORS];
            for s in 0..STEP {
                for (j, w) in w.iter_mut().enumerate() {
                    w[s] = V::load(&right[s * cols + j * V::LANES..][..V::LANES]);
                }
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let (mut x, mut from) = ([V::splat(0.0); STEP], [V::splat(0.0); STEP]);
                for s in 0..STEP {
                    x[s] = V::splat(left[s * ROWS + i]);
                    from[s] = V::splat(least[s * ROWS + i]);
                }
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = R::add(*sum, x, from, w);
                }
            }
        }
        let count = (left.len() / (STEP * ROWS)) as u32;
        let offset = R::OFFSET.wrapping_mul(count).wrapping_neg();
        let offset = V::splat(f32::from_bits(offset));
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(cols)) {
            for (sum, out) in sums.iter().zip(out.chunks_exact_mut(V::LANES)) {
                sum.plus_bits(offset).store(out);
            }
        }
    }
}
