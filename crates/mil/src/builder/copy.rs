//! Copying operations from one function into another, which is how passes rewrite.

use super::{Builder, Value};
use crate::infer::infer;
use crate::program::{Function, Operand, Operation};
use crate::{Result, check};

impl Builder {
    /// A builder for a changed copy of `function`: no fresh name takes one of its names.
    pub(crate) fn like(function: &Function) -> Self {
        let mut builder = Self::new(&function.name, function.opset);
        builder.reserved = function.values.iter().map(|value| value.name.clone()).collect();
        builder
    }

    /// An operation of `source`, its operands replaced by those of `known`, under its own names.
    /// Types are worked out anew.
    pub(crate) fn copy(
        &mut self,
        source: &Function,
        operation: &Operation,
        known: &[Option<Value>],
    ) -> Result<Vec<Value>> {
        let label = source.label(operation);
        let mut copy = operation.clone();
        for (_, argument) in &mut copy.arguments {
            for operand in argument.operands_mut() {
                if let Operand::Value(id) = operand {
                    let value = known[id.index()].ok_or_else(|| {
                        self.refuse(format!("`{label}` uses a value that was removed"))
                    })?;
                    *operand = Operand::Value(value.id);
                }
            }
        }
        copy.results.clear();
        let types = infer(&self.function, &copy, label)?;
        check::results(&copy, label, &types, &types)?;
        let index = Some(self.function.operations.len() as u32);
        let mut values = Vec::with_capacity(types.len());
        for (id, ty) in operation.results.iter().zip(types) {
            let id = self.define(source.value(*id).name.clone(), ty, index)?;
            copy.results.push(id);
            values.push(Value { id, ty });
        }
        if let (Some(literal), [value]) = (copy.constant(), &values[..]) {
            self.constants.entry(literal.clone()).or_insert(*value);
        }
        self.function.operations.push(copy);
        Ok(values)
    }

    /// Whether a value is a result that no output names yet, so that it can be renamed.
    pub(crate) fn is_plain(&self, value: Value) -> bool {
        let computed = self.function.origin(value.id).is_some_and(|origin| !origin.def.is_const());
        computed && !self.function.outputs.contains(&value.id)
    }

    /// Renames a value, which must be of this function.
    pub(crate) fn take_name(&mut self, value: Value, name: &str) -> Result<()> {
        self.rename(value, name)
    }
}
