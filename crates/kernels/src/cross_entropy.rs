//! Softmax cross-entropy over the vocabulary, forward and backward in one pass over the logits.

use rayon::prelude::*;

use crate::Element;
use crate::element::convert;
use crate::exp::exp;
use crate::simd::{Level, row_kernel};

/// `losses[T]` in nats: -log softmax(`logits[T, V]`)[`targets[t]`]. Leaves the logits as they are.
///
/// # Panics
/// If a target is not below V; callers check ids where they enter the program.
pub fn forward(losses: &mut [f32], logits: &[f32], targets: &[u32], v: usize) {
    check(losses.len(), logits.len(), targets, v);
    let level = Level::best();
    losses.par_iter_mut().with_min_len(8).zip(logits.par_chunks(v)).zip(targets).for_each(
        |((loss, row), &target)| {
            let (max, sum) = max_and_sum(level, row);
            *loss = sum.ln() + (max - row[target as usize]);
        },
    );
}

/// As [`forward`], and leaves `scale` times the gradient of the logits in `dlogits[T, V]`:
/// scale (softmax(logits) - one_hot(target)). Changes the logits.
pub fn forward_backward<E: Element>(
    losses: &mut [f32],
    dlogits: &mut [E],
    logits: &mut [f32],
    targets: &[u32],
    v: usize,
    scale: f32,
) {
    check(losses.len(), logits.len(), targets, v);
    assert_eq!(dlogits.len(), logits.len(), "cross_entropy: gradient");
    let level = Level::best();
    losses
        .par_iter_mut()
        .with_min_len(8)
        .zip(logits.par_chunks_mut(v))
        .zip(dlogits.par_chunks_mut(v))
        .zip(targets)
        .for_each(|(((loss, row), drow), &target)| {
            let (max, sum) = max_and_sum(level, row);
            *loss = sum.ln() + (max - row[target as usize]);
            scaled_softmax(level, row, max, scale / sum);
            row[target as usize] -= scale;
            convert(level, drow, row);
        });
}

#[track_caller]
fn check(rows: usize, logits: usize, targets: &[u32], v: usize) {
    assert!(logits == rows * v && targets.len() == rows, "cross_entropy: [{rows}, {v}]");
    assert!(targets.iter().all(|&t| (t as usize) < v), "cross_entropy: a target is not below {v}");
}

row_kernel! {
    /// The largest value of a row and the sum of e^(value - largest).
    pub(crate) fn max_and_sum(level: Level, row: &[f32]) -> (f32, f32) {
        let mut tops = [f32::NEG_INFINITY; 16];
        let (groups, rest) = row.as_chunks::<16>();
        for group in groups {
            for (top, &x) in tops.iter_mut().zip(group) {
                *top = if x > *top { x } else { *top };
            }
        }
        for (top, &x) in tops.iter_mut().zip(rest) {
            *top = if x > *top { x } else { *top };
        }
        let max = tops.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let mut lanes = [0.0_f32; 16];
        for group in groups {
            for (lane, &x) in lanes.iter_mut().zip(group) {
                *lane += exp::<A>(x - max);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += exp::<A>(x - max);
        }
        (max, lanes.iter().sum())
    }
}

row_kernel! {
    fn scaled_softmax(level: Level, row: &mut [f32], max: f32, scale: f32) {
        for x in row {
            *x = exp::<A>(*x - max) * scale;
        }
    }
}

/// The oracle, in f64.
pub mod reference {
    /// See [`forward_backward`](super::forward_backward).
    pub fn forward_backward(
        losses: &mut [f32],
        logits: &mut [f32],
        targets: &[u32],
        v: usize,
        scale: f32,
    ) {
        for ((loss, row), &target) in losses.iter_mut().zip(logits.chunks_mut(v)).zip(targets) {
            let max = row.iter().map(|&x| f64::from(x)).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = row.iter().map(|&x| (f64::from(x) - max).exp()).sum();
            *loss = (sum.ln() + max - f64::from(row[target as usize])) as f32;
            for (j, x) in row.iter_mut().enumerate() {
                let hot = if j == target as usize { 1.0 } else { 0.0 };
                *x = (f64::from(scale) * ((f64::from(*x) - max).exp() / sum - hot)) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_close, uniform};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn equals_the_reference(t in 1_usize..40, v in 1_usize..200, spread in 0.1_f32..60.0) {
            let logits: Vec<f32> = uniform(1, t * v).iter().map(|x| x * spread).collect();
            let targets: Vec<u32> = (0..t).map(|i| (i * 7 % v) as u32).collect();
            let (mut want_loss, mut want) = (vec![0.0; t], logits.clone());
            reference::forward_backward(&mut want_loss, &mut want, &targets, v, 0.25);
            let (mut loss, mut grad) = (vec![0.0; t], logits.clone());
            forward(&mut loss, &logits, &targets, v);
            assert_close("loss", &loss, &want_loss, 2e-6);
            let mut rounded = vec![bf16::ZERO; t * v];
            forward_backward(&mut loss, &mut rounded, &mut grad.clone(), &targets, v, 0.25);
            let rounded: Vec<f32> = rounded.into_iter().map(Element::to_f32).collect();
            assert_close("rounded grad", &rounded, &want, 2e-6 + <bf16 as Element>::EPSILON);
            let mut logits_again = logits.clone();
            forward_backward(&mut loss, &mut grad, &mut logits_again, &targets, v, 0.25);
            assert_close("loss of both", &loss, &want_loss, 2e-6);
            assert_close("grad", &grad, &want, 2e-6);
            for &level in Level::supported() {
                let (max, sum) = max_and_sum(level, &logits[..v]);
                let got = sum.ln() + (max - logits[targets[0] as usize]);
                assert_close("loss by level", &[got], &want_loss[..1], 2e-6);
            }
        }
    }

    #[test]
    fn an_even_guess_costs_ln_v() {
        let mut loss = [0.0];
        forward(&mut loss, &[3.0; 1024], &[17], 1024);
        assert!((loss[0] - 1024_f32.ln()).abs() < 1e-5);
    }
}
