//! Products against the oracle, over odd shapes, levels, operands and epilogues.

use half::bf16;
use proptest::prelude::*;

use super::*;
use crate::simd::Level;
use crate::testing::{assert_close, in_threads, rounded, uniform};

/// `a b` by rows and by transposed panels, through every epilogue, against the oracle.
fn check<E: Element>(level: Level, m: usize, n: usize, k: usize) {
    let (a, b) = (rounded::<E>(1, m * k), rounded::<E>(2, k * n));
    let (base, scale) = (uniform(3, m * n), 0.5);
    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    let tolerance = 2e-6 * k.max(4) as f32;

    let mut right = Panels::new(E::kernel(level));
    right.pack(b);
    let columns: Vec<E> = (0..m * k).map(|at| a.at(at % m, at / m)).collect();
    let mut panels = Panels::new(E::kernel(level));
    panels.pack(Mat::new(&columns, k, m));

    let mut want = base.clone();
    reference(MatMut::new(&mut want, m, n), 1.0, scale, a, b);
    for left in [Left::rows(a), Left::transposed(panels.view())] {
        let mut got = base.clone();
        matmul(left, right.view(), Add { out: MatMut::new(&mut got, m, n), scale });
        assert_close("added", &got, &want, tolerance);
        let mut got = vec![f32::NAN; m * n];
        let out = MatMut::new(&mut got, m, n);
        matmul_serial(left, right.view(), AddTo { out, base: &base, scale });
        assert_close("added to a base", &got, &want, tolerance);
    }
    reference(MatMut::new(&mut want, m, n), 0.0, scale, a, b);
    let mut got = vec![E::from_f32(f32::NAN); m * n];
    matmul(Left::rows(a), right.view(), Store { out: MatMut::new(&mut got, m, n), scale });
    let got: Vec<f32> = got.into_iter().map(Element::to_f32).collect();
    assert_close("stored", &got, &want, tolerance + E::EPSILON);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn equals_the_reference(m in 1_usize..80, n in 1_usize..80, k in 1_usize..90) {
        for &level in Level::supported() {
            check::<f32>(level, m, n, k);
            check::<bf16>(level, m, n, k);
        }
    }
}

#[test]
fn equals_the_reference_across_blocks() {
    for (m, n, k) in [(129, 65, 64), (300, 40, 257), (1, 200, 512), (257, 1, 300)] {
        for &level in Level::supported() {
            check::<f32>(level, m, n, k);
            check::<bf16>(level, m, n, k);
        }
    }
}

#[test]
fn a_part_of_panels_is_the_product_of_the_part() {
    let (m, n, k) = (5, 40, 30);
    let (a, b) = (rounded::<bf16>(1, m * k), rounded::<bf16>(2, k * n));
    let (a, b) = (Mat::new(&a, m, k), Mat::new(&b, k, n));
    let mut right = Panels::new(Kernel::best());
    right.pack(b);
    let (part_n, part_k) = (33, 12);
    let a = a.cols_of(0..part_k);
    let b = b.rows_of(0..part_k).cols_of(0..part_n);
    let [mut got, mut want] = [(); 2].map(|()| vec![0.0; m * part_n]);
    let out = MatMut::new(&mut got, m, part_n);
    matmul(Left::rows(a), right.view().upper_left(part_k, part_n), Store { out, scale: 1.0 });
    reference(MatMut::new(&mut want, m, part_n), 0.0, 1.0, a, b);
    assert_close("part", &got, &want, 1e-5);
}

#[test]
fn what_is_not_finite_stays_so() {
    let a = [1.0, f32::NAN, 1.0, 1.0].map(bf16::from_f32);
    let mut right = Panels::new(Kernel::best());
    right.pack(Mat::new(&[1.0_f32; 4], 2, 2));
    let mut got = [0.0_f32; 4];
    let out = MatMut::new(&mut got, 2, 2);
    matmul(Left::rows(Mat::new(&a, 2, 2)), right.view(), Store { out, scale: 1.0 });
    assert!(got[0].is_nan() && got[1].is_nan() && got[2..] == [2.0, 2.0], "{got:?}");
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let (m, n, k) = (700, 100, 300);
    let (a, b) = (rounded::<bf16>(1, m * k), rounded::<bf16>(2, k * n));
    let run = || {
        let mut right = Panels::new(Kernel::best());
        right.pack(Mat::new(&b, k, n));
        let mut c = vec![0.0_f32; m * n];
        let out = MatMut::new(&mut c, m, n);
        matmul(Left::rows(Mat::new(&a, m, k)), right.view(), Store { out, scale: 1.0 });
        c
    };
    assert_eq!(in_threads(1, run), in_threads(7, run));
}

#[test]
#[should_panic(expected = "matmul: [2, 3] x [2, 2] -> [2, 2]")]
fn refuses_shapes_that_do_not_fit() {
    let mut right = Panels::new(Kernel::<f32>::best());
    right.pack(Mat::new(&[0.0_f32; 4], 2, 2));
    let mut c = [0.0_f32; 4];
    let out = MatMut::new(&mut c, 2, 2);
    matmul(Left::rows(Mat::new(&[0.0; 6], 2, 3)), right.view(), Store { out, scale: 1.0 });
}
