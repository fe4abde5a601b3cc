//! Writes every program of the tests' catalogue into a folder, for the checks in Python: as text in
//! both dialects, as a Core ML package, with its weight file, inputs, and what the evaluator makes
//! of them. And the faulty programs.
//!
//! usage: export FOLDER

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/catalogue/mod.rs"]
mod catalogue;

use std::fs;
use std::path::Path;

use aneal_mil::blob::{Weights, Writer};
use aneal_mil::coreml::Package;
use aneal_mil::eval::{Arithmetic, Exact, Half, Tensor, evaluate};
use aneal_mil::{DType, Dialect, Function, Literal, OpDef, Shape, Type, ValueId, text};
use catalogue::Random;
use serde_json::{Value, json};

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| panic!("usage: export FOLDER"));
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).unwrap();
    let cases: Vec<Value> = catalogue::all().iter().map(|case| export(folder, case)).collect();
    let index = json!({ "cases": cases, "operations": operations(), "blobs": blobs(folder) });
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
    faults(folder);
}

/// What a name stands for, under one arithmetic.
type Values<'a> = &'a dyn Fn(&str) -> Vec<f32>;

fn export(folder: &Path, case: &catalogue::Case) -> Value {
    let place = folder.join(&case.name);
    fs::create_dir_all(&place).unwrap();
    let package = Package::new(case.program.clone(), &Weights::new()).unwrap();
    package.write(&place.join("model.mlpackage")).unwrap();
    for (dialect, file) in [(Dialect::Modern, "modern.mil"), (Dialect::Verbose, "verbose.mil")] {
        fs::write(place.join(file), text::print(&package.program, dialect)).unwrap();
    }
    if let Some(bytes) = package.weights.get(Weights::CORE_ML) {
        fs::create_dir_all(place.join("weights")).unwrap();
        fs::write(place.join("weights/weight.bin"), bytes).unwrap();
    }
    let functions = package.program.functions.iter().map(|function| {
        if !case.evaluated {
            return json!({ "name": function.name });
        }
        let inputs = catalogue::inputs(function, case.range, 11);
        let run = |a: &dyn Arithmetic| evaluate(function, &package.weights, &inputs, a).unwrap();
        let (exact, half) = (run(&Exact), run(&Half));
        let list = |ids: Vec<ValueId>, sets: &[(&str, Values<'_>)]| -> Vec<Value> {
            let of = |id: ValueId| {
                let name = &function.value(id).name;
                let mut entry = describe(function, id);
                for (key, values) in sets {
                    let file = format!("{}.{name}.{key}", function.name);
                    save(&place.join(&file), &values(name));
                    entry[*key] = json!(file);
                }
                entry
            };
            ids.into_iter().map(of).collect()
        };
        let given = |name: &str| Tensor::to_f32(&inputs[name]);
        json!({
            "name": function.name,
            "inputs": list(function.input_ids().collect(), &[("values", &given)]),
            "outputs": list(function.outputs.clone(), &[
                ("exact", &|name| exact[name].to_f32()),
                ("half", &|name| half[name].to_f32()),
            ]),
        })
    });
    let functions: Vec<Value> = functions.collect();
    json!({ "name": case.name, "functions": functions, "evaluated": case.evaluated })
}

fn describe(function: &Function, id: ValueId) -> Value {
    let value = function.value(id);
    json!({ "name": value.name, "dtype": value.ty.dtype.name(), "shape": value.ty.shape.dims() })
}

fn save(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(path, bytes).unwrap();
}

/// The table of operations, to be compared with coremltools' own.
fn operations() -> Vec<Value> {
    let table = OpDef::all().iter().map(|op| {
        let params = op.params.iter().map(|param| {
            let types: Vec<_> = DType::all().filter(|d| param.takes(*d)).map(DType::name).collect();
            json!({ "name": param.name, "required": param.required, "constant": param.constant,
                    "types": types })
        });
        let params: Vec<Value> = params.collect();
        json!({ "name": op.name, "since": op.since.name(), "params": params })
    });
    table.collect()
}

/// The faulty programs and their sound twins, with the weight file that some of them name.
fn faults(folder: &Path) {
    let place = folder.join("faults");
    fs::create_dir_all(place.join("weights")).unwrap();
    let mut writer = Writer::new();
    let weights = Literal::from_floats(Type::fp16(&[4]).unwrap(), &[1.0, 2.0, 3.0, 4.0]).unwrap();
    writer.push(&weights).unwrap();
    fs::write(place.join("weights/weight.bin"), writer.finish()).unwrap();
    let faults = catalogue::faults::all().into_iter().map(|fault| {
        assert!(text::parse(&fault.faulty).is_err(), "{} is accepted", fault.name);
        json!({ "name": fault.name, "text": fault.faulty, "sound": fault.sound })
    });
    let faults: Vec<Value> = faults.collect();
    fs::write(place.join("faults.json"), json!(faults).to_string()).unwrap();
}

/// Random weight files with what is in them, to be compared byte for byte.
fn blobs(folder: &Path) -> Vec<Value> {
    const FILES: usize = 60;
    let stored: Vec<DType> = DType::all()
        .filter(|d| {
            let ty = Type::new(*d, Shape::new(&[1]).unwrap());
            Literal::from_bytes(ty, vec![0; ty.bytes()])
                .is_ok_and(|l| Writer::new().push(&l).is_ok())
        })
        .collect();
    let mut random = Random::new(1);
    let place = folder.join("blobs");
    fs::create_dir_all(&place).unwrap();
    (0..FILES)
        .map(|index| {
            let mut writer = Writer::new();
            let entries = (0..1 + random.next() % 5).map(|_| {
                let dtype = stored[(random.next() % stored.len() as u64) as usize];
                let count = 1 + (random.next() % 200) as usize;
                let ty = Type::new(dtype, Shape::new(&[count]).unwrap());
                let literal = if dtype.is_float() {
                    random.tensor(ty, (-8.0, 8.0)).to_literal().unwrap()
                } else {
                    let (least, greatest) = dtype.range();
                    let span = (greatest - least + 1) as u64;
                    let draw = |_| (random.next() % span) as i64 + least as i64;
                    let values: Vec<i64> = (0..count).map(draw).collect();
                    Literal::from_integers(ty, &values).unwrap()
                };
                let values: Vec<f64> = match literal.floats() {
                    Some(values) => values.into_iter().map(f64::from).collect(),
                    None => literal.integers().unwrap().into_iter().map(|v| v as f64).collect(),
                };
                let offset = writer.push(&literal).unwrap();
                json!({ "dtype": dtype.name(), "values": values, "offset": offset })
            });
            let entries: Vec<Value> = entries.collect();
            let file = format!("{index}.bin");
            fs::write(place.join(&file), writer.finish()).unwrap();
            json!({ "file": file, "entries": entries })
        })
        .collect()
}
