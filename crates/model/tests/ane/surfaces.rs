//! Filling and reading surfaces as their blocks say. Activations are `[channels, tokens]`.

use std::collections::{BTreeMap, HashMap};

use aneal_mil::blob::Weights;
use aneal_mil::eval::{Exact, Tensor, evaluate};
use aneal_mil::{Function, ValueId};
use aneal_model::Params;
use aneal_model::ane::{Activation, Content, KernelSpec, Surface};

pub(crate) type Activations = HashMap<Activation, Vec<f32>>;

/// Evaluates a program without rounding to 16 bits: from activations and a layer's weights to its
/// outputs.
pub(crate) fn run(
    kernel: &KernelSpec,
    known: &Activations,
    params: &Params,
    layer: usize,
) -> Vec<(Content, Vec<f32>)> {
    let function = &kernel.function;
    let ids: Vec<ValueId> = function.input_ids().collect();
    assert_eq!(ids.len(), kernel.inputs.len(), "{}", kernel.name);
    let inputs = ids.iter().zip(&kernel.inputs).map(|(id, surface)| {
        check(function, *id, surface);
        let values = fill(surface, known, params, layer);
        (surface.name.clone(), Tensor { ty: function.ty(*id), values })
    });
    let inputs: BTreeMap<_, _> = inputs.collect();
    let outputs = evaluate(function, &Weights::new(), &inputs, &Exact).unwrap();
    assert_eq!(function.outputs.len(), kernel.outputs.len(), "{}", kernel.name);
    let read = function.outputs.iter().zip(&kernel.outputs).flat_map(|(id, surface)| {
        check(function, *id, surface);
        read(surface, &outputs[&surface.name].to_f32())
    });
    read.collect()
}

/// A surface is what the function says, and its blocks cover it once.
fn check(function: &Function, id: ValueId, surface: &Surface) {
    let value = function.value(id);
    assert_eq!(value.name, surface.name);
    assert_eq!(value.ty.shape.width(), surface.columns);
    assert_eq!(value.ty.shape.elements(), surface.rows * surface.columns);
    let mut covered = vec![0; surface.rows * surface.columns];
    for block in &surface.blocks {
        for row in block.rows.clone() {
            for column in block.columns.clone() {
                covered[row * surface.columns + column] += 1;
            }
        }
    }
    assert!(covered.iter().all(|&times| times == 1), "{}: {surface:?}", function.name);
}

fn fill(surface: &Surface, known: &Activations, params: &Params, layer: usize) -> Vec<f64> {
    let mut values = vec![f64::NAN; surface.rows * surface.columns];
    for block in &surface.blocks {
        let (high, wide) = (block.rows.len(), block.columns.len());
        let at: Box<dyn Fn(usize, usize) -> f32> = match block.content {
            Content::Gradient(weight) => panic!("{weight:?} has no gradient before it is computed"),
            Content::Activation(activation) => {
                let matrix = &known[&activation];
                assert_eq!(matrix.len(), high * wide, "{activation:?}");
                Box::new(move |row, column| matrix[row * wide + column])
            }
            Content::Weight(weight) => {
                let spec = params.layout().find(&weight.tensor(layer)).unwrap();
                let matrix = params.slice(&spec.slot);
                if weight.transposed {
                    assert_eq!(spec.shape, [wide, high], "{weight:?}");
                    Box::new(move |row, column| matrix[column * high + row])
                } else {
                    let gain = spec.shape == [wide] && high == 1;
                    assert!(gain || spec.shape == [high, wide], "{weight:?}");
                    Box::new(move |row, column| matrix[row * wide + column])
                }
            }
        };
        for row in 0..high {
            for column in 0..wide {
                let place =
                    (block.rows.start + row) * surface.columns + block.columns.start + column;
                values[place] = f64::from(at(row, column));
            }
        }
    }
    values
}

fn read(surface: &Surface, values: &[f32]) -> Vec<(Content, Vec<f32>)> {
    let blocks = surface.blocks.iter().map(|block| {
        let rows = block.rows.clone().map(|row| &values[row * surface.columns..]);
        let matrix = rows.flat_map(|row| &row[block.columns.clone()]).copied().collect();
        (block.content, matrix)
    });
    blocks.collect()
}
