//! A function, planned once: where every value lies, and what computes it.
//!
//! Values of fp16 are views of input surfaces, constants and buffers; reshapes, transposes and slices
//! make new views and compute nothing. Buffers are shared by values that do not live at the same
//! time. Values of other types, which only interfaces in fp32, conditions and indices have, are
//! tensors of the reference evaluator, and what touches them runs there.

mod buffers;
mod build;
mod step;

use std::collections::HashMap;
use std::sync::Arc;

use aneal_mil::blob::Weights;
use aneal_mil::eval::Tensor;
use aneal_mil::lint::Finding;
use aneal_mil::{Function, ValueId};
use half::f16;

use super::defect::Defects;
use super::layout::Layout;
use crate::{Arithmetic, Profile, Result};
pub(super) use step::{Groups, Operand, Step, Target};

/// What holds elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// The surface of the input with that place among the symbols.
    Input(usize),
    /// A buffer of the run.
    Buffer(usize),
    /// A constant of the plan.
    Constant(usize),
}

/// Where a value of fp16 lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) holder: Holder,
    pub(super) layout: Layout,
}

/// A value that the function returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Output {
    /// Of fp16.
    Half(Place),
    /// Of another type: a tensor of the run.
    Wide(ValueId),
}

/// A planned function.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) function: Function,
    pub(super) weights: Weights,
    pub(super) arithmetic: Arithmetic,
    pub(super) steps: Vec<Step>,
    /// Elements of each buffer.
    pub(super) buffers: Vec<usize>,
    pub(super) constants: Vec<Arc<[f16]>>,
    /// Constants of other types, and inputs of other types once a run has read them.
    pub(super) tensors: HashMap<ValueId, Tensor>,
    /// Inputs of other types than fp16, by place among the symbols.
    pub(super) wide_inputs: Vec<(usize, ValueId)>,
    /// In the order of the symbols.
    pub(super) outputs: Vec<Output>,
    /// What is wrong in it.
    pub(super) defects: Defects,
}

impl Plan {
    /// Plans a function that has passed the profile's rules. `wrong` is what the device is known to
    /// compute wrongly in it.
    ///
    /// # Errors
    ///
    /// [`Error::Program`](crate::Error::Program) for weights that are not what the program says.
    pub(super) fn new(
        function: &Function,
        weights: &Weights,
        profile: &Profile,
        wrong: &[&Finding],
    ) -> Result<Self> {
        build::plan(function, weights, profile, Defects::new(function, profile, wrong))
    }

    /// Bytes that a run takes beside the surfaces.
    pub(super) fn bytes(&self) -> usize {
        /// Bytes of an element of fp16, and of one in the reference evaluator.
        const HALF: usize = 2;
        const WIDE: usize = 8;
        let elements = |id: &ValueId| self.function.ty(*id).shape.elements();
        let buffers = self.buffers.iter().sum::<usize>();
        let constants = self.constants.iter().map(|constant| constant.len()).sum::<usize>();
        let wide = self.wide_inputs.iter().map(|(_, id)| elements(id)).sum::<usize>();
        let reference = self.steps.iter().map(|step| match step {
            Step::Reference { operands, results, .. } => {
                let operands = operands.iter().map(|operand| elements(&operand.id));
                let results = results.iter().map(|target| elements(&target.id));
                operands.chain(results).sum()
            }
            _ => 0,
        });
        HALF * (buffers + constants) + WIDE * (wide + reference.sum::<usize>())
    }
}
