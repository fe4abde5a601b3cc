//! Causal grouped-query attention, blockwise: no S by S matrix is kept, and blocks above the
//! diagonal are skipped.
//!
//! Queries, keys and values lie side by side, `[T, (heads + 2 kv_heads) * head_dim]`, as their common
//! projection leaves them, positions already applied; so do their gradients. Query head h reads
//! key-value head h / (heads / kv_heads). A task owns one key-value head of one sequence with all
//! query heads that share it, so that dK and dV are summed by one thread in one order. The backward pass recomputes the probabilities of a block of query rows from the row's
//! log-sum-exp (Dao et al., 2022, algorithm 2).

use std::sync::Mutex;

use rayon::prelude::*;

use crate::Element;
use crate::aligned::Aligned;
use crate::disjoint::DisjointMut;
use crate::lanes::LANES;
use crate::matmul::{Add, Kernel, Left, Mat, MatMut, Panels, Store, matmul_serial};

mod single;
mod softmax;
#[cfg(test)]
mod tests;

pub mod reference;
pub use single::single_query;
use softmax::{Probabilities, Softmax, StoreQuotients, softmax_backward_rows, softmax_rows};

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

    /// Width of a row of queries, keys and values together.
    pub fn qkv_width(&self) -> usize {
        self.q_width() + 2 * self.kv_width()
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
    fn check(&self, q_like: &[usize], qkv_like: &[usize], lse: usize) {
        assert!(
            self.kv_heads > 0 && self.heads.is_multiple_of(self.kv_heads),
            "attention: {} heads over {} kv_heads",
            self.heads,
            self.kv_heads
        );
        let fits = q_like.iter().all(|&n| n == self.rows() * self.q_width())
            && qkv_like.iter().all(|&n| n == self.rows() * self.qkv_width())
            && lse == self.lse_len();
        assert!(fits, "attention: buffers do not fit {self:?}");
    }
}

/// Memory that tasks borrow, so that a steady run allocates nothing.
#[derive(Debug)]
pub struct Workspace<E: Element> {
    kernel: Kernel<E>,
    idle: Mutex<Vec<Scratch<E>>>,
}

impl<E: Element> Workspace<E> {
    /// Empty, for products by `kernel`.
    pub fn new(kernel: Kernel<E>) -> Self {
        Self { kernel, idle: Mutex::default() }
    }

    /// Runs a task with memory that no other task has meanwhile.
    fn with<R>(&self, task: impl FnOnce(&mut Scratch<E>) -> R) -> R {
        // A poisoned lock still guards a list of buffers whose content nobody relies on.
        let mut idle = self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let found = idle.pop();
        drop(idle);
        let mut scratch = found.unwrap_or_else(|| Scratch::new(self.kernel));
        let result = task(&mut scratch);
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(scratch);
        result
    }
}

/// Memory of one task. "Transposed" panels have the width of a head as their inner dimension.
#[derive(Debug)]
struct Scratch<E: Element> {
    keys: Panels<E>,
    keys_transposed: Panels<E>,
    values: Panels<E>,
    values_transposed: Panels<E>,
    /// Of a block of query rows.
    block: Block<E>,
    /// `[S, head_dim]` each.
    dk: Aligned,
    dv: Aligned,
}

/// Memory of one block of query rows, `[BLOCK, keys]` in whole groups of lanes unless said otherwise.
#[derive(Debug)]
struct Block<E: Element> {
    scores: Aligned,
    dp: Aligned,
    p: Aligned,
    ds: Aligned,
    p_panels: Panels<E>,
    ds_panels: Panels<E>,
    /// `[BLOCK, head_dim]` each.
    q_panels: Panels<E>,
    dout_panels: Panels<E>,
}

impl<E: Element> Scratch<E> {
    fn new(kernel: Kernel<E>) -> Self {
        let panels = || Panels::new(kernel);
        Self {
            keys: panels(),
            keys_transposed: panels(),
            values: panels(),
            values_transposed: panels(),
            block: Block {
                scores: Aligned::default(),
                dp: Aligned::default(),
                p: Aligned::default(),
                ds: Aligned::default(),
                p_panels: panels(),
                ds_panels: panels(),
                q_panels: panels(),
                dout_panels: panels(),
            },
            dk: Aligned::default(),
            dv: Aligned::default(),
        }
    }
}

/// One sequence and one key-value head.
#[derive(Clone, Copy)]
struct Task<'a> {
    shape: &'a Shape,
    sequence: usize,
    kv_head: usize,
}

impl<'a> Task<'a> {
    /// All of them; each is independent of the others.
    fn all(shape: &'a Shape) -> impl IndexedParallelIterator<Item = Task<'a>> {
        (0..shape.batch * shape.kv_heads).into_par_iter().map(move |index| Task {
            shape,
            sequence: index / shape.kv_heads,
            kv_head: index % shape.kv_heads,
        })
    }

    /// The query heads that read this key-value head.
    fn heads(&self) -> std::ops::Range<usize> {
        let group = self.shape.heads / self.shape.kv_heads;
        self.kv_head * group..(self.kv_head + 1) * group
    }

    /// First column of this task's keys and of its values.
    fn kv_columns(&self) -> [usize; 2] {
        let keys = self.shape.q_width() + self.kv_head * self.shape.head_dim;
        [keys, keys + self.shape.kv_width()]
    }

    /// Where column `column` of row `row` of this sequence lies in a buffer with rows of `width`.
    fn offset(&self, row: usize, column: usize, width: usize) -> usize {
        (self.sequence * self.shape.seq_len + row) * width + column
    }

    /// `[S, head_dim]` from column `column` on, of a buffer with rows of `width`.
    fn head<'b, E: Element>(&self, x: &'b [E], column: usize, width: usize) -> Mat<'b, E> {
        let Shape { seq_len, head_dim, .. } = *self.shape;
        Mat::strided(&x[self.offset(0, column, width)..], seq_len, head_dim, width)
    }

    fn lse_start(&self, head: usize) -> usize {
        (self.sequence * self.shape.heads + head) * self.shape.seq_len
    }
}

/// `out[T, heads * head_dim]` and `lse[B, heads, S]`, the log of each row's softmax denominator.
pub fn forward<E: Element>(
    out: &mut [E],
    lse: &mut [f32],
    qkv: &[E],
    shape: &Shape,
    workspace: &Workspace<E>,
) {
    shape.check(&[out.len()], &[qkv.len()], lse.len());
    let (out, lse) = (DisjointMut::new(out), DisjointMut::new(lse));
    let Shape { seq_len, head_dim, .. } = *shape;
    let (width, qkv_width) = (shape.q_width(), shape.qkv_width());
    let level = workspace.kernel.level();
    Task::all(shape).for_each(|task| {
        workspace.with(|scratch| {
            let Scratch { keys_transposed, values, block, .. } = scratch;
            let [keys_at, values_at] = task.kv_columns();
            keys_transposed.pack_serial(task.head(qkv, keys_at, qkv_width).t());
            values.pack_serial(task.head(qkv, values_at, qkv_width));
            for head in task.heads() {
                let q = task.head(qkv, head * head_dim, qkv_width);
                // SAFETY: no other task has this sequence and head.
                let mut lse = unsafe { lse.view(task.lse_start(head), 1, seq_len, seq_len) };
                let lse = lse.row_mut(0);
                for start in (0..seq_len).step_by(BLOCK) {
                    let end = (start + BLOCK).min(seq_len);
                    let (rows, stride) = (end - start, end.next_multiple_of(LANES));
                    let scores = block.scores.first::<f32>(rows * stride);
                    let p = block.p.first::<E>(rows * stride);
                    let q = Left::rows(q.rows_of(start..end));
                    let keys = keys_transposed.view().upper_left(head_dim, end);
                    let sums = MatMut::strided(scores, rows, end, stride);
                    matmul_serial(q, keys, Store { out: sums, scale: shape.scale() });
                    let mut denominators = [0.0; BLOCK];
                    let denominators = &mut denominators[..rows];
                    let softmax = Softmax { lse: &mut lse[start..end], denominators };
                    softmax_rows(level, p, scores, stride, start, softmax);
                    let offset = task.offset(start, head * head_dim, width);
                    // SAFETY: as above.
                    let out = unsafe { out.view(offset, rows, head_dim, width) };
                    let p = Left::rows(Mat::strided(
                        p,
                        rows,
                        end.next_multiple_of(E::PER_UNIT),
                        stride,
                    ));
                    let values = values.view().upper_left(end, head_dim);
                    matmul_serial(p, values, StoreQuotients { out, denominators });
                }
            }
        });
    });
}

/// What [`backward`] reads.
#[derive(Clone, Copy, Debug)]
pub struct Backward<'a, E> {
    /// `[T, heads * head_dim]`, the gradient of `out`.
    pub dout: &'a [E],
    /// `[T, heads * head_dim]`, as [`forward`] left it.
    pub out: &'a [E],
    /// `[B, heads, S]`, as [`forward`] left it.
    pub lse: &'a [f32],
    /// As [`forward`] took it.
    pub qkv: &'a [E],
}

/// The gradient of queries, keys and values; overwritten, not accumulated.
pub fn backward<E: Element>(
    dqkv: &mut [E],
    input: Backward<'_, E>,
    shape: &Shape,
    workspace: &Workspace<E>,
) {
    let Backward { dout, out, lse, qkv } = input;
    shape.check(&[dout.len(), out.len()], &[qkv.len(), dqkv.len()], lse.len());
    let dqkv = DisjointMut::new(dqkv);
    let Shape { seq_len, head_dim, .. } = *shape;
    let (width, qkv_width) = (shape.q_width(), shape.qkv_width());
    let level = workspace.kernel.level();
    Task::all(shape).for_each(|task| {
        workspace.with(|scratch| {
            let [keys_at, values_at] = task.kv_columns();
            scratch.pack(task.head(qkv, keys_at, qkv_width), task.head(qkv, values_at, qkv_width));
            let Scratch { keys, keys_transposed, values_transposed, block, dk, dv, .. } = scratch;
            let [dk, dv] = [dk, dv].map(|sums| sums.first::<f32>(seq_len * head_dim));
            dk.fill(0.0);
            dv.fill(0.0);
            for head in task.heads() {
                let q = task.head(qkv, head * head_dim, qkv_width);
                let dout = task.head(dout, head * head_dim, width);
                let out = task.head(out, head * head_dim, width);
                let lse = &lse[task.lse_start(head)..][..seq_len];
                for start in (0..seq_len).step_by(BLOCK) {
                    let end = (start + BLOCK).min(seq_len);
                    let rows = start..end;
                    let (q, dout) = (q.rows_of(rows.clone()), dout.rows_of(rows.clone()));
                    let out = out.rows_of(rows.clone());
                    let keys_t = keys_transposed.view().upper_left(head_dim, end);
                    let values_t = values_transposed.view().upper_left(head_dim, end);
                    let stride = end.next_multiple_of(LANES);

                    let Block { scores, dp, p, ds, p_panels, ds_panels, q_panels, dout_panels } =
                        &mut *block;
                    let scores = scores.first::<f32>(rows.len() * stride);
                    let sums = MatMut::strided(scores, rows.len(), end, stride);
                    let scale = shape.scale();
                    matmul_serial(Left::rows(q), keys_t, Store { out: sums, scale });
                    let dp = dp.first::<f32>(rows.len() * stride);
                    let sums = MatMut::strided(dp, rows.len(), end, stride);
                    matmul_serial(Left::rows(dout), values_t, Store { out: sums, scale: 1.0 });
                    let p = p.first::<E>(rows.len() * stride);
                    let ds = ds.first::<E>(rows.len() * stride);
                    let inputs = Probabilities { scores, dp, lse: &lse[rows.clone()], dout, out };
                    softmax_backward_rows(level, p, ds, stride, start, inputs);

                    let inner = end.next_multiple_of(E::PER_UNIT);
                    let [p, ds] = [&*p, &*ds].map(|x| Mat::strided(x, rows.len(), inner, stride));
                    p_panels.pack_serial(p.cols_of(0..end));
                    ds_panels.pack_serial(ds.cols_of(0..end));
                    q_panels.pack_serial(q);
                    dout_panels.pack_serial(dout);
                    let offset = task.offset(start, head * head_dim, qkv_width);
                    // SAFETY: no other task has this sequence and head.
                    let dq = unsafe { dqkv.view(offset, rows.len(), head_dim, qkv_width) };
                    let keys = keys.view().upper_left(end, head_dim);
                    matmul_serial(Left::rows(ds), keys, Store { out: dq, scale });
                    let dk = MatMut::new(&mut dk[..end * head_dim], end, head_dim);
                    let ds = Left::transposed(ds_panels.view());
                    matmul_serial(ds, q_panels.view(), Add { out: dk, scale });
                    let dv = MatMut::new(&mut dv[..end * head_dim], end, head_dim);
                    let p = Left::transposed(p_panels.view());
                    matmul_serial(p, dout_panels.view(), Add { out: dv, scale: 1.0 });
                }
            }
            for (sums, column) in [(dk, keys_at), (dv, values_at)] {
                let offset = task.offset(0, column, qkv_width);
                // SAFETY: no other task has this sequence and key-value head.
                let mut out = unsafe { dqkv.view(offset, seq_len, head_dim, qkv_width) };
                for (row, sums) in sums.chunks_exact(head_dim).enumerate() {
                    crate::element::convert(level, out.row_mut(row), sums);
                }
            }
        });
    });
}

impl<E: Element> Scratch<E> {
    /// Keys and values, `[S, head_dim]`, both ways.
    fn pack(&mut self, keys: Mat<'_, E>, values: Mat<'_, E>) {
        self.keys.pack_serial(keys);
        self.keys_transposed.pack_serial(keys.t());
        self.values_transposed.pack_serial(values.t());
    }
}
