//! RMSNorm (Zhang and Sennrich, 2019): y = x / sqrt(mean(x^2) + eps) * w, row by row.

use rayon::prelude::*;

use crate::Element;
use crate::lanes::{map, map2};
use crate::simd::{Level, row_kernel};

/// Rows handled by one task. Fixed, so that the sums of [`backward`] do not depend on threads.
const ROWS: usize = 32;

/// `y[T, D]` and `inv_rms[T]` of `x[T, D]` under the gain `w[D]`.
pub fn forward<E: Element>(y: &mut [E], inv_rms: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
    let d = w.len();
    check(d, inv_rms.len(), &[y.len(), x.len()]);
    let level = Level::best();
    y.par_chunks_mut(ROWS * d)
        .zip(inv_rms.par_chunks_mut(ROWS))
        .zip(x.par_chunks(ROWS * d))
        .for_each(|((y, inv_rms), x)| {
            inv_rms_rows(level, inv_rms, x, eps);
            apply_rows(level, y, x, w, inv_rms);
        });
}

/// `y[T, D]` again, from the `inv_rms[T]` that [`forward`] left.
pub fn apply<E: Element>(y: &mut [E], x: &[f32], w: &[f32], inv_rms: &[f32]) {
    let d = w.len();
    check(d, inv_rms.len(), &[y.len(), x.len()]);
    let level = Level::best();
    y.par_chunks_mut(ROWS * d)
        .zip(inv_rms.par_chunks(ROWS))
        .zip(x.par_chunks(ROWS * d))
        .for_each(|((y, inv_rms), x)| apply_rows(level, y, x, w, inv_rms));
}

/// What [`backward`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a> {
    /// `[T, D]`
    pub dy: &'a [f32],
    /// `[T, D]`
    pub x: &'a [f32],
    /// `[D]`
    pub w: &'a [f32],
    /// `[T]`, as [`forward`] left it.
    pub inv_rms: &'a [f32],
}

/// Accumulates into `dx[T, D]` and `dw[D]`, and leaves the new `dx` in `rounded[T, D]` for the
/// products that come next. `partial` is working memory of [`partial_len`] values.
///
/// With r = inv_rms: dx_i += r w_i dy_i - x_i r^3 / D sum_j(w_j dy_j x_j), dw_j += sum_t r x_j dy_j.
pub fn backward<E: Element>(
    dx: &mut [f32],
    rounded: &mut [E],
    dw: &mut [f32],
    partial: &mut [f32],
    input: Backward<'_>,
) {
    let Backward { dy, x, w, inv_rms } = input;
    let d = w.len();
    check(d, inv_rms.len(), &[dx.len(), dy.len(), x.len(), rounded.len()]);
    assert!(dw.len() == d && partial.len() == partial_len(inv_rms.len(), d), "rms_norm: dw");
    let level = Level::best();
    dx.par_chunks_mut(ROWS * d)
        .zip(rounded.par_chunks_mut(ROWS * d))
        .zip(dy.par_chunks(ROWS * d))
        .zip(x.par_chunks(ROWS * d))
        .zip(inv_rms.par_chunks(ROWS))
        .zip(partial.par_chunks_mut(d))
        .for_each(|(((((dx, rounded), dy), x), inv_rms), dw)| {
            dw.fill(0.0);
            backward_rows(level, dx, rounded, dw, dy, x, w, inv_rms);
        });
    // One order whatever the threads did.
    for part in partial.chunks_exact(d) {
        for (dw, p) in dw.iter_mut().zip(part) {
            *dw += p;
        }
    }
}

/// Length of the working memory of [`backward`]: a sum of dw for every few rows.
pub fn partial_len(rows: usize, d: usize) -> usize {
    rows.div_ceil(ROWS) * d
}

#[track_caller]
fn check(d: usize, rows: usize, lengths: &[usize]) {
    assert!(d > 0, "rms_norm: rows of no values");
    for &length in lengths {
        assert_eq!(length, rows * d, "rms_norm: [{rows}, {d}]");
    }
}

/// The sum of squares of a row, in eight lanes so that it vectorises.
#[inline(always)]
fn square_sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 8];
    let (groups, rest) = x.as_chunks::<8>();
    for group in groups {
        for (lane, &x) in lanes.iter_mut().zip(group) {
            *lane += x * x;
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += x * x;
    }
    lanes.iter().sum()
}

row_kernel! {
    fn inv_rms_rows(level: Level, inv_rms: &mut [f32], x: &[f32], eps: f32) {
        let d = x.len() / inv_rms.len();
        for (inv, x) in inv_rms.iter_mut().zip(x.chunks_exact(d)) {
            *inv = 1.0 / (square_sum(x) / d as f32 + eps).sqrt();
        }
    }
}

row_kernel! {
    fn apply_rows<E: Element>(level: Level, y: &mut [E], x: &[f32], w: &[f32], inv_rms: &[f32]) {
        let d = w.len();
        for ((y, x), &inv) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)).zip(inv_rms) {
            map2::<A, _, _, _>(y, x, w, |x, w| x * inv * w);
        }
    }
}

row_kernel! {
    fn backward_rows<E: Element>(
        level: Level,
        dx: &mut [f32],
        rounded: &mut [E],
        dw: &mut [f32],
        dy: &[f32],
        x: &[f32],
        w: &[f32],
        inv_rms: &[f32],
    ) {
        let d = w.len();
        let outputs = dx.chunks_exact_mut(d).zip(rounded.chunks_exact_mut(d));
        let rows = outputs.zip(dy.chunks_exact(d)).zip(x.chunks_exact(d));
        for ((((dx, rounded), dy), x), &inv) in rows.zip(inv_rms) {
            let mut lanes = [0.0_f32; 8];
            let ((dy8, dy_rest), (x8, x_rest)) = (dy.as_chunks::<8>(), x.as_chunks::<8>());
            let (w8, w_rest) = w.as_chunks::<8>();
            for ((dy, x), w) in dy8.iter().zip(x8).zip(w8) {
                for i in 0..8 {
                    lanes[i] += w[i] * dy[i] * x[i];
                }
            }
            for (i, ((&dy, &x), &w)) in dy_rest.iter().zip(x_rest).zip(w_rest).enumerate() {
                lanes[i] += w * dy * x;
            }
            let dot: f32 = lanes.iter().sum();
            let shrink = dot * inv * inv * inv / d as f32;
            let sums = dx.iter_mut().zip(dw.iter_mut());
            for (((dx, dw), (&dy, &x)), &w) in sums.zip(dy.iter().zip(x)).zip(w) {
                *dx += inv * w * dy - x * shrink;
                *dw += inv * x * dy;
            }
            map::<A, _, _>(rounded, dx, |dx| dx);
        }
    }
}

/// The oracle, in f64.
pub mod reference {
    /// See [`forward`](super::forward).
    pub fn forward(y: &mut [f32], inv_rms: &mut [f32], x: &[f32], w: &[f32], eps: f32) {
        let d = w.len();
        for t in 0..inv_rms.len() {
            let square: f64 = (0..d).map(|j| f64::from(x[t * d + j]).powi(2)).sum();
            let inv = 1.0 / (square / d as f64 + f64::from(eps)).sqrt();
            inv_rms[t] = inv as f32;
            for j in 0..d {
                y[t * d + j] = (f64::from(x[t * d + j]) * inv * f64::from(w[j])) as f32;
            }
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(
        dx: &mut [f32],
        dw: &mut [f32],
        dy: &[f32],
        x: &[f32],
        w: &[f32],
        inv_rms: &[f32],
    ) {
        let d = w.len();
        for t in 0..inv_rms.len() {
            let inv = f64::from(inv_rms[t]);
            let at = |v: &[f32], j: usize| f64::from(v[t * d + j]);
            let dot: f64 = (0..d).map(|j| f64::from(w[j]) * at(dy, j) * at(x, j)).sum();
            for j in 0..d {
                let grad =
                    inv * f64::from(w[j]) * at(dy, j) - at(x, j) * inv.powi(3) / d as f64 * dot;
                dx[t * d + j] += grad as f32;
                dw[j] += (inv * at(x, j) * at(dy, j)) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, in_threads, uniform};

    const EPS: f32 = 1e-5;

    /// `backward` with memory of its own: dx, dw and what is left in `rounded`.
    fn run_backward(dx: &mut [f32], dw: &mut [f32], input: Backward<'_>) -> Vec<f32> {
        let mut rounded = vec![f32::NAN; dx.len()];
        let mut partial = vec![f32::NAN; partial_len(input.inv_rms.len(), input.w.len())];
        backward(dx, &mut rounded, dw, &mut partial, input);
        rounded
    }

    fn check(t: usize, d: usize) {
        let (x, w, dy) = (uniform(1, t * d), uniform(2, d), uniform(3, t * d));
        let (mut y, mut inv) = (vec![0.0_f32; t * d], vec![0.0; t]);
        let (mut y_ref, mut inv_ref) = (y.clone(), inv.clone());
        forward(&mut y, &mut inv, &x, &w, EPS);
        reference::forward(&mut y_ref, &mut inv_ref, &x, &w, EPS);
        assert_close("y", &y, &y_ref, 1e-5);
        assert_close("inv_rms", &inv, &inv_ref, 1e-5);
        let mut again = vec![0.0_f32; t * d];
        apply(&mut again, &x, &w, &inv);
        assert_eq!(again, y, "apply repeats forward exactly");

        let (mut dx, mut dw) = (uniform(4, t * d), uniform(5, d));
        let (mut dx_ref, mut dw_ref) = (dx.clone(), dw.clone());
        let input = Backward { dy: &dy, x: &x, w: &w, inv_rms: &inv };
        let rounded = run_backward(&mut dx, &mut dw, input);
        reference::backward(&mut dx_ref, &mut dw_ref, &dy, &x, &w, &inv);
        assert_close("dx", &dx, &dx_ref, 3e-5);
        assert_eq!(rounded, dx, "f32 is not rounded");
        assert_close("dw", &dw, &dw_ref, 3e-5 * (t as f32).sqrt());
        for &level in Level::supported() {
            let mut y_level = vec![bf16::ZERO; t * d];
            inv_rms_rows(level, &mut inv, &x, EPS);
            apply_rows(level, &mut y_level, &x, &w, &inv);
            let y_level: Vec<f32> = y_level.into_iter().map(Element::to_f32).collect();
            assert_close("y by level", &y_level, &y_ref, 1e-5 + <bf16 as Element>::EPSILON);
            let (mut dx, mut dw) = (uniform(4, t * d), uniform(5, d));
            let mut rounded = dx.clone();
            backward_rows(level, &mut dx, &mut rounded, &mut dw, &dy, &x, &w, &inv_ref);
            assert_close("dx by level", &dx, &dx_ref, 3e-5);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference(t in 1_usize..80, d in 1_usize..70) {
            check(t, d);
        }
    }

    #[test]
    fn backward_is_the_derivative_of_forward() {
        let d = 5;
        let (x, w, dy) = (uniform(1, d), uniform(2, d), uniform(3, d));
        let loss = |x: &[f32]| -> f64 {
            let (mut y, mut inv) = (vec![0.0; d], vec![0.0; 1]);
            reference::forward(&mut y, &mut inv, x, &w, EPS);
            y.iter().zip(&dy).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        let (mut y, mut inv) = (vec![0.0_f32; d], vec![0.0; 1]);
        forward(&mut y, &mut inv, &x, &w, EPS);
        let (mut dx, mut dw) = (vec![0.0; d], vec![0.0; d]);
        run_backward(&mut dx, &mut dw, Backward { dy: &dy, x: &x, w: &w, inv_rms: &inv });
        for j in 0..d {
            let step = 1e-2;
            let (mut up, mut down) = (x.clone(), x.clone());
            up[j] += step;
            down[j] -= step;
            let slope = ((loss(&up) - loss(&down)) / (2.0 * f64::from(step))) as f32;
            assert!((slope - dx[j]).abs() < 2e-3, "dx[{j}]: slope {slope}, got {}", dx[j]);
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let (t, d) = (300, 24);
        let (x, w, dy) = (uniform(1, t * d), uniform(2, d), uniform(3, t * d));
        let inv = vec![0.7; t];
        let run = || {
            let (mut dx, mut dw) = (vec![0.0; t * d], vec![0.0; d]);
            run_backward(&mut dx, &mut dw, Backward { dy: &dy, x: &x, w: &w, inv_rms: &inv });
            (dx, dw)
        };
        assert_eq!(in_threads(1, run), in_threads(3, run));
    }
}
