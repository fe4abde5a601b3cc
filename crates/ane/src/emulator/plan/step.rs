//! The steps of a plan. Each writes one buffer, densely, and reads places.

use std::sync::Arc;

use aneal_mil::ValueId;
use aneal_mil::eval::{Binary, Reduce};

use super::Place;
use crate::emulator::defect::Spoil;
use crate::emulator::layout::MatrixLayout;
use crate::emulator::vector::Table;

/// What a run does next.
#[derive(Debug)]
pub(in crate::emulator) enum Step {
    /// The elements in row-major order.
    Copy { from: Place, to: usize },
    /// A function of each element, from a table.
    Table { table: Arc<Table>, from: Place, to: usize },
    /// A function of two elements, both places broadcast to the result.
    Binary { f: Binary, x: Place, y: Place, to: usize },
    /// Parts one after another along an axis, or in turns.
    Concat { parts: Vec<Place>, axis: usize, interleave: bool, to: usize },
    /// A fold along axes.
    Reduce { f: Reduce, axes: Vec<usize>, from: Place, to: usize },
    /// Rows along an axis normalised, tile by tile where the device has a longest row.
    Softmax { axis: usize, tile: Option<usize>, from: Place, to: usize },
    /// Products of matrices.
    Product { x: Place, y: Place, groups: Groups, bias: Option<Box<Bias>>, to: usize },
    /// A copy of the elements, spoiled.
    Spoil { how: Spoil, from: Place, to: usize },
    /// A value of another type than fp16 spoiled where it is.
    SpoilTensor { how: Spoil, id: ValueId },
    /// The operation with that index, by the reference evaluator.
    Reference { operation: usize, operands: Vec<Operand>, results: Vec<Target> },
}

/// Matrices of a product: all have the same layouts but for where they start.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Groups {
    /// `[M, K]`, its offset left out.
    pub(in crate::emulator) x: MatrixLayout,
    /// `[K, N]`, its offset left out.
    pub(in crate::emulator) y: MatrixLayout,
    /// Where each group's matrices start. Results follow each other.
    pub(in crate::emulator) starts: Vec<(usize, usize)>,
}

/// What sums start from.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct Bias {
    /// Dense, `[M]` for each of the groups in turn, or `[N]`.
    pub(in crate::emulator) place: Place,
    /// One value for each row of a result; else for each column.
    pub(in crate::emulator) rows: bool,
}

/// A value that the reference evaluator is given.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct Operand {
    pub(in crate::emulator) id: ValueId,
    /// Of fp16; absent for a tensor of the run or the plan.
    pub(in crate::emulator) place: Option<Place>,
}

/// Where a result of the reference evaluator goes.
#[derive(Clone, Copy, Debug)]
pub(in crate::emulator) struct Target {
    pub(in crate::emulator) id: ValueId,
    /// A buffer for fp16; absent for a tensor of the run.
    pub(in crate::emulator) buffer: Option<usize>,
}
