//! The most that this machine's arithmetic gives, measured: what speeds are compared with.

use std::time::{Duration, Instant};

use crate::Element;
use crate::matmul::Kernel;

/// Steps between two looks at the clock.
const STEPS: usize = 1 << 14;

/// Multiplications and additions a second, on all threads together for about `time`, of products of
/// `E` on registers alone.
pub fn peak_flops<E: Element>(kernel: Kernel<E>, time: Duration) -> f64 {
    let per_thread = rayon::broadcast(|_| {
        let start = Instant::now();
        let mut steps = 0;
        while start.elapsed() < time {
            std::hint::black_box(kernel.spin(STEPS));
            steps += STEPS;
        }
        steps as f64 * kernel.flops_per_step() / start.elapsed().as_secs_f64()
    });
    per_thread.iter().sum()
}

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::simd::Level;

    #[test]
    fn every_level_computes_something() {
        for &level in Level::supported() {
            // A lane of every register sums products of 0.5 and 0.5.
            let (wide, narrow) = (f32::kernel(level), bf16::kernel(level));
            assert!(wide.spin(1) > 0.0 && wide.spin(4) == 4.0 * wide.spin(1), "{level:?}");
            assert!(narrow.spin(1) > 0.0 && narrow.spin(4) == 4.0 * narrow.spin(1), "{level:?}");
            assert!(peak_flops(f32::kernel(level), Duration::from_millis(1)) > 1e6);
        }
    }
}
