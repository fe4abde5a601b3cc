//! One tile by the `gemm` crate, on the calling thread.

use super::{Mat, MatMut};

/// The engine's name, for reports.
pub const NAME: &str = "gemm";

pub(super) fn multiply(mut c: MatMut<'_>, beta: f32, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    // SAFETY: all three views are in bounds for their shapes and strides (checked where they were
    // made), the shapes fit (checked by the caller), and `c` overlaps nothing since it is exclusive.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c.row_stride() as isize,
            beta != 0.0,
            a.as_ptr(),
            a.col_stride() as isize,
            a.row_stride() as isize,
            b.as_ptr(),
            b.col_stride() as isize,
            b.row_stride() as isize,
            beta,
            alpha,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}
