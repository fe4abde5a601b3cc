//! From operations to steps.

use std::collections::HashMap;
use std::sync::Arc;

use aneal_mil::blob::Weights;
use aneal_mil::eval::{self, Arithmetic as _, Tensor};
use aneal_mil::lint::Finding;
use aneal_mil::{Action, Argument, DType, Function, Operation, Range, Shape, ValueId, action};
use half::f16;

use super::buffers::BufferPool;
use super::step::{Bias, Operand, Target};
use super::{Groups, Holder, Output, Place, Plan, Step};
use crate::emulator::device::Device;
use crate::emulator::layout::Layout;
use crate::emulator::vector::{Function as Elementwise, Table};
use crate::engine::RowLayout;
use crate::{Arithmetic, Profile, Result};

/// Longest row that softmax normalises as a whole, where rows have a limit (C13).
const LONG_SOFTMAX: &str = "C13";

/// Most elements that are computed from constants while planning. Larger ones, which only fills make,
/// wait for the run, so that a program's sizes are known before anything is allocated.
const MOST_FOLDED: usize = 1 << 26;

pub(super) fn plan(
    function: &Function,
    weights: &Weights,
    profile: &Profile,
    _wrong: &[&Finding],
) -> Result<Plan> {
    let long_softmax = profile.rule_set().rules().any(|rule| rule.id == LONG_SOFTMAX);
    let mut planner = Planner {
        function,
        weights,
        arithmetic: &profile.arithmetic,
        softmax_tile: long_softmax.then_some(profile.limits.softmax),
        uses: function.use_counts(),
        places: HashMap::new(),
        tensors: HashMap::new(),
        constants: Vec::new(),
        pool: BufferPool::default(),
        steps: Vec::new(),
    };
    let mut wide_inputs = Vec::new();
    for (at, id) in function.bound_inputs().into_iter().enumerate() {
        match input_layout(&RowLayout::of(function.ty(id))) {
            Some(layout) => {
                planner.places.insert(id, Place { holder: Holder::Input(at), layout });
            }
            None => wide_inputs.push((at, id)),
        }
    }
    for (index, operation) in function.operations.iter().enumerate() {
        planner.operation(index, operation)?;
        for id in operation.uses() {
            if let Some(Place { holder: Holder::Buffer(buffer), .. }) = planner.places.get(&id) {
                planner.pool.used(*buffer);
            }
        }
        planner.pool.release();
    }
    let outputs: Vec<Output> =
        function.bound_outputs().into_iter().map(|id| planner.output(id)).collect();
    let Planner { tensors, constants, pool, steps, .. } = planner;
    Ok(Plan {
        function: function.clone(),
        weights: weights.clone(),
        arithmetic: profile.arithmetic.clone(),
        steps,
        buffers: pool.sizes(),
        constants,
        tensors,
        wide_inputs,
        outputs,
    })
}

/// How a surface's elements of fp16 lie; nothing for other types.
fn input_layout(rows: &RowLayout) -> Option<Layout> {
    if rows.ty.dtype != DType::Fp16 {
        return None;
    }
    let mut dims = rows.ty.shape.dims();
    let width = dims.pop();
    dims.push(rows.row_bytes / 2);
    let padded = Layout::dense(&Shape::new(&dims).ok()?, 0)?;
    match width {
        Some(width) => Some(padded.sliced(dims.len() - 1, 0, 1, width)),
        None => Layout::dense(&rows.ty.shape, 0),
    }
}

struct Planner<'a> {
    function: &'a Function,
    weights: &'a Weights,
    arithmetic: &'a Arithmetic,
    softmax_tile: Option<usize>,
    /// How often each value is used or returned.
    uses: Vec<u32>,
    /// Values of fp16.
    places: HashMap<ValueId, Place>,
    /// Constants of other types.
    tensors: HashMap<ValueId, Tensor>,
    constants: Vec<Arc<[f16]>>,
    pool: BufferPool,
    steps: Vec<Step>,
}

impl Planner<'_> {
    /// Plans one operation.
    fn operation(&mut self, index: usize, operation: &Operation) -> Result<()> {
        if let Some(literal) = operation.constant() {
            if literal.strings().is_none() {
                let tensor = Tensor::from_literal(self.weights.resolve(literal)?.as_ref())?;
                self.constant(operation.results[0], tensor);
            }
            return Ok(());
        }
        let results = operation.results.iter().map(|id| self.function.ty(*id).shape.elements());
        if results.sum::<usize>() <= MOST_FOLDED && operation.uses().all(|id| self.is_constant(id))
        {
            return self.fold(operation);
        }
        let action = action(self.function, operation, self.weights)?;
        match self.fast(operation, &action) {
            Some(()) => Ok(()),
            None => {
                self.reference(index, operation);
                Ok(())
            }
        }
    }

    /// Takes in a constant: elements of fp16 as such, others as tensor.
    fn constant(&mut self, id: ValueId, tensor: Tensor) {
        let dense = Layout::dense(&tensor.shape(), 0);
        match dense.filter(|_| tensor.ty.dtype == DType::Fp16) {
            Some(layout) => {
                self.constants.push(tensor.values.iter().map(|&v| f16::from_f64(v)).collect());
                let holder = Holder::Constant(self.constants.len() - 1);
                self.places.insert(id, Place { holder, layout });
            }
            None => {
                self.tensors.insert(id, tensor);
            }
        }
    }

    fn is_constant(&self, id: ValueId) -> bool {
        self.function.constant(id).is_some()
            || self.tensors.contains_key(&id)
            || matches!(self.places.get(&id), Some(Place { holder: Holder::Constant(_), .. }))
    }

    /// Computes now what depends on constants alone, as the compiler does.
    fn fold(&mut self, operation: &Operation) -> Result<()> {
        let mut known = vec![None; self.function.values.len()];
        for id in operation.uses() {
            known[id.index()] = match self.places.get(&id) {
                Some(place) => Some(self.constant_tensor(id, place)),
                None => self.tensors.get(&id).cloned(),
            };
        }
        let device = Device(self.arithmetic);
        let results = eval::operation(self.function, operation, self.weights, &known, &device)?;
        for (id, tensor) in operation.results.iter().zip(results) {
            self.constant(*id, tensor);
        }
        Ok(())
    }

    fn constant_tensor(&self, id: ValueId, place: &Place) -> Tensor {
        let values = match place.holder {
            Holder::Constant(at) => self.constants[at].iter().map(|v| v.to_f64()).collect(),
            Holder::Input(_) | Holder::Buffer(_) => Vec::new(),
        };
        Tensor { ty: self.function.ty(id), values }
    }

    /// Plans an operation on fp16 that has a step of its own; nothing for others.
    fn fast(&mut self, operation: &Operation, action: &Action) -> Option<()> {
        let result = *operation.results.first()?;
        let shape = self.function.ty(result).shape;
        if operation.results.iter().any(|id| self.function.ty(*id).dtype != DType::Fp16) {
            return None;
        }
        match action {
            Action::View => {
                let x = self.place(operation, "x")?;
                let x = if x.layout.reshaped(&shape).is_some() { x } else { self.dense(x) };
                self.define(result, Place { layout: x.layout.reshaped(&shape)?, ..x });
            }
            Action::Cast => {
                let x = self.place(operation, "x")?;
                self.define(result, x);
            }
            Action::Permute { order } => {
                let x = self.place(operation, "x")?;
                self.define(result, Place { layout: x.layout.permuted(order), ..x });
            }
            Action::Slice { parts } => {
                let x = self.place(operation, "x")?;
                for (id, ranges) in operation.results.iter().zip(parts) {
                    let layout = sliced(x.layout, ranges).reshaped(&self.function.ty(*id).shape)?;
                    self.define(*id, Place { layout, ..x });
                }
            }
            Action::Concat { axis, interleave } => {
                let parts = match operation.argument("values")? {
                    Argument::Many(operands) => operands
                        .iter()
                        .map(|operand| self.operand(operand))
                        .collect::<Option<_>>()?,
                    Argument::One(_) => return None,
                };
                let to = self.result(result);
                self.steps.push(Step::Concat { parts, axis: *axis, interleave: *interleave, to });
            }
            Action::Unary { f, alpha, beta } => {
                let from = self.place(operation, "x")?;
                let alpha = Device(self.arithmetic).store(*alpha, DType::Fp16);
                let table = Table::shared(self.arithmetic, Elementwise::Of(*f, alpha, *beta));
                let to = self.result(result);
                self.steps.push(Step::Table { table, from, to });
            }
            Action::Binary(f) => self.binary(operation, *f, result)?,
            Action::Reduce { f, axes } => {
                let from = self.place(operation, "x")?;
                let to = self.result(result);
                self.steps.push(Step::Reduce { f: *f, axes: axes.clone(), from, to });
            }
            Action::Softmax { axis } => {
                let from = self.place(operation, "x")?;
                let (tile, to) = (self.softmax_tile, self.result(result));
                self.steps.push(Step::Softmax { axis: *axis, tile, from, to });
            }
            Action::MatMul { transpose_x, transpose_y } => {
                let (x, y) = (self.place(operation, "x")?, self.place(operation, "y")?);
                let groups =
                    matmul_groups(&x.layout, *transpose_x, &y.layout, *transpose_y, &shape)?;
                let to = self.result(result);
                self.steps.push(Step::Product { x, y, groups, bias: None, to });
            }
            Action::Linear => self.linear(operation, result)?,
            Action::PointConv { groups } => self.point_conv(operation, *groups, result)?,
            Action::Constant | Action::Compare(_) | Action::Select | Action::Other => return None,
        }
        Some(())
    }

    /// A function of two operands; where one is a single constant, a function of the other.
    fn binary(&mut self, operation: &Operation, f: eval::Binary, result: ValueId) -> Option<()> {
        let shape = self.function.ty(result).shape;
        let (x, y) = (self.place(operation, "x")?, self.place(operation, "y")?);
        let whole = |place: &Place| place.layout.elements() == shape.elements();
        let table = match (self.scalar(&x), self.scalar(&y)) {
            (_, Some(y)) if whole(&x) => {
                Some((Table::shared(self.arithmetic, Elementwise::With(f, y)), x))
            }
            (Some(x), _) if whole(&y) => {
                Some((Table::shared(self.arithmetic, Elementwise::From(x, f)), y))
            }
            _ => None,
        };
        if let Some((table, from)) = table {
            let to = self.result(result);
            self.steps.push(Step::Table { table, from, to });
            return Some(());
        }
        let x = Place { layout: x.layout.broadcast(&shape)?, ..x };
        let y = Place { layout: y.layout.broadcast(&shape)?, ..y };
        let to = self.result(result);
        self.steps.push(Step::Binary { f, x, y, to });
        Some(())
    }

    /// The value of a constant of one element.
    fn scalar(&self, place: &Place) -> Option<f16> {
        match place.holder {
            Holder::Constant(at) if place.layout.elements() == 1 => {
                self.constants[at].get(place.layout.offset).copied()
            }
            _ => None,
        }
    }

    /// `x[.., K]` as one matrix with the transposed weight.
    fn linear(&mut self, operation: &Operation, result: ValueId) -> Option<()> {
        let (x, weight) = (self.place(operation, "x")?, self.place(operation, "weight")?);
        let bias = self.optional(operation, "bias")?;
        let inner = *x.layout.dims().last()?;
        let flat = Shape::new(&[x.layout.elements() / inner, inner]).ok()?;
        let x = if x.layout.reshaped(&flat).is_some() { x } else { self.dense(x) };
        let x_matrix = x.layout.reshaped(&flat)?.matrix()?;
        let y_matrix = weight.layout.matrix()?.transposed();
        let starts = vec![(x_matrix.offset, y_matrix.offset)];
        let groups = Groups { x: x_matrix, y: y_matrix, starts };
        let bias = bias.map(|place| Bias { place: self.dense(place), rows: false });
        let to = self.result(result);
        self.steps.push(Step::Product { x, y: weight, groups, bias, to });
        Some(())
    }

    /// For each batch and group, the weight's rows with the channels as rows.
    fn point_conv(&mut self, operation: &Operation, groups: usize, result: ValueId) -> Option<()> {
        let (x, weight) = (self.place(operation, "x")?, self.place(operation, "weight")?);
        let bias = self.optional(operation, "bias")?;
        let (batch, inputs) = (x.layout.dims()[0], x.layout.dims()[1] / groups);
        let outputs = weight.layout.dims()[0] / groups;
        let area = x.layout.elements() / (batch * groups * inputs);
        let flat = Shape::new(&[batch, groups, inputs, area]).ok()?;
        let x = if x.layout.reshaped(&flat).is_some() { x } else { self.dense(x) };
        let weight_flat = Shape::new(&[groups, outputs, inputs]).ok()?;
        let weight = if weight.layout.reshaped(&weight_flat).is_some() {
            weight
        } else {
            self.dense(weight)
        };
        let (x_layout, w_layout) =
            (x.layout.reshaped(&flat)?, weight.layout.reshaped(&weight_flat)?);
        let weights: Vec<usize> = w_layout.outer_offsets(2).collect();
        let starts = x_layout.outer_offsets(2).enumerate();
        let starts = starts.map(|(at, start)| (weights[at % groups], start)).collect();
        let groups = Groups { x: w_layout.matrix()?, y: x_layout.matrix()?, starts };
        let bias = bias.map(|place| Bias { place: self.dense(place), rows: true });
        let to = self.result(result);
        self.steps.push(Step::Product { x: weight, y: x, groups, bias, to });
        Some(())
    }

    /// Leaves an operation to the reference evaluator.
    fn reference(&mut self, index: usize, operation: &Operation) {
        let operands =
            operation.uses().map(|id| Operand { id, place: self.places.get(&id).copied() });
        let operands = operands.collect();
        let results = operation.results.iter().map(|&id| {
            let half = self.function.ty(id).dtype == DType::Fp16;
            Target { id, buffer: half.then(|| self.result(id)) }
        });
        let results = results.collect();
        self.steps.push(Step::Reference { operation: index, operands, results });
    }

    /// Where an operand lies, if it is of fp16.
    fn place(&self, operation: &Operation, name: &str) -> Option<Place> {
        match operation.argument(name)? {
            Argument::One(operand) => self.operand(operand),
            Argument::Many(_) => None,
        }
    }

    /// The same of an operand that may be left out: `None` if it is given and is not of fp16.
    #[allow(clippy::option_option)] // given or not, and of fp16 or not
    fn optional(&self, operation: &Operation, name: &str) -> Option<Option<Place>> {
        match operation.argument(name) {
            None => Some(None),
            Some(_) => self.place(operation, name).map(Some),
        }
    }

    fn operand(&self, operand: &aneal_mil::Operand) -> Option<Place> {
        match operand {
            aneal_mil::Operand::Value(id) => self.places.get(id).copied(),
            // Constants in place are rare; the reference evaluator reads them.
            aneal_mil::Operand::Literal(_) => None,
        }
    }

    /// The same elements without gaps.
    fn dense(&mut self, from: Place) -> Place {
        if from.layout.is_dense() {
            return from;
        }
        let to = self.pool.take(from.layout.elements());
        self.steps.push(Step::Copy { from, to });
        Place { holder: Holder::Buffer(to), layout: from.layout.made_dense() }
    }

    /// A buffer for a result, which lies there densely.
    fn result(&mut self, id: ValueId) -> usize {
        let shape = self.function.ty(id).shape;
        let to = self.pool.take(shape.elements());
        if let Some(layout) = Layout::dense(&shape, 0) {
            self.define(id, Place { holder: Holder::Buffer(to), layout });
        }
        to
    }

    /// Says where a value lies.
    fn define(&mut self, id: ValueId, place: Place) {
        if let Holder::Buffer(buffer) = place.holder {
            self.pool.expect(buffer, self.uses[id.index()]);
        }
        self.places.insert(id, place);
    }

    /// Where a returned value lies when the run ends: in a buffer, since surfaces of inputs may be
    /// those of outputs.
    fn output(&mut self, id: ValueId) -> Output {
        let Some(&place) = self.places.get(&id) else { return Output::Wide(id) };
        if matches!(place.holder, Holder::Buffer(_)) {
            return Output::Half(place);
        }
        let to = self.pool.take(place.layout.elements());
        self.pool.expect(to, 1);
        self.steps.push(Step::Copy { from: place, to });
        let layout = place.layout.made_dense();
        Output::Half(Place { holder: Holder::Buffer(to), layout })
    }
}

/// What a slice keeps, axes that it squeezes as axes of 1.
fn sliced(layout: Layout, ranges: &[Range]) -> Layout {
    ranges.iter().enumerate().fold(layout, |layout, (axis, range)| {
        layout.sliced(axis, range.begin, range.stride, range.count)
    })
}

/// The matrices of `[.., M, K] x [.., K, N]`.
fn matmul_groups(
    x: &Layout,
    transpose_x: bool,
    y: &Layout,
    transpose_y: bool,
    out: &Shape,
) -> Option<Groups> {
    let dims = out.dims();
    let lead = dims.get(..dims.len().checked_sub(2)?)?;
    let starts = |layout: &Layout| -> Option<Vec<usize>> {
        let own = layout.dims();
        let wide: Vec<usize> =
            lead.iter().chain(own.get(own.len().checked_sub(2)?..)?).copied().collect();
        Some(layout.broadcast(&Shape::new(&wide).ok()?)?.outer_offsets(2).collect())
    };
    let starts = starts(x)?.into_iter().zip(starts(y)?).collect();
    let (x, y) = (x.matrix()?, y.matrix()?);
    let x = if transpose_x { x.transposed() } else { x };
    let y = if transpose_y { y.transposed() } else { y };
    Some(Groups { x, y, starts })
}
