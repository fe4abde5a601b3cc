//! What is done to all gradients at once: clearing, and the sum of squares for the global norm.

use rayon::prelude::*;

use crate::simd::{Level, row_kernel};

/// Values summed by one task. Fixed, so that the reduction tree does not depend on threads.
const CHUNK: usize = 1 << 14;

/// The sum of the squares of `x`, accumulated in f64: chunk sums in parallel, then in order.
///
/// Not finite if any value is not.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    let level = Level::best();
    let chunks: Vec<f64> = x.par_chunks(CHUNK).map(|c| chunk_sum(level, c)).collect();
    chunks.iter().sum()
}

/// Sets all of `x` to zero, on all threads.
pub fn clear(x: &mut [f32]) {
    x.par_chunks_mut(CHUNK).for_each(|chunk| chunk.fill(0.0));
}

row_kernel! {
    fn chunk_sum(level: Level, x: &[f32]) -> f64 {
        // Eight independent sums let the compiler use vector lanes without reordering anything.
        let mut lanes = [0.0_f64; 8];
        let (groups, rest) = x.as_chunks::<8>();
        for group in groups {
            for (lane, &v) in lanes.iter_mut().zip(group) {
                *lane += f64::from(v) * f64::from(v);
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(rest) {
            *lane += f64::from(v) * f64::from(v);
        }
        lanes.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_threads, uniform};

    #[test]
    fn equals_the_plain_sum_at_every_level() {
        for n in [0, 1, 7, 8, 1000, 3 * CHUNK + 5] {
            let x = uniform(n as u64, n);
            let want: f64 = x.iter().map(|&v| f64::from(v).powi(2)).sum();
            assert!((sum_of_squares(&x) - want).abs() <= 1e-12 * want, "{n} values");
            for &level in Level::supported() {
                let head = &x[..n.min(CHUNK)];
                let want: f64 = head.iter().map(|&v| f64::from(v).powi(2)).sum();
                assert!((chunk_sum(level, head) - want).abs() <= 1e-12 * want, "{level:?}");
            }
        }
    }

    #[test]
    fn thread_count_does_not_change_a_bit() {
        let x = uniform(5, 10 * CHUNK + 3);
        assert_eq!(in_threads(1, || sum_of_squares(&x)), in_threads(4, || sum_of_squares(&x)));
    }

    #[test]
    fn shows_values_that_are_not_finite() {
        assert!(sum_of_squares(&[1.0, f32::NAN]).is_nan());
        assert_eq!(sum_of_squares(&[1.0, f32::INFINITY]), f64::INFINITY);
    }
}
