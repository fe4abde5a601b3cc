//! Rules about values.

use super::scan::Scan;
use super::{Hit, Limits};
use crate::DType;

/// Hits on constants for which `found` says something of their values.
fn constants(scan: &Scan<'_>, found: impl Fn(&[f32]) -> Option<String>) -> Vec<Hit> {
    let consts = scan.function.operations.iter().filter(|op| op.def.is_const());
    let hits = consts.filter_map(|op| {
        let values = op.constant()?.floats()?;
        Some(Hit::new(scan.function.label(op), found(&values)?))
    });
    hits.collect()
}

pub(super) fn infinite(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    constants(scan, |values| {
        values.iter().find(|v| !v.is_finite()).map(|v| format!("a constant that holds {v}"))
    })
}

pub(super) fn small_epsilon(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    /// The least normal fp16.
    const NORMAL: f32 = 6.103_515_6e-5;
    scan.each(&["add"], |op| {
        let small = ["x", "y"].into_iter().find_map(|name| {
            let literal = scan.constant(op, name).filter(|l| l.ty().dtype == DType::Fp16)?;
            let values = literal.floats().filter(|values| values.len() == 1)?;
            values.into_iter().find(|v| v.abs() < NORMAL)
        });
        small.map(|v| format!("{v:e} is added"))
    })
}

pub(super) fn narrow_sums(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const LONG: usize = 1_024;
    scan.each(&["reduce_sum", "reduce_mean", "reduce_sum_square"], |op| {
        let (x, out) = (scan.ty(op, "x")?, scan.result(op)?);
        let terms = x.shape.elements() / out.shape.elements();
        (x.dtype == DType::Fp16 && terms > LONG).then(|| format!("a sum of {terms} in fp16"))
    })
}
