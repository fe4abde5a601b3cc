//! Tables of 33 entries with straight lines between them.

use half::f16;

use super::{Tie, to_half};

/// Entries of a table (B.2(10), C70).
const ENTRIES: usize = 33;

/// A function sampled at 33 points that are equally far apart. Entries are fp16, as the largest
/// documented errors ask for: sampling alone would give 3.0e-3 for sigmoid, not 3.4e-3.
#[derive(Debug)]
pub(super) struct Table {
    first: f64,
    step: f64,
    entries: [f16; ENTRIES],
}

impl Table {
    /// `f` at `first`, `first + step`, up to `first + 32 * step`.
    pub(super) fn sample(first: f64, step: f64, f: impl Fn(f64) -> f64) -> Self {
        let at = |i: usize| to_half(f(first + step * i as f64), Tie::Away);
        Self { first, step, entries: std::array::from_fn(at) }
    }

    /// On the line between the two entries around `x`; outside of the grid, the end's entry. Not yet
    /// rounded.
    pub(super) fn at(&self, x: f64) -> f64 {
        let place = ((x - self.first) / self.step).clamp(0.0, (ENTRIES - 1) as f64);
        let left = (place as usize).min(ENTRIES - 2);
        let [a, b] = [self.entries[left], self.entries[left + 1]].map(f16::to_f64);
        a + (b - a) * (place - left as f64)
    }
}
