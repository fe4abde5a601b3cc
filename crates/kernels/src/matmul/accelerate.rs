//! One tile by Apple's Accelerate framework. Type-checked for macOS; not yet run on hardware.

use std::ffi::c_int;

use super::{Mat, MatMut};

/// The engine's name, for reports.
pub const NAME: &str = "accelerate";

// Values of the CBLAS enumerations, from the reference `cblas.h`.
const ROW_MAJOR: c_int = 101;
const NO_TRANSPOSE: c_int = 111;
const TRANSPOSE: c_int = 112;

#[link(name = "Accelerate", kind = "framework")]
unsafe extern "C" {
    fn cblas_sgemm(
        order: c_int,
        transpose_a: c_int,
        transpose_b: c_int,
        m: c_int,
        n: c_int,
        k: c_int,
        alpha: f32,
        a: *const f32,
        lda: c_int,
        b: *const f32,
        ldb: c_int,
        beta: f32,
        c: *mut f32,
        ldc: c_int,
    );
}

pub(super) fn multiply(mut c: MatMut<'_>, beta: f32, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    let (Some((transpose_a, lda)), Some((transpose_b, ldb))) = (leading(a), leading(b)) else {
        // No view of this crate has both strides above one; the slow path is still the right one.
        return super::reference(c, beta, alpha, a, b);
    };
    let ldc = c.row_stride().max(1) as c_int;
    // SAFETY: the signature is CBLAS's own; the views are in bounds for their shapes and strides
    // (checked where they were made), the shapes fit, and `c` is exclusive. With beta 0 CBLAS does
    // not read `c`.
    unsafe {
        cblas_sgemm(
            ROW_MAJOR,
            transpose_a,
            transpose_b,
            m as c_int,
            n as c_int,
            k as c_int,
            alpha,
            a.as_ptr(),
            lda,
            b.as_ptr(),
            ldb,
            beta,
            c.as_mut_ptr(),
            ldc,
        );
    }
}

/// How CBLAS calls a view: transposed or not, and its leading dimension.
fn leading(a: Mat<'_>) -> Option<(c_int, c_int)> {
    if a.col_stride() == 1 {
        Some((NO_TRANSPOSE, a.row_stride().max(a.cols()).max(1) as c_int))
    } else if a.row_stride() == 1 {
        Some((TRANSPOSE, a.col_stride().max(a.rows()).max(1) as c_int))
    } else {
        None
    }
}
