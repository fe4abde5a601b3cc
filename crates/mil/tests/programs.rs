//! Every program of the catalogue: through both dialects and the protobuf and back, and evaluated.

#![allow(clippy::unwrap_used, clippy::panic)]

mod catalogue;

use std::collections::BTreeSet;

use aneal_mil::blob::Weights;
use aneal_mil::coreml::Package;
use aneal_mil::eval::{Arithmetic, Exact, Half, evaluate};
use aneal_mil::{DType, Dialect, OpDef, check, text};
use catalogue::{layer, unrolled};

#[test]
fn every_operation_has_a_program() {
    let cases = catalogue::all();
    let operations = cases.iter().flat_map(|case| &case.program.functions);
    let seen: BTreeSet<_> =
        operations.flat_map(|f| &f.operations).map(|operation| operation.def.name).collect();
    let missing: Vec<_> =
        OpDef::all().iter().map(|op| op.name).filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "no program has {missing:?}");
}

#[test]
fn every_format_gives_the_same_program() {
    for case in catalogue::all() {
        check(&case.program).unwrap();
        let package = Package::new(case.program.clone(), &Weights::new()).unwrap();
        for program in [&case.program, &package.program] {
            for dialect in [Dialect::Modern, Dialect::Verbose] {
                let printed = text::print(program, dialect);
                let read = text::parse(&printed).unwrap_or_else(|e| panic!("{}: {e}", case.name));
                assert_eq!(&read, program, "{} in {dialect:?}", case.name);
            }
        }
        let read = Package::decode_model(&package.model().unwrap());
        let mut read = read.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        assert_eq!(read, package.program, "{} as protobuf", case.name);
        package.weights.load_into(&mut read).unwrap();
        assert_eq!(read, case.program, "{} with its weights loaded", case.name);
    }
}

#[test]
fn a_whole_model_comes_back() {
    let program = aneal_mil::Program::new(vec![unrolled::function(unrolled::LARGE).unwrap()]);
    check(&program).unwrap();
    for dialect in [Dialect::Modern, Dialect::Verbose] {
        let printed = text::print(&program, dialect);
        assert!(printed.lines().count() > 20_000, "{} lines", printed.lines().count());
        let read = text::parse(&printed).unwrap();
        assert!(read == program, "another program in {dialect:?}");
        assert!(text::print(&read, dialect) == printed, "another text in {dialect:?}");
    }
}

#[test]
fn packages_on_disk_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layer.mlpackage");
    let program = aneal_mil::Program::new(vec![layer::forward(layer::Dims::GOLFWIDE).unwrap()]);
    for _ in 0..2 {
        let package = Package::new(program.clone(), &Weights::new()).unwrap();
        package.write(&path).unwrap();
        let mut read = Package::read(&path).unwrap();
        read.weights.load_into(&mut read.program).unwrap();
        assert_eq!(read.program, program);
    }
    let other = dir.path().join("mine");
    std::fs::create_dir(&other).unwrap();
    let package = Package::new(program, &Weights::new()).unwrap();
    assert!(package.write(&other).is_err(), "a folder that is no package is left alone");
}

#[test]
fn rounding_each_result_stays_near_the_exact_ones() {
    for case in catalogue::all().into_iter().filter(|case| case.evaluated) {
        for function in &case.program.functions {
            let inputs = catalogue::inputs(function, case.range, 3);
            let run = |a: &dyn Arithmetic| evaluate(function, &Weights::new(), &inputs, a).unwrap();
            let (exact, half) = (run(&Exact), run(&Half));
            for (name, want) in &exact {
                let scale = want.values.iter().fold(1e-3_f64, |a, v| a.max(v.abs()));
                for (w, g) in want.values.iter().zip(&half[name].values) {
                    // Steps of rounding (`floor`, `quantize`) may fall to the other side, by one.
                    let error = (w - g).abs() / scale;
                    assert!(error < 0.4, "{} {name}: {g} for {w}", case.name);
                }
            }
        }
    }
}

/// Keeps every result as it comes, so that differences of nearby results are meaningful.
struct Unrounded;

impl Arithmetic for Unrounded {
    fn store(&self, value: f64, _: DType) -> f64 {
        value
    }
}

/// The backward program against central differences of the forward program, every input of both.
#[test]
fn the_backward_layer_is_the_gradient_of_the_forward_layer() {
    const STEP: f64 = 1e-4;
    let dims = layer::Dims::SMALL;
    let (forward, backward) = (layer::forward(dims).unwrap(), layer::backward(dims).unwrap());
    let none = Weights::new();
    let mut inputs = catalogue::inputs(&backward, (-1.0, 1.0), 5);
    let dy = inputs["i01_dy"].clone();
    let gradients = evaluate(&backward, &none, &inputs, &Unrounded).unwrap();
    inputs.remove("i01_dy");
    let pairs = [
        ("x", "o00_dx"),
        ("g1", "o01_dg1"),
        ("wq", "o02_dwq"),
        ("wk", "o03_dwk"),
        ("wv", "o04_dwv"),
        ("wo", "o05_dwo"),
        ("g2", "o06_dg2"),
        ("w1", "o07_dw1"),
        ("w3", "o08_dw3"),
        ("w2", "o09_dw2"),
    ];
    let names: Vec<String> = forward.input_ids().map(|id| forward.value(id).name.clone()).collect();
    let given: std::collections::BTreeMap<_, _> = names
        .iter()
        .map(|name| {
            let label = name.split_once('_').unwrap().1;
            let twin = inputs.keys().find(|key| key.ends_with(&format!("_{label}"))).unwrap();
            (name.clone(), inputs[twin].clone())
        })
        .collect();
    let loss = |inputs: &std::collections::BTreeMap<String, aneal_mil::eval::Tensor>| -> f64 {
        let out = evaluate(&forward, &none, inputs, &Unrounded).unwrap();
        out["o00_y"].values.iter().zip(&dy.values).map(|(y, dy)| y * dy).sum()
    };
    for (label, output) in pairs {
        let name = names.iter().find(|name| name.ends_with(&format!("_{label}"))).unwrap();
        let gradient = &gradients[output].values;
        for at in [0, gradient.len() / 3, gradient.len() - 1] {
            let [plus, minus] = [STEP, -STEP].map(|step| {
                let mut moved = given.clone();
                moved.get_mut(name).unwrap().values[at] += step;
                loss(&moved)
            });
            let slope = (plus - minus) / (2.0 * STEP);
            let error = (slope - gradient[at]).abs();
            assert!(
                error < 1e-5 * (1.0 + slope.abs()),
                "{label}[{at}]: {} vs {slope}",
                gradient[at]
            );
        }
    }
}

/// The same for every gradient of the whole model, whose one function has both directions.
#[test]
fn the_whole_model_has_the_gradients_of_its_output() {
    const STEP: f64 = 1e-4;
    let function = unrolled::function(layer::Dims::SMALL).unwrap();
    let given = catalogue::inputs(&function, (-1.0, 1.0), 7);
    let run = |inputs: &_| evaluate(&function, &Weights::new(), inputs, &Unrounded).unwrap();
    let gradients = run(&given);
    for (name, input) in given.iter().filter(|(name, _)| *name != "dy") {
        let output = match name.split_once('_') {
            Some((layer, weight)) => format!("{layer}_d{weight}"),
            None => format!("d{name}"),
        };
        for at in [0, input.values.len() / 2] {
            let loss = |step: f64| -> f64 {
                let mut moved = given.clone();
                moved.get_mut(name).unwrap().values[at] += step;
                let y = &run(&moved)["y"].values;
                y.iter().zip(&given["dy"].values).map(|(y, dy)| y * dy).sum()
            };
            let slope = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
            let got = gradients[&output].values[at];
            let error = (slope - got).abs();
            assert!(error < 1e-5 * (1.0 + slope.abs()), "{output}[{at}]: {got} vs {slope}");
        }
    }
}
