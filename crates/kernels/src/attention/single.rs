//! Attention of one token, for decoding.

use crate::exp::exp;
use crate::matvec::dot;
use crate::simd::{Level, row_kernel};

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
    let mut p = vec![0.0; n];
    for (h, (out, q)) in out.chunks_mut(head_dim).zip(q.chunks(head_dim)).enumerate() {
        let cache = Cache { keys, values, width: kv_width, column: h / group * head_dim };
        one_head(Level::best(), out, &mut p, q, cache);
    }
}

/// The columns of one key-value head.
#[derive(Clone, Copy)]
struct Cache<'a> {
    keys: &'a [f32],
    values: &'a [f32],
    width: usize,
    column: usize,
}

row_kernel! {
    fn one_head(level: Level, out: &mut [f32], p: &mut [f32], q: &[f32], cache: Cache<'_>) {
        let columns = cache.column..cache.column + q.len();
        let scale = 1.0 / (q.len() as f32).sqrt();
        let mut max = f32::NEG_INFINITY;
        for (p, keys) in p.iter_mut().zip(cache.keys.chunks_exact(cache.width)) {
            *p = scale * dot(q, &keys[columns.clone()]);
            max = if *p > max { *p } else { max };
        }
        let mut sum = 0.0;
        out.fill(0.0);
        for (p, values) in p.iter().zip(cache.values.chunks_exact(cache.width)) {
            let weight = exp::<A>(p - max);
            sum += weight;
            for (out, value) in out.iter_mut().zip(&values[columns.clone()]) {
                *out += weight * value;
            }
        }
        for out in out {
            *out /= sum;
        }
    }
}
