//! Rotary position embedding (Su et al., 2021) on interleaved pairs.
//!
//! Pair i of a head at position p turns by the angle p theta^(-2i / head_dim):
//! (a, b) -> (a cos - b sin, a sin + b cos). This is the convention of the original LLaMA weights;
//! files that pair i with i + head_dim / 2 instead need their rows permuted.

mod channels;

use std::ops::Range;

use rayon::prelude::*;

use crate::Element;
use crate::lanes::map;
use crate::matmul::{Epilogue, MAX_COLS, MatMut, Sums};
use crate::simd::{Level, row_kernel};

pub use channels::Channels;

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

    /// Turns back the first `width` values of every row of `x[T, row_len]`, where row t is position
    /// t % S: the backward pass of [`StoreTurned`], as the rotation is orthogonal.
    pub fn rotate_back<E: Element>(
        &self,
        x: &mut [E],
        row_len: usize,
        width: usize,
        seq_len: usize,
    ) {
        self.check(row_len, width, seq_len);
        assert!(x.len().is_multiple_of(row_len), "rope: rows of {row_len} in {}", x.len());
        let level = Level::best();
        x.par_chunks_mut(row_len).with_min_len(16).enumerate().for_each(|(t, row)| {
            let (cos, sin) = self.angles(t % seq_len);
            turn_row(level, &mut row[..width], cos, sin, -1.0);
        });
    }

    /// Turns the heads of the single row `x[heads * head_dim]` at `position`.
    pub fn rotate_row(&self, x: &mut [f32], position: usize) {
        assert!(position < self.positions, "rope: position {position} of {}", self.positions);
        let (cos, sin) = self.angles(position);
        turn_row(Level::best(), x, cos, sin, 1.0);
    }

    /// Cosines and sines of a position.
    fn angles(&self, position: usize) -> (&[f32], &[f32]) {
        let pairs = self.head_dim / 2;
        let at = position * pairs..(position + 1) * pairs;
        (&self.cos[at.clone()], &self.sin[at])
    }

    fn check(&self, row_len: usize, width: usize, seq_len: usize) {
        assert!(seq_len <= self.positions, "rope: {seq_len} of {} positions", self.positions);
        let heads = width.is_multiple_of(self.head_dim) && width <= row_len;
        assert!(heads, "rope: {width} of {row_len} columns, heads of {}", self.head_dim);
    }
}

/// Epilogue of the projection to queries, keys and values: turns the first columns of every row and
/// rounds all of them.
#[derive(Debug)]
pub struct StoreTurned<'a, E> {
    /// `[T, N]`, where row t is position t % `seq_len`.
    pub out: MatMut<'a, E>,
    /// Columns that are turned: those of queries and keys.
    pub width: usize,
    /// S.
    pub seq_len: usize,
    /// The angles.
    pub table: &'a Table,
    /// t of the first row; 0 unless split.
    pub first: usize,
}

impl<E: Element> Epilogue for StoreTurned<'_, E> {
    fn shape(&self) -> (usize, usize) {
        self.table.check(self.out.cols(), self.width, self.seq_len);
        (self.out.rows(), self.out.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (first, second) = self.out.split_at(row);
        (Self { out: first, ..self }, Self { out: second, first: self.first + row, ..self })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        let turned = cols.start.min(self.width)..cols.end.min(self.width);
        let Table { cos, sin, head_dim, .. } = self.table;
        let angles = Angles { cos, sin, head_dim: *head_dim };
        let position = self.first % self.seq_len;
        store_turned(
            level,
            &mut self.out,
            cols,
            turned.len(),
            sums,
            angles,
            position,
            self.seq_len,
        );
    }
}

/// A [`Table`] as a kernel takes it.
#[derive(Clone, Copy)]
struct Angles<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    head_dim: usize,
}

row_kernel! {
    /// Columns `cols` of all rows: the first `turned` of them by their angle, the others as they are.
    fn store_turned<E: Element>(
        level: Level,
        out: &mut MatMut<'_, E>,
        cols: Range<usize>,
        turned: usize,
        sums: Sums<'_>,
        angles: Angles<'_>,
        position: usize,
        seq_len: usize,
    ) {
        let pairs = angles.head_dim / 2;
        let first_pair = cols.start % angles.head_dim / 2;
        let mut position = position;
        for i in 0..sums.rows {
            let out = &mut out.row_mut(i)[cols.clone()];
            let sums = sums.row(i, cols.len());
            let (out_turned, out_plain) = out.split_at_mut(turned);
            let (sums_turned, sums_plain) = sums.split_at(turned);
            // A block of columns may cover heads in part: go to the end of each.
            let mut buffer = [0.0; MAX_COLS];
            let (mut rotated, _) = buffer[..turned].as_chunks_mut::<2>();
            let (mut sums, _) = sums_turned.as_chunks::<2>();
            let mut pair = first_pair;
            while !rotated.is_empty() {
                let n = (pairs - pair).min(rotated.len());
                let at = position * pairs + pair;
                let (cos, sin) = (&angles.cos[at..at + n], &angles.sin[at..at + n]);
                let (now, later) = rotated.split_at_mut(n);
                for (((out, x), c), s) in now.iter_mut().zip(&sums[..n]).zip(cos).zip(sin) {
                    *out = [x[0] * c - x[1] * s, x[0] * s + x[1] * c];
                }
                (rotated, sums, pair) = (later, &sums[n..], 0);
            }
            map::<A, _, _>(out_turned, &buffer[..turned], |x| x);
            map::<A, _, _>(out_plain, sums_plain, |x| x);
            position = if position + 1 == seq_len { 0 } else { position + 1 };
        }
    }
}

row_kernel! {
    fn turn_row<E: Element>(level: Level, row: &mut [E], cos: &[f32], sin: &[f32], sign: f32) {
        for head in row.chunks_exact_mut(2 * cos.len()) {
            let (pairs, _) = head.as_chunks_mut::<2>();
            for ((pair, &c), &s) in pairs.iter_mut().zip(cos).zip(sin) {
                let (s, [a, b]) = (s * sign, pair.map(Element::to_f32));
                *pair = [a * c - b * s, a * s + b * c].map(E::from_f32);
            }
        }
    }
}

/// The oracle: one pair at a time, angles in f64.
pub mod reference {
    /// Turns the heads of one row in place; `sign` -1 turns back.
    pub fn rotate_row(row: &mut [f32], head_dim: usize, position: usize, theta: f64, sign: f64) {
        for head in row.chunks_mut(head_dim) {
            for i in 0..head_dim / 2 {
                let angle = sign * position as f64 * theta.powf(-2.0 * i as f64 / head_dim as f64);
                let (a, b) = (f64::from(head[2 * i]), f64::from(head[2 * i + 1]));
                head[2 * i] = (a * angle.cos() - b * angle.sin()) as f32;
                head[2 * i + 1] = (a * angle.sin() + b * angle.cos()) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::matmul::{Left, Mat, Panels, matmul};
    use crate::testing::{assert_close, rounded, uniform};

    const THETA: f64 = 10_000.0;

    /// The epilogue on the product of `x` and a unit matrix, then back again.
    fn check<E: Element>(
        level: Level,
        b: usize,
        s: usize,
        heads: usize,
        pairs: usize,
        plain: usize,
    ) {
        let head_dim = 2 * pairs;
        let (t, width) = (b * s, heads * head_dim);
        let n = width + plain;
        let x = rounded::<E>(1, t * n);
        let unit: Vec<f32> = (0..n * n).map(|at| f32::from(at / n == at % n)).collect();
        let mut right = Panels::new(E::kernel(level));
        right.pack(Mat::new(&unit, n, n));
        let table = Table::new(s, head_dim, THETA);
        let mut got = vec![E::zeroed(); t * n];
        let out = MatMut::new(&mut got, t, n);
        let epilogue = StoreTurned { out, width, seq_len: s, table: &table, first: 0 };
        matmul(Left::rows(Mat::new(&x, t, n)), right.view(), epilogue);

        let wide = |x: &[E]| -> Vec<f32> { x.iter().map(|x| x.to_f32()).collect() };
        let (before, mut want) = (wide(&x), wide(&x));
        for row in 0..t {
            let heads_of_row = &mut want[row * n..row * n + width];
            reference::rotate_row(heads_of_row, head_dim, row % s, THETA, 1.0);
        }
        let tolerance = 1e-6 + 2.0 * E::EPSILON;
        assert_close("turned", &wide(&got), &want, tolerance);
        table.rotate_back(&mut got, n, width, s);
        assert_close("there and back", &wide(&got), &before, 2.0 * tolerance);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_reference_and_turns_back(
            b in 1_usize..4, s in 1_usize..60, heads in 1_usize..4, pairs in 1_usize..40, plain in 0_usize..40,
        ) {
            for &level in Level::supported() {
                check::<f32>(level, b, s, heads, pairs, plain);
                check::<bf16>(level, b, s, heads, pairs, plain);
            }
        }
    }

    #[test]
    fn single_rows_equal_the_reference_at_every_level() {
        let (pairs, position) = (20, 7);
        let table = Table::new(9, 2 * pairs, THETA);
        let x = uniform(1, 3 * 2 * pairs);
        let mut want = x.clone();
        reference::rotate_row(&mut want, 2 * pairs, position, THETA, 1.0);
        let mut row = x.clone();
        table.rotate_row(&mut row, position);
        assert_close("row", &row, &want, 1e-6);
        for &level in Level::supported() {
            let mut row = x.clone();
            let (cos, sin) = table.angles(position);
            turn_row(level, &mut row, cos, sin, 1.0);
            assert_close("by level", &row, &want, 1e-6);
        }
    }
}
