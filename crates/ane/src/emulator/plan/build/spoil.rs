//! What a device gets wrong, as steps: a spoiled value is a copy of the right one, so that values that
//! nothing is wrong with are planned as if there were no defects.

use aneal_mil::{Argument, Operand, Operation, ValueId};

use super::super::{Holder, Place, Step};
use super::Planner;
use crate::emulator::defect::{Misreading, Spoil};
use crate::emulator::vector::{Function as Elementwise, Table};

impl Planner<'_> {
    /// Spoils a value that is about to be used, if the device does.
    pub(super) fn spoil(&mut self, id: ValueId) {
        for how in self.defects.of_value(id) {
            let Some(&from) = self.places.get(&id) else {
                self.steps.push(Step::SpoilTensor { how, id });
                continue;
            };
            if let Holder::Constant(at) = from.holder {
                // What the compiler computes is as wrong as what the engine would.
                let mut values = self.constants[at].to_vec();
                how.apply(from.layout.dims(), &mut values);
                self.constants[at] = values.into();
                continue;
            }
            let place = self.spoiled(how, from);
            self.define(id, place);
            if let Holder::Buffer(buffer) = from.holder {
                // Its uses are now the copy's.
                (0..self.uses[id.index()]).for_each(|_| self.pool.used(buffer));
            }
        }
    }

    /// Where a value lies that is about to be returned, spoiled if the device does that; nothing for
    /// values of other types than fp16.
    pub(super) fn spoiled_output(&mut self, id: ValueId) -> Option<Place> {
        let mut place = self.places.get(&id).copied();
        for how in self.defects.of_output(id) {
            match place {
                Some(from) => {
                    let copy = self.spoiled(how, from);
                    if let Holder::Buffer(buffer) = copy.holder {
                        self.pool.expect(buffer, 1);
                    }
                    place = Some(copy);
                }
                None => self.steps.push(Step::SpoilTensor { how, id }),
            }
        }
        place
    }

    /// Puts what the device reads in the places of an operation's operands. What lies there by right
    /// is returned, to be put back.
    pub(super) fn misread(&mut self, operation: &Operation) -> Vec<(ValueId, Place)> {
        let (mut right, mut wrong) = (Vec::new(), Vec::new());
        for (parameter, how) in self.defects.misread(operation) {
            let Some((id, place)) = self.named(operation, parameter) else { continue };
            let read = match how {
                Misreading::Zeros => self.spoiled(Spoil::Zeros, place),
                Misreading::Of(f, other) => {
                    let Some((_, from)) = self.named(operation, other) else { continue };
                    let table = Table::shared(self.arithmetic, Elementwise::Of(f, 0.0, 0.0));
                    let to = self.pool.take(from.layout.elements());
                    self.steps.push(Step::Table { table, from, to });
                    copied(from, to)
                }
            };
            right.push((id, place));
            wrong.push((id, read));
        }
        self.places.extend(wrong);
        right
    }

    /// A value of fp16 that is an operand, and where it lies.
    fn named(&self, operation: &Operation, parameter: &str) -> Option<(ValueId, Place)> {
        match operation.argument(parameter)? {
            Argument::One(Operand::Value(id)) => Some((*id, *self.places.get(id)?)),
            _ => None,
        }
    }

    /// A spoiled copy.
    fn spoiled(&mut self, how: Spoil, from: Place) -> Place {
        let to = self.pool.take(from.layout.elements());
        self.steps.push(Step::Spoil { how, from, to });
        copied(from, to)
    }
}

/// The place of a dense copy.
fn copied(from: Place, to: usize) -> Place {
    Place { holder: Holder::Buffer(to), layout: from.layout.made_dense() }
}
