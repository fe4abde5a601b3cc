//! Causal grouped-query attention, blockwise: no S by S matrix is kept, and blocks above the
//! diagonal are skipped.
//!
//! Query head h reads key-value head h / (heads / kv_heads). A task owns one key-value head of one
//! sequence with all query heads that share it, so that dK and dV are summed by one thread in one
//! order. The backward pass recomputes the probabilities of a block of query rows from the row's
//! log-sum-exp (Dao et al., 2022, algorithm 2).

use std::cell::RefCell;

use rayon::prelude::*;

use crate::disjoint::DisjointMut;
use crate::exp::exp;
use crate::matmul::{Mat, MatMut, matmul_serial};
use crate::simd::{Level, row_kernel};

pub mod reference;
#[cfg(test)]
mod tests;

/// Query rows handled at once.
const BLOCK: usize = 64;

/// The sizes of an attention operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences, B.
    pub batch: usize,
    /// Tokens in a sequence, S.
    pub seq_len: usize,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

impl Shape {
    /// B * S.
    pub fn rows(&self) -> usize {
        self.batch * self.seq_len
    }

    /// Width of a row of queries and of the output.
    pub fn q_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Width of a row of keys and of values.
    pub fn kv_width(&self) -> usize {
        self.kv_heads * self.head_dim
    }

    /// What scores are multiplied by: 1 / sqrt(head_dim).
    fn scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }

    /// Length of the log-sum-exp buffer: one value per sequence, head and row.
    pub fn lse_len(&self) -> usize {
        self.rows() * self.heads
    }

    #[track_caller]
    fn check(&self, q_like: &[usize], kv_like: &[usize], lse: usize) {
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "attention: {} heads over {} kv_heads",
            self.heads,
            self.kv_heads
        );
        let fits = q_like.iter().all(|&n| n == self.rows() * self.q_width())
            && kv_like.iter().all(|&n| n == self.rows() * self.kv_width())
            && lse == self.lse_len();
        assert!(fits, "attention: buffers do not fit {self:?}");
    }
}

/// Inputs that both passes read: queries `[T, heads * head_dim]`, keys and values
/// `[T, kv_heads * head_dim]`, positions already applied.
#[derive(Clone, Copy, Debug)]
pub struct Qkv<'a> {
    /// Queries.
    pub q: &'a [f32],
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
}

impl<'a> Qkv<'a> {
    fn q(&self, shape: &Shape, task: &Task, head: usize) -> Mat<'a> {
        task.head_of(self.q, shape, head, shape.q_width())
    }

    fn kv(&self, shape: &Shape, task: &Task) -> (Mat<'a>, Mat<'a>) {
        let view = |x| task.head_of(x, shape, task.kv_head, shape.kv_width());
        (view(self.k), view(self.v))
    }
}

/// One sequence and one key-value head.
#[derive(Clone, Copy)]
struct Task {
    sequence: usize,
    kv_head: usize,
}

impl Task {
    fn new(shape: &Shape, index: usize) -> Self {
        Self { sequence: index / shape.kv_heads, kv_head: index % shape.kv_heads }
    }

    fn heads(&self, shape: &Shape) -> std::ops::Range<usize> {
        let group = shape.heads / shape.kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    /// Where this sequence's part of head `head` starts in a buffer with rows of `width`.
    fn offset(&self, shape: &Shape, head: usize, width: usize) -> usize {
        self.sequence * shape.seq_len * width + head * shape.head_dim
    }

    fn head_of<'a>(&self, x: &'a [f32], shape: &Shape, head: usize, width: usize) -> Mat<'a> {
        let start = self.offset(shape, head, width);
        Mat::strided(&x[start..], shape.seq_len, shape.head_dim, width)
    }

    fn lse_start(&self, shape: &Shape, head: usize) -> usize {
        (self.sequence * shape.heads + head) * shape.seq_len
    }
}

/// `out[T, heads * head_dim]` and `lse[B, heads, S]`, the log of each row's softmax denominator.
pub fn forward(out: &mut [f32], lse: &mut [f32], qkv: Qkv<'_>, shape: &Shape) {
    shape.check(&[out.len(), qkv.q.len()], &[qkv.k.len(), qkv.v.len()], lse.len());
    let level = Level::best();
    let (out, lse) = (DisjointMut::new(out), DisjointMut::new(lse));
    (0..shape.batch * shape.kv_heads).into_par_iter().for_each(|index| {
        let task = Task::new(shape, index);
        let (k, v) = qkv.kv(shape, &task);
        for head in task.heads(shape) {
            let q = qkv.q(shape, &task, head);
            let (s, hd, width) = (shape.seq_len, shape.head_dim, shape.q_width());
            // SAFETY: no other task has this sequence and head.
            let mut lse = unsafe { lse.view(task.lse_start(shape, head), 1, s, s) };
            let lse = lse.row_mut(0);
            for start in (0..s).step_by(BLOCK) {
                let end = (start + BLOCK).min(s);
                let offset = task.offset(shape, head, width) + start * width;
                // SAFETY: no other task has this sequence and head.
                let out = unsafe { out.view(offset, end - start, hd, width) };
                with_scratch(|scratch| {
                    let p = scratch.block(0, end - start, end);
                    scores(p, q.rows_of(start..end), k.rows_of(0..end), shape.scale());
                    softmax_rows(level, p, end, start, &mut lse[start..end]);
                    let p = Mat::new(p, end - start, end);
                    matmul_serial(out, 0.0, 1.0, p, v.rows_of(0..end));
                });
            }
        }
    });
}

/// What [`backward`] writes: overwritten, not accumulated. Shapes as in [`Qkv`].
#[derive(Debug)]
pub struct QkvGrads<'a> {
    /// Gradient of the queries.
    pub dq: &'a mut [f32],
    /// Gradient of the keys.
    pub dk: &'a mut [f32],
    /// Gradient of the values.
    pub dv: &'a mut [f32],
}

/// The gradients of q, k, v from `dout[T, heads * head_dim]`, with `out` and `lse` as
/// [`forward`] left them.
pub fn backward(
    grads: QkvGrads<'_>,
    dout: &[f32],
    out: &[f32],
    lse: &[f32],
    qkv: Qkv<'_>,
    shape: &Shape,
) {
    let QkvGrads { dq, dk, dv } = grads;
    shape.check(
        &[dout.len(), out.len(), qkv.q.len(), dq.len()],
        &[qkv.k.len(), qkv.v.len(), dk.len(), dv.len()],
        lse.len(),
    );
    let level = Level::best();
    let (dq, dk, dv) = (DisjointMut::new(dq), DisjointMut::new(dk), DisjointMut::new(dv));
    (0..shape.batch * shape.kv_heads).into_par_iter().for_each(|index| {
        let task = Task::new(shape, index);
        let (k, v) = qkv.kv(shape, &task);
        let (s, hd) = (shape.seq_len, shape.head_dim);
        let (width, kv_width) = (shape.q_width(), shape.kv_width());
        let kv_offset = task.offset(shape, task.kv_head, kv_width);
        // SAFETY: no other task has this sequence and key-value head.
        let mut dk = unsafe { dk.view(kv_offset, s, hd, kv_width) };
        // SAFETY: as above.
        let mut dv = unsafe { dv.view(kv_offset, s, hd, kv_width) };
        for row in 0..s {
            dk.row_mut(row).fill(0.0);
            dv.row_mut(row).fill(0.0);
        }
        for head in task.heads(shape) {
            let q = qkv.q(shape, &task, head);
            let dout = task.head_of(dout, shape, head, width);
            let out = task.head_of(out, shape, head, width);
            let lse = &lse[task.lse_start(shape, head)..][..s];
            for start in (0..s).step_by(BLOCK) {
                let end = (start + BLOCK).min(s);
                let (q, dout) = (q.rows_of(start..end), dout.rows_of(start..end));
                let (k, v) = (k.rows_of(0..end), v.rows_of(0..end));
                let offset = task.offset(shape, head, width) + start * width;
                // SAFETY: no other task has this sequence and head.
                let dq = unsafe { dq.view(offset, end - start, hd, width) };
                with_scratch(|scratch| {
                    let rows = end - start;
                    let [p, dp] = scratch.blocks(rows, end);
                    scores(p, q, k, shape.scale());
                    matmul_serial(MatMut::new(dp, rows, end), 0.0, 1.0, dout, v.t());
                    for i in 0..rows {
                        let delta = dot(dout, i, out, start + i);
                        let row = i * end..(i + 1) * end;
                        let visible = start + i + 1;
                        let (p, dp) = (&mut p[row.clone()], &mut dp[row]);
                        softmax_backward_row(level, p, dp, visible, lse[start + i], delta);
                    }
                    let (p, ds) = (Mat::new(p, rows, end), Mat::new(dp, rows, end));
                    matmul_serial(dq, 0.0, shape.scale(), ds, k);
                    matmul_serial(dk.top(end), 1.0, shape.scale(), ds.t(), q);
                    matmul_serial(dv.top(end), 1.0, 1.0, p.t(), dout);
                });
            }
        }
    });
}

/// Attention of one token over all cached ones: `out[heads * head_dim]` from `q` of the same width
/// and `keys`, `values` `[n, kv_heads * head_dim]`.
///
/// Serial: generation is bound by reading weights, not by this.
pub fn single_query(
    out: &mut [f32],
    q: &[f32],
    keys: &[f32],
    values: &[f32],
    kv_heads: usize,
    head_dim: usize,
) {
    let kv_width = kv_heads * head_dim;
    let (n, heads) = (keys.len() / kv_width, q.len() / head_dim);
    assert!(n > 0 && keys.len() == n * kv_width && values.len() == keys.len(), "attention: cache");
    assert!(q.len() == heads * head_dim && out.len() == q.len(), "attention: one query");
    let group = heads / kv_heads;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut p = vec![0.0; n];
    for (h, (out, q)) in out.chunks_mut(head_dim).zip(q.chunks(head_dim)).enumerate() {
        let start = h / group * head_dim;
        let columns = |x: &[f32]| start..x.len() - (kv_width - start - head_dim);
        let view = |x| Mat::strided(x, n, head_dim, kv_width);
        let (k, v) = (view(&keys[columns(keys)]), view(&values[columns(values)]));
        scores(&mut p, Mat::new(q, 1, head_dim), k, scale);
        softmax_rows(Level::best(), &mut p, n, n - 1, &mut [0.0]);
        matmul_serial(MatMut::new(out, 1, head_dim), 0.0, 1.0, Mat::new(&p, 1, n), v);
    }
}

/// `p = scale q k^T`.
fn scores(p: &mut [f32], q: Mat<'_>, k: Mat<'_>, scale: f32) {
    matmul_serial(MatMut::new(p, q.rows(), k.rows()), 0.0, scale, q, k.t());
}

fn dot(a: Mat<'_>, i: usize, b: Mat<'_>, j: usize) -> f32 {
    (0..a.cols()).map(|c| a.at(i, c) * b.at(j, c)).sum()
}

row_kernel! {
    /// Softmax of the visible part of each row of `p[rows, width]`, zeros behind it. Row i is query
    /// `first + i` and sees keys up to and including itself.
    fn softmax_rows(level: Level, p: &mut [f32], width: usize, first: usize, lse: &mut [f32]) {
        for (i, (row, lse)) in p.chunks_exact_mut(width).zip(lse).enumerate() {
            let (visible, hidden) = row.split_at_mut(first + i + 1);
            hidden.fill(0.0);
            let mut max = f32::NEG_INFINITY;
            for &x in visible.iter() {
                max = if x > max { x } else { max };
            }
            let mut lanes = [0.0_f32; 16];
            let (groups, rest) = visible.as_chunks_mut::<16>();
            for group in groups {
                for (lane, x) in lanes.iter_mut().zip(group) {
                    *x = exp(*x - max);
                    *lane += *x;
                }
            }
            for (lane, x) in lanes.iter_mut().zip(rest) {
                *x = exp(*x - max);
                *lane += *x;
            }
            let sum: f32 = lanes.iter().sum();
            let inverse = 1.0 / sum;
            for x in visible {
                *x *= inverse;
            }
            *lse = max + sum.ln();
        }
    }
}

row_kernel! {
    /// Turns a row of scores into probabilities and `dp` into the gradient of the scores,
    /// p (dp - delta); both are zero from `visible` on.
    fn softmax_backward_row(level: Level, p: &mut [f32], dp: &mut [f32], visible: usize, lse: f32, delta: f32) {
        let (p, p_hidden) = p.split_at_mut(visible);
        let (dp, dp_hidden) = dp.split_at_mut(visible);
        p_hidden.fill(0.0);
        dp_hidden.fill(0.0);
        for (p, dp) in p.iter_mut().zip(dp) {
            *p = exp(*p - lse);
            *dp = *p * (*dp - delta);
        }
    }
}

/// Two score blocks that a thread keeps between tasks.
#[derive(Default)]
struct Scratch([Vec<f32>; 2]);

impl Scratch {
    fn block(&mut self, which: usize, rows: usize, cols: usize) -> &mut [f32] {
        sized(&mut self.0[which], rows * cols)
    }

    fn blocks(&mut self, rows: usize, cols: usize) -> [&mut [f32]; 2] {
        self.0.each_mut().map(|buffer| sized(buffer, rows * cols))
    }
}

fn sized(buffer: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if buffer.len() < n {
        buffer.resize(n, 0.0);
    }
    &mut buffer[..n]
}

fn with_scratch<R>(f: impl FnOnce(&mut Scratch) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Scratch> = RefCell::default();
    }
    SCRATCH.with_borrow_mut(f)
}
