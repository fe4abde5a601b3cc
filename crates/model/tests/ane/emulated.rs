//! The programs of fused plans in the arithmetic of emulated engines, beside exact arithmetic: what a
//! device's sums, roundings and defects leave of them.

use std::collections::BTreeMap;

use aneal_ane::Profile;
use aneal_ane::emulator::{Emulator, Mode};
use aneal_ane::engine::{Engine, Request, Source, Surface};
use aneal_mil::Dialect;
use aneal_mil::blob::Weights;
use aneal_mil::eval::{Exact, Tensor, evaluate};
use aneal_model::ModelConfig;
use aneal_model::ane::{Content, KernelSpec, Plan, Target};
use aneal_model::philox::{Philox, Stream};
use half::f16;

/// Values as large as in training, of each input in the order written: streams and their gradients
/// about 1 (trainers scale the loss), weights of 96 columns and less about 0.1, gains about 1.
fn inputs(spec: &KernelSpec) -> Vec<Vec<f16>> {
    let of = |(place, surface): (usize, &aneal_model::ane::Surface)| {
        let random = Philox::new(place as u64, Stream::Data);
        let (middle, spread) = match surface.blocks[0].content {
            Content::Weight(_) if surface.rows == 1 => (1.0, 0.2),
            Content::Weight(_) => (0.0, 0.2),
            Content::Activation(_) | Content::Gradient(_) => (0.0, 2.0),
        };
        let elements = (surface.rows * surface.columns) as u64;
        let value = |i| f16::from_f64(middle + spread * (2.0 * random.uniform(i) - 1.0));
        (0..elements).map(value).collect()
    };
    spec.inputs.iter().enumerate().map(of).collect()
}

fn exact(spec: &KernelSpec, inputs: &[Vec<f16>]) -> Vec<Vec<f64>> {
    let function = &spec.function;
    let tensor = |((id, values), surface): ((_, &Vec<f16>), &aneal_model::ane::Surface)| {
        let values = values.iter().map(|v| f64::from(*v)).collect();
        (surface.name.clone(), Tensor { ty: function.ty(id), values })
    };
    let named = function.input_ids().zip(inputs).zip(&spec.inputs).map(tensor);
    let named: BTreeMap<_, _> = named.collect();
    let outputs = evaluate(function, &Weights::new(), &named, &Exact).unwrap();
    spec.outputs.iter().map(|surface| outputs[&surface.name].values.clone()).collect()
}

fn on_engine(spec: &KernelSpec, inputs: &[Vec<f16>], engine: &dyn Engine) -> Vec<Vec<f16>> {
    let (program, tables) = spec.program().unwrap();
    let source = Source::new(&program, Dialect::Modern, &tables);
    let kernel = engine.compile(&source).unwrap_or_else(|error| panic!("{}: {error}", spec.name));
    let [procedure] = kernel.procedures() else { panic!("{} has several", spec.name) };
    let make = |symbols: &[aneal_ane::engine::Symbol]| -> Vec<Surface> {
        symbols.iter().map(|symbol| engine.surface(symbol.layout.bytes()).unwrap()).collect()
    };
    let (read, written) = (make(&procedure.inputs), make(&procedure.outputs));
    for (place, symbol) in procedure.inputs.iter().enumerate() {
        assert_eq!(symbol.name, spec.inputs[place].name, "bound as written (C24)");
        read[place].write_halves(&symbol.layout, &inputs[place]).unwrap();
    }
    kernel.evaluate(&Request::new(procedure, &read, &written)).unwrap();
    let outputs = procedure.outputs.iter().zip(&written).zip(&spec.outputs);
    outputs
        .map(|((symbol, surface), said)| {
            assert_eq!(symbol.name, said.name);
            let mut values = vec![f16::ZERO; said.rows * said.columns];
            surface.read_halves(&symbol.layout, &mut values).unwrap();
            values
        })
        .collect()
}

#[test]
fn engines_compute_what_exact_arithmetic_does() {
    let config = ModelConfig {
        vocab_size: 90,
        dim: 64,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        hidden: 96,
        seq_len: 32,
        ..ModelConfig::preset("golfwide").unwrap()
    };
    for device in ["m1", "m3-ultra", "m4-pro", "m4-max", "m5-max", "m6"] {
        let profile = Profile::named(device).unwrap();
        let engine = Emulator::new(profile.clone(), Mode::Exact);
        for name in ["fused", "fused-kept-worker"] {
            let target = Target { model: &config, profile: &profile, sequences: 2, seq_len: 32 };
            for spec in &Plan::named(name, &target).unwrap().kernels {
                let inputs = inputs(spec);
                let outputs =
                    exact(spec, &inputs).into_iter().zip(on_engine(spec, &inputs, &engine));
                for ((want, got), surface) in outputs.zip(&spec.outputs) {
                    let norm = want.iter().map(|v| v * v).sum::<f64>().sqrt();
                    let off = want.iter().zip(&got).map(|(w, g)| (w - f64::from(*g)).powi(2));
                    let error = off.sum::<f64>().sqrt() / norm;
                    let what = &surface.blocks[0].content;
                    assert!(error < 1e-2, "{} on {device}: {what:?} is off by {error}", spec.name);
                }
            }
        }
    }
}
