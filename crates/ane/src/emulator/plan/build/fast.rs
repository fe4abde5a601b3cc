//! Operations on fp16 that have a step of their own, or none because they only look elsewhere.

use aneal_mil::eval::{self, Arithmetic as _};
use aneal_mil::{Action, Argument, DType, Operation, Range, Shape, ValueId};
use half::f16;

use super::super::step::Bias;
use super::super::{Groups, Holder, Place, Step};
use super::Planner;
use crate::emulator::device::Device;
use crate::emulator::layout::Layout;
use crate::emulator::vector::{Function as Elementwise, Table};

impl Planner<'_> {
    /// Plans an operation on fp16 that has a step of its own; nothing for others.
    pub(super) fn fast(&mut self, operation: &Operation, action: &Action) -> Option<()> {
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
                let (tile, to) = (self.defects.tile(operation), self.result(result));
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
        let bias = bias.map(|place| Box::new(Bias { place: self.dense(place), rows: false }));
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
        let bias = bias.map(|place| Box::new(Bias { place: self.dense(place), rows: true }));
        let to = self.result(result);
        self.steps.push(Step::Product { x: weight, y: x, groups, bias, to });
        Some(())
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
