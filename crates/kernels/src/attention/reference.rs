//! The oracle: attention one query at a time, in f64, with every probability spelled out.

use super::Shape;

/// Results of both passes, shaped like the inputs they belong to.
#[derive(Debug)]
pub struct Results {
    /// `[T, heads * head_dim]`.
    pub out: Vec<f32>,
    /// Gradient of queries, keys and values.
    pub dqkv: Vec<f32>,
}

/// Output, and gradients for `dout[T, heads * head_dim]`.
pub fn forward_backward(qkv: &[f32], dout: &[f32], shape: &Shape) -> Results {
    let Shape { batch, seq_len, heads, kv_heads, head_dim } = *shape;
    let wide = |x: &[f32]| x.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let (qkv, dout) = (wide(qkv), wide(dout));
    let (mut out, mut dqkv) = (vec![0.0; dout.len()], vec![0.0; qkv.len()]);
    let scale = 1.0 / (head_dim as f64).sqrt();
    for b in 0..batch {
        for h in 0..heads {
            let kv_head = h / (heads / kv_heads);
            // Where value c of a head lies, for a token of this sequence.
            let out_at = |t: usize, c: usize| ((b * seq_len + t) * heads + h) * head_dim + c;
            let column = |t: usize, head: usize, c: usize| {
                ((b * seq_len + t) * (heads + 2 * kv_heads) + head) * head_dim + c
            };
            let q_at = |t: usize, c: usize| column(t, h, c);
            let k_at = |t: usize, c: usize| column(t, heads + kv_head, c);
            let v_at = |t: usize, c: usize| column(t, heads + kv_heads + kv_head, c);
            for i in 0..seq_len {
                let score =
                    |j| -> f64 { (0..head_dim).map(|c| qkv[q_at(i, c)] * qkv[k_at(j, c)]).sum() };
                let scores: Vec<f64> = (0..=i).map(|j| scale * score(j)).collect();
                let max = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let total: f64 = scores.iter().map(|s| (s - max).exp()).sum();
                let p: Vec<f64> = scores.iter().map(|s| (s - max).exp() / total).collect();
                let dp = |j| -> f64 {
                    (0..head_dim).map(|c| dout[out_at(i, c)] * qkv[v_at(j, c)]).sum()
                };
                let dp: Vec<f64> = (0..=i).map(dp).collect();
                let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
                for j in 0..=i {
                    let ds = scale * p[j] * (dp[j] - delta);
                    for c in 0..head_dim {
                        out[out_at(i, c)] += p[j] * qkv[v_at(j, c)];
                        dqkv[q_at(i, c)] += ds * qkv[k_at(j, c)];
                        dqkv[k_at(j, c)] += ds * qkv[q_at(i, c)];
                        dqkv[v_at(j, c)] += p[j] * dout[out_at(i, c)];
                    }
                }
            }
        }
    }
    let narrow = |x: Vec<f64>| x.into_iter().map(|v| v as f32).collect();
    Results { out: narrow(out), dqkv: narrow(dqkv) }
}
