//! Matrix times vector, for decoding one token at a time.

use crate::simd::{Level, row_kernel};

/// `y[N] = beta y + alpha w[N, K] x[K]`, on the calling thread: bound by reading `w`.
///
/// # Panics
/// If the shapes do not fit.
pub fn matvec(y: &mut [f32], beta: f32, alpha: f32, w: &[f32], x: &[f32]) {
    assert_eq!(w.len(), y.len() * x.len(), "matvec: [{}, {}]", y.len(), x.len());
    rows(Level::best(), y, beta, alpha, w, x);
}

/// The sum of the products of `a` and `b`, in sixteen lanes so that it vectorises.
#[inline(always)]
pub(crate) fn dot<A: crate::Element, B: crate::Element>(a: &[A], b: &[B]) -> f32 {
    let mut lanes = [0.0_f32; 16];
    let ((a16, a_rest), (b16, b_rest)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    for (a, b) in a16.iter().zip(b16) {
        for i in 0..16 {
            lanes[i] += a[i].to_f32() * b[i].to_f32();
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += a.to_f32() * b.to_f32();
    }
    lanes.iter().sum()
}

row_kernel! {
    fn rows(level: Level, y: &mut [f32], beta: f32, alpha: f32, w: &[f32], x: &[f32]) {
        for (y, w) in y.iter_mut().zip(w.chunks_exact(x.len().max(1))) {
            let old = if beta == 0.0 { 0.0 } else { beta * *y };
            *y = old + alpha * dot(w, x);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matmul::{Mat, MatMut, reference};
    use crate::testing::{assert_close, uniform};

    proptest! {
        #[test]
        fn equals_the_reference(n in 1_usize..40, k in 1_usize..70, beta in prop::sample::select(vec![0.0_f32, 1.0])) {
            let (w, x, y) = (uniform(1, n * k), uniform(2, k), uniform(3, n));
            let mut want = y.clone();
            let (w_view, x_view) = (Mat::new(&w, n, k), Mat::new(&x, k, 1));
            reference(MatMut::new(&mut want, n, 1), beta, 0.5, w_view, x_view);
            for &level in Level::supported() {
                let mut got = y.clone();
                rows(level, &mut got, beta, 0.5, &w, &x);
                assert_close("y", &got, &want, 1e-5);
            }
        }
    }

    #[test]
    fn beta_zero_overwrites_nan() {
        let mut y = [f32::NAN; 2];
        matvec(&mut y, 0.0, 1.0, &[2.0; 4], &[1.0; 2]);
        assert_eq!(y, [4.0; 2]);
    }
}
