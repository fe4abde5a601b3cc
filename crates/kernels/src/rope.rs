//! Rotary position embedding (Su et al., 2021) on interleaved pairs, in place.
//!
//! Pair i of a head at position p turns by the angle p theta^(-2i / head_dim):
//! (a, b) -> (a cos - b sin, a sin + b cos). This is the convention of the original LLaMA weights;
//! files that pair i with i + head_dim / 2 instead need their rows permuted.

use rayon::prelude::*;

use crate::simd::{Level, row_kernel};

/// Cosines and sines for every position and pair, `[S, head_dim / 2]` each.
#[derive(Clone, Debug)]
pub struct Table {
    cos: Vec<f32>,
    sin: Vec<f32>,
    positions: usize,
    head_dim: usize,
}

impl Table {
    /// The table for `positions` positions, computed in f64.
    ///
    /// # Panics
    /// If `head_dim` is odd.
    pub fn new(positions: usize, head_dim: usize, theta: f64) -> Self {
        assert!(head_dim.is_multiple_of(2), "rope: head_dim {head_dim} is odd");
        let pairs = head_dim / 2;
        let angle = |p: usize, i: usize| p as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
        let fill = |f: fn(f64) -> f64| {
            (0..positions * pairs).map(|k| f(angle(k / pairs, k % pairs)) as f32).collect()
        };
        Self { cos: fill(f64::cos), sin: fill(f64::sin), positions, head_dim }
    }

    /// Turns every head of `x[T, heads * head_dim]` by its position, where row t is position t % S.
    pub fn rotate(&self, x: &mut [f32], heads: usize, seq_len: usize) {
        self.turn(x, heads, seq_len, 1.0);
    }

    /// Turns back: the backward pass of [`rotate`](Self::rotate), as the rotation is orthogonal.
    pub fn rotate_back(&self, x: &mut [f32], heads: usize, seq_len: usize) {
        self.turn(x, heads, seq_len, -1.0);
    }

    /// Turns the heads of the single row `x[heads * head_dim]` at `position`.
    pub fn rotate_row(&self, x: &mut [f32], position: usize) {
        assert!(position < self.positions, "rope: position {position} of {}", self.positions);
        let pairs = self.head_dim / 2;
        let at = position * pairs..(position + 1) * pairs;
        turn_row(Level::best(), x, &self.cos[at.clone()], &self.sin[at], 1.0);
    }

    fn turn(&self, x: &mut [f32], heads: usize, seq_len: usize, sign: f32) {
        assert!(seq_len <= self.positions, "rope: {seq_len} of {} positions", self.positions);
        let (pairs, width) = (self.head_dim / 2, heads * self.head_dim);
        assert!(x.len().is_multiple_of(width), "rope: rows of {width} in {}", x.len());
        let level = Level::best();
        x.par_chunks_mut(width).with_min_len(16).enumerate().for_each(|(t, row)| {
            let p = t % seq_len;
            let at = p * pairs..(p + 1) * pairs;
            turn_row(level, row, &self.cos[at.clone()], &self.sin[at], sign);
        });
    }
}

row_kernel! {
    fn turn_row(level: Level, row: &mut [f32], cos: &[f32], sin: &[f32], sign: f32) {
        for head in row.chunks_exact_mut(2 * cos.len()) {
            let (pairs, _) = head.as_chunks_mut::<2>();
            for ((pair, &c), &s) in pairs.iter_mut().zip(cos).zip(sin) {
                let s = s * sign;
                *pair = [pair[0] * c - pair[1] * s, pair[0] * s + pair[1] * c];
            }
        }
    }
}

/// The oracle: one pair at a time, angles in f64.
pub mod reference {
    /// Turns `x[T, heads * head_dim]` in place; `sign` -1 turns back.
    pub fn rotate(
        x: &mut [f32],
        heads: usize,
        head_dim: usize,
        seq_len: usize,
        theta: f64,
        sign: f64,
    ) {
        for (t, row) in x.chunks_mut(heads * head_dim).enumerate() {
            for h in 0..heads {
                for i in 0..head_dim / 2 {
                    let angle =
                        sign * (t % seq_len) as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
                    let (a, b) = (h * head_dim + 2 * i, h * head_dim + 2 * i + 1);
                    let (x0, x1) = (f64::from(row[a]), f64::from(row[b]));
                    row[a] = (x0 * angle.cos() - x1 * angle.sin()) as f32;
                    row[b] = (x0 * angle.sin() + x1 * angle.cos()) as f32;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, uniform};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference_and_turns_back(
            b in 1_usize..4, s in 1_usize..40, heads in 1_usize..4, pairs in 1_usize..20,
        ) {
            let (head_dim, theta) = (2 * pairs, 10_000.0);
            let x = uniform(1, b * s * heads * head_dim);
            let table = Table::new(s, head_dim, theta);
            let (mut got, mut want) = (x.clone(), x.clone());
            table.rotate(&mut got, heads, s);
            reference::rotate(&mut want, heads, head_dim, s, theta, 1.0);
            assert_close("rotate", &got, &want, 1e-6);
            let last = (b * s - 1) * heads * head_dim;
            let mut row = x[last..].to_vec();
            table.rotate_row(&mut row, s - 1);
            prop_assert_eq!(&row[..], &got[last..]);
            for &level in Level::supported() {
                let mut row = x[last..].to_vec();
                let at = (s - 1) * pairs..s * pairs;
                turn_row(level, &mut row, &table.cos[at.clone()], &table.sin[at], 1.0);
                assert_close("by level", &row, &want[last..], 1e-6);
            }
            table.rotate_back(&mut got, heads, s);
            assert_close("there and back", &got, &x, 1e-6);
        }
    }
}
