//! From operations to steps: where values lie, when their buffers are free again, what is computed
//! while planning and what the reference evaluator has to do.

mod fast;
mod spoil;

use std::collections::HashMap;
use std::sync::Arc;

use aneal_mil::blob::Weights;
use aneal_mil::eval::{self, Tensor};
use aneal_mil::{Argument, DType, Function, Operation, Shape, ValueId, action};
use half::f16;

use super::buffers::BufferPool;
use super::step::{Operand, Target};
use super::{Holder, Output, Place, Plan, Step};
use crate::emulator::defect::Defects;
use crate::emulator::device::Device;
use crate::emulator::layout::Layout;
use crate::engine::RowLayout;
use crate::{Arithmetic, Profile, Result};

/// Most elements that are computed from constants while planning. Larger ones, which only fills make,
/// wait for the run, so that a program's sizes are known before anything is allocated.
const MOST_FOLDED: usize = 1 << 26;

pub(super) fn plan(
    function: &Function,
    weights: &Weights,
    profile: &Profile,
    defects: Defects,
) -> Result<Plan> {
    let function = defects.edited(function);
    let mut planner = Planner {
        function: &function,
        weights,
        arithmetic: &profile.arithmetic,
        defects: &defects,
        uses: function.use_counts(),
        places: HashMap::new(),
        tensors: HashMap::new(),
        constants: Vec::new(),
        pool: BufferPool::default(),
        steps: Vec::new(),
    };
    let mut wide_inputs = Vec::new();
    for (at, id) in defects.bound_inputs(&function).into_iter().enumerate() {
        match input_layout(&RowLayout::of(function.ty(id))) {
            Some(layout) => {
                planner.places.insert(id, Place { holder: Holder::Input(at), layout });
            }
            None => wide_inputs.push((at, id)),
        }
        planner.spoil(id);
    }
    for (index, operation) in function.operations.iter().enumerate() {
        planner.operation(index, operation)?;
        operation.results.iter().for_each(|id| planner.spoil(*id));
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
        function: function.into_owned(),
        weights: weights.clone(),
        arithmetic: profile.arithmetic.clone(),
        steps,
        buffers: pool.sizes(),
        constants,
        tensors,
        wide_inputs,
        outputs,
        defects,
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
    defects: &'a Defects,
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
        let right = self.misread(operation);
        if self.fast(operation, &action).is_none() {
            self.reference(index, operation);
        }
        self.places.extend(right);
        Ok(())
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
        let Some(place) = self.spoiled_output(id) else { return Output::Wide(id) };
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
