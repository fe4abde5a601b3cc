//! The softmax of a block of query rows under the causal mask, and its gradient.
//!
//! Rows are taken sixteen values at a time, and the group that the diagonal crosses is masked: a loop
//! over what is left of a row would take longer than the whole groups.

use std::ops::Range;

use crate::Element;
use crate::exp::exp;
use crate::lanes::{self, LANES};
use crate::matmul::{Epilogue, Mat, MatMut, Sums};
use crate::matvec::dot;
use crate::simd::{Level, row_kernel};

/// What [`softmax_rows`] leaves for later, one value a row each.
pub(super) struct Softmax<'a> {
    /// The log of the sum of exponentials.
    pub(super) lse: &'a mut [f32],
    /// What the weights `p` are to be divided by.
    pub(super) denominators: &'a mut [f32],
}

row_kernel! {
    /// The weights of each row of `scores[rows, stride]` before division, the largest of them 1, in
    /// `p[rows, stride]`. Row i is query `first + i` and sees keys up to and including itself; `p`
    /// is zero behind that. The stride is in whole groups.
    pub(super) fn softmax_rows<E: Element>(
        level: Level,
        p: &mut [E],
        scores: &[f32],
        stride: usize,
        first: usize,
        out: Softmax<'_>,
    ) {
        let rows = p.chunks_exact_mut(stride).zip(scores.chunks_exact(stride));
        let results = out.lse.iter_mut().zip(out.denominators);
        for (i, ((p, scores), (lse, denominator))) in rows.zip(results).enumerate() {
            let visible = first + i + 1;
            let (p, _) = p.as_chunks_mut::<LANES>();
            let (scores, _) = scores.as_chunks::<LANES>();
            let (whole, rest) = (visible / LANES, visible % LANES);
            let mut last = [f32::NEG_INFINITY; LANES];
            if rest > 0 {
                for (lane, (last, &score)) in last.iter_mut().zip(&scores[whole]).enumerate() {
                    *last = if lane < rest { score } else { f32::NEG_INFINITY };
                }
            }
            let mut tops = last;
            for group in &scores[..whole] {
                for (top, &x) in tops.iter_mut().zip(group) {
                    *top = if x > *top { x } else { *top };
                }
            }
            let max = tops.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            let mut sums = [0.0_f32; LANES];
            for (p, group) in p.iter_mut().zip(scores[..whole].iter().chain(std::iter::once(&last))) {
                let mut weights = [0.0; LANES];
                for lane in 0..LANES {
                    weights[lane] = exp::<A>(group[lane] - max);
                    sums[lane] += weights[lane];
                }
                *p = E::from_lanes::<A>(&weights);
            }
            for p in p.iter_mut().skip(whole + 1) {
                *p = [E::zeroed(); LANES];
            }
            *denominator = sums.iter().sum();
            *lse = max + denominator.ln();
        }
    }
}

/// `out = sums / denominators`, row by row, rounded.
#[derive(Debug)]
pub(super) struct StoreQuotients<'a, E> {
    /// `[M, N]`
    pub(super) out: MatMut<'a, E>,
    /// `[M]`
    pub(super) denominators: &'a [f32],
}

impl<E: Element> Epilogue for StoreQuotients<'_, E> {
    fn shape(&self) -> (usize, usize) {
        (self.out.rows(), self.out.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (out, out_rest) = self.out.split_at(row);
        let (denominators, rest) = self.denominators.split_at(row);
        (Self { out, denominators }, Self { out: out_rest, denominators: rest })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        store_quotients(level, &mut self.out, cols, sums, self.denominators);
    }
}

row_kernel! {
    fn store_quotients<E: Element>(
        level: Level,
        out: &mut MatMut<'_, E>,
        cols: Range<usize>,
        sums: Sums<'_>,
        denominators: &[f32],
    ) {
        for (i, denominator) in denominators.iter().enumerate() {
            let (out, factor) = (&mut out.row_mut(i)[cols.clone()], 1.0 / denominator);
            lanes::map::<A, _, _>(out, sums.row(i, cols.len()), |sum| factor * sum);
        }
    }
}

/// What [`softmax_backward_rows`] reads of a block of query rows.
pub(super) struct Probabilities<'a, E> {
    /// `[rows, stride]`
    pub(super) scores: &'a [f32],
    /// `[rows, stride]`, the gradient of the probabilities.
    pub(super) dp: &'a [f32],
    /// `[rows]`
    pub(super) lse: &'a [f32],
    /// `[rows, head_dim]` each.
    pub(super) dout: Mat<'a, E>,
    pub(super) out: Mat<'a, E>,
}

row_kernel! {
    /// The probabilities `p` and the gradient of the scores, p (dp - delta) with delta = dout . out;
    /// rows as in [`softmax_rows`].
    pub(super) fn softmax_backward_rows<E: Element>(
        level: Level,
        p: &mut [E],
        ds: &mut [E],
        stride: usize,
        first: usize,
        input: Probabilities<'_, E>,
    ) {
        let rows = p.chunks_exact_mut(stride).zip(ds.chunks_exact_mut(stride));
        let inputs = input.scores.chunks_exact(stride).zip(input.dp.chunks_exact(stride));
        for (i, ((p, ds), (scores, dp))) in rows.zip(inputs).enumerate() {
            let (visible, lse) = (first + i + 1, input.lse[i]);
            let delta = dot(input.dout.row(i), input.out.row(i));
            let ((p, _), (ds, _)) = (p.as_chunks_mut::<LANES>(), ds.as_chunks_mut::<LANES>());
            let ((scores, _), (dp, _)) = (scores.as_chunks::<LANES>(), dp.as_chunks::<LANES>());
            let mut groups = p.iter_mut().zip(ds).zip(scores.iter().zip(dp)).enumerate();
            for (group, ((p, ds), (scores, dp))) in groups.by_ref().take(visible.div_ceil(LANES)) {
                let seen = visible - group * LANES;
                let [mut weights, mut grads] = [[0.0; LANES]; 2];
                for lane in 0..LANES {
                    let weight = exp::<A>(scores[lane] - lse);
                    weights[lane] = if lane < seen { weight } else { 0.0 };
                    grads[lane] = if lane < seen { weight * (dp[lane] - delta) } else { 0.0 };
                }
                *p = E::from_lanes::<A>(&weights);
                *ds = E::from_lanes::<A>(&grads);
            }
            for (_, ((p, ds), _)) in groups {
                *p = [E::zeroed(); LANES];
                *ds = [E::zeroed(); LANES];
            }
        }
    }
}
