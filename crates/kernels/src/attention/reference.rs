//! The oracle: attention one query at a time, in f64, with every probability spelled out.

use super::{Qkv, Shape};

/// Results of both passes, shaped like the inputs they belong to.
#[derive(Debug)]
pub struct Results {
    /// `[T, heads * head_dim]`.
    pub out: Vec<f32>,
    /// Gradient of the queries.
    pub dq: Vec<f32>,
    /// Gradient of the keys.
    pub dk: Vec<f32>,
    /// Gradient of the values.
    pub dv: Vec<f32>,
}

/// Output, and gradients for `dout[T, heads * head_dim]`.
pub fn forward_backward(qkv: Qkv<'_>, dout: &[f32], shape: &Shape) -> Results {
    let Shape { batch, seq_len, heads, kv_heads, head_dim } = *shape;
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (q, k, v, dout) = (wide(qkv.q), wide(qkv.k), wide(qkv.v), wide(dout));
    let (mut out, mut dq) = (vec![0.0; q.len()], vec![0.0; q.len()]);
    let (mut dk, mut dv) = (vec![0.0; k.len()], vec![0.0; k.len()]);
    let scale = 1.0 / (head_dim as f64).sqrt();
    for b in 0..batch {
        for h in 0..heads {
            let kv_head = h / (heads / kv_heads);
            let q_at = |t: usize, c: usize| ((b * seq_len + t) * heads + h) * head_dim + c;
            let kv_at =
                |t: usize, c: usize| ((b * seq_len + t) * kv_heads + kv_head) * head_dim + c;
            let dot = |x: &[f64], i: usize, y: &[f64], j: usize| -> f64 {
                (0..head_dim).map(|c| x[q_at(i, c)] * y[kv_at(j, c)]).sum()
            };
            for i in 0..seq_len {
                let scores: Vec<f64> = (0..=i).map(|j| scale * dot(&q, i, &k, j)).collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                let p: Vec<f64> = scores.iter().map(|s| (s - max).exp() / total).collect();
                let dp: Vec<f64> = (0..=i).map(|j| dot(&dout, i, &v, j)).collect();
                let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                for j in 0..=i {
                    let ds = scale * p[j] * (dp[j] - delta);
                    for c in 0..head_dim {
                        out[q_at(i, c)] += p[j] * v[kv_at(j, c)];
                        dq[q_at(i, c)] += ds * k[kv_at(j, c)];
                        dk[kv_at(j, c)] += ds * q[q_at(i, c)];
                        dv[kv_at(j, c)] += p[j] * dout[q_at(i, c)];
                    }
                }
            }
        }
    }
    let narrow = |x: Vec<f64>| x.into_iter().map(|v| v as f32).collect();
    Results { out: narrow(out), dq: narrow(dq), dk: narrow(dk), dv: narrow(dv) }
}
