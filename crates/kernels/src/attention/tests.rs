//! Attention against its oracle, over odd shapes, levels and thread counts.

use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, in_threads, uniform};

struct Case {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    dout: Vec<f32>,
}

impl Case {
    fn new(shape: &Shape) -> Self {
        let (q, kv) = (shape.rows() * shape.q_width(), shape.rows() * shape.kv_width());
        let big = |seed, n| uniform(seed, n).iter().map(|x| 2.0 * x).collect();
        Self { q: big(1, q), k: big(2, kv), v: uniform(3, kv), dout: uniform(4, q) }
    }

    fn qkv(&self) -> Qkv<'_> {
        Qkv { q: &self.q, k: &self.k, v: &self.v }
    }

    /// out, lse, dq, dk, dv.
    fn run(&self, shape: &Shape) -> [Vec<f32>; 5] {
        let (mut out, mut lse) = (vec![0.0; self.q.len()], vec![0.0; shape.lse_len()]);
        forward(&mut out, &mut lse, self.qkv(), shape);
        let [mut dq, mut dk, mut dv] = [&self.q, &self.k, &self.v].map(|x| vec![f32::NAN; x.len()]);
        let grads = QkvGrads { dq: &mut dq, dk: &mut dk, dv: &mut dv };
        backward(grads, &self.dout, &out, &lse, self.qkv(), shape);
        [out, lse, dq, dk, dv]
    }
}

fn check(shape: Shape) {
    let case = Case::new(&shape);
    let [out, _, dq, dk, dv] = case.run(&shape);
    let want = reference::forward_backward(case.qkv(), &case.dout, &shape);
    assert_close("out", &out, &want.out, 1e-5);
    assert_close("dq", &dq, &want.dq, 2e-5);
    assert_close("dk", &dk, &want.dk, 1e-4);
    assert_close("dv", &dv, &want.dv, 1e-4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn equals_the_reference(
        batch in 1_usize..3, seq_len in 1_usize..90, kv_heads in 1_usize..4,
        group in 1_usize..4, head_dim in 1_usize..24,
    ) {
        check(Shape { batch, seq_len, heads: kv_heads * group, kv_heads, head_dim });
    }
}

#[test]
fn equals_the_reference_over_several_blocks() {
    check(Shape { batch: 2, seq_len: 3 * BLOCK + 1, heads: 4, kv_heads: 2, head_dim: 16 });
}

#[test]
fn row_kernels_agree_at_every_level() {
    let (rows, width, first) = (5, 37, 20);
    let scores = uniform(9, rows * width);
    let mut want = scores.clone();
    let mut want_lse = vec![0.0; rows];
    softmax_rows(Level::Portable, &mut want, width, first, &mut want_lse);
    for &level in Level::supported() {
        let (mut p, mut lse) = (scores.clone(), vec![0.0; rows]);
        softmax_rows(level, &mut p, width, first, &mut lse);
        assert_close("p", &p, &want, 1e-6);
        let (mut p, mut dp) = (scores[..width].to_vec(), uniform(8, width));
        let dp_before = dp.clone();
        softmax_backward_row(level, &mut p, &mut dp, first + 1, lse[0], 0.3);
        assert_close("p again", &p, &want[..width], 1e-6);
        for j in 0..width {
            let want = want[j] * (dp_before[j] - 0.3);
            assert!((dp[j] - want).abs() < 1e-6, "ds[{j}] at {level:?}");
        }
    }
}

#[test]
fn no_token_sees_the_future() {
    let shape = Shape { batch: 1, seq_len: 70, heads: 2, kv_heads: 1, head_dim: 8 };
    let mut case = Case::new(&shape);
    let before = case.run(&shape);
    let last = 69 * shape.kv_width();
    case.k[last..].fill(9.0);
    case.v[last..].fill(9.0);
    let after = case.run(&shape);
    let seen = 69 * shape.q_width();
    assert_eq!(before[0][..seen], after[0][..seen]);
    assert_ne!(before[0][seen..], after[0][seen..]);
}

#[test]
fn a_single_query_sees_what_the_last_row_sees() {
    let shape = Shape { batch: 1, seq_len: 33, heads: 6, kv_heads: 3, head_dim: 8 };
    let case = Case::new(&shape);
    let want = &case.run(&shape)[0];
    for t in 0..shape.seq_len {
        let row = t * shape.q_width()..(t + 1) * shape.q_width();
        let seen = (t + 1) * shape.kv_width();
        let mut out = vec![0.0; shape.q_width()];
        let (k, v) = (&case.k[..seen], &case.v[..seen]);
        single_query(&mut out, &case.q[row.clone()], k, v, shape.kv_heads, shape.head_dim);
        assert_close("row", &out, &want[row], 1e-5);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let shape = Shape { batch: 3, seq_len: 100, heads: 4, kv_heads: 2, head_dim: 8 };
    let case = Case::new(&shape);
    assert_eq!(in_threads(1, || case.run(&shape)), in_threads(3, || case.run(&shape)));
}
