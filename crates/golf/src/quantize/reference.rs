//! The challenge's clip and scale, with the arithmetic of `torch.quantile`.

use half::f16;

use super::{MAX_INT, Step};

/// Share of magnitudes that a clip leaves alone: 99.99984 %.
const CLIP_QUANTILE: f32 = 0.999_998_4;

/// Clip and scale of a matrix row. Weights are divided by the fp32 scale; the fp16 one is stored.
pub(super) fn row_step(row: &[f32]) -> Step {
    let clip = clip(row);
    let scale = (clip / MAX_INT).max(1.0 / MAX_INT);
    Step { clip, divisor: scale, scale: f16::from_f32(scale) }
}

/// The quantile of the magnitudes, between two of them by linear interpolation.
///
/// As torch computes it from June 2026 on: the quantile is an f32, its rank an f64, the weight
/// between the neighbours an f32 again, and the interpolation starts at the nearer neighbour with
/// one rounding. Earlier versions took the rank in f32, which moves the clip of a row of 512 by
/// less than 1e-5 of the distance between its two largest magnitudes: on normal random matrices
/// about four int8 values in a million come out one step apart.
///
/// `data` is not empty and finite.
pub(super) fn clip(data: &[f32]) -> f32 {
    let rank = f64::from(CLIP_QUANTILE) * (data.len() - 1) as f64;
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    let weight = (rank - rank.floor()) as f32;

    let mut magnitudes: Vec<f32> = data.iter().map(|value| value.abs()).collect();
    let (smaller, &mut high, _) = magnitudes.select_nth_unstable_by(above, f32::total_cmp);
    let low = match below == above {
        true => high,
        false => smaller.iter().copied().fold(0.0, f32::max),
    };
    match weight < 0.5 {
        true => weight.mul_add(high - low, low),
        false => (weight - 1.0).mul_add(high - low, high),
    }
}
