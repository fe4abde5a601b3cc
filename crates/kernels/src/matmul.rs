//! Matrix multiply, `A B`, of f32 or of bf16 summed in f32.
//!
//! The right operand is packed beforehand into [`Panels`] (weights once an update); the left one is
//! plain rows, or panels transposed; an [`Epilogue`] takes the sums while they are in the first
//! cache. [`Kernel`] is the innermost loop, chosen by instruction set. [`reference()`] is the oracle.
//!
//! Rows are cut into blocks for threads, and the sum over the inner dimension is never split: where
//! the cuts are cannot change a result.

use std::mem::MaybeUninit;

use crate::Element;

mod epilogue;
mod kernel;
mod left;
mod panels;
mod register;
mod view;

#[cfg(test)]
mod tests;

pub use epilogue::{Add, AddTo, Epilogue, Store, Sums};
pub use kernel::Kernel;
pub use left::Left;
pub use panels::{Panels, PanelsView};
pub use view::{Mat, MatMut};

pub(crate) use kernel::MAX_COLS;

/// Most rows of a block: with 512 to 2048 inner values it stays in the second cache while the panels
/// pass by.
const BLOCK_ROWS: usize = 128;
/// Fewest rows of a block, and a multiple of every kernel's rows.
const MIN_BLOCK_ROWS: usize = 32;
/// Below this many multiply-adds a product is not worth waking other threads for.
const MIN_PARALLEL_WORK: usize = 1 << 18;

/// Gives `left[M, K] right[K, N]` to `epilogue`, on all threads.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn matmul<E: Element>(left: Left<'_, E>, right: PanelsView<'_, E>, epilogue: impl Epilogue) {
    check(&left, &right, &epilogue);
    let work = left.len() * right.units * E::PER_UNIT * right.cols;
    if work < MIN_PARALLEL_WORK {
        return blocks(left, right, epilogue);
    }
    // Several blocks a thread, so that one that is held up does not hold up all.
    let rows = left.len().div_ceil(4 * crate::threads()).next_multiple_of(MIN_BLOCK_ROWS);
    divide(left, right, epilogue, rows.min(BLOCK_ROWS));
}

/// The same product on the calling thread alone, for callers that are themselves one of many tasks.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn matmul_serial<E: Element>(
    left: Left<'_, E>,
    right: PanelsView<'_, E>,
    epilogue: impl Epilogue,
) {
    check(&left, &right, &epilogue);
    blocks(left, right, epilogue);
}

#[track_caller]
fn check<E: Element>(left: &Left<'_, E>, right: &PanelsView<'_, E>, epilogue: &impl Epilogue) {
    let (m, n) = epilogue.shape();
    assert!(
        left.units() == right.units && left.len() == m && right.cols == n,
        "matmul: [{}, {}] x [{}, {}] -> [{m}, {n}], inner dimension in {}-value units",
        left.len(),
        left.units(),
        right.units,
        right.cols,
        E::PER_UNIT,
    );
}

fn divide<E: Element>(
    left: Left<'_, E>,
    right: PanelsView<'_, E>,
    epilogue: impl Epilogue,
    rows: usize,
) {
    let blocks = left.len().div_ceil(rows);
    if blocks <= 1 {
        return block(left, right, epilogue);
    }
    let middle = blocks / 2 * rows;
    let (left, lower) = left.split_at(middle);
    let (epilogue, lower_epilogue) = epilogue.split_at(middle);
    rayon::join(
        || divide(left, right, epilogue, rows),
        || divide(lower, right, lower_epilogue, rows),
    );
}

fn blocks<E: Element>(
    mut left: Left<'_, E>,
    right: PanelsView<'_, E>,
    mut epilogue: impl Epilogue,
) {
    while left.len() > BLOCK_ROWS {
        let (upper, lower) = left.split_at(BLOCK_ROWS);
        let (first, rest) = epilogue.split_at(BLOCK_ROWS);
        block(upper, right, first);
        (left, epilogue) = (lower, rest);
    }
    block(left, right, epilogue);
}

/// At most [`BLOCK_ROWS`] rows: panel by panel, and within a panel tile by tile, so that the panel
/// is read from memory once.
fn block<E: Element>(left: Left<'_, E>, right: PanelsView<'_, E>, mut epilogue: impl Epilogue) {
    let kernel = &right.kernel;
    let (rows, cols) = (kernel.rows(), kernel.cols());
    let padded = left.len().next_multiple_of(rows);
    assert!(padded <= BLOCK_ROWS && cols <= MAX_COLS, "a block of {padded} rows");
    let mut sums = [const { MaybeUninit::<f32>::uninit() }; BLOCK_ROWS * MAX_COLS];
    let sums = &mut sums[..padded * cols];
    for panel in 0..right.panels() {
        let units = right.panel(panel);
        for row in (0..left.len()).step_by(rows) {
            let sums = &mut sums[row * cols..][..rows * cols];
            left.with_tile(kernel, row, |tile| {
                // SAFETY: `with_tile` reaches `rows` rows of the operand's units, of which the panel
                // has as many (checked with the shapes), and `sums` is a tile long.
                unsafe { kernel.run(right.units, tile, units.as_ptr(), sums.as_mut_ptr().cast()) };
            });
        }
        // SAFETY: the tiles cover all rows.
        let sums = unsafe { sums.assume_init_ref() };
        let columns = panel * cols..((panel + 1) * cols).min(right.cols);
        let sums = Sums { values: sums, stride: cols, rows: left.len() };
        epilogue.finish(kernel.level(), columns, sums);
    }
}

/// The oracle: `c = beta c + alpha a b`, three loops, sums in f64. With `beta` 0 the old content of
/// `c` is not read.
#[track_caller]
pub fn reference<E: Element>(
    mut c: MatMut<'_>,
    beta: f32,
    alpha: f32,
    a: Mat<'_, E>,
    b: Mat<'_, E>,
) {
    assert!(a.cols() == b.rows() && c.rows() == a.rows() && c.cols() == b.cols(), "shapes");
    for i in 0..a.rows() {
        for j in 0..b.cols() {
            let product =
                |p| f64::from(Element::to_f32(a.at(i, p))) * f64::from(Element::to_f32(b.at(p, j)));
            let sum: f64 = (0..a.cols()).map(product).sum();
            let old = if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(c.at(i, j)) };
            c.set(i, j, (old + f64::from(alpha) * sum) as f32);
        }
    }
}
