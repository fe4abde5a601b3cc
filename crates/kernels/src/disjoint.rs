//! A mutable buffer of which parallel tasks write different, interleaved parts.
//!
//! Attention heads own columns of a row-major matrix, so their parts are not contiguous slices and
//! the borrow checker cannot tell them apart. This is the one place that may say so instead.

use std::marker::PhantomData;

use crate::matmul::MatMut;

/// A borrowed buffer from which tasks take strided views that must not overlap.
#[derive(Clone, Copy)]
pub(crate) struct DisjointMut<'a, T> {
    start: *mut T,
    len: usize,
    buffer: PhantomData<&'a mut [T]>,
}

// SAFETY: the pointer is only used through `view`, whose contract forbids overlapping views.
unsafe impl<T: Send> Send for DisjointMut<'_, T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send> Sync for DisjointMut<'_, T> {}

impl<'a, T: Copy> DisjointMut<'a, T> {
    /// Borrows `buffer` until the last view is gone.
    pub(crate) fn new(buffer: &'a mut [T]) -> Self {
        Self { start: buffer.as_mut_ptr(), len: buffer.len(), buffer: PhantomData }
    }

    /// The `[rows, cols]` view that starts at `offset`, with rows `row_stride` apart.
    ///
    /// # Safety
    /// No other live view, in any thread, may contain an element of this one.
    pub(crate) unsafe fn view(
        self,
        offset: usize,
        rows: usize,
        cols: usize,
        row_stride: usize,
    ) -> MatMut<'a, T> {
        assert!(cols <= row_stride || rows <= 1, "rows of a view overlap");
        assert!(
            rows == 0 || offset + (rows - 1) * row_stride + cols <= self.len,
            "view [{rows}, {cols}] at {offset} leaves a buffer of {}",
            self.len
        );
        // SAFETY: in bounds by the assert above, exclusive by this function's contract.
        unsafe { MatMut::from_raw(self.start.add(offset), rows, cols, row_stride) }
    }
}
