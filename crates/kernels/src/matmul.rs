//! Matrix multiply, `C = beta C + alpha A B`, over strided f32 views.
//!
//! One function, [`matmul`], with three engines behind it chosen by file: the `gemm` crate, Apple's
//! Accelerate on macOS, and [`reference()`], which the tests compare both with. `C` is cut into tiles
//! by its shape alone, each tile is computed by one thread, and the sum over the inner dimension is
//! never split between threads: the thread count cannot change a result.

use rayon::prelude::*;

mod view;

#[cfg(not(target_os = "macos"))]
#[path = "matmul/gemm_crate.rs"]
mod engine;

#[cfg(target_os = "macos")]
#[path = "matmul/accelerate.rs"]
mod engine;

pub use engine::NAME as ENGINE_NAME;
pub use view::{Mat, MatMut};

/// Rows of a tile of `C`.
const TILE_ROWS: usize = 256;
/// Columns of a tile of `C`.
const TILE_COLS: usize = 512;
/// Below this many multiply-adds a product is not worth waking other threads for.
const MIN_PARALLEL_WORK: usize = 1 << 18;

/// `c = beta c + alpha a b` with `a` of shape `[m, k]`, `b` `[k, n]`, `c` `[m, n]`.
///
/// With `beta` 0 the old content of `c` is not read, so it may be anything, NaN included.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn matmul(mut c: MatMut<'_>, beta: f32, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    check_shapes(&c, a, b);
    let (m, n, k) = (a.rows(), b.cols(), a.cols());
    if m * n * k < MIN_PARALLEL_WORK || (m <= TILE_ROWS && n <= TILE_COLS) {
        return engine::multiply(c, beta, alpha, a, b);
    }
    let row_tiles = m.div_ceil(TILE_ROWS);
    let col_tiles = n.div_ceil(TILE_COLS);
    let c = c.share();
    (0..row_tiles * col_tiles).into_par_iter().for_each(|tile| {
        let rows = cut(tile % row_tiles, TILE_ROWS, m);
        let cols = cut(tile / row_tiles, TILE_COLS, n);
        // SAFETY: tiles of different indices share no element.
        let part = unsafe { c.block(rows.clone(), cols.clone()) };
        engine::multiply(part, beta, alpha, a.rows_of(rows), b.cols_of(cols));
    });
}

/// The same product on the calling thread alone, for callers that are themselves one of many tasks.
///
/// # Panics
/// If the shapes do not fit.
#[track_caller]
pub fn matmul_serial(c: MatMut<'_>, beta: f32, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    check_shapes(&c, a, b);
    engine::multiply(c, beta, alpha, a, b);
}

/// The oracle: three loops, sums in f64.
#[track_caller]
pub fn reference(mut c: MatMut<'_>, beta: f32, alpha: f32, a: Mat<'_>, b: Mat<'_>) {
    check_shapes(&c, a, b);
    for i in 0..a.rows() {
        for j in 0..b.cols() {
            let sum: f64 =
                (0..a.cols()).map(|p| f64::from(a.at(i, p)) * f64::from(b.at(p, j))).sum();
            let old = if beta == 0.0 { 0.0 } else { f64::from(beta) * f64::from(c.at(i, j)) };
            c.set(i, j, (old + f64::from(alpha) * sum) as f32);
        }
    }
}

#[track_caller]
fn check_shapes(c: &MatMut<'_>, a: Mat<'_>, b: Mat<'_>) {
    assert!(
        a.cols() == b.rows() && c.rows() == a.rows() && c.cols() == b.cols(),
        "matmul: [{}, {}] x [{}, {}] -> [{}, {}]",
        a.rows(),
        a.cols(),
        b.rows(),
        b.cols(),
        c.rows(),
        c.cols()
    );
}

fn cut(index: usize, size: usize, end: usize) -> std::ops::Range<usize> {
    index * size..((index + 1) * size).min(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, in_threads, uniform};

    /// Runs `matmul` and `reference` on the same operands, transposed views included.
    fn check(m: usize, n: usize, k: usize, ta: bool, tb: bool, beta: f32, alpha: f32) {
        let (a, b, c) = (uniform(1, m * k), uniform(2, k * n), uniform(3, m * n));
        let a = if ta { Mat::new(&a, k, m).t() } else { Mat::new(&a, m, k) };
        let b = if tb { Mat::new(&b, n, k).t() } else { Mat::new(&b, k, n) };
        let (mut got, mut want) = (c.clone(), c);
        matmul(MatMut::new(&mut got, m, n), beta, alpha, a, b);
        reference(MatMut::new(&mut want, m, n), beta, alpha, a, b);
        assert_close("matmul", &got, &want, 2e-6 * k.max(4) as f32);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn equals_the_reference(
            m in 1_usize..70, n in 1_usize..70, k in 1_usize..90,
            ta: bool, tb: bool, beta in prop::sample::select(vec![0.0_f32, 1.0]), alpha in -2.0_f32..2.0,
        ) {
            check(m, n, k, ta, tb, beta, alpha);
        }
    }

    #[test]
    fn equals_the_reference_across_tiles() {
        for (m, n, k) in [(129, 513, 65), (300, 40, 257), (1, 1024, 512), (257, 1, 300)] {
            check(m, n, k, false, true, 1.0, 0.5);
            check(m, n, k, true, false, 0.0, 1.0);
        }
    }

    #[test]
    fn beta_zero_overwrites_nan() {
        let mut c = vec![f32::NAN; 4];
        matmul(
            MatMut::new(&mut c, 2, 2),
            0.0,
            1.0,
            Mat::new(&[1.0; 4], 2, 2),
            Mat::new(&[2.0; 4], 2, 2),
        );
        assert_eq!(c, [4.0; 4]);
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let (m, n, k) = (700, 600, 300);
        let (a, b) = (uniform(1, m * k), uniform(2, k * n));
        let run = || {
            let mut c = vec![0.0; m * n];
            matmul(MatMut::new(&mut c, m, n), 0.0, 1.0, Mat::new(&a, m, k), Mat::new(&b, k, n));
            c
        };
        assert_eq!(in_threads(1, run), in_threads(3, run));
    }

    #[test]
    #[should_panic(expected = "matmul: [2, 3] x [2, 2] -> [2, 2]")]
    fn refuses_shapes_that_do_not_fit() {
        let mut c = [0.0; 4];
        matmul(
            MatMut::new(&mut c, 2, 2),
            0.0,
            1.0,
            Mat::new(&[0.0; 6], 2, 3),
            Mat::new(&[0.0; 4], 2, 2),
        );
    }
}
