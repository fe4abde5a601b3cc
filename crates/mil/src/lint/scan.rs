//! A function as rules look at it: who makes a value, who uses it, what is constant.

use super::Hit;
use crate::program::{Function, Operand, Operation, Program, ValueId};
use crate::{Literal, Type};

/// A function with its uses worked out.
pub(crate) struct Scan<'a> {
    pub(crate) program: &'a Program,
    pub(crate) function: &'a Function,
    /// Operations that use each value.
    users: Vec<Vec<u32>>,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(program: &'a Program, function: &'a Function) -> Self {
        let mut users = vec![Vec::new(); function.values.len()];
        for (index, operation) in function.operations.iter().enumerate() {
            for id in operation.uses() {
                users[id.index()].push(index as u32);
            }
        }
        Self { program, function, users }
    }

    /// Operations that compute while the program runs.
    pub(crate) fn computing(&self) -> impl Iterator<Item = &'a Operation> {
        let operations = self.function.operations.iter();
        operations.filter(|op| !op.def.is_const() && !op.def.is_constexpr())
    }

    /// Hits on operations of these kinds for which `found` says something.
    pub(crate) fn each(
        &self,
        ops: &[&str],
        found: impl Fn(&'a Operation) -> Option<String>,
    ) -> Vec<Hit> {
        let operations = self.computing().filter(|op| ops.is_empty() || ops.contains(&op.def.name));
        operations.filter_map(|op| Some(Hit::new(self.function.label(op), found(op)?))).collect()
    }

    /// Operations that use a value.
    pub(crate) fn users(&self, id: ValueId) -> impl Iterator<Item = &'a Operation> {
        let operations = &self.function.operations;
        self.users[id.index()].iter().map(move |&index| &operations[index as usize])
    }

    /// The first operand of a parameter.
    pub(crate) fn operand(&self, operation: &'a Operation, name: &str) -> Option<&'a Operand> {
        operation.argument(name)?.operands().first()
    }

    /// Its type.
    pub(crate) fn ty(&self, operation: &'a Operation, name: &str) -> Option<Type> {
        Some(self.function.operand_type(self.operand(operation, name)?))
    }

    /// Its value, if it is a constant.
    pub(crate) fn constant(&self, operation: &'a Operation, name: &str) -> Option<&'a Literal> {
        self.function.operand_constant(self.operand(operation, name)?)
    }

    /// Its integers, if it is a constant of them.
    pub(crate) fn integers(&self, operation: &'a Operation, name: &str) -> Option<Vec<i64>> {
        self.constant(operation, name)?.integers()
    }

    /// The operation that makes it; `None` for inputs of the function.
    pub(crate) fn maker(&self, operation: &'a Operation, name: &str) -> Option<&'a Operation> {
        match self.operand(operation, name)? {
            Operand::Value(id) => self.function.origin(*id),
            Operand::Literal(_) => None,
        }
    }

    /// Whether it is neither a constant nor computed from constants.
    pub(crate) fn is_runtime(&self, operation: &'a Operation, name: &str) -> bool {
        match self.operand(operation, name) {
            Some(Operand::Value(id)) => {
                let origin = self.function.origin(*id);
                origin.is_none_or(|op| !op.def.is_const() && !op.def.is_constexpr())
            }
            _ => false,
        }
    }

    /// The type of an operation's first result.
    pub(crate) fn result(&self, operation: &Operation) -> Option<Type> {
        operation.results.first().map(|id| self.function.ty(*id))
    }

    /// The axis that an operation works along, from the start.
    pub(crate) fn axis(&self, operation: &'a Operation, of: Type) -> Option<usize> {
        let axis = *self.integers(operation, "axis")?.first()?;
        of.shape.axis(axis)
    }

    /// Inputs and outputs.
    pub(crate) fn interface(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.function.input_ids().chain(self.function.outputs.iter().copied())
    }

    pub(crate) fn name(&self, id: ValueId) -> &'a str {
        &self.function.value(id).name
    }
}
