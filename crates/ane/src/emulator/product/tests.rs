//! Exact products against the definition, bit for bit; fast ones against exact ones.

use aneal_kernels::simd::Level;
use half::f16;
use proptest::prelude::*;

use super::plan::Plan;
use super::{Bias, Mode, Operand, compute};
use crate::Profile;
use crate::arithmetic::{Arithmetic, Groups, Nan, Overflow, Product, Subnormals, Tie, Wide};
use crate::emulator::layout::MatrixLayout;

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
}
