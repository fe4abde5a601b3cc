//! Constants that programs of attention hold: rotary positions and the causal mask.

use super::sizes::Sizes;
use crate::{Error, Result};

/// What a query pays to a later key: the least fp16, never -inf (C63).
const MASKED: f32 = -65_504.0;

/// Most elements of a mask or another table: 128 MiB of fp16, the mask of 8,192 tokens. Published
/// programs stop compiling at 1,024 (section 1.3 of the speed facts).
const MOST: usize = 1 << 26;

/// The angle by which a channel turns at a position: channels 2i and 2i + 1 of a head turn together,
/// as in `aneal_kernels::rope`.
pub(super) fn angle(n: Sizes, channel: usize, position: usize) -> f64 {
    let pair = channel % n.head_dim / 2;
    position as f64 * n.rope_theta.powf(-2.0 * pair as f64 / n.head_dim as f64)
}

/// `[width, width]`: multiplied by channels as columns, it gives each the other of its pair, with the
/// sign of a turn. Joining halves along the width, as published, is refused by some (C44).
pub(super) fn other_of_pair(width: usize) -> Vec<f32> {
    let mut other = vec![0.0; width * width];
    for even in (0..width).step_by(2) {
        other[even * width + even + 1] = -1.0;
        other[(even + 1) * width + even] = 1.0;
    }
    other
}

/// `[S, S]`: what is added to the scores of a query, a row, for each key.
pub(super) fn causal_mask(n: Sizes) -> Vec<f32> {
    let later = |at: usize| at % n.s > at / n.s;
    (0..n.s * n.s).map(|at| if later(at) { MASKED } else { 0.0 }).collect()
}

/// Refuses a plan whose largest table has so many elements, if they are too many.
pub(super) fn check(plan: &str, n: Sizes, largest: usize) -> Result<()> {
    if largest <= MOST {
        return Ok(());
    }
    let (s, wide) = (n.s, n.head_dim);
    let reason = format!(
        "sequences of {s} tokens and heads of {wide} need a table of {largest} elements, the limit \
         is {MOST}; choose shorter sequences or narrower heads"
    );
    Err(Error::Plan { plan: plan.to_owned(), reason })
}
