//! Products of fp16 matrices as a device computes them, fast.
//!
//! Operands are decoded once (`decode`) into panels (`panels`); tiles of sums run through loops of
//! vector instructions (`tile`) whose rules (`rule`) are a profile's (`plan`); what those do not
//! cover is seen beforehand and computed by the definition, `arithmetic::Accumulator` (`rows`); sums
//! are rounded many at a time (`round`).
//!
//! [`Mode::Exact`] gives the bits of [`Arithmetic::dot_from`] for every row and column.
//! [`Mode::Fast`] sums in f32 and rounds once. It leaves out:
//!
//! - the rounding of each product, to 2^-16 on M4 and later, to fp16 before, and of sums of four
//!   on M1;
//! - the vanishing of products that are dropped or flushed, in tiles where their number times their
//!   largest size is at most 1/128 of |x| |w| / sqrt(K), the size that a sum of independent terms
//!   has. Other tiles are exact.
//!
//! For operands that are normally distributed that makes results off by 1e-4 to 5e-4 of their root
//! mean square; their own rounding makes 2e-4 (`examples/product_speed.rs` measures it).
//!
//! Operands, bias, the final rounding and overflow are as the profile has them in both modes: sums
//! whose norms do not exclude that they reach the limit are computed exactly.

use std::cell::Cell;

use aneal_kernels::simd::Level;
use half::f16;
use rayon::prelude::*;

use self::panels::Packed;
use self::plan::Plan;
use self::rows::Rows;
use super::layout::MatrixLayout;
use crate::arithmetic::Arithmetic;

mod decode;
mod panels;
mod plan;
mod round;
mod rows;
mod rule;
#[cfg(test)]
mod tests;
mod tile;

/// Most rows that a task computes: with 512 to 1024 inner values they stay in the second cache.
const MOST_TASK_ROWS: usize = 64;

/// Below this many multiply-adds a product is not worth waking other threads for.
const MIN_PARALLEL_WORK: usize = 1 << 18;

/// How closely products follow the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Bit for bit as the profile says.
    #[default]
    Exact,
    /// Sums in f32 with one rounding: the device's range and what vanishes in it, but not the rounding
    /// of each product. 5e-4 of the results' root mean square off, or less.
    Fast,
}

impl Mode {
    /// As users spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Fast => "fast",
        }
    }
}

/// A matrix of fp16 values in a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operand<'a> {
    pub(crate) data: &'a [f16],
    pub(crate) layout: MatrixLayout,
}

impl<'a> Operand<'a> {
    fn at(&self, row: usize, col: usize) -> f16 {
        let MatrixLayout { offset, row_step, col_step, .. } = self.layout;
        self.data[offset.wrapping_add_signed(row as isize * row_step + col as isize * col_step)]
    }

    /// Whether all elements lie in the buffer.
    fn is_inside(&self) -> bool {
        let MatrixLayout { offset, rows, cols, row_step, col_step } = self.layout;
        if rows == 0 || cols == 0 {
            return true;
        }
        let reach = [(rows, row_step), (cols, col_step)].map(|(n, step)| (n as isize - 1) * step);
        let first: isize = reach.iter().map(|r| (*r).min(0)).sum();
        let last: isize = reach.iter().map(|r| (*r).max(0)).sum();
        offset.checked_add_signed(first).is_some()
            && offset.checked_add_signed(last).is_some_and(|last| last < self.data.len())
    }
}

/// Where sums start.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bias<'a> {
    /// At 0.
    None,
    /// `[M]`: a row's sums at its value.
    PerRow(&'a [f16]),
    /// `[N]`: a column's sums at its value.
    PerColumn(&'a [f16]),
}

/// `out[M, N]`, row-major, becomes `a[M, K] b[K, N]`, on all threads if it is large.
///
/// # Panics
/// If the shapes do not fit each other, or an operand its buffer.
#[track_caller]
pub(crate) fn product(
    arithmetic: &Arithmetic,
    mode: Mode,
    a: Operand<'_>,
    b: Operand<'_>,
    bias: Bias<'_>,
    out: &mut [f16],
) {
    let parallel = a.layout.cols * out.len() >= MIN_PARALLEL_WORK;
    compute(&Plan::new(arithmetic, mode, Level::best()), a, b, bias, out, parallel);
}

/// The same product on the calling thread alone, for callers that are themselves one of many tasks.
///
/// # Panics
/// As [`product`].
#[track_caller]
pub(crate) fn product_serial(
    arithmetic: &Arithmetic,
    mode: Mode,
    a: Operand<'_>,
    b: Operand<'_>,
    bias: Bias<'_>,
    out: &mut [f16],
) {
    compute(&Plan::new(arithmetic, mode, Level::best()), a, b, bias, out, false);
}

/// Memory that products of a thread reuse.
#[derive(Default)]
struct Scratch {
    left: Packed,
    right: Packed,
    held: Vec<f32>,
}

thread_local! {
    /// Taken while a product runs: a thread that waits for others may begin another one.
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

#[track_caller]
fn compute(
    plan: &Plan<'_>,
    a: Operand<'_>,
    b: Operand<'_>,
    bias: Bias<'_>,
    out: &mut [f16],
    parallel: bool,
) {
    let (rows, inner, cols) = (a.layout.rows, a.layout.cols, b.layout.cols);
    let bias_fits = match bias {
        Bias::None => true,
        Bias::PerRow(bias) => bias.len() == rows,
        Bias::PerColumn(bias) => bias.len() == cols,
    };
    assert!(
        inner == b.layout.rows && out.len() == rows * cols && bias_fits,
        "product: [{rows}, {inner}] x [{}, {cols}] -> {} values, bias {bias_fits}",
        b.layout.rows,
        out.len(),
    );
    assert!(a.is_inside() && b.is_inside(), "product: an operand leaves its buffer");
    if out.is_empty() {
        return;
    }
    let mut scratch = SCRATCH.take().unwrap_or_default();
    let Scratch { left, right, held } = &mut *scratch;
    let (level, size) = (plan.level, plan.size);
    left.pack(level, size.rows, plan.left, (a.data, a.layout.transposed()), parallel);
    right.pack(level, size.cols, plan.right, (b.data, b.layout), parallel);
    let means = [left.root_mean_square(), right.root_mean_square()];
    if let Some(sizes) = plan.vanishing_operands(means) {
        left.count_below(level, sizes[0]);
        right.count_below(level, sizes[1]);
    }
    held.clear();
    if let Bias::PerRow(bias) | Bias::PerColumn(bias) = bias {
        held.extend(plan.held(bias));
    }
    let product = Rows { plan, left, right, source: a, bias, held, cols };
    if parallel {
        // Several tasks a thread, so that one that is held up does not hold up all.
        let rows = rows.div_ceil(4 * rayon::current_num_threads()).min(MOST_TASK_ROWS);
        let rows = rows.next_multiple_of(size.rows);
        let tasks = out.par_chunks_mut(rows * cols).enumerate();
        tasks.for_each(|(task, out)| product.compute(task * rows, out));
    } else {
        product.compute(0, out);
    }
    SCRATCH.set(Some(scratch));
}
