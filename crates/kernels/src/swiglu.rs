//! The SwiGLU gate (Shazeer, 2020): gate = silu(h1) * h3 with silu(x) = x / (1 + e^-x).

use rayon::prelude::*;

use crate::exp::exp;
use crate::simd::{Level, row_kernel};

const CHUNK: usize = 1 << 12;

/// `gate[n] = silu(h1[n]) * h3[n]`.
pub fn forward(gate: &mut [f32], h1: &[f32], h3: &[f32]) {
    assert!(gate.len() == h1.len() && gate.len() == h3.len(), "swiglu: lengths");
    let level = Level::best();
    gate.par_chunks_mut(CHUNK)
        .zip(h1.par_chunks(CHUNK))
        .zip(h3.par_chunks(CHUNK))
        .for_each(|((gate, h1), h3)| forward_chunk(level, gate, h1, h3));
}

/// `dh1[n]` and `dh3[n]` from `dgate[n]`: with s = sigmoid(h1),
/// dh1 = dgate h3 s (1 + h1 (1 - s)) and dh3 = dgate h1 s. Overwrites both.
pub fn backward(dh1: &mut [f32], dh3: &mut [f32], dgate: &[f32], h1: &[f32], h3: &[f32]) {
    let n = dgate.len();
    assert!([dh1.len(), dh3.len(), h1.len(), h3.len()].iter().all(|&l| l == n), "swiglu: lengths");
    let level = Level::best();
    dh1.par_chunks_mut(CHUNK)
        .zip(dh3.par_chunks_mut(CHUNK))
        .zip(dgate.par_chunks(CHUNK))
        .zip(h1.par_chunks(CHUNK))
        .zip(h3.par_chunks(CHUNK))
        .for_each(|((((dh1, dh3), dgate), h1), h3)| {
            backward_chunk(level, dh1, dh3, dgate, h1, h3);
        });
}

row_kernel! {
    fn forward_chunk(level: Level, gate: &mut [f32], h1: &[f32], h3: &[f32]) {
        for ((gate, &h1), &h3) in gate.iter_mut().zip(h1).zip(h3) {
            *gate = h1 / (1.0 + exp(-h1)) * h3;
        }
    }
}

row_kernel! {
    fn backward_chunk(level: Level, dh1: &mut [f32], dh3: &mut [f32], dgate: &[f32], h1: &[f32], h3: &[f32]) {
        for i in 0..dgate.len().min(dh1.len()).min(dh3.len()).min(h1.len()).min(h3.len()) {
            let sigmoid = 1.0 / (1.0 + exp(-h1[i]));
            dh1[i] = dgate[i] * h3[i] * sigmoid * (1.0 + h1[i] * (1.0 - sigmoid));
            dh3[i] = dgate[i] * h1[i] * sigmoid;
        }
    }
}

/// The oracle, in f64.
pub mod reference {
    fn sigmoid(x: f32) -> f64 {
        1.0 / (1.0 + (-f64::from(x)).exp())
    }

    /// See [`forward`](super::forward).
    pub fn forward(gate: &mut [f32], h1: &[f32], h3: &[f32]) {
        for i in 0..gate.len() {
            gate[i] = (f64::from(h1[i]) * sigmoid(h1[i]) * f64::from(h3[i])) as f32;
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(dh1: &mut [f32], dh3: &mut [f32], dgate: &[f32], h1: &[f32], h3: &[f32]) {
        for i in 0..dgate.len() {
            let (s, x, d) = (sigmoid(h1[i]), f64::from(h1[i]), f64::from(dgate[i]));
            dh1[i] = (d * f64::from(h3[i]) * s * (1.0 + x * (1.0 - s))) as f32;
            dh3[i] = (d * x * s) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, uniform};

    fn check(n: usize, scale: f32) {
        let h1: Vec<f32> = uniform(1, n).iter().map(|v| v * scale).collect();
        let (h3, dgate) = (uniform(2, n), uniform(3, n));
        let (mut want, mut want1, mut want3) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        reference::forward(&mut want, &h1, &h3);
        reference::backward(&mut want1, &mut want3, &dgate, &h1, &h3);
        let (mut gate, mut dh1, mut dh3) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        forward(&mut gate, &h1, &h3);
        backward(&mut dh1, &mut dh3, &dgate, &h1, &h3);
        assert_close("gate", &gate, &want, 3e-6);
        assert_close("dh1", &dh1, &want1, 3e-6);
        assert_close("dh3", &dh3, &want3, 3e-6);
        for &level in Level::supported() {
            forward_chunk(level, &mut gate, &h1, &h3);
            backward_chunk(level, &mut dh1, &mut dh3, &dgate, &h1, &h3);
            assert_close("gate by level", &gate, &want, 3e-6);
            assert_close("dh1 by level", &dh1, &want1, 3e-6);
            assert_close("dh3 by level", &dh3, &want3, 3e-6);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference(n in 1_usize..9000, scale in 0.1_f32..100.0) {
            check(n, scale);
        }
    }

    #[test]
    fn large_inputs_saturate_instead_of_overflowing() {
        let mut gate = vec![0.0; 2];
        forward(&mut gate, &[-200.0, 200.0], &[1.0, 1.0]);
        assert_eq!(gate, [0.0, 200.0]);
    }
}
