//! Attention against its oracle, over odd shapes, levels and thread counts.

use half::bf16;
use proptest::prelude::*;

use super::*;
use crate::simd::Level;
use crate::testing::{assert_close, in_threads, uniform};

struct Case<E> {
    qkv: Vec<E>,
    dout: Vec<E>,
}

fn wide<E: Element>(x: &[E]) -> Vec<f32> {
    x.iter().map(|x| x.to_f32()).collect()
}

impl<E: Element> Case<E> {
    fn new(shape: &Shape) -> Self {
        let values = |seed, n, factor: f32| {
            uniform(seed, n).into_iter().map(|x| E::from_f32(factor * x)).collect()
        };
        Self {
            qkv: values(1, shape.rows() * shape.qkv_width(), 2.0),
            dout: values(2, shape.rows() * shape.q_width(), 1.0),
        }
    }

    /// out, lse, dqkv.
    fn run(&self, level: Level, shape: &Shape) -> [Vec<f32>; 3] {
        let workspace = Workspace::new(E::kernel(level));
        let mut out = vec![E::zeroed(); self.dout.len()];
        let mut lse = vec![0.0; shape.lse_len()];
        forward(&mut out, &mut lse, &self.qkv, shape, &workspace);
        let mut dqkv = vec![E::from_f32(f32::NAN); self.qkv.len()];
        let input = Backward { dout: &self.dout, out: &out, lse: &lse, qkv: &self.qkv };
        backward(&mut dqkv, input, shape, &workspace);
        [wide(&out), lse, wide(&dqkv)]
    }
}

fn check_type<E: Element>(shape: Shape) {
    let case = Case::<E>::new(&shape);
    let want = reference::forward_backward(&wide(&case.qkv), &wide(&case.dout), &shape);
    for &level in Level::supported() {
        let [out, _, dqkv] = case.run(level, &shape);
        assert_close("out", &out, &want.out, 1e-5 + 4.0 * E::EPSILON);
        // Probabilities and their gradients are rounded too, and sums over keys add that up.
        let rounding = 8.0 * E::EPSILON * (1.0 + (shape.seq_len as f32).sqrt());
        assert_close("dqkv", &dqkv, &want.dqkv, 1e-4 + rounding);
    }
}

fn check(shape: Shape) {
    check_type::<f32>(shape);
    check_type::<bf16>(shape);
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
fn no_token_sees_the_future() {
    let shape = Shape { batch: 1, seq_len: 70, heads: 2, kv_heads: 1, head_dim: 8 };
    let mut case = Case::<bf16>::new(&shape);
    let before = case.run(Level::best(), &shape);
    let last = 69 * shape.qkv_width() + shape.q_width();
    case.qkv[last..].fill(bf16::from_f32(9.0));
    let after = case.run(Level::best(), &shape);
    let seen = 69 * shape.q_width();
    assert_eq!(before[0][..seen], after[0][..seen]);
    assert_ne!(before[0][seen..], after[0][seen..]);
}

#[test]
fn a_single_query_sees_what_the_last_row_sees() {
    let shape = Shape { batch: 1, seq_len: 33, heads: 6, kv_heads: 3, head_dim: 8 };
    let case = Case::<f32>::new(&shape);
    let want = &case.run(Level::best(), &shape)[0];
    let (q_width, kv_width) = (shape.q_width(), shape.kv_width());
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (t, row) in case.qkv.chunks(shape.qkv_width()).enumerate() {
        let (q, kv) = row.split_at(q_width);
        keys.extend_from_slice(&kv[..kv_width]);
        values.extend_from_slice(&kv[kv_width..]);
        let mut out = vec![0.0; q_width];
        single_query(&mut out, q, &keys, &values, shape.kv_heads, shape.head_dim);
        assert_close("row", &out, &want[t * q_width..(t + 1) * q_width], 1e-5);
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let shape = Shape { batch: 3, seq_len: 100, heads: 4, kv_heads: 2, head_dim: 8 };
    let case = Case::<bf16>::new(&shape);
    let run = || case.run(Level::best(), &shape);
    assert_eq!(in_threads(1, run), in_threads(3, run));
}
