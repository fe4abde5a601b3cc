//! Functions of one number: from tables where those are documented, else from their formula.
//!
//! Grids are those of B.2(10), measured on M6; M4 has tables of 33 entries too (C70), and M5's
//! documented errors are of the same size (6.2). Entries are exact samples, also for `gelu` and
//! `silu`, whose entries are reported to be fitted: no fitted entry is published, and samples give
//! the documented largest errors, 6.2e-3 and 1.5e-2. `sqrt`, `rsqrt`, `inverse` and `log` are
//! reported to be up to 1.2, 2.1, 13.5 and 91 units in the last place off, without a grid: they are
//! computed exactly and rounded once, so they are better here than there.

use std::f64::consts::{FRAC_PI_2, LOG2_E, PI};
use std::sync::LazyLock;

use aneal_mil::eval::Unary;
use half::f16;

use super::table::Table;
use super::{Arithmetic, Functions};

/// -8 to 8 by 0.5.
static SIGMOID: LazyLock<Table> =
    LazyLock::new(|| Table::sample(-8.0, 0.5, formula(Unary::Sigmoid)));
/// -8 to 8 by 0.5.
static SILU: LazyLock<Table> = LazyLock::new(|| Table::sample(-8.0, 0.5, formula(Unary::Silu)));
/// -4 to 4 by 0.25.
static GELU: LazyLock<Table> =
    LazyLock::new(|| Table::sample(-4.0, 0.25, formula(Unary::GeluExact)));
/// 0 to 4 by 1/8, mirrored.
static TANH: LazyLock<Table> = LazyLock::new(|| Table::sample(0.0, 0.125, formula(Unary::Tanh)));
/// 0 to 2 by 1/16, mirrored.
static ERF: LazyLock<Table> = LazyLock::new(|| Table::sample(0.0, 0.062_5, formula(Unary::Erf)));
/// A quarter of a period, mirrored.
static SIN: LazyLock<Table> = LazyLock::new(|| Table::sample(0.0, PI / 64.0, formula(Unary::Sin)));
/// 2^x from 0 to 1.
static EXP2: LazyLock<Table> = LazyLock::new(|| Table::sample(0.0, 0.031_25, formula(Unary::Exp2)));

/// The function without settings.
fn formula(f: Unary) -> impl Fn(f64) -> f64 {
    move |x| f.apply(x, 0.0, 0.0)
}

impl Arithmetic {
    /// `f(x)` as it is stored. `alpha` and `beta` are the operation's, `alpha` also its epsilon, as
    /// in [`Unary::apply`].
    #[must_use]
    pub fn unary(&self, f: Unary, x: f16, alpha: f64, beta: f64) -> f16 {
        let x = self.element(x);
        let tabled = match self.functions {
            Functions::Table if !x.is_nan() => from_table(f, x),
            _ => None,
        };
        self.store(tabled.unwrap_or_else(|| f.apply(x, alpha, beta)))
    }
}

/// The function's value from its table, if it has one. `x` is a number or infinite.
fn from_table(f: Unary, x: f64) -> Option<f64> {
    Some(match f {
        Unary::Sigmoid => SIGMOID.at(x), // stays at its ends outside (B.2(10): saturates)
        // Outside of the grid the asymptotes; the step at -8 is 2.7e-3.
        Unary::Silu => past_ends(x, 8.0).unwrap_or_else(|| SILU.at(x)),
        // Both modes give the same bits (B.2(10)).
        Unary::GeluExact | Unary::GeluTanh => past_ends(x, 4.0).unwrap_or_else(|| GELU.at(x)),
        Unary::Tanh => mirrored(&TANH, 4.0, x),
        // What happens past 2 is not documented; like tanh, it goes to 1 at once.
        Unary::Erf => mirrored(&ERF, 2.0, x),
        Unary::Sin if x.is_finite() => sine(x),
        Unary::Exp => exponential(x * LOG2_E),
        Unary::Exp2 => exponential(x),
        _ => return None,
    })
}

/// Of a function that is 0 far on the left and its argument far on the right.
fn past_ends(x: f64, end: f64) -> Option<f64> {
    match x {
        _ if x < -end => Some(0.0),
        _ if x > end => Some(x),
        _ => None,
    }
}

/// An odd function that jumps to 1 at the end of its table (B.2(10): tanh "jumps at ±4").
fn mirrored(table: &Table, end: f64, x: f64) -> f64 {
    let size = if x.abs() >= end { 1.0 } else { table.at(x.abs()) };
    size.copysign(x)
}

/// The argument is brought into the first quarter of the period, in f64. How the device does that is
/// not documented; over |x| <= 10 the worst error here is 6.5e-4, documented is 6.3e-4 without a range.
fn sine(x: f64) -> f64 {
    let turned = x.abs().rem_euclid(2.0 * PI);
    let (half, sign) = if turned >= PI { (turned - PI, -1.0) } else { (turned, 1.0) };
    let quarter = if half > FRAC_PI_2 { PI - half } else { half };
    SIN.at(quarter) * sign * 1f64.copysign(x)
}

/// 2^`x`: the whole part goes to the exponent, the rest through the table. How many bits the
/// argument keeps is not documented, so it keeps all; the device is up to 9.1 units in the last
/// place off.
fn exponential(x: f64) -> f64 {
    // Past these the result is 0 or infinite in fp16 whatever the table says.
    let x = x.clamp(-64.0, 64.0);
    EXP2.at(x - x.floor()) * x.floor().exp2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    /// Every finite fp16 value between the two.
    fn inputs(least: f64, greatest: f64) -> impl Iterator<Item = f16> {
        let all = (0..=u16::MAX).map(f16::from_bits).filter(|x| x.is_finite());
        all.filter(move |x| (least..=greatest).contains(&x.to_f64()))
    }

    /// The largest error over those inputs, in size and in units of the last place.
    fn worst(f: Unary, least: f64, greatest: f64) -> (f64, f64) {
        let m6 = Profile::named("m6").unwrap().arithmetic;
        let errors = inputs(least, greatest).filter_map(|x| {
            let want = f.apply(x.to_f64(), 0.0, 0.0);
            let found = m6.unary(f, x, 0.0, 0.0).to_f64();
            let unit = (want.abs().log2().floor().max(-14.0) - 10.0).exp2();
            (want.abs() < 65_504.0).then(|| ((found - want).abs(), (found - want).abs() / unit))
        });
        errors.fold((0.0, 0.0), |(a, b): (f64, f64), (c, d)| (a.max(c), b.max(d)))
    }

    #[test]
    fn errors_are_as_large_as_documented() {
        // B.2(10): 3.4e-3, 1.6e-3, 8.6e-4, 6.3e-4, 6.2e-3 and 1.5e-2, with half a unit of the last
        // digit given. The worst found must be at least that share of it.
        for (f, least, greatest, documented, share) in [
            (Unary::Sigmoid, -65_504.0, 65_504.0, 3.45e-3, 0.9),
            (Unary::Tanh, -65_504.0, 65_504.0, 1.65e-3, 0.9),
            (Unary::Erf, -1.999, 1.999, 8.65e-4, 0.5),
            (Unary::Sin, -FRAC_PI_2, FRAC_PI_2, 6.35e-4, 0.5),
            (Unary::GeluExact, -65_504.0, 65_504.0, 6.25e-3, 0.9),
            (Unary::Silu, -65_504.0, 65_504.0, 1.55e-2, 0.9),
        ] {
            let (error, _) = worst(f, least, greatest);
            let range = documented * share..=documented;
            assert!(range.contains(&error), "{f:?}: {error:e} is not in {range:?}");
        }
        for (f, least, documented) in [
            (Unary::Exp, -20.0, 9.1),
            (Unary::Log, 6.2e-5, 91.0),
            (Unary::Sqrt, 0.0, 1.2),
            (Unary::Rsqrt, 6.2e-5, 2.1),
            (Unary::Inverse, 6.2e-5, 13.5),
        ] {
            let (_, units) = worst(f, least, 65_504.0);
            assert!(units <= documented, "{f:?}: {units} units, documented {documented}");
        }
    }

    #[test]
    fn the_modes_of_gelu_are_one_table_and_silu_is_not_x_times_sigmoid() {
        let m6 = Profile::named("m6").unwrap().arithmetic;
        for x in inputs(-10.0, 10.0) {
            let [exact, tanh] =
                [Unary::GeluExact, Unary::GeluTanh].map(|f| m6.unary(f, x, 0.0, 0.0));
            assert_eq!(exact, tanh, "gelu({x})");
        }
        let x = f16::from_f32(0.25);
        let composed = m6.mul(x, m6.unary(Unary::Sigmoid, x, 0.0, 0.0));
        assert_ne!(m6.unary(Unary::Silu, x, 0.0, 0.0), composed);
    }

    #[test]
    fn ends_and_infinities() {
        let m6 = Profile::named("m6").unwrap().arithmetic;
        let at = |f, x: f32| m6.unary(f, f16::from_f32(x), 0.0, 0.0).to_f32();
        assert_eq!(at(Unary::Tanh, 4.0), 1.0);
        assert!(at(Unary::Tanh, 3.998) < 0.999_6, "a jump at 4 (B.2(10))");
        assert_eq!(at(Unary::Sigmoid, 100.0), at(Unary::Sigmoid, 8.0));
        assert_eq!(at(Unary::Silu, f32::NEG_INFINITY), 0.0);
        assert_eq!(at(Unary::GeluExact, f32::INFINITY), f32::INFINITY);
        assert_eq!(
            (at(Unary::Exp, f32::NEG_INFINITY), at(Unary::Exp, f32::INFINITY)),
            (0.0, f32::INFINITY)
        );
        assert_eq!(
            (at(Unary::Exp, 0.0), at(Unary::Sin, 0.0), at(Unary::Erf, -3.0)),
            (1.0, 0.0, -1.0)
        );
        assert_eq!(at(Unary::Exp, f32::NAN), f32::INFINITY, "NaN is read as infinity (B.2(9))");
        let m1 = Profile::named("m1").unwrap().arithmetic;
        assert!(m1.unary(Unary::Tanh, f16::NAN, 0.0, 0.0).is_nan());
    }
}
