//! Runs a plan: step after step over buffers that are kept from one run to the next.

use std::collections::HashMap;

use aneal_mil::eval::{self, Tensor};
use aneal_mil::{DType, Operation, ValueId};
use half::f16;
use rayon::prelude::*;

use super::defect::Spoil;
use super::device::Device;
use super::layout::{MatrixLayout, View};
use super::memory::Read;
use super::plan::{self, Groups, Holder, Output, Place, Plan, Step};
use super::product::{self, Bias, Mode, Operand};
use super::vector;
use crate::engine::RowLayout;
use crate::{Arithmetic, Error, Result};

/// The surface of an input, locked, and how its elements lie.
pub(super) struct Input<'a> {
    pub(super) bytes: Read<'a>,
    pub(super) layout: RowLayout,
}

/// Working memory of a run.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    halves: Vec<Vec<f16>>,
    /// Values of other types than fp16.
    tensors: HashMap<ValueId, Tensor>,
}

/// What steps read from.
struct Sources<'a> {
    inputs: &'a [&'a [f16]],
    constants: &'a [std::sync::Arc<[f16]>],
    halves: &'a [Vec<f16>],
}

impl Sources<'_> {
    fn data(&self, holder: Holder) -> &[f16] {
        match holder {
            Holder::Input(at) => self.inputs[at],
            Holder::Buffer(at) => &self.halves[at],
            Holder::Constant(at) => &self.constants[at],
        }
    }

    fn view(&self, place: &Place) -> View<'_> {
        View { data: self.data(place.holder), layout: place.layout }
    }
}

impl Plan {
    /// Computes every output from the inputs, which are in the order of the symbols.
    ///
    /// # Errors
    ///
    /// [`Error::Program`] from the reference evaluator, which only indices that are computed and out
    /// of range can cause.
    pub(super) fn run(
        &self,
        inputs: &[Input<'_>],
        buffers: &mut Buffers,
        mode: Mode,
    ) -> Result<()> {
        buffers.halves.resize_with(self.buffers.len(), Vec::new);
        for (buffer, &elements) in buffers.halves.iter_mut().zip(&self.buffers) {
            buffer.resize(elements, f16::ZERO);
        }
        for (at, id) in &self.wide_inputs {
            buffers.tensors.insert(*id, read_tensor(&inputs[*at])?);
        }
        let halves: Vec<&[f16]> = inputs.iter().map(|input| halves(&input.bytes)).collect();
        for step in &self.steps {
            self.step(step, &halves, buffers, mode)?;
        }
        Ok(())
    }

    /// Writes an output into its surface; bytes between rows are left as they are.
    pub(super) fn write(
        &self,
        output: usize,
        buffers: &Buffers,
        surface: &mut [u8],
        layout: &RowLayout,
    ) -> Result<()> {
        let rows = surface.chunks_exact_mut(layout.row_bytes).take(layout.rows);
        match &self.outputs[output] {
            Output::Half(place) => {
                let sources =
                    Sources { inputs: &[], constants: &self.constants, halves: &buffers.halves };
                let view = sources.view(place);
                let mut dense;
                let values = if place.layout.is_dense() {
                    &view.data[place.layout.offset..][..place.layout.elements()]
                } else {
                    dense = vec![f16::ZERO; place.layout.elements()];
                    vector::copy(view, &mut dense);
                    &dense[..]
                };
                for (row, values) in rows.zip(values.chunks_exact(layout.ty.shape.width())) {
                    row[..layout.used_bytes].copy_from_slice(bytemuck::cast_slice(values));
                }
            }
            Output::Wide(id) => {
                let tensor = buffers.tensors.get(id).or_else(|| self.tensors.get(id));
                let literal = tensor.ok_or_else(|| lost(*id))?.to_literal()?;
                let bytes = literal.bytes().unwrap_or_default();
                for (row, bytes) in rows.zip(bytes.chunks_exact(layout.used_bytes)) {
                    row[..layout.used_bytes].copy_from_slice(bytes);
                }
            }
        }
        Ok(())
    }

    fn step(
        &self,
        step: &Step,
        inputs: &[&[f16]],
        buffers: &mut Buffers,
        mode: Mode,
    ) -> Result<()> {
        let target = match step {
            Step::Copy { to, .. }
            | Step::Table { to, .. }
            | Step::Binary { to, .. }
            | Step::Concat { to, .. }
            | Step::Reduce { to, .. }
            | Step::Softmax { to, .. }
            | Step::Spoil { to, .. }
            | Step::Product { to, .. } => *to,
            Step::SpoilTensor { how, id } => {
                if let Some(tensor) = buffers.tensors.get_mut(id) {
                    spoil_tensor(*how, tensor);
                }
                return Ok(());
            }
            Step::Reference { operation, operands, results } => {
                let operation = &self.function.operations[*operation];
                return self.reference(operation, operands, results, inputs, buffers);
            }
        };
        // The buffer that is written is no source of the same step.
        let mut out = std::mem::take(&mut buffers.halves[target]);
        let sources = Sources { inputs, constants: &self.constants, halves: &buffers.halves };
        let view = |place: &Place| sources.view(place);
        let arithmetic = &self.arithmetic;
        match step {
            Step::Copy { from, .. } => vector::copy(view(from), room(&mut out, from)),
            Step::Table { table, from, .. } => table.apply(view(from), room(&mut out, from)),
            Step::Binary { f, x, y, .. } => {
                vector::binary(arithmetic, *f, view(x), view(y), room(&mut out, x));
            }
            Step::Concat { parts, axis, interleave, .. } => {
                let views: Vec<View<'_>> = parts.iter().map(view).collect();
                let elements = parts.iter().map(|part| part.layout.elements()).sum();
                vector::concat(&views, *axis, *interleave, &mut out[..elements]);
            }
            Step::Reduce { f, axes, from, .. } => {
                let dims = from.layout.dims().iter().enumerate();
                let kept = dims.filter(|(axis, _)| !axes.contains(axis));
                let elements = kept.map(|(_, dim)| dim).product();
                vector::reduce(arithmetic, *f, view(from), axes, &mut out[..elements]);
            }
            Step::Softmax { axis, tile, from, .. } => {
                vector::softmax(arithmetic, *tile, view(from), *axis, room(&mut out, from));
            }
            Step::Spoil { how, from, .. } => {
                let out = room(&mut out, from);
                vector::copy(view(from), out);
                how.apply(from.layout.dims(), out);
            }
            Step::Product { x, y, groups, bias, .. } => {
                let bias = bias.as_ref().map(|bias| {
                    let layout = &bias.place.layout;
                    let values = &sources.data(bias.place.holder)[layout.offset..];
                    (&values[..layout.elements()], bias.rows)
                });
                let (x, y) = (sources.data(x.holder), sources.data(y.holder));
                products(arithmetic, mode, [x, y], groups, bias, &mut out);
            }
            Step::SpoilTensor { .. } | Step::Reference { .. } => {}
        }
        buffers.halves[target] = out;
        Ok(())
    }

    /// An operation by the reference evaluator, with the device's arithmetic.
    fn reference(
        &self,
        operation: &Operation,
        operands: &[plan::Operand],
        results: &[plan::Target],
        inputs: &[&[f16]],
        buffers: &mut Buffers,
    ) -> Result<()> {
        let mut known = vec![None; self.function.values.len()];
        let sources = Sources { inputs, constants: &self.constants, halves: &buffers.halves };
        for operand in operands {
            let tensor = match &operand.place {
                Some(place) => {
                    let values = sources.view(place).iter().map(f16::to_f64).collect();
                    Some(Tensor { ty: self.function.ty(operand.id), values })
                }
                None => {
                    let tensor = buffers.tensors.get(&operand.id);
                    tensor.or_else(|| self.tensors.get(&operand.id)).cloned()
                }
            };
            known[operand.id.index()] = tensor;
        }
        let device = Device(&self.arithmetic);
        let computed = eval::operation(&self.function, operation, &self.weights, &known, &device)?;
        for (target, tensor) in results.iter().zip(computed) {
            match target.buffer {
                Some(buffer) => {
                    for (slot, value) in buffers.halves[buffer].iter_mut().zip(&tensor.values) {
                        *slot = f16::from_f64(*value);
                    }
                }
                None => {
                    buffers.tensors.insert(target.id, tensor);
                }
            }
        }
        Ok(())
    }
}

/// The products of all groups, each behind the one before. `bias` is `[M]` for each group in turn, or
/// `[N]`.
fn products(
    arithmetic: &Arithmetic,
    mode: Mode,
    [x, y]: [&[f16]; 2],
    groups: &Groups,
    bias: Option<(&[f16], bool)>,
    out: &mut [f16],
) {
    let (rows, cols) = (groups.x.rows, groups.y.cols);
    let operands = |(x_start, y_start): (usize, usize)| {
        let layout = MatrixLayout { offset: x_start, ..groups.x };
        let x = Operand { data: x, layout };
        (x, Operand { data: y, layout: MatrixLayout { offset: y_start, ..groups.y } })
    };
    let bias = |group: usize| match bias {
        None => Bias::None,
        Some((values, true)) => Bias::PerRow(&values[group * rows % values.len()..][..rows]),
        Some((values, false)) => Bias::PerColumn(values),
    };
    let results = out[..groups.starts.len() * rows * cols].chunks_exact_mut(rows * cols);
    // One group at a time on all threads, or groups side by side, each on one.
    if groups.starts.len() < rayon::current_num_threads() {
        for ((group, &starts), out) in groups.starts.iter().enumerate().zip(results) {
            let (x, y) = operands(starts);
            product::product(arithmetic, mode, x, y, bias(group), out);
        }
    } else {
        let work = groups.starts.par_iter().enumerate().zip(results.collect::<Vec<_>>());
        work.for_each(|((group, &starts), out)| {
            let (x, y) = operands(starts);
            product::product_serial(arithmetic, mode, x, y, bias(group), out);
        });
    }
}

/// The part of a buffer that a result of as many elements takes.
fn room<'a>(out: &'a mut [f16], like: &Place) -> &'a mut [f16] {
    &mut out[..like.layout.elements()]
}

/// Spoils numbers of an interface in fp32 as the engine does, which holds them in fp16.
fn spoil_tensor(how: Spoil, tensor: &mut Tensor) {
    if tensor.ty.dtype.is_float() {
        let mut values: Vec<f16> = tensor.values.iter().map(|v| f16::from_f64(*v)).collect();
        how.apply(&tensor.ty.shape.dims(), &mut values);
        tensor.values = values.iter().map(|v| v.to_f64()).collect();
    }
}

/// A surface's bytes as fp16: surfaces are words, so they are aligned.
fn halves(bytes: &[u8]) -> &[f16] {
    bytemuck::try_cast_slice(&bytes[..bytes.len() / 2 * 2]).unwrap_or_default()
}

/// The elements of an input of another type than fp16.
fn read_tensor(input: &Input<'_>) -> Result<Tensor> {
    let layout = &input.layout;
    let rows = input.bytes.chunks_exact(layout.row_bytes).take(layout.rows);
    let mut bytes: Vec<u8> = rows.flat_map(|row| &row[..layout.used_bytes]).copied().collect();
    if layout.ty.dtype == DType::Bool {
        bytes.iter_mut().for_each(|byte| *byte = (*byte != 0).into());
    }
    Ok(Tensor::from_literal(&aneal_mil::Literal::from_bytes(layout.ty, bytes)?)?)
}

/// A value that no step computed: a plan that does not hold together.
fn lost(id: ValueId) -> Error {
    Error::Program(aneal_mil::Error::Evaluation(format!("value {} was not computed", id.index())))
}
