//! One AdamW update (Loshchilov and Hutter, 2019): Adam with weight decay beside the gradient.

use rayon::prelude::*;

use crate::simd::{Level, row_kernel};

const CHUNK: usize = 1 << 14;

/// The scalars of one update of one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Learning rate of this update.
    pub lr: f32,
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled decay: the weights lose `lr * weight_decay` of themselves.
    pub weight_decay: f32,
    /// 1 - beta1^t, t counted from 1.
    pub correction1: f32,
    /// 1 - beta2^t.
    pub correction2: f32,
    /// Every gradient is multiplied by this first (clipping).
    pub grad_scale: f32,
}

/// Updates `p[n]` and its moments `m[n]`, `v[n]` in place from the gradient `g[n]`:
/// m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2,
/// p = p - lr wd p - lr (m / c1) / (sqrt(v / c2) + eps).
pub fn update(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], step: &Step) {
    let n = p.len();
    assert!(m.len() == n && v.len() == n && g.len() == n, "adamw: lengths");
    let level = Level::best();
    p.par_chunks_mut(CHUNK)
        .zip(m.par_chunks_mut(CHUNK))
        .zip(v.par_chunks_mut(CHUNK))
        .zip(g.par_chunks(CHUNK))
        .for_each(|(((p, m), v), g)| update_chunk(level, p, m, v, g, step));
}

row_kernel! {
    fn update_chunk(level: Level, p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], step: &Step) {
        let keep = 1.0 - step.lr * step.weight_decay;
        let rate = step.lr / step.correction1;
        let inv_correction2 = 1.0 / step.correction2;
        for (((p, m), v), &g) in p.iter_mut().zip(m).zip(v).zip(g) {
            let g = g * step.grad_scale;
            *m = step.beta1 * *m + (1.0 - step.beta1) * g;
            *v = step.beta2 * *v + (1.0 - step.beta2) * g * g;
            *p = *p * keep - rate * *m / ((*v * inv_correction2).sqrt() + step.eps);
        }
    }
}

/// The oracle, in f64.
pub mod reference {
    use super::Step;

    /// See [`update`](super::update).
    pub fn update(p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], step: &Step) {
        let wide = f64::from;
        for i in 0..p.len() {
            let grad = wide(g[i]) * wide(step.grad_scale);
            let first = wide(step.beta1) * wide(m[i]) + (1.0 - wide(step.beta1)) * grad;
            let second = wide(step.beta2) * wide(v[i]) + (1.0 - wide(step.beta2)) * grad * grad;
            let direction = first
                / wide(step.correction1)
                / ((second / wide(step.correction2)).sqrt() + wide(step.eps));
            let old = wide(p[i]);
            p[i] = (old - wide(step.lr) * (wide(step.weight_decay) * old + direction)) as f32;
            (m[i], v[i]) = (first as f32, second as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, uniform};

    #[test]
    fn equals_the_reference_over_several_updates() {
        for n in [1, 17, CHUNK + 3] {
            let (mut p, mut m, mut v) = (uniform(1, n), vec![0.0; n], vec![0.0; n]);
            let (mut p_ref, mut m_ref, mut v_ref) = (p.clone(), m.clone(), v.clone());
            for t in 1..=5 {
                let step = Step {
                    lr: 1e-2,
                    beta1: 0.9,
                    beta2: 0.95,
                    eps: 1e-8,
                    weight_decay: 0.1,
                    correction1: 1.0 - 0.9_f32.powi(t),
                    correction2: 1.0 - 0.95_f32.powi(t),
                    grad_scale: 0.5,
                };
                let g = uniform(10 + t as u64, n);
                for &level in Level::supported() {
                    let (mut p, mut m, mut v) = (p_ref.clone(), m_ref.clone(), v_ref.clone());
                    update_chunk(level, &mut p, &mut m, &mut v, &g, &step);
                    let mut want = p_ref.clone();
                    reference::update(&mut want, &mut m_ref.clone(), &mut v_ref.clone(), &g, &step);
                    assert_close("p by level", &p, &want, 2e-6);
                }
                update(&mut p, &mut m, &mut v, &g, &step);
                reference::update(&mut p_ref, &mut m_ref, &mut v_ref, &g, &step);
            }
            assert_close("p", &p, &p_ref, 1e-5);
            assert_close("m", &m, &m_ref, 1e-6);
            assert_close("v", &v, &v_ref, 1e-6);
        }
    }
}
