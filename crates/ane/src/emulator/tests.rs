//! The planned way against the plain one: every operation and a whole layer, on every profile's
//! arithmetic, gives the bits that the reference evaluator gives with the same arithmetic.

use std::collections::BTreeMap;

use aneal_mil::blob::Weights;
use aneal_mil::eval::{self, Tensor};
use aneal_mil::{Function, OpDef};
use half::f16;

use super::device::Device;
use super::memory::HostMemory;
use super::plan::Plan;
use super::product::Mode;
use super::run::{Buffers, Input};
use crate::Profile;
use crate::engine::{Memory, RowLayout};

#[path = "../../../mil/tests/catalogue/mod.rs"]
mod catalogue;

/// A surface that holds a tensor.
fn memory(tensor: &Tensor) -> HostMemory {
    let layout = RowLayout::of(tensor.ty);
    let memory = HostMemory::new(layout.bytes()).unwrap();
    let literal = tensor.to_literal().unwrap();
    let rows = literal.bytes().unwrap().chunks(layout.used_bytes);
    let mut bytes = memory.lock_mut().unwrap();
    for (row, values) in bytes.chunks_exact_mut(layout.row_bytes).zip(rows) {
        row[..values.len()].copy_from_slice(values);
    }
    drop(bytes);
    memory
}

/// The outputs of the planned function, by name.
fn planned(
    function: &Function,
    profile: &Profile,
    inputs: &BTreeMap<String, Tensor>,
    mode: Mode,
) -> BTreeMap<String, Tensor> {
    let plan = Plan::new(function, &Weights::new(), profile, &[]).unwrap();
    let bound = function.bound_inputs();
    let memories: Vec<_> =
        bound.iter().map(|id| memory(&inputs[&function.value(*id).name])).collect();
    let locked: Vec<_> = memories
        .iter()
        .zip(&bound)
        .map(|(memory, id)| Input {
            bytes: memory.try_read().unwrap(),
            layout: RowLayout::of(function.ty(*id)),
        })
        .collect();
    let mut buffers = Buffers::default();
    // Twice: what a run leaves in its buffers is nothing to the next.
    for _ in 0..2 {
        plan.run(&locked, &mut buffers, mode).unwrap();
    }
    let outputs = function.bound_outputs().into_iter().enumerate().map(|(at, id)| {
        let layout = RowLayout::of(function.ty(id));
        let mut surface = vec![0xAA; layout.bytes() + 64];
        plan.write(at, &buffers, &mut surface, &layout).unwrap();
        assert!(surface[layout.bytes()..].iter().all(|&b| b == 0xAA), "wrote past its rows");
        let rows = surface.chunks_exact(layout.row_bytes).take(layout.rows);
        let bytes: Vec<u8> = rows.flat_map(|row| row[..layout.used_bytes].to_vec()).collect();
        let literal = aneal_mil::Literal::from_bytes(layout.ty, bytes).unwrap();
        (function.value(id).name.clone(), Tensor::from_literal(&literal).unwrap())
    });
    outputs.collect()
}

/// Units in the last place between two fp16 values; every NaN is the same.
fn distance(a: f64, b: f64) -> u32 {
    let place = |v: f64| {
        let bits = i32::from(f16::from_f64(v).to_bits());
        if bits & 0x8000 == 0 { bits } else { -(bits & 0x7FFF) }
    };
    if a.is_nan() && b.is_nan() { 0 } else { place(a).abs_diff(place(b)) }
}

/// Operations whose planned way sums exponentials in f32 instead of f64.
fn sums_exponentials(function: &Function) -> bool {
    let names = ["softmax", "reduce_log_sum_exp"];
    function.operations.iter().any(|operation| names.contains(&operation.def.name))
}

#[test]
fn every_operation_computes_as_the_reference_evaluator_does() {
    let cases: Vec<_> = catalogue::all().into_iter().filter(|case| case.evaluated).collect();
    let seen = cases.iter().flat_map(|case| &case.program.functions).flat_map(|f| &f.operations);
    let seen: std::collections::BTreeSet<_> = seen.map(|operation| operation.def.name).collect();
    assert_eq!(seen.len(), OpDef::all().len(), "the catalogue has every operation");
    let mut compared = 0;
    for profile in Profile::all().unwrap() {
        let device = Device(&profile.arithmetic);
        for case in &cases {
            for function in &case.program.functions {
                let inputs = catalogue::inputs(function, case.range, 11);
                let want = eval::evaluate(function, &Weights::new(), &inputs, &device).unwrap();
                let found = planned(function, &profile, &inputs, Mode::Exact);
                for (name, want) in &want {
                    let scale = want.values.iter().fold(0.0_f64, |max, v| max.max(v.abs()));
                    for (at, (want, found)) in
                        want.values.iter().zip(&found[name].values).enumerate()
                    {
                        let place = format!("{}, {}, {name}[{at}]", profile.name, case.name);
                        let near = match sums_exponentials(function) {
                            false => distance(*want, *found) == 0,
                            true if function.operations.len() < 10 => distance(*want, *found) <= 1,
                            // A last bit of softmax moves everything behind it.
                            true => (want - found).abs() <= 1e-2 * scale,
                        };
                        assert!(near, "{place}: {found}, expected {want}");
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 10_000, "{compared} values");
}

#[test]
fn fast_arithmetic_stays_near_the_exact_one() {
    for profile in Profile::all().unwrap() {
        for case in catalogue::all().into_iter().filter(|case| case.evaluated) {
            for function in &case.program.functions {
                let inputs = catalogue::inputs(function, case.range, 11);
                let exact = planned(function, &profile, &inputs, Mode::Exact);
                let fast = planned(function, &profile, &inputs, Mode::Fast);
                for (name, exact) in &exact {
                    let scale = exact.values.iter().fold(1e-3_f64, |max, v| max.max(v.abs()));
                    for (exact, fast) in exact.values.iter().zip(&fast[name].values) {
                        let off = (exact - fast).abs() / scale;
                        let place = format!("{}, {}, {name}", profile.name, case.name);
                        assert!(off <= 1e-2 || exact == fast, "{place}: {fast}, exact {exact}");
                    }
                }
            }
        }
    }
}
