//! The innermost loop: a tile of sums in registers, over a stretch of the inner dimension.
//!
//! Written once over [`Rule`]s and compiled for every instruction set. Tiles are sized to the
//! register file, as those of `aneal_kernels::matmul` are.

use std::marker::PhantomData;

use aneal_kernels::simd::{self, Arch, Level, Work};

use super::rule::{Fixed, FixedHalf, FixedHalfFours, Half, HalfFours, Plain, Rule};

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
        match (A::LANES, A::FMA) {
            (16, _) => Self { rows: 8, cols: 32 },
            (8, _) => Self { rows: 4, cols: 16 },
            (_, true) => Self { rows: 8, cols: 8 },
            (_, false) => Self { rows: 4, cols: 8 },
        }
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
        match Size::on::<A>() {
            Size { rows: 8, cols: 32 } => self.sized::<A, 8, 32>(),
            Size { rows: 4, cols: 16 } => self.sized::<A, 4, 16>(),
            Size { rows: 8, cols: 8 } => self.sized::<A, 8, 8>(),
            _ => self.sized::<A, 4, 8>(),
        }
    }
}

impl<R: Rule<STEP>, const STEP: usize> Tile<'_, R, STEP> {
    #[inline(always)]
    fn sized<A: Arch, const ROWS: usize, const COLS: usize>(self) {
        let steps = |panel: &'_ [f32]| panel.len();
        debug_assert_eq!(steps(self.stretch.left) * COLS, steps(self.stretch.right) * ROWS);
        let (left, _) = self.stretch.left.as_chunks::<ROWS>();
        let (least, _) = self.stretch.least.as_chunks::<ROWS>();
        let (right, _) = self.stretch.right.as_chunks::<COLS>();
        let (rows, _) = self.sums.as_chunks_mut::<COLS>();
        let Some((rows, _)) = rows.split_first_chunk_mut::<ROWS>() else { return };
        // Loops where `map` would do: that is a function of its own, for another instruction set.
        let mut sums = [[R::Sum::default(); COLS]; ROWS];
        for i in 0..ROWS {
            for j in 0..COLS {
                sums[i][j] = R::start(rows[i][j]);
            }
        }
        let steps = left.as_chunks::<STEP>().0.iter().zip(least.as_chunks::<STEP>().0);
        for ((left, least), right) in steps.zip(right.as_chunks::<STEP>().0) {
            for i in 0..ROWS {
                let (mut x, mut from) = ([0.0; STEP], [0.0; STEP]);
                for s in 0..STEP {
                    (x[s], from[s]) = (left[s][i], least[s][i]);
                }
                for j in 0..COLS {
                    let mut w = [0.0; STEP];
                    for s in 0..STEP {
                        w[s] = right[s][j];
                    }
                    sums[i][j] = R::add::<A>(sums[i][j], x, from, w);
                }
            }
        }
        let count = left.len() / STEP;
        for i in 0..ROWS {
            for j in 0..COLS {
                rows[i][j] = R::end(sums[i][j], count);
            }
        }
    }
}
