//! The left operand of a product: plain rows, or transposed panels.

use std::cell::RefCell;

use super::kernel::LeftTile;
use super::{Kernel, Mat, PanelsView};
use crate::Element;
use crate::aligned::Aligned;

/// A `[M, K]` matrix.
#[derive(Clone, Copy, Debug)]
pub struct Left<'a, E: Element> {
    source: Source<'a, E>,
    first: usize,
    rows: usize,
    inner: usize,
}

#[derive(Clone, Copy, Debug)]
enum Source<'a, E: Element> {
    Rows(Mat<'a, E>),
    Panels(PanelsView<'a, E>),
}

impl<'a, E: Element> Left<'a, E> {
    /// A matrix whose rows are contiguous.
    ///
    /// # Panics
    /// If they are not.
    pub fn rows(matrix: Mat<'a, E>) -> Self {
        assert!(matrix.col_stride() == 1, "a left operand by columns; pack it into panels");
        Self { source: Source::Rows(matrix), first: 0, rows: matrix.rows(), inner: matrix.cols() }
    }

    /// The transpose of panels: the columns of `panels[K, M]` are the rows of the operand.
    pub fn transposed(panels: PanelsView<'a, E>) -> Self {
        Self {
            source: Source::Panels(panels),
            first: 0,
            rows: panels.cols,
            inner: panels.units * E::PER_UNIT,
        }
    }

    /// M.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Units of the inner dimension.
    pub(super) fn units(&self) -> usize {
        self.inner.div_ceil(E::PER_UNIT)
    }

    /// The first `row` rows, a multiple of every kernel's, and the others.
    pub(super) fn split_at(self, row: usize) -> (Self, Self) {
        let rest = Self { first: self.first + row, rows: self.rows - row, ..self };
        (Self { rows: row, ..self }, rest)
    }

    /// Calls `f` with a complete tile: the rows of `kernel` that start at `row`, beyond the last row
    /// of any value, in whole units with zeros behind the last value.
    #[inline]
    pub(super) fn with_tile<R>(
        &self,
        kernel: &Kernel<E>,
        row: usize,
        f: impl FnOnce(LeftTile<E>) -> R,
    ) -> R {
        let first = self.first + row;
        match self.source {
            Source::Panels(panels) => {
                let width = panels.kernel.cols();
                assert!(width == kernel.cols(), "panels of another kernel");
                let panel = panels.panel(first / width);
                let start = panel[first % width * E::PER_UNIT..].as_ptr();
                f(LeftTile { start, row: E::PER_UNIT, unit: width * E::PER_UNIT })
            }
            Source::Rows(matrix) => {
                let whole = first + kernel.rows() <= matrix.rows()
                    && self.inner.is_multiple_of(E::PER_UNIT);
                if whole {
                    let start = matrix.row(first).as_ptr();
                    f(LeftTile { start, row: matrix.row_stride(), unit: E::PER_UNIT })
                } else {
                    with_padded(matrix, first, kernel.rows(), f)
                }
            }
        }
    }
}

/// A copy of a tile that leaves its matrix, with zeros outside.
#[cold]
fn with_padded<E: Element, R>(
    matrix: Mat<'_, E>,
    first: usize,
    rows: usize,
    f: impl FnOnce(LeftTile<E>) -> R,
) -> R {
    thread_local! {
        static PADDED: RefCell<Aligned> = RefCell::default();
    }
    PADDED.with_borrow_mut(|padded| {
        let width = matrix.cols().div_ceil(E::PER_UNIT) * E::PER_UNIT;
        let padded = padded.first::<E>(rows * width);
        padded.fill(E::zeroed());
        for (row, out) in (first..matrix.rows()).zip(padded.chunks_exact_mut(width.max(1))) {
            out[..matrix.cols()].copy_from_slice(matrix.row(row));
        }
        f(LeftTile { start: padded.as_ptr(), row: width, unit: E::PER_UNIT })
    })
}
