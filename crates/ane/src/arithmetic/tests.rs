//! Every published probe of the arithmetic, with the value that each profile must give.

use half::f16;
use proptest::prelude::*;

use super::reference;
use super::{
    Accumulator, Arithmetic, Fold, Functions, Groups, Nan, Overflow, Product, Subnormals, Tie, Wide,
};
use crate::Profile;

const INF: f32 = f32::INFINITY;

/// A dot product that was run on devices: bias, operands, and what profiles must store.
struct Probe {
    /// What it shows, and where that is documented.
    what: &'static str,
    bias: f32,
    x: Vec<f32>,
    w: Vec<f32>,
    want: &'static [(&'static [&'static str], f32)],
}

const EVEN: &[&str] = &["m1"];
const H15: &[&str] = &["m3-pro", "m3-ultra"];
const FIXED: &[&str] = &["m4", "m4-pro", "m4-max", "m6"];
const M5: &[&str] = &["m5-max"];
const AWAY: &[&str] = &["m3-pro", "m3-ultra", "m4", "m4-pro", "m4-max", "m5-max", "m6", "strict"];
const LATE: &[&str] = &["m4", "m4-pro", "m4-max", "m5-max", "m6"];
const FLUSHING: &[&str] = &["m1", "m3-pro", "m3-ultra", "strict"];
const ALL: &[&str] =
    &["m1", "m3-pro", "m3-ultra", "m4", "m4-pro", "m4-max", "m5-max", "m6", "strict"];

/// `x` against ones.
fn ones(what: &'static str, x: Vec<f32>, want: &'static [(&'static [&'static str], f32)]) -> Probe {
    Probe { what, bias: 0.0, w: vec![1.0; x.len()], x, want }
}

/// `x` times `w`, one product.
fn pair(
    what: &'static str,
    x: f32,
    w: f32,
    want: &'static [(&'static [&'static str], f32)],
) -> Probe {
    Probe { what, bias: 0.0, x: vec![x], w: vec![w], want }
}

/// Each value as the first of four, the rest zeros: no two meet in a group of four products.
fn apart(values: &[f32]) -> Vec<f32> {
    values.iter().flat_map(|v| [*v, 0.0, 0.0, 0.0]).collect()
}

/// 2^`exponent`.
fn two(exponent: i32) -> f32 {
    (exponent as f32).exp2()
}

/// fp16 values; what is none would make the probe another one.
fn halves(values: &[f32]) -> Vec<f16> {
    let half = |v: &f32| {
        let x = f16::from_f32(*v);
        assert_eq!(x.to_f32(), *v, "a probe must be of fp16 values");
        x
    };
    values.iter().map(half).collect()
}

fn arithmetic(profile: &str) -> Arithmetic {
    Profile::named(profile).unwrap().arithmetic
}

#[track_caller]
fn check(probes: &[Probe]) {
    let mut wrong = Vec::new();
    for Probe { what, bias, x, w, want } in probes {
        let (x, w) = (halves(x), halves(w));
        for (profile, want) in want.iter().flat_map(|(names, v)| names.iter().map(move |n| (n, v)))
        {
            let found = arithmetic(profile).dot_from(halves(&[*bias])[0], &x, &w);
            if found.to_bits() != halves(&[*want])[0].to_bits() {
                wrong.push(format!("{what}: {profile} gives {found:e}, expected {want:e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn accumulation() {
    let mut long = vec![4096.0];
    long.extend([1.0; 1024]);
    check(&[
        ones("4096 and 1024 ones (6.1)", long, &[(EVEN, 5116.0), (H15, 5120.0), (LATE, 5120.0)]),
        ones("16 K terms are exact (6.1)", vec![1.0; 16_384], &[(ALL, 16_384.0)]),
        ones(
            "no fp16 partial sums on M4 and M6, groups of four on M1 (6.1, B.2(7))",
            vec![2048.0, 1.0, 1.0, 1.0, -2048.0],
            &[(EVEN, 0.0), (H15, 3.0), (LATE, 3.0)],
        ),
        Probe {
            what: "products of one step each are all kept (B.2(3)), or all flushed (6.1)",
            bias: 0.0,
            x: vec![two(-8); 1024],
            w: vec![two(-8); 1024],
            want: &[(LATE, 0.015_625), (FLUSHING, 0.0)],
        },
    ]);
}

#[test]
fn ties_of_the_store() {
    let above_one = 1.0 + two(-10);
    check(&[
        ones("2048 + 1 (6.1, B.2(6))", vec![2048.0, 1.0], &[(EVEN, 2048.0), (AWAY, 2050.0)]),
        ones("-2048 - 1 (B.2(6))", vec![-2048.0, -1.0], &[(EVEN, -2048.0), (AWAY, -2050.0)]),
        ones("1 + 2^-11 (B.2(6))", vec![1.0, two(-11)], &[(EVEN, 1.0), (AWAY, 1.000_976_6)]),
        ones("no tie", vec![above_one], &[(ALL, 1.000_976_6)]),
    ]);
}

#[test]
fn subnormals_and_small_products() {
    check(&[
        pair(
            "a subnormal operand (6.1: flushed; B.2(3): its exponent counts as -14)",
            two(-15),
            1024.0,
            &[(FLUSHING, 0.0), (LATE, 0.031_25)],
        ),
        pair("a normal product (6.1)", two(-7), two(-7), &[(ALL, 6.103_515_6e-5)]),
        pair(
            "a product below 6.1e-5 (6.1), exponents that sum to -16 (B.2(3))",
            two(-8),
            two(-8),
            &[(FLUSHING, 0.0), (LATE, 1.525_878_9e-5)],
        ),
        pair(
            "exponents that sum to -17, 1.98 steps (B.2(3), C65)",
            1.992_187_5 * two(-8),
            1.992_187_5 * two(-9),
            &[(LATE, 0.0), (FLUSHING, 0.0)],
        ),
        pair(
            "one and a half steps round away from zero (B.2(3))",
            -1.5 * two(-8),
            two(-8),
            &[(LATE, -3.051_757_8e-5)],
        ),
        pair(
            "a quarter of a step from a subnormal is lost (B.2(3))",
            two(-18),
            1.0,
            &[(LATE, 0.0), (FLUSHING, 0.0)],
        ),
        pair(
            "a product is rounded to fp16 before M3 adds it (6.1)",
            1.0 + two(-10),
            1.0 + two(-10),
            &[(H15, 1.001_953_1)],
        ),
    ]);
}

#[test]
fn products_are_rounded_before_or_after_the_sum() {
    // (1 + 2^-10)^2 - 1 is 2^-9 + 2^-20: M3 and M1 round the product to fp16 first, M4 keeps 2^-16.
    // Times 64, 2^-20 is 2^-14: half of the last place of 0.125, so it decides a tie.
    let x = 64.0 * (1.0 + two(-10));
    let w = 1.0 + two(-10);
    check(&[Probe {
        what: "product rounding (6.1, B.2(3))",
        bias: 0.0,
        x: vec![x, -64.0],
        w: vec![w, 1.0],
        want: &[(H15, 0.125), (EVEN, 0.125), (LATE, 0.125_122_07)],
    }]);
}

#[test]
fn partial_sums_that_reach_two_to_the_15() {
    let back = apart(&[16_384.0, 16_384.0, -16_384.0]);
    check(&[
        ones(
            "a partial sum of 32,768 stays what it became (6.1, B.2(4))",
            back.clone(),
            &[(EVEN, INF), (H15, 0.0), (LATE, INF), (&["strict"], 0.0)],
        ),
        ones(
            "so does one of -32,768",
            back.iter().map(|v| -v).collect(),
            &[(EVEN, -INF), (H15, 0.0), (LATE, -INF)],
        ),
        ones(
            "infinity keeps its sign whatever comes (B.2(4))",
            apart(&[32_752.0, 32_752.0, -32_752.0, -32_752.0, -32_752.0, -32_752.0]),
            &[(FIXED, INF)],
        ),
        ones(
            "32,760 does not overflow, and is stored as 32,768 (B.2(4)); on M5 it does (6.1)",
            apart(&[16_384.0, 16_376.0]),
            &[(FIXED, 32_768.0), (H15, 32_768.0), (M5, INF)],
        ),
        pair("a product beyond the limit", 256.0, 256.0, &[(EVEN, INF), (H15, 0.0), (LATE, INF)]),
    ]);
}

#[test]
fn the_bias_starts_the_sum() {
    let from = |what, bias, x: &[f32], want| Probe {
        what,
        bias,
        w: vec![1.0; x.len()],
        x: x.to_vec(),
        want,
    };
    check(&[
        from("2^-20 is lost (B.2(5), C68)", two(-20), &[], &[(LATE, 0.0), (&["strict"], 0.0)]),
        from("2^-17 is rounded away from zero", two(-17), &[], &[(LATE, 1.525_878_9e-5)]),
        from(
            "before M4 it keeps its bits",
            two(-20),
            &[],
            &[(EVEN, 9.536_743e-7), (H15, 9.536_743e-7)],
        ),
        from(
            "it counts towards the limit (B.2(5))",
            32_000.0,
            &[1024.0, -1024.0],
            &[(FIXED, INF), (H15, 0.0)],
        ),
        from(
            "it can keep a sum inside of it (B.2(5))",
            -20_000.0,
            &[16_384.0, 16_384.0, 4000.0],
            &[(FIXED, 16_768.0)],
        ),
    ]);
}

#[test]
fn exponents_of_all_ones_are_numbers_from_m4_on() {
    let sixteenth = f16::from_f32(0.062_5);
    for (bits, want) in [(0x7C00, 4096.0), (0x7E00, 6144.0), (0x7FFF, 8188.0), (0xFC00, -4096.0)] {
        let x = f16::from_bits(bits);
        for profile in LATE {
            let found = arithmetic(profile).dot(&[x], &[sixteenth]);
            assert_eq!(found.to_f32(), want, "{bits:x} on {profile} (B.2(2), C66)");
        }
        let found = arithmetic("m1").dot(&[x], &[sixteenth]);
        assert_eq!(found.is_nan(), x.is_nan());
    }
    for profile in LATE {
        assert_eq!(arithmetic(profile).operand(f16::NEG_ZERO).to_bits(), 0, "-0 gives +0 (B.2(2))");
    }
}

#[test]
fn element_wise_results() {
    let half = f16::from_f32;
    for profile in LATE {
        let it = arithmetic(profile);
        assert_eq!(it.add(half(2048.0), f16::ONE), half(2050.0), "half away (B.2(9))");
        assert_eq!(it.mul(half(256.0), half(255.0)), half(65_280.0), "the whole range (B.2(9))");
        let least = f16::from_bits(1);
        assert_eq!(it.add(least, least).to_bits(), 2, "subnormals are kept (B.2(9))");
        assert_eq!(it.add(f16::NAN, f16::ONE), f16::INFINITY, "NaN is like +inf (B.2(9))");
        assert_eq!(it.sub(f16::INFINITY, f16::INFINITY), f16::INFINITY, "never NaN");
        let third = it.binary(f16::ONE, half(3.0), |x, y| x / y);
        assert_eq!(third.to_f32(), 0.333_251_95);
    }
    let m1 = arithmetic("m1");
    assert_eq!(m1.add(half(2048.0), f16::ONE), half(2048.0));
    assert!(m1.add(f16::NAN, f16::ONE).is_nan());
    assert_eq!(arithmetic("strict").add(f16::from_bits(1), f16::ZERO), f16::ZERO);
}

#[test]
fn folds_are_narrow() {
    // 6.1: "reduce_sum accumulates narrow (fp16); use a matmul against ones".
    let long = vec![f16::ONE; 4096];
    assert_eq!(arithmetic("m1").reduce_sum(&long).to_f32(), 2048.0);
    assert_eq!(arithmetic("m1").dot(&long, &long).to_f32(), 4096.0);
    // Half away makes every 1 beyond 2048 count as 2: "biased updates in fp16 sums" (C67).
    assert_eq!(arithmetic("m4").reduce_sum(&long[..3000]).to_f32(), 3952.0);
    let wide = Arithmetic { reduce_sum: Fold::F32, ..arithmetic("m4") };
    assert_eq!(wide.reduce_sum(&long[..3000]).to_f32(), 3000.0);
}

#[test]
fn an_accumulator_can_be_fed_term_by_term() {
    for name in ALL {
        let it = arithmetic(name);
        let x: Vec<f16> = (0..37).map(|i| f16::from_f32((i as f32).sin())).collect();
        let mut sum = Accumulator::new(&it, f16::ONE);
        for v in &x {
            sum.add_product(it.operand(*v), it.operand(*v));
        }
        assert_eq!(sum.finish(), it.dot_from(f16::ONE, &x, &x), "{name}");
    }
}

/// Finite fp16 values with exponents up to `top`, mostly close to 1.
fn operand(top: u16) -> impl Strategy<Value = f16> {
    let exponent = prop_oneof![6 => 10..=15.min(top), 2 => 0..=top, 1 => top..=top];
    (exponent, 0u16..1024, any::<bool>())
        .prop_map(|(e, fraction, sign)| f16::from_bits(u16::from(sign) << 15 | e << 10 | fraction))
}

/// Every way a device may go, with and without each step.
fn any_arithmetic() -> impl Strategy<Value = Arithmetic> {
    let subnormals = || prop_oneof![Just(Subnormals::Keep), Just(Subnormals::Flush)];
    let wide = || prop_oneof![Just(Wide::F32), Just(Wide::Fixed)];
    let product = prop_oneof![Just(Product::Exact), Just(Product::Half)];
    let groups = prop_oneof![Just(Groups::One), Just(Groups::Four)];
    let least = prop_oneof![Just(None), Just(Some(-16)), Just(Some(-12))];
    let overflow = prop_oneof![Just(Overflow::Infinity), Just(Overflow::Zero)];
    let tie = prop_oneof![Just(Tie::Even), Just(Tie::Away)];
    let limit = prop_oneof![Just(32_768.0), Just(32_752.0), Just(64.0)];
    let steps = (subnormals(), product, subnormals(), least, groups);
    (steps, (wide(), wide(), limit, overflow, tie)).prop_map(|(steps, ends)| {
        let (subnormal_operands, product, subnormal_products, least_product_exponent, groups) =
            steps;
        let (accumulator, bias, partial_limit, overflow, tie) = ends;
        Arithmetic {
            nan: Nan::Ieee,
            subnormal_operands,
            product,
            subnormal_products,
            least_product_exponent,
            groups,
            accumulator,
            bias,
            partial_limit,
            overflow,
            tie,
            reduce_sum: Fold::Half,
            subnormal_elements: Subnormals::Keep,
            functions: Functions::Exact,
        }
    })
}

/// Bias and operands that the big-integer reference covers.
fn terms(arithmetic: &Arithmetic) -> impl Strategy<Value = (f16, Vec<(f16, f16)>)> + use<> {
    // Four products of values below 2^7 are below 65,520; finite values have exponents up to 30.
    let top = if arithmetic.groups == Groups::Four { 21 } else { 30 };
    (operand(30), prop::collection::vec((operand(top), operand(top)), 0..70))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn dot_is_the_big_integer_sum(
        (arithmetic, (bias, terms)) in any_arithmetic().prop_flat_map(|a| {
            let terms = terms(&a);
            (Just(a), terms)
        })
    ) {
        let (x, w): (Vec<f16>, Vec<f16>) = terms.into_iter().unzip();
        let found = arithmetic.dot_from(bias, &x, &w).to_bits();
        let want = reference::dot(&arithmetic, bias, &x, &w);
        prop_assert_eq!(found, want, "{:x} is not {:x}", found, want);
    }

    #[test]
    fn profiles_dot_is_the_big_integer_sum(
        (bias, terms) in terms(&arithmetic("m1")), profile in prop::sample::select(ALL)
    ) {
        let arithmetic = arithmetic(profile);
        let (x, w): (Vec<f16>, Vec<f16>) = terms.into_iter().unzip();
        let found = arithmetic.dot_from(bias, &x, &w).to_bits();
        prop_assert_eq!(found, reference::dot(&arithmetic, bias, &x, &w), "{}", profile);
    }

    #[test]
    fn any_bits_at_all_are_summed(
        arithmetic in any_arithmetic(), number in any::<bool>(), bits in prop::collection::vec(any::<u16>(), 0..40)
    ) {
        let nan = if number { Nan::Number } else { Nan::Ieee };
        let arithmetic = Arithmetic { nan, functions: Functions::Table, ..arithmetic };
        let x: Vec<f16> = bits.into_iter().map(f16::from_bits).collect();
        let stored = [arithmetic.dot(&x, &x), arithmetic.reduce_sum(&x)];
        prop_assert!(!number || !stored[1].is_nan());
        prop_assert!(nan == Nan::Ieee || !stored[0].is_nan() || arithmetic.groups == Groups::Four
            || arithmetic.accumulator == Wide::F32);
    }
}
