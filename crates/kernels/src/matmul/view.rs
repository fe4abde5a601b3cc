//! Strided views of f32 matrices.

use std::marker::PhantomData;
use std::ops::Range;

/// A read-only matrix whose rows and columns may be any distance apart.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a> Mat<'a> {
    /// The whole of `data` as a row-major `[rows, cols]` matrix.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * cols` values.
    #[track_caller]
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{} values as a [{rows}, {cols}] matrix", data.len());
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// A row-major `[rows, cols]` matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// If it would leave `data`.
    #[track_caller]
    pub fn strided(data: &'a [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || (rows - 1) * row_stride + cols <= data.len(),
            "[{rows}, {cols}] with row stride {row_stride} leaves {} values",
            data.len()
        );
        Self { data, rows, cols, row_stride, col_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Distance between rows, in values.
    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// Distance between columns, in values.
    pub(super) fn col_stride(&self) -> usize {
        self.col_stride
    }

    /// The first value; every index below `rows`, `cols` stays inside the borrowed slice.
    pub(super) fn as_ptr(&self) -> *const f32 {
        self.data.as_ptr()
    }

    /// The value in row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> f32 {
        assert!(i < self.rows && j < self.cols, "({i}, {j}) of [{}, {}]", self.rows, self.cols);
        self.data[i * self.row_stride + j * self.col_stride]
    }

    /// A range of rows.
    pub fn rows_of(self, rows: Range<usize>) -> Self {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let start = (rows.start * self.row_stride).min(self.data.len());
        Self { data: &self.data[start..], rows: rows.len(), ..self }
    }

    /// A range of columns.
    pub fn cols_of(self, cols: Range<usize>) -> Self {
        self.t().rows_of(cols).t()
    }
}

/// A writable row-major matrix whose rows may be further apart than they are long.
#[derive(Debug)]
pub struct MatMut<'a> {
    start: *mut f32,
    rows: usize,
    cols: usize,
    row_stride: usize,
    buffer: PhantomData<&'a mut [f32]>,
}

impl<'a> MatMut<'a> {
    /// The whole of `data` as a row-major `[rows, cols]` matrix.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * cols` values.
    #[track_caller]
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{} values as a [{rows}, {cols}] matrix", data.len());
        // SAFETY: the slice holds rows * cols values and is borrowed exclusively for 'a.
        unsafe { Self::from_raw(data.as_mut_ptr(), rows, cols, cols) }
    }

    /// A view over raw memory.
    ///
    /// # Safety
    /// The `rows * cols` values at `start + i * row_stride + j` must be valid for reads and writes
    /// and used by nobody else during `'a`.
    pub(crate) unsafe fn from_raw(
        start: *mut f32,
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> Self {
        Self { start, rows, cols, row_stride, buffer: PhantomData }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Distance between rows, in values.
    pub(super) fn row_stride(&self) -> usize {
        self.row_stride
    }

    /// The first value.
    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.start
    }

    /// Row `i` as a slice.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: row `i` is inside the view, which is exclusive while `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.row_stride), self.cols) }
    }

    /// The value in row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> f32 {
        assert!(i < self.rows && j < self.cols, "({i}, {j}) of [{}, {}]", self.rows, self.cols);
        // SAFETY: inside the view by the assert; nobody writes while `self` is borrowed.
        unsafe { *self.start.add(i * self.row_stride + j) }
    }

    /// Sets the value in row `i`, column `j`.
    pub fn set(&mut self, i: usize, j: usize, value: f32) {
        self.row_mut(i)[j] = value;
    }

    /// The first `rows` rows, borrowed again, so that the view can be used more than once.
    pub fn top(&mut self, rows: usize) -> MatMut<'_> {
        assert!(rows <= self.rows, "the first {rows} of {} rows", self.rows);
        MatMut { start: self.start, rows, ..*self }
    }

    /// A handle from which several threads take blocks.
    pub(super) fn share(&mut self) -> Shared<'_> {
        Shared(MatMut { ..*self })
    }
}

/// A matrix being cut into blocks that are written at the same time.
pub(super) struct Shared<'a>(MatMut<'a>);

// SAFETY: the pointer is only used through `block`, whose contract forbids overlap.
unsafe impl Sync for Shared<'_> {}
// SAFETY: as above.
unsafe impl Send for Shared<'_> {}

impl Shared<'_> {
    /// The block of these rows and columns.
    ///
    /// # Safety
    /// No two live blocks may share an element.
    pub(super) unsafe fn block(&self, rows: Range<usize>, cols: Range<usize>) -> MatMut<'_> {
        let whole = &self.0;
        assert!(rows.end <= whole.rows && cols.end <= whole.cols, "block leaves the matrix");
        // SAFETY: inside the matrix by the assert, exclusive by this function's contract.
        unsafe {
            let start = whole.start.add(rows.start * whole.row_stride + cols.start);
            MatMut::from_raw(start, rows.len(), cols.len(), whole.row_stride)
        }
    }
}

// SAFETY: a `MatMut` is an exclusive borrow of f32 values, which may move between threads.
unsafe impl Send for MatMut<'_> {}
