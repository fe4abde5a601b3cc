//! Exact products against the definition, bit for bit; fast ones against exact ones.

use aneal_kernels::simd::Level;
use half::f16;
use proptest::prelude::*;

use super::plan::Plan;
use super::{Bias, Mode, Operand, compute, product, product_serial};
use crate::Profile;
use crate::arithmetic::{Arithmetic, Groups, Nan, Overflow, Product, Subnormals, Tie, Wide};
use crate::emulator::layout::MatrixLayout;

/// The first values as a row-major `[rows, cols]` matrix.
fn dense(data: &[f16], rows: usize, cols: usize) -> Operand<'_> {
    let layout = MatrixLayout { offset: 0, rows, cols, row_step: cols as isize, col_step: 1 };
    Operand { data, layout }
}

/// Rows as columns.
fn transposed(x: Operand<'_>) -> Operand<'_> {
    Operand { layout: x.layout.transposed(), ..x }
}

const PROFILES: [&str; 9] =
    ["m1", "m3-pro", "m3-ultra", "m4", "m4-pro", "m4-max", "m5-max", "m6", "strict"];

fn profile(name: &str) -> Arithmetic {
    Profile::named(name).unwrap().arithmetic
}

/// What no profile has: some with loops of their own, some computed by the definition alone.
fn customs() -> Vec<Arithmetic> {
    let (m1, m3, m4, strict) = (profile("m1"), profile("m3-pro"), profile("m4"), profile("strict"));
    let keep = Subnormals::Keep;
    vec![
        Arithmetic { nan: Nan::Ieee, tie: Tie::Even, ..m4.clone() },
        Arithmetic { least_product_exponent: None, partial_limit: 64.0, ..m4.clone() },
        Arithmetic { least_product_exponent: Some(-3), bias: Wide::F32, ..m4.clone() },
        Arithmetic { least_product_exponent: Some(i32::MIN), ..m4.clone() },
        Arithmetic {
            partial_limit: f32::INFINITY,
            subnormal_operands: Subnormals::Flush,
            ..m4.clone()
        },
        Arithmetic { partial_limit: f32::NAN, ..m4.clone() },
        Arithmetic { subnormal_products: Subnormals::Flush, ..m4.clone() },
        Arithmetic { accumulator: Wide::F32, ..m4.clone() },
        Arithmetic { groups: Groups::Four, overflow: Overflow::Zero, ..m4 },
        Arithmetic { tie: Tie::Away, nan: Nan::Number, subnormal_operands: keep, ..m1.clone() },
        Arithmetic { subnormal_products: keep, ..m1.clone() },
        Arithmetic { accumulator: Wide::Fixed, bias: Wide::Fixed, ..m1 },
        Arithmetic { accumulator: Wide::Fixed, ..m3.clone() },
        Arithmetic { tie: Tie::Even, ..m3.clone() },
        Arithmetic { product: Product::Exact, least_product_exponent: Some(-14), ..m3 },
        Arithmetic { tie: Tie::Even, subnormal_operands: keep, ..strict },
    ]
}

fn arithmetics() -> Vec<Arithmetic> {
    PROFILES.into_iter().map(profile).chain(customs()).collect()
}

/// Kinds of operands, by where their exponents lie.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Sums stay in range; products of both kinds of small ones straddle what is dropped.
    Normal,
    Gradients,
    /// Exponents -10 to -6: products of two are at the limit of what is dropped, and tie.
    Edge,
    /// Sums come near the limit and pass it.
    Large,
    /// Any bits at all.
    Any,
}

const KINDS: [Kind; 5] = [Kind::Normal, Kind::Gradients, Kind::Edge, Kind::Large, Kind::Any];

/// A small generator, so that values need no strategy each.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }

    fn value(&mut self, kind: Kind) -> f16 {
        let [bits, special] = [self.next(), self.below(64)];
        // Exponents are 15 more than they say. Short fractions make ties and cancellations.
        let (low, high) = match kind {
            Kind::Normal => (8, 17),
            Kind::Gradients => (0, 6),
            Kind::Edge => (5, 10),
            Kind::Large => (18, 24),
            Kind::Any => return f16::from_bits(bits as u16),
        };
        let exponent = low + self.below(high - low);
        let fraction = if special < 24 { bits & 0x300 } else { bits & 0x3FF };
        let sign = bits >> 16 & 0x8000;
        match special {
            63 => f16::ZERO,
            62 => f16::NEG_ZERO,
            61 => f16::from_bits((sign | fraction) as u16),
            _ => f16::from_bits((sign | exponent << 10 | fraction) as u16),
        }
    }

    /// A matrix with the given strides among NaN.
    fn matrix(&mut self, rows: usize, cols: usize, kind: Kind) -> (Vec<f16>, MatrixLayout) {
        let (r, c) = (rows as isize, cols as isize);
        let (offset, row_step, col_step) = match self.below(6) {
            0 => (0, c, 1),
            1 => (0, 1, r),
            2 => (5, c + 3, 1),
            3 => (5, 1, r + 3),
            4 => (2, 2 * c, 2),
            _ => (((r - 1) * c) as usize, -c, 1),
        };
        let layout = MatrixLayout { offset, rows, cols, row_step, col_step };
        let mut data = vec![f16::NAN; 5 + 2 * (rows + 3) * (cols + 3)];
        for row in 0..r {
            for col in 0..c {
                data[offset.wrapping_add_signed(row * row_step + col * col_step)] =
                    self.value(kind);
            }
        }
        (data, layout)
    }

    fn vector(&mut self, len: usize, kind: Kind) -> Vec<f16> {
        (0..len).map(|_| self.value(kind)).collect()
    }
}

/// A product of random operands.
struct Case {
    left: (Vec<f16>, MatrixLayout),
    right: (Vec<f16>, MatrixLayout),
    bias: Option<(bool, Vec<f16>)>,
}

impl Case {
    fn new(seed: u64, [m, k, n]: [usize; 3], kinds: [Kind; 2]) -> Self {
        let mut random = Random(seed);
        random.next();
        let left = random.matrix(m, k, kinds[0]);
        let right = random.matrix(k, n, kinds[1]);
        let kind = KINDS[random.below(5) as usize];
        let bias = match random.below(3) {
            0 => None,
            1 => Some((true, random.vector(m, kind))),
            _ => Some((false, random.vector(n, kind))),
        };
        Self { left, right, bias }
    }

    fn operands(&self) -> [Operand<'_>; 2] {
        [&self.left, &self.right].map(|(data, layout)| Operand { data, layout: *layout })
    }

    fn run(&self, arithmetic: &Arithmetic, mode: Mode, level: Level, parallel: bool) -> Vec<f16> {
        let [a, b] = self.operands();
        let bias = match &self.bias {
            None => Bias::None,
            Some((true, bias)) => Bias::PerRow(bias),
            Some((false, bias)) => Bias::PerColumn(bias),
        };
        let mut out = vec![f16::NAN; a.layout.rows * b.layout.cols];
        compute(&Plan::new(arithmetic, mode, level), a, b, bias, &mut out, parallel);
        out
    }

    /// How far a fast element may be from the exact one before both are stored.
    fn tolerance(&self, arithmetic: &Arithmetic, at: usize) -> f64 {
        let ([a, b], k) = (self.operands(), self.left.1.cols);
        let (row, col) = (at / b.layout.cols, at % b.layout.cols);
        let squares = |x: f16| f64::from(arithmetic.operand(x)).powi(2);
        let row: f64 = (0..k).map(|k| squares(a.at(row, k))).sum();
        let col: f64 = (0..k).map(|k| squares(b.at(k, col))).sum();
        let (products, k) = ((row * col).sqrt(), k as f64);
        // Four roundings to fp16 each; f32 sums, of a bias as well; 2^-16 in fixed point.
        let rounding = match arithmetic.product {
            Product::Half => products / 512.0,
            Product::Exact => 0.0,
        };
        rounding
            + (products + 32_768.0) * k * 2_f64.powi(-23)
            + (k + 1.0) * 2_f64.powi(-17)
            + products / k.sqrt() / 128.0
    }

    /// By the definition.
    fn reference(&self, arithmetic: &Arithmetic) -> Vec<f16> {
        let [a, b] = self.operands();
        let mut out = Vec::new();
        for i in 0..a.layout.rows {
            let row: Vec<f16> = (0..a.layout.cols).map(|k| a.at(i, k)).collect();
            for j in 0..b.layout.cols {
                let column: Vec<f16> = (0..a.layout.cols).map(|k| b.at(k, j)).collect();
                let bias = match &self.bias {
                    None => f16::ZERO,
                    Some((true, bias)) => bias[i],
                    Some((false, bias)) => bias[j],
                };
                out.push(arithmetic.dot_from(bias, &row, &column));
            }
        }
        out
    }
}

fn kinds() -> impl Strategy<Value = [Kind; 2]> {
    [0..KINDS.len(), 0..KINDS.len()].prop_map(|kinds| kinds.map(|kind| KINDS[kind]))
}

fn shape() -> impl Strategy<Value = [usize; 3]> {
    [1_usize..40, 1..70, 1..70]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn exact_is_the_definition(
        arithmetic in prop::sample::select(arithmetics()), seed: u64, shape in shape(), kinds in kinds()
    ) {
        let case = Case::new(seed, shape, kinds);
        let want: Vec<u16> = case.reference(&arithmetic).into_iter().map(f16::to_bits).collect();
        for &level in Level::supported() {
            let found = case.run(&arithmetic, Mode::Exact, level, seed % 2 == 0);
            let found: Vec<u16> = found.into_iter().map(f16::to_bits).collect();
            prop_assert!(found == want, "{level:?}: {found:x?} is not {want:x?}");
        }
    }

    #[test]
    fn fast_is_near(
        name in prop::sample::select(&PROFILES[..]), seed: u64, shape in shape(), kinds in kinds()
    ) {
        let arithmetic = profile(name);
        let case = Case::new(seed, shape, kinds);
        let want = case.run(&arithmetic, Mode::Exact, Level::best(), false);
        for &level in Level::supported() {
            let found = case.run(&arithmetic, Mode::Fast, level, false);
            for (at, (found, want)) in found.iter().zip(&want).enumerate() {
                let off = (found.to_f64() - want.to_f64()).abs();
                let same = found.to_bits() == want.to_bits();
                let limit = case.tolerance(&arithmetic, at);
                let rounding = want.to_f64().abs() / 1024.0 + 2_f64.powi(-24);
                prop_assert!(same || off <= limit + rounding, "{found} is not {want}, {at}, {level:?}");
            }
        }
    }
}

/// Operands of a product of about normally distributed values.
fn normal(seed: u64, [m, k, n]: [usize; 3], sizes: [f32; 2]) -> [Vec<f16>; 2] {
    let mut random = Random(seed);
    let mut value = |size: f32| {
        let uniform = (0..4).map(|_| random.below(1 << 16) as f32 / 32_768.0 - 1.0);
        f16::from_f32(uniform.sum::<f32>() * size)
    };
    [(0..m * k).map(|_| value(sizes[0])).collect(), (0..k * n).map(|_| value(sizes[1])).collect()]
}

#[test]
fn every_profile_has_a_loop() {
    for name in PROFILES {
        assert!(Plan::new(&profile(name), Mode::Exact, Level::best()).has_loop(), "{name}");
    }
}

#[test]
fn fast_leaves_out_little() {
    let dims @ [m, k, n] = [64, 256, 64];
    // Root mean square of the difference, in parts of that of the results: rounding of products
    // to fp16, of groups of four, and on M4 and later to 2^-16.
    let limits = [("m1", 6e-4), ("m3-pro", 4e-4), ("m4", 3e-4), ("m5-max", 3e-4), ("strict", 6e-4)];
    for (name, limit) in limits {
        let (arithmetic, [a, b]) = (profile(name), normal(1, dims, [1.0, 0.05]));
        let [fast, exact] = [Mode::Fast, Mode::Exact].map(|mode| {
            let mut out = vec![f16::NAN; m * n];
            let (a, b) = (dense(&a, m, k), dense(&b, k, n));
            product(&arithmetic, mode, a, b, Bias::None, &mut out);
            out
        });
        let square = |x: &f16| x.to_f64() * x.to_f64();
        let all: f64 = exact.iter().map(square).sum();
        let off = fast.iter().zip(&exact).map(|(x, y)| (x.to_f64() - y.to_f64()).powi(2));
        let off = (off.sum::<f64>() / all).sqrt();
        // Nothing at all would mean that the fast loop was not used.
        assert!(off > 1e-6 && off < limit, "{name}: {off:e}");
    }
}

#[test]
fn fast_products_vanish_where_exact_ones_do() {
    let dims @ [m, k, n] = [16, 64, 48];
    let [a, b] = normal(2, dims, [1e-3, 1e-3]);
    for name in PROFILES {
        let mut out = vec![f16::NAN; m * n];
        let (a, b) = (dense(&a, m, k), dense(&b, k, n));
        product(&profile(name), Mode::Fast, a, b, Bias::None, &mut out);
        assert!(out.iter().all(|x| *x == f16::ZERO), "{name}: products of about 2^-20");
    }
}

#[test]
fn thread_count_does_not_change_a_bit() {
    let dims @ [m, k, n] = [150, 70, 90];
    for sizes in [[1.0, 0.05], [100.0, 30.0]] {
        let [a, b] = normal(3, dims, sizes);
        for (name, mode) in [("m1", Mode::Exact), ("m4", Mode::Exact), ("m4", Mode::Fast)] {
            let arithmetic = profile(name);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut out = vec![f16::NAN; m * n];
                let (a, b) = (dense(&a, m, k), transposed(dense(&b, n, k)));
                pool.install(|| product(&arithmetic, mode, a, b, Bias::None, &mut out));
                out.into_iter().map(f16::to_bits).collect::<Vec<_>>()
            };
            let mut serial = vec![f16::NAN; m * n];
            let operands = (dense(&a, m, k), transposed(dense(&b, n, k)));
            product_serial(&arithmetic, mode, operands.0, operands.1, Bias::None, &mut serial);
            let serial: Vec<u16> = serial.into_iter().map(f16::to_bits).collect();
            assert_eq!(run(1), serial, "{name}");
            assert_eq!(run(2), serial, "{name}");
        }
    }
}

#[test]
fn a_sum_of_nothing_is_the_bias() {
    let m4 = profile("m4");
    let bias = [2_f32.powi(-20), -1.5].map(f16::from_f32);
    for mode in [Mode::Exact, Mode::Fast] {
        let mut out = [f16::NAN; 6];
        let (a, b) = (dense(&[], 3, 0), dense(&[], 0, 2));
        product(&m4, mode, a, b, Bias::PerColumn(&bias), &mut out);
        assert_eq!(out.map(f16::to_f32), [0.0, -1.5, 0.0, -1.5, 0.0, -1.5], "C68");
        product(&m4, mode, dense(&[], 0, 3), dense(&out, 3, 2), Bias::None, &mut []);
    }
}

#[test]
#[should_panic(expected = "[2, 3] x [2, 3]")]
fn refuses_shapes_that_do_not_fit() {
    let x = [f16::ONE; 6];
    let operand = dense(&x, 2, 3);
    product(&profile("m4"), Mode::Exact, operand, operand, Bias::None, &mut [f16::ZERO; 6]);
}

#[test]
#[should_panic(expected = "leaves its buffer")]
fn refuses_operands_outside_of_their_buffers() {
    let x = [f16::ONE; 6];
    let (a, b) = (dense(&x, 2, 3), dense(&x[..5], 3, 2));
    product(&profile("m4"), Mode::Exact, a, b, Bias::None, &mut [f16::ZERO; 4]);
}
