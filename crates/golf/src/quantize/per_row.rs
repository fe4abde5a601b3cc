//! A step fitted to each row: its largest magnitude becomes 127.

use half::f16;

use super::{MAX_INT, Step};

/// The smallest step, 2^-14: the least normal fp16, below which a scale would lose precision and
/// hardware that flushes subnormals would lose the row. An all-zero row gets it like any other
/// small one.
const MIN_SCALE: f16 = f16::MIN_POSITIVE;

/// Clip and scale of a matrix row. Weights are divided by the scale that is stored, so that its
/// rounding to fp16 costs no accuracy. Rounding to nearest is enough: a scale that is too small by
/// its half unit, 2^-11, puts the largest weight at 127.06 steps, which still rounds to 127.
pub(super) fn row_step(row: &[f32]) -> Step {
    let clip = clip(row);
    let scale = f16::from_f32(clip / MAX_INT).max(MIN_SCALE);
    Step { clip, divisor: scale.to_f32(), scale }
}

/// The largest magnitude.
pub(super) fn clip(data: &[f32]) -> f32 {
    data.iter().fold(0.0, |largest, value| value.abs().max(largest))
}
