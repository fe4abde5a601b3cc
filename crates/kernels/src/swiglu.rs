//! The SwiGLU gate (Shazeer, 2020): gate = silu(h1) * h3 with silu(x) = x / (1 + e^-x), as epilogues
//! of the products around it, and by itself.

use std::ops::Range;

use rayon::prelude::*;

use crate::Element;
use crate::arch::Arch;
use crate::exp::exp;
use crate::lanes::{map, map2, map3};
use crate::matmul::{Epilogue, MatMut, Sums};
use crate::simd::{Level, row_kernel};

/// Epilogue of the product with `[w1 | w3]`: keeps `h = [h1 | h3]`, rounded, and stores the gate of
/// what was kept.
#[derive(Debug)]
pub struct StoreGate<'a, E> {
    /// `[T, 2 H]`
    pub h: MatMut<'a, E>,
    /// `[T, H]`
    pub gate: MatMut<'a, E>,
}

impl<E: Element> Epilogue for StoreGate<'_, E> {
    fn shape(&self) -> (usize, usize) {
        assert!(
            self.h.cols() == 2 * self.gate.cols() && self.h.rows() == self.gate.rows(),
            "swiglu: shapes"
        );
        (self.h.rows(), self.h.cols())
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (h, later_h) = self.h.split_at(row);
        let (gate, later_gate) = self.gate.split_at(row);
        (Self { h, gate }, Self { h: later_h, gate: later_gate })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        // Columns come in order: those of h1 are there when their twins in h3 arrive.
        gate_rows(level, &mut self.h, &mut self.gate, cols, sums);
    }
}

/// Epilogue of the product that gives the gate's gradient: turns it into that of `h`, and computes
/// the gate again. With s = sigmoid(h1): dh1 = dgate h3 s (1 + h1 (1 - s)) and dh3 = dgate h1 s.
#[derive(Debug)]
pub struct StoreGateGrad<'a, E> {
    /// `[T, 2 H]`, as [`StoreGate`] left it.
    pub h: &'a [E],
    /// `[T, 2 H]`
    pub dh: MatMut<'a, E>,
    /// `[T, H]`
    pub gate: MatMut<'a, E>,
    /// Factor of every sum.
    pub scale: f32,
}

impl<E: Element> Epilogue for StoreGateGrad<'_, E> {
    fn shape(&self) -> (usize, usize) {
        let (rows, cols) = (self.gate.rows(), self.gate.cols());
        assert!(
            self.dh.rows() == rows && self.dh.cols() == 2 * cols && self.h.len() == rows * 2 * cols,
            "swiglu: shapes"
        );
        (rows, cols)
    }

    fn split_at(self, row: usize) -> (Self, Self) {
        let (h, later_h) = self.h.split_at(row * self.dh.cols());
        let (dh, later_dh) = self.dh.split_at(row);
        let (gate, later_gate) = self.gate.split_at(row);
        (Self { h, dh, gate, ..self }, Self { h: later_h, dh: later_dh, gate: later_gate, ..self })
    }

    fn finish(&mut self, level: Level, cols: Range<usize>, sums: Sums<'_>) {
        gate_grad_rows(level, self.h, &mut self.dh, &mut self.gate, cols, sums, self.scale);
    }
}

/// Values handled by one task of [`forward`] and [`backward`].
const CHUNK: usize = 1 << 14;

/// `gate[n] = silu(h1[n]) * h3[n]`, on all threads.
pub fn forward(gate: &mut [f32], h1: &[f32], h3: &[f32]) {
    assert!(gate.len() == h1.len() && gate.len() == h3.len(), "swiglu: lengths");
    let level = Level::best();
    gate.par_chunks_mut(CHUNK)
        .zip(h1.par_chunks(CHUNK))
        .zip(h3.par_chunks(CHUNK))
        .for_each(|((gate, h1), h3)| gate_values(level, gate, h1, h3));
}

/// The gradients of `h1[n]` and `h3[n]` from that of the gate, on all threads. With s = sigmoid(h1):
/// dh1 = dgate h3 s (1 + h1 (1 - s)) and dh3 = dgate h1 s.
pub fn backward(dh1: &mut [f32], dh3: &mut [f32], dgate: &[f32], h1: &[f32], h3: &[f32]) {
    let n = dgate.len();
    assert!([dh1.len(), dh3.len(), h1.len(), h3.len()] == [n; 4], "swiglu: lengths");
    let level = Level::best();
    dh1.par_chunks_mut(CHUNK)
        .zip(dh3.par_chunks_mut(CHUNK))
        .zip(dgate.par_chunks(CHUNK))
        .zip(h1.par_chunks(CHUNK))
        .zip(h3.par_chunks(CHUNK))
        .for_each(|((((dh1, dh3), dgate), h1), h3)| {
            gate_grad_values(level, dh1, dh3, dgate, h1, h3);
        });
}

/// `gate[n] = silu(h1[n]) * h3[n]`, for a single row.
pub fn gate_row(gate: &mut [f32], h1: &[f32], h3: &[f32]) {
    assert!(gate.len() == h1.len() && gate.len() == h3.len(), "swiglu: lengths");
    gate_values(Level::best(), gate, h1, h3);
}

row_kernel! {
    fn gate_values(level: Level, gate: &mut [f32], h1: &[f32], h3: &[f32]) {
        for ((gate, &h1), &h3) in gate.iter_mut().zip(h1).zip(h3) {
            *gate = h1 * sigmoid::<A>(h1) * h3;
        }
    }
}

row_kernel! {
    fn gate_grad_values(
        level: Level,
        dh1: &mut [f32],
        dh3: &mut [f32],
        dgate: &[f32],
        h1: &[f32],
        h3: &[f32],
    ) {
        let inputs = dgate.iter().zip(h1).zip(h3);
        for ((dh1, dh3), ((&dgate, &h1), &h3)) in dh1.iter_mut().zip(dh3).zip(inputs) {
            let s = sigmoid::<A>(h1);
            let silu = h1 * s;
            *dh1 = dgate * h3 * (s + silu * (1.0 - s));
            *dh3 = dgate * silu;
        }
    }
}

row_kernel! {
    fn gate_rows<E: Element>(
        level: Level,
        h: &mut MatMut<'_, E>,
        gate: &mut MatMut<'_, E>,
        cols: Range<usize>,
        sums: Sums<'_>,
    ) {
        let hidden = gate.cols();
        let ungated = hidden.saturating_sub(cols.start).min(cols.len());
        for i in 0..sums.rows {
            let (h1, h3) = h.row_mut(i).split_at_mut(hidden);
            let (first, second) = sums.row(i, cols.len()).split_at(ungated);
            let start = cols.start.min(hidden);
            map::<A, _, _>(&mut h1[start..start + ungated], first, |sum| sum);
            if second.is_empty() {
                continue;
            }
            let twins = cols.start.max(hidden) - hidden..cols.end - hidden;
            let (h1, h3) = (&h1[twins.clone()], &mut h3[twins.clone()]);
            map::<A, _, _>(h3, second, |sum| sum);
            let gate = &mut gate.row_mut(i)[twins];
            map2::<A, _, _, _>(gate, h1, h3, |h1, h3| h1 * sigmoid::<A>(h1) * h3);
        }
    }
}

row_kernel! {
    fn gate_grad_rows<E: Element>(
        level: Level,
        h: &[E],
        dh: &mut MatMut<'_, E>,
        gate: &mut MatMut<'_, E>,
        cols: Range<usize>,
        sums: Sums<'_>,
        scale: f32,
    ) {
        let hidden = gate.cols();
        for i in 0..sums.rows {
            let (h1, h3) = h[2 * hidden * i..][..2 * hidden].split_at(hidden);
            let (dh1, dh3) = dh.row_mut(i).split_at_mut(hidden);
            let (h1, h3) = (&h1[cols.clone()], &h3[cols.clone()]);
            let (dh1, dh3) = (&mut dh1[cols.clone()], &mut dh3[cols.clone()]);
            let gate = &mut gate.row_mut(i)[cols.clone()];
            map3::<A, _>([dh1, dh3, gate], [h1, h3], sums.row(i, cols.len()), |[h1, h3], sum| {
                let (s, dgate) = (sigmoid::<A>(h1), scale * sum);
                let silu = h1 * s;
                [dgate * h3 * (s + silu * (1.0 - s)), dgate * silu, silu * h3]
            });
        }
    }
}

/// 1 / (1 + e^-x); 0 where e^-x is infinite.
#[inline(always)]
fn sigmoid<A: Arch>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<A>(-x))
}

/// The oracle, in f64.
pub mod reference {
    fn sigmoid(x: f32) -> f64 {
        1.0 / (1.0 + (-f64::from(x)).exp())
    }

    /// `gate[n] = silu(h1[n]) * h3[n]`.
    pub fn forward(gate: &mut [f32], h1: &[f32], h3: &[f32]) {
        for i in 0..gate.len() {
            gate[i] = (f64::from(h1[i]) * sigmoid(h1[i]) * f64::from(h3[i])) as f32;
        }
    }

    /// The gradients of h1 and h3 from that of the gate.
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
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::matmul::{Left, Mat, Panels, matmul};
    use crate::testing::{assert_close, rounded, uniform};

    fn wide<E: Element>(x: &[E]) -> Vec<f32> {
        x.iter().map(|x| x.to_f32()).collect()
    }

    /// Both epilogues on products with a unit matrix, whose sums are the left operand itself.
    fn check<E: Element>(level: Level, t: usize, hidden: usize, spread: f32) {
        let unit = |n: usize| {
            let values: Vec<f32> = (0..n * n).map(|at| f32::from(at / n == at % n)).collect();
            let mut panels = Panels::new(E::kernel(level));
            panels.pack(Mat::new(&values, n, n));
            panels
        };
        let h: Vec<E> =
            uniform(1, t * 2 * hidden).iter().map(|x| E::from_f32(x * spread)).collect();
        let mut kept = vec![E::zeroed(); h.len()];
        let mut gate = vec![E::zeroed(); t * hidden];
        let epilogue = StoreGate {
            h: MatMut::new(&mut kept, t, 2 * hidden),
            gate: MatMut::new(&mut gate, t, hidden),
        };
        matmul(Left::rows(Mat::new(&h, t, 2 * hidden)), unit(2 * hidden).view(), epilogue);
        assert_eq!(kept, h);

        let (dgate, scale) = (rounded::<E>(2, t * hidden), 0.5);
        let mut dh = vec![E::zeroed(); h.len()];
        let mut again = vec![E::zeroed(); t * hidden];
        let epilogue = StoreGateGrad {
            h: &h,
            dh: MatMut::new(&mut dh, t, 2 * hidden),
            gate: MatMut::new(&mut again, t, hidden),
            scale,
        };
        matmul(Left::rows(Mat::new(&dgate, t, hidden)), unit(hidden).view(), epilogue);
        assert_eq!(again, gate, "the gate again");

        let tolerance = 3e-6 + E::EPSILON;
        for row in 0..t {
            let range = row * hidden..(row + 1) * hidden;
            let (h, dh) =
                (wide(&h[2 * row * hidden..][..2 * hidden]), wide(&dh[2 * row * hidden..]));
            let (h1, h3) = h.split_at(hidden);
            let dgate: Vec<f32> = wide(&dgate[range.clone()]).iter().map(|x| x * scale).collect();
            let [mut want, mut want1, mut want3] = [(); 3].map(|()| vec![0.0; hidden]);
            reference::forward(&mut want, h1, h3);
            reference::backward(&mut want1, &mut want3, &dgate, h1, h3);
            assert_close("gate", &wide(&gate[range]), &want, tolerance);
            assert_close("dh1", &dh[..hidden], &want1, tolerance);
            assert_close("dh3", &dh[hidden..2 * hidden], &want3, tolerance);
            let mut single = vec![0.0; hidden];
            gate_values(level, &mut single, h1, h3);
            assert_close("gate of a row", &single, &want, 3e-6);
            let [mut dh1, mut dh3] = [(); 2].map(|()| vec![0.0; hidden]);
            gate_grad_values(level, &mut dh1, &mut dh3, &dgate, h1, h3);
            assert_close("dh1 of a row", &dh1, &want1, 3e-6);
            assert_close("dh3 of a row", &dh3, &want3, 3e-6);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn equals_the_reference(t in 1_usize..40, hidden in 1_usize..80, spread in 0.1_f32..100.0) {
            for &level in Level::supported() {
                check::<f32>(level, t, hidden, spread);
                check::<bf16>(level, t, hidden, spread);
            }
        }
    }

    #[test]
    fn long_rows_are_cut_without_a_seam() {
        let n = 2 * CHUNK + 5;
        let (h1, h3, dgate) = (uniform(1, n), uniform(2, n), uniform(3, n));
        let [mut gate, mut dh1, mut dh3] = [(); 3].map(|()| vec![0.0; n]);
        forward(&mut gate, &h1, &h3);
        backward(&mut dh1, &mut dh3, &dgate, &h1, &h3);
        let [mut want, mut want1, mut want3] = [(); 3].map(|()| vec![0.0; n]);
        reference::forward(&mut want, &h1, &h3);
        reference::backward(&mut want1, &mut want3, &dgate, &h1, &h3);
        for (what, got, want) in [("gate", gate, want), ("dh1", dh1, want1), ("dh3", dh3, want3)] {
            assert_close(what, &got, &want, 3e-6);
        }
    }

    #[test]
    fn large_inputs_saturate_instead_of_overflowing() {
        let mut gate = vec![0.0; 2];
        gate_row(&mut gate, &[-200.0, 200.0], &[1.0, 1.0]);
        assert_eq!(gate, [0.0, 200.0]);
    }
}
