//! What a device's arithmetic makes of numbers.

use aneal_ane::Profile;
use aneal_ane::arithmetic::dot_int8;
use aneal_mil::{Conv, MatMul};
use half::f16;

use crate::programs::{all, compared, constraint, filled, function, functions, run};

const DIMS: [usize; 4] = [1, 4, 1, 32];
/// Terms of a sum.
const INNER: usize = 64;

/// The sum of `x[i] * w[i]` on a profile's engine.
fn dot(profile: &str, terms: &[(f32, f32)]) -> f32 {
    let product = functions(&[&[1, 1, 32, INNER], &[1, 1, INNER, 32]], |b, inputs| {
        b.matmul(inputs[0], inputs[1], MatMul::default())
    });
    let (mut x, mut w) = (vec![0.0; 32 * INNER], vec![0.0; INNER * 32]);
    for (at, (a, b)) in terms.iter().enumerate() {
        (0..32).for_each(|row| x[row * INNER + at] = *a);
        w[at * 32..(at + 1) * 32].fill(*b);
    }
    run(profile, &product, &[&x, &w]).unwrap()[0]
}

/// Runs a sum on every profile: one value where the constraint is in force, another elsewhere.
fn sums(number: u8, terms: &[(f32, f32)], in_force: f32, elsewhere: f32) {
    for profile in Profile::all().unwrap() {
        let want = if constraint(number).in_force(&profile) { in_force } else { elsewhere };
        assert_eq!(dot(&profile.name, terms), want, "{}", profile.name);
    }
}

fn power(exponent: i32) -> f32 {
    2f32.powi(exponent)
}

#[test]
fn c058_small_gradients_are_lost_without_a_scale() {
    for profile in constraint(58).profiles().unwrap() {
        assert_eq!(dot(&profile, &[(power(-12), power(-5))]), 0.0, "{profile}");
        assert_eq!(dot(&profile, &[(power(-2), power(-5))]), power(-7), "{profile}");
    }
}

#[test]
fn c059_small_epsilons() {
    let f = |epsilon: f32| {
        function(&DIMS, move |b, x| {
            let y = b.add(x, epsilon)?;
            b.mul(y, 1024.0)
        })
    };
    let zeros = [0.0; 128];
    assert!(all(0.0)(&run("strict", &f(1e-5), &[&zeros]).unwrap()));
    for profile in Profile::names() {
        let kept = run(profile, &f(1e-4), &[&zeros]).unwrap();
        assert!(all(0.1024)(&kept), "{profile}");
        let small = run(profile, &f(1e-5), &[&zeros]).unwrap();
        assert_eq!(all(0.010_24)(&small), profile != "strict", "{profile}");
    }
}

#[test]
fn c061_gradients_of_weights_are_rounded() {
    for profile in constraint(61).profiles().unwrap() {
        let sum = dot(&profile, &[(1_024.0, 2.0), (1.0, 1.0)]);
        assert!(sum == 2_048.0 || sum == 2_050.0, "{profile}: {sum}, and never 2049");
    }
}

#[test]
fn c063_constants_that_are_infinite() {
    let masked = |value: f32| {
        function(&DIMS, move |b, x| {
            let mask = filled(b, &DIMS, value)?;
            let y = b.add(x, mask)?;
            b.softmax(y, -1)
        })
    };
    for profile in constraint(63).profiles().unwrap() {
        let finite = run(&profile, &masked(-65_504.0), &[&[1.0; 128]]).unwrap();
        assert!(all(1.0 / 32.0)(&finite), "{profile}");
        let infinite = run(&profile, &masked(f32::NEG_INFINITY), &[&[1.0; 128]]).unwrap();
        assert!(infinite.iter().all(|v| !v.is_finite()), "{profile}: {:?}", &infinite[..4]);
    }
}

#[test]
fn c064_sums_have_sixteen_bits_behind_the_point() {
    // 2^-8 + 2^-18, less 2^-8.
    sums(64, &[(1.0 + power(-10), power(-8)), (-1.0, power(-8))], 0.0, power(-18));
    // A partial sum of 32,768 is never left again.
    let back = [(128.0, 128.0), (128.0, 128.0), (-128.0, 128.0), (-128.0, 128.0)];
    for profile in ["m4", "m4-pro", "m4-max", "m5-max", "m6"] {
        assert_eq!(dot(profile, &back), f32::INFINITY, "{profile}");
    }
}

#[test]
fn c065_products_are_dropped_by_exponent() {
    let dropped = [(1.99 * power(-8), 1.99 * power(-9)); 8];
    let kept = [(power(-8), power(-8)); 8];
    for profile in Profile::all().unwrap() {
        // 8 products of 1.98 * 2^-16 vanish, 8 of 2^-16 do not. Where products below 2^-14 are
        // flushed both vanish.
        let flushed = matches!(&*profile.name, "m1" | "m3-pro" | "m3-ultra" | "strict");
        let want = if flushed { 0.0 } else { power(-13) };
        assert_eq!(dot(&profile.name, &kept), want, "{}", profile.name);
        assert_eq!(dot(&profile.name, &dropped), 0.0, "{}", profile.name);
        assert!(flushed || constraint(65).in_force(&profile), "{}", profile.name);
    }
}

#[test]
fn c066_infinity_is_a_number() {
    for profile in Profile::all().unwrap() {
        let found = dot(&profile.name, &[(f32::INFINITY, 0.25)]);
        let number = constraint(66).in_force(&profile);
        assert_eq!(found == 16_384.0, number, "{}: {found}", profile.name);
    }
}

#[test]
fn c067_ties_go_away_from_zero() {
    sums(67, &[(1_024.0, 2.0), (1.0, 1.0)], 2_050.0, 2_048.0);
    sums(67, &[(1_024.0, -2.0), (1.0, -1.0)], -2_050.0, -2_048.0);
}

#[test]
fn c068_small_biases_are_lost() {
    let f = function(&[1, 32, 1, 32], |b, x| {
        let (w, bias) = (filled(b, &[32, 32, 1, 1], 1.0)?, filled(b, &[32], power(-20))?);
        b.conv(x, w, Conv { bias: Some(bias), ..Conv::default() })
    });
    compared(68, &f, &[&[0.0; 1024]], all(0.0), all(power(-20)));
}

#[test]
fn c069_products_of_bytes_overflow_at_two_to_the_31() {
    // 64,512 is past what sums of fp16 hold.
    assert_eq!(dot_int8(&[126; 4], &[-128; 4], -1.0).to_f32(), 64_512.0);
    let terms = vec![-128; 1 << 17];
    assert_eq!(dot_int8(&terms, &terms, 1e-6), f16::INFINITY);
    assert!(dot_int8(&terms[1..], &terms[1..], 1e-6).is_finite());
}
