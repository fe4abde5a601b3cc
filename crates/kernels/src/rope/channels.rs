//! Positions of matrices whose rows are channels and whose columns are tokens, as the Neural Engine
//! has them: a pair is two neighbouring rows.

use rayon::prelude::*;

use crate::simd::{Level, row_kernel};

/// Cosines and sines for every pair and position, `[head_dim / 2, S]` each.
#[derive(Clone, Debug)]
pub struct Channels {
    cos: Vec<f32>,
    sin: Vec<f32>,
    positions: usize,
    pairs: usize,
}

impl Channels {
    /// The table for sequences of `positions` tokens, computed in f64.
    ///
    /// # Panics
    /// If `head_dim` is odd.
    #[must_use]
    pub fn new(positions: usize, head_dim: usize, theta: f64) -> Self {
        assert!(head_dim.is_multiple_of(2), "rope: head_dim {head_dim} is odd");
        let pairs = head_dim / 2;
        let angle = |i: usize, p: usize| p as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
        let fill = |f: fn(f64) -> f64| {
            (0..pairs * positions).map(|k| f(angle(k / positions, k % positions)) as f32).collect()
        };
        Self { cos: fill(f64::cos), sin: fill(f64::sin), positions, pairs }
    }

    /// Turns `x[heads head_dim, T]` back into `out`, where column t is position t % S: the backward
    /// pass of the rotation, which is orthogonal.
    ///
    /// # Panics
    /// If the columns are not whole sequences, or the rows not whole heads.
    pub fn turn_back(&self, out: &mut [f32], x: &[f32], tokens: usize) {
        let heads = self.pairs * 2 * tokens;
        assert!(
            tokens.is_multiple_of(self.positions) && x.len().is_multiple_of(heads),
            "rope: {} values as heads of {} channels of {tokens} tokens",
            x.len(),
            2 * self.pairs
        );
        assert_eq!(out.len(), x.len(), "rope: output");
        let level = Level::best();
        let rows = out.par_chunks_mut(2 * tokens).zip(x.par_chunks(2 * tokens));
        rows.with_min_len(8).enumerate().for_each(|(pair, (out, x))| {
            let at = pair % self.pairs * self.positions;
            let angles = at..at + self.positions;
            let (cos, sin) = (&self.cos[angles.clone()], &self.sin[angles]);
            let ((a, b), (xa, xb)) = (out.split_at_mut(tokens), x.split_at(tokens));
            turn_pair_back(level, a, b, xa, xb, cos, sin);
        });
    }
}

row_kernel! {
    fn turn_pair_back(
        level: Level,
        a: &mut [f32],
        b: &mut [f32],
        xa: &[f32],
        xb: &[f32],
        cos: &[f32],
        sin: &[f32],
    ) {
        let n = cos.len();
        let outs = a.chunks_exact_mut(n).zip(b.chunks_exact_mut(n));
        for ((a, b), (xa, xb)) in outs.zip(xa.chunks_exact(n).zip(xb.chunks_exact(n))) {
            for i in 0..n {
                a[i] = xa[i] * cos[i] + xb[i] * sin[i];
                b[i] = xb[i] * cos[i] - xa[i] * sin[i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rope::reference;
    use crate::testing::{assert_close, uniform};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_reference_turned(
            sequences in 1_usize..3, s in 1_usize..40, heads in 1_usize..4, pairs in 1_usize..20,
        ) {
            let (head_dim, tokens, theta) = (2 * pairs, sequences * s, 50.0);
            let width = heads * head_dim;
            let x = uniform(1, width * tokens);
            let table = Channels::new(s, head_dim, theta);
            let mut got = vec![0.0; x.len()];
            table.turn_back(&mut got, &x, tokens);
            let mut want = x.clone();
            for t in 0..tokens {
                let mut row: Vec<f32> = (0..width).map(|c| x[c * tokens + t]).collect();
                reference::rotate_row(&mut row, head_dim, t % s, theta, -1.0);
                row.iter().enumerate().for_each(|(c, v)| want[c * tokens + t] = *v);
            }
            assert_close("turned back", &got, &want, 1e-6);
            for &level in Level::supported() {
                let mut pair = vec![0.0; 2 * tokens];
                let ((a, b), (xa, xb)) = (pair.split_at_mut(tokens), x[..2 * tokens].split_at(tokens));
                turn_pair_back(level, a, b, xa, xb, &table.cos[..s], &table.sin[..s]);
                assert_close("by level", &pair, &want[..2 * tokens], 1e-6);
            }
        }
    }
}
