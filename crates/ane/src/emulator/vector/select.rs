//! Comparisons, and choices by their results. A truth value is an element that is not 0: the engine
//! has no other type on its way.

use aneal_kernels::simd::{self, Arch, Level, Work};
use aneal_mil::eval::Compare;
use half::f16;

use super::super::layout::View;
use super::nest::Nest;
use super::operands::{Operands, scratch};
use super::unit::{Unit, map};
use crate::Arithmetic;

/// 1 where `f(x, y)` holds, else 0, row-major. The operands are broadcast to equal dimensions, `out`
/// has as many elements. Values are compared as the element-wise unit reads them.
pub(crate) fn compare(
    arithmetic: &Arithmetic,
    f: Compare,
    x: View<'_>,
    y: View<'_>,
    out: &mut [f16],
) {
    compare_at(Level::best(), arithmetic, f, [x, y], out);
}

fn compare_at(
    level: Level,
    arithmetic: &Arithmetic,
    f: Compare,
    xy: [View<'_>; 2],
    out: &mut [f16],
) {
    let nest = Nest::new([&xy[0].layout, &xy[1].layout]);
    let (data, unit) = (xy.map(|view| view.data), Unit::new(arithmetic));
    nest.divide(out, 1, &|nest, out| {
        let scratch = scratch(&nest, data);
        let operands = Operands::new(nest, data, &scratch);
        simd::run(level, Comparison { operands, unit, out, f });
    });
}

struct Comparison<'a> {
    operands: Operands<'a, 2>,
    unit: Unit,
    out: &'a mut [f16],
    f: Compare,
}

impl Work for Comparison<'_> {
    type Output = ();

    #[inline(always)]
    fn run<A: Arch>(self) {
        let Self { operands, unit, out, f } = self;
        macro_rules! each {
            ($holds:expr) => {{
                let holds = $holds;
                operands.blocks(out, |x, out| {
                    map(unit, x, out, |[x, y]: [f32; 2]| if holds(x, y) { 1.0 } else { 0.0 });
                })
            }};
        }
        match f {
            Compare::And => each!(|x, y| (x != 0.0) & (y != 0.0)),
            Compare::Equal => each!(|x, y| x == y),
            Compare::Greater => each!(|x, y| x > y),
            Compare::GreaterEqual => each!(|x, y| x >= y),
            Compare::Less => each!(|x, y| x < y),
            Compare::LessEqual => each!(|x, y| x <= y),
            Compare::NotEqual => each!(|x, y| x != y),
            Compare::Or => each!(|x, y| (x != 0.0) | (y != 0.0)),
            Compare::Xor => each!(|x, y| (x != 0.0) != (y != 0.0)),
        }
    }
}

/// `a` where `cond` is not 0, else `b`, bit for bit and row-major. All are broadcast to equal
/// dimensions, `out` has as many elements.
pub(crate) fn select(cond: View<'_>, a: View<'_>, b: View<'_>, out: &mut [f16]) {
    let data = [cond.data, a.data, b.data];
    Nest::new([&cond.layout, &a.layout, &b.layout]).divide(out, 1, &|nest, out| {
        let scratch = scratch(&nest, data);
        Operands::new(nest, data, &scratch).blocks(out, |[cond, a, b], out| {
            for (out, ((cond, a), b)) in out.iter_mut().zip(cond.iter().zip(a).zip(b)) {
                *out = if cond.to_bits() & 0x7FFF != 0 { *a } else { *b };
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Source, arithmetics, assert_bits, dims, view_of};
    use super::*;

    const ALL: [Compare; 9] = [
        Compare::And,
        Compare::Equal,
        Compare::Greater,
        Compare::GreaterEqual,
        Compare::Less,
        Compare::LessEqual,
        Compare::NotEqual,
        Compare::Or,
        Compare::Xor,
    ];

    fn three() -> impl Strategy<Value = [Source; 3]> {
        dims(60).prop_flat_map(|dims| [dims.clone(), dims.clone(), dims].map(view_of))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn compares_and_chooses_as_defined(
            sources in three(), arithmetic in arithmetics(), f in prop::sample::select(&ALL[..]),
        ) {
            let [cond, x, y] = sources.each_ref().map(Source::view);
            let pairs = || x.iter().zip(y.iter());
            let mut out = vec![f16::NAN; x.layout.elements()];
            let holds = |(x, y)| f.apply(arithmetic.element(x), arithmetic.element(y));
            let want: Vec<f16> =
                pairs().map(|pair| if holds(pair) { f16::ONE } else { f16::ZERO }).collect();
            for &level in Level::supported() {
                compare_at(level, &arithmetic, f, [x, y], &mut out);
                assert_bits(&format!("{f:?} at {level:?}"), &out, &want);
            }
            select(cond, x, y, &mut out);
            let chosen = cond.iter().zip(pairs());
            let want: Vec<f16> =
                chosen.map(|(c, (x, y))| if c == f16::ZERO { y } else { x }).collect();
            assert_bits("select", &out, &want);
        }
    }
}
