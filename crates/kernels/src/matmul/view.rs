//! Strided views of matrices.

use std::marker::PhantomData;
use std::ops::Range;

/// A read-only matrix whose rows and columns may be any distance apart.
#[derive(Clone, Copy, Debug)]
pub struct Mat<'a, T = f32> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, T: Copy> Mat<'a, T> {
    /// The whole of `data` as a row-major `[rows, cols]` matrix.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * cols` values.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{} values as a [{rows}, {cols}] matrix", data.len());
        Self { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// A row-major `[rows, cols]` matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// If it would leave `data`.
    #[track_caller]
    pub fn strided(data: &'a [T], rows: usize, cols: usize, row_stride: usize) -> Self {
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

    /// Row `i` of a matrix whose rows are contiguous.
    #[track_caller]
    pub fn row(&self, i: usize) -> &'a [T] {
        assert!(i < self.rows && self.col_stride == 1, "row {i} of {}, by columns", self.rows);
        &self.data[i * self.row_stride..][..self.cols]
    }

    /// The value in row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> T {
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
pub struct MatMut<'a, T = f32> {
    start: *mut T,
    rows: usize,
    cols: usize,
    row_stride: usize,
    buffer: PhantomData<&'a mut [T]>,
}

impl<'a, T: Copy> MatMut<'a, T> {
    /// The whole of `data` as a row-major `[rows, cols]` matrix.
    ///
    /// # Panics
    /// If `data` does not hold exactly `rows * cols` values.
    #[track_caller]
    pub fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        assert!(data.len() == rows * cols, "{} values as a [{rows}, {cols}] matrix", data.len());
        // SAFETY: the slice holds rows * cols values and is borrowed exclusively for 'a.
        unsafe { Self::from_raw(data.as_mut_ptr(), rows, cols, cols) }
    }

    /// A `[rows, cols]` matrix whose rows start `row_stride` values apart.
    ///
    /// # Panics
    /// If the rows do not divide `data`.
    #[track_caller]
    pub fn strided(data: &'a mut [T], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(
            cols <= row_stride && data.len() == rows * row_stride,
            "{} values as a [{rows}, {cols}] matrix with row stride {row_stride}",
            data.len()
        );
        // SAFETY: the slice holds rows * row_stride values and is borrowed exclusively for 'a.
        unsafe { Self::from_raw(data.as_mut_ptr(), rows, cols, row_stride) }
    }

    /// A view over raw memory.
    ///
    /// # Safety
    /// The `rows * cols` values at `start + i * row_stride + j` must be valid for reads and writes
    /// and used by nobody else during `'a`.
    pub(crate) unsafe fn from_raw(
        start: *mut T,
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

    /// Row `i` as a slice.
    pub fn row_mut(&mut self, i: usize) -> &mut [T] {
        assert!(i < self.rows, "row {i} of {}", self.rows);
        // SAFETY: row `i` is inside the view, which is exclusive while `self` is borrowed.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(i * self.row_stride), self.cols) }
    }

    /// The value in row `i`, column `j`.
    pub fn at(&self, i: usize, j: usize) -> T {
        assert!(i < self.rows && j < self.cols, "({i}, {j}) of [{}, {}]", self.rows, self.cols);
        // SAFETY: inside the view by the assert; nobody writes while `self` is borrowed.
        unsafe { *self.start.add(i * self.row_stride + j) }
    }

    /// Sets the value in row `i`, column `j`.
    pub fn set(&mut self, i: usize, j: usize, value: T) {
        self.row_mut(i)[j] = value;
    }

    /// The first `row` rows and the others.
    pub fn split_at(self, row: usize) -> (Self, Self) {
        assert!(row <= self.rows, "row {row} of {}", self.rows);
        let (rows, cols, row_stride) = (row, self.cols, self.row_stride);
        // SAFETY: both parts lie in the view, which is given up, and share no row. `wrapping_add`
        // because an empty second part may start behind the buffer.
        unsafe {
            let second = self.start.wrapping_add(row * row_stride);
            (
                Self::from_raw(self.start, rows, cols, row_stride),
                Self::from_raw(second, self.rows - row, cols, row_stride),
            )
        }
    }
}

// SAFETY: a `MatMut` is an exclusive borrow of values, which may move between threads.
unsafe impl<T: Send> Send for MatMut<'_, T> {}
