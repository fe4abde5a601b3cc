//! Rules about inputs, outputs and names.

use super::scan::Scan;
use super::{Hit, Limits};
use crate::{DType, ValueId};

/// Names that gave zeros on M1.
const RESERVED: &[&str] =
    &["var", "diff", "mean", "std", "eps", "x", "y", "mul", "add", "rsqrt", "c", "C"];

pub(super) fn order(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let written: Vec<ValueId> = scan.function.input_ids().collect();
    let pairs = [
        ("input", written, scan.function.bound_inputs()),
        ("output", scan.function.outputs.clone(), scan.function.bound_outputs()),
    ];
    let mut hits = Vec::new();
    for (what, written, bound) in pairs {
        for (place, (own, first)) in written.iter().zip(&bound).enumerate() {
            if own != first {
                let found = format!(
                    "{what} {place} as written, but `{}` is bound there",
                    scan.name(*first)
                );
                hits.push(Hit::new(scan.name(*own), found));
            }
        }
    }
    hits
}

pub(super) fn many_inputs(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    let extra = scan.function.input_ids().skip(limits.inputs);
    extra
        .take(1)
        .map(|id| Hit::new(scan.name(id), format!("{} inputs", scan.function.inputs)))
        .collect()
}

pub(super) fn several_inputs(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let extra = scan.function.input_ids().skip(1);
    extra
        .take(1)
        .map(|id| Hit::new(scan.name(id), format!("{} inputs", scan.function.inputs)))
        .collect()
}

pub(super) fn uniform(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let sizes = |ids: Vec<ValueId>| -> Vec<(ValueId, usize)> {
        ids.into_iter().map(|id| (id, scan.function.ty(id).bytes())).collect()
    };
    let inputs = sizes(scan.function.bound_inputs());
    let outputs = sizes(scan.function.bound_outputs());
    let falls =
        inputs.windows(2).find(|pair| pair[0].1 > pair[1].1).map(|pair| (pair[1].0, "smaller"));
    let rises =
        outputs.windows(2).find(|pair| pair[0].1 < pair[1].1).map(|pair| (pair[1].0, "larger"));
    let hit = |(id, how)| Hit::new(scan.name(id), format!("{how} than the one bound before it"));
    falls.into_iter().chain(rises).map(hit).collect()
}

pub(super) fn unused(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    // Values that an output depends on.
    let mut live = vec![false; scan.function.values.len()];
    // Values that depend on an input.
    let mut fed = vec![false; scan.function.values.len()];
    for id in &scan.function.outputs {
        live[id.index()] = true;
    }
    for op in scan.function.operations.iter().rev() {
        if op.results.iter().any(|id| live[id.index()]) {
            op.uses().for_each(|id| live[id.index()] = true);
        }
    }
    scan.function.input_ids().for_each(|id| fed[id.index()] = true);
    for op in &scan.function.operations {
        let from_input = op.uses().any(|id| fed[id.index()]);
        op.results.iter().for_each(|id| fed[id.index()] = from_input);
    }
    let dead = scan.function.input_ids().filter(|id| !live[id.index()]);
    let dead = dead.map(|id| Hit::new(scan.name(id), "no output depends on this input"));
    let unfed = scan.function.outputs.iter().filter(|id| !fed[id.index()]);
    let unfed = unfed.map(|id| Hit::new(scan.name(*id), "this output depends on no input"));
    dead.chain(unfed).collect()
}

pub(super) fn reserved(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let names = scan.function.values.iter().map(|value| value.name.as_str());
    let bad = names.filter(|name| RESERVED.contains(name));
    bad.map(|name| Hit::new(name, "this name")).collect()
}

pub(super) fn wide_interface(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let wide = scan.interface().filter(|id| scan.function.ty(*id).dtype == DType::Fp32);
    wide.map(|id| Hit::new(scan.name(id), "fp32 in the interface")).collect()
}
