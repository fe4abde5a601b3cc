//! The innermost loop: a tile of sums in registers, over a part of the inner dimension.
//!
//! Written once over [`Rule`]s and compiled for every instruction set. Tiles are sized to the
//! register file, as those of `aneal_kernels::matmul` are.

use std::marker::PhantomData;

use aneal_kernels::simd::{self, Arch, Level, Vector, Work};

use super::panels::Lines;
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

/// Adds the products of a left and a right operand's lines, as many and a multiple of 4, to
/// `sums[rows, cols]`, which are f32 or i32 bits as the rule has them.
///
/// Of fixed-point rules the cheapest one, which expects neither large nor dropped products, is tried
/// at every inner index: one that a tile needs somewhere it needs at few of them.
pub(super) fn add(level: Level, kernel: Kernel, lines: [Lines<'_>; 2], sums: &mut [u32]) {
    type Simple = Fixed<false, false>;
    match kernel {
        Kernel::Plain => run::<Plain, Plain, 1>(level, lines, sums),
        Kernel::Fixed { large: false, drops: false } => {
            run::<Simple, Simple, 1>(level, lines, sums);
        }
        Kernel::Fixed { large: false, drops: true } => {
            run::<Simple, Fixed<false, true>, 1>(level, lines, sums);
        }
        Kernel::Fixed { large: true, drops: false } => {
            run::<Simple, Fixed<true, false>, 1>(level, lines, sums);
        }
        Kernel::Fixed { large: true, drops: true } => {
            run::<Simple, Fixed<true, true>, 1>(level, lines, sums);
        }
        Kernel::Half { away: true, fours, fixed } => half::<true>(level, fours, fixed, lines, sums),
        Kernel::Half { away: false, fours, fixed } => {
            half::<false>(level, fours, fixed, lines, sums);
        }
    }
}

fn half<const AWAY: bool>(
    level: Level,
    fours: bool,
    fixed: bool,
    lines: [Lines<'_>; 2],
    sums: &mut [u32],
) {
    match (fours, fixed) {
        (false, false) => run::<Half<AWAY>, Half<AWAY>, 1>(level, lines, sums),
        (false, true) => run::<FixedHalf<AWAY>, FixedHalf<AWAY>, 1>(level, lines, sums),
        (true, false) => run::<HalfFours<AWAY>, HalfFours<AWAY>, 4>(level, lines, sums),
        (true, true) => run::<FixedHalfFours<AWAY>, FixedHalfFours<AWAY>, 4>(level, lines, sums),
    }
}

fn run<R: Rule<STEP>, C: Rule<STEP>, const STEP: usize>(
    level: Level,
    lines: [Lines<'_>; 2],
    sums: &mut [u32],
) {
    simd::run(level, Tile { rules: PhantomData::<(R, C)>, lines, sums });
}

/// A tile by rule `R`, or by `C` where peaks or edges demand care.
struct Tile<'a, R, C, const STEP: usize> {
    rules: PhantomData<(R, C)>,
    lines: [Lines<'a>; 2],
    sums: &'a mut [u32],
}

impl<R: Rule<STEP>, C: Rule<STEP>, const STEP: usize> Work for Tile<'_, R, C, STEP> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        match Size::on::<A>().rows {
            8 => self.sized::<A::Vector, 8>(),
            _ => self.sized::<A::Vector, 4>(),
        }
    }
}

impl<R: Rule<STEP>, C: Rule<STEP>, const STEP: usize> Tile<'_, R, C, STEP> {
    #[inline(always)]
    fn sized<V: Vector, const ROWS: usize>(self) {
        let [Lines { values: left, least, .. }, Lines { values: right, .. }] = self.lines;
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
        let lefts = left.chunks_exact(STEP * ROWS).zip(least.chunks_exact(STEP * ROWS));
        let steps = lefts.zip(right.chunks_exact(STEP * cols));
        let peaks = self.lines[0].peaks.iter().zip(self.lines[1].peaks);
        let edges = self.lines[0].edges.iter().zip(self.lines[1].edges);
        let mut careful = 0_u32;
        for (((left, least), right), (peaks, edges)) in steps.zip(peaks.zip(edges)) {
            if C::is_needed([*peaks.0, *peaks.1], [*edges.0, *edges.1]) {
                step::<V, C, STEP, ROWS>(&mut sums, left, least, right);
                careful += 1;
            } else {
                step::<V, R, STEP, ROWS>(&mut sums, left, least, right);
            }
        }
        let simple = ((left.len() / (STEP * ROWS)) as u32).wrapping_sub(careful);
        let offset = R::OFFSET.wrapping_mul(simple).wrapping_add(C::OFFSET.wrapping_mul(careful));
        let offset = V::splat(f32::from_bits(offset.wrapping_neg()));
        for (sums, out) in sums.iter().zip(out.chunks_exact_mut(cols)) {
            for (sum, out) in sums.iter().zip(out.chunks_exact_mut(V::LANES)) {
                sum.plus_bits(offset).store(out);
            }
        }
    }
}

/// One addition to every sum: of `left[STEP, ROWS]` and `right[STEP, columns]`.
#[inline(always)]
fn step<V: Vector, R: Rule<STEP>, const STEP: usize, const ROWS: usize>(
    sums: &mut [[V; VECTORS]; ROWS],
    left: &[f32],
    least: &[f32],
    right: &[f32],
) {
    let mut w = [[V::splat(0.0); STEP]; VECTORS];
    for s in 0..STEP {
        for (j, w) in w.iter_mut().enumerate() {
            w[s] = V::load(&right[(s * VECTORS + j) * V::LANES..][..V::LANES]);
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
