//! Numbers that were probed on devices (6.1, B.2), as programs: the value that each profile gives.

use std::collections::BTreeMap;

use aneal_mil::{Builder, Function, MatMul, Opset, Type};
use half::f16;

use crate::session::{Session, engine, source};

/// A product `[1, K] x [K, 32]` whose columns are all alike.
fn product(inner: usize) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, 1, 32, inner]).unwrap()).unwrap();
    let y = b.input("w", Type::fp16(&[1, 1, inner, 32]).unwrap()).unwrap();
    let z = b.matmul(x, y, MatMul::default()).unwrap();
    b.output("y", z).unwrap();
    b.finish().unwrap()
}

/// The sum of `x[i] * w[i]` on the engine of a profile; what is left of 1,056 terms is 0.
fn dot(profile: &str, terms: &[(f16, f16)]) -> f16 {
    const INNER: usize = 5 * 1024 + 32;
    let mut x = vec![f16::ZERO; 32 * INNER];
    let mut w = vec![f16::ZERO; INNER * 32];
    for (at, &(a, b)) in terms.iter().enumerate() {
        (0..32).for_each(|row| x[row * INNER + at] = a);
        (0..32).for_each(|column| w[at * 32 + column] = b);
    }
    let session = Session::new(&engine(profile), &source(product(INNER))).unwrap();
    let inputs = BTreeMap::from([("i00_x".to_owned(), x), ("i01_w".to_owned(), w)]);
    let out = session.run(&inputs).unwrap().remove("o00_y").unwrap();
    assert!(out.iter().all(|v| v.to_bits() == out[0].to_bits()), "all sums are the same sum");
    out[0]
}

fn half(value: f32) -> f16 {
    f16::from_f32(value)
}

/// Terms `value * 1`, as often as said.
fn sum(terms: &[(f32, usize)]) -> Vec<(f16, f16)> {
    let repeat =
        |&(value, times): &(f32, usize)| std::iter::repeat_n((half(value), f16::ONE), times);
    terms.iter().flat_map(repeat).collect()
}

/// Profiles whose arithmetic is that of M4 (B.2).
const FIXED: [&str; 4] = ["m4", "m4-pro", "m4-max", "m6"];

#[test]
fn groups_of_four_round_on_m1_only() {
    // 4096 + 1024 ones (6.1).
    let terms = sum(&[(4096.0, 1), (1.0, 1024)]);
    assert_eq!(dot("m1", &terms).to_f32(), 5116.0);
    for profile in ["m3-ultra", "m3-pro", "m4", "m4-pro", "m5-max", "m6"] {
        assert_eq!(dot(profile, &terms).to_f32(), 5120.0, "{profile}");
    }
}

#[test]
fn ties_round_to_even_on_m1_and_away_later() {
    let terms = sum(&[(2048.0, 1), (1.0, 1)]);
    assert_eq!(dot("m1", &terms).to_f32(), 2048.0);
    for profile in ["m3-ultra", "m4", "m5-max", "m6", "strict"] {
        assert_eq!(dot(profile, &terms).to_f32(), 2050.0, "{profile}");
        let negative = sum(&[(-2048.0, 1), (-1.0, 1)]);
        assert_eq!(dot(profile, &negative).to_f32(), -2050.0, "{profile}");
    }
}

#[test]
fn partial_sums_of_two_to_the_15_overflow() {
    // The sum comes back to 0; the partial sum does not stay below 2^15, also where fours are summed
    // first.
    let back = sum(&[(8_192.0, 4), (-8_192.0, 4)]);
    for (profile, want) in [
        ("m1", f32::INFINITY),
        ("m3-ultra", 0.0),
        ("m4", f32::INFINITY),
        ("m6", f32::INFINITY),
        ("strict", 0.0),
    ] {
        assert_eq!(dot(profile, &back).to_f32(), want, "{profile}");
    }
    // 32,760 does not overflow, and rounds to 32,768 as it is stored (B.2(4)).
    for profile in FIXED {
        assert_eq!(
            dot(profile, &sum(&[(16_384.0, 1), (16_376.0, 1)])).to_f32(),
            32_768.0,
            "{profile}"
        );
    }
    // On M5 from 32,752 on (6.1).
    assert_eq!(dot("m5-max", &sum(&[(16_384.0, 1), (16_376.0, 1)])).to_f32(), f32::INFINITY);
}

#[test]
fn small_products_vanish() {
    // 2^-15 is a subnormal product: flushed on M3, kept by M4's fixed point.
    let (tiny, one) = (half(2f32.powi(-15)), f16::ONE);
    let terms = vec![(tiny, one); 1024];
    assert_eq!(dot("m3-ultra", &terms).to_f32(), 0.0);
    assert_eq!(dot("m1", &terms).to_f32(), 0.0);
    for profile in FIXED {
        assert_eq!(dot(profile, &terms).to_f32(), 2f32.powi(-5), "{profile}");
        // Exponents that sum to -17 are dropped, even when the product is 1.98 steps (B.2(3)).
        let almost = half(1.99 * 2f32.powi(-8));
        let other = half(1.99 * 2f32.powi(-9));
        assert_eq!(dot(profile, &vec![(almost, other); 1024]).to_f32(), 0.0, "{profile}");
        let kept = half(2f32.powi(-8));
        assert_eq!(dot(profile, &vec![(kept, kept); 1024]).to_f32(), 2f32.powi(-6), "{profile}");
        // Subnormal operands count, with exponent -14.
        let subnormal = half(2f32.powi(-20));
        assert_eq!(
            dot(profile, &vec![(subnormal, half(64.0)); 1024]).to_f32(),
            2f32.powi(-4),
            "{profile}"
        );
    }
}

#[test]
fn what_is_no_number_elsewhere_is_one() {
    // B.2(2): 0x7E00 is 98,304; times 2^-4 it is 6,144.
    for profile in FIXED {
        let terms = [(f16::from_bits(0x7E00), half(0.0625))];
        assert_eq!(dot(profile, &terms).to_f32(), 6_144.0, "{profile}");
        assert_eq!(dot(profile, &[(f16::INFINITY, half(0.25))]).to_f32(), 16_384.0, "{profile}");
    }
    assert!(dot("m1", &[(f16::NAN, f16::ONE)]).is_nan());
}
