//! Going through a function operation by operation, into a new one.

use crate::program::{Function, Operation, ValueId};
use crate::{Builder, Result, Value};

/// What becomes of an operation.
pub(super) enum Step {
    /// It is copied.
    Keep,
    /// It goes away; nothing may use its results.
    Drop,
    /// These values, which exist, take the place of its results.
    Alias(Vec<Value>),
    /// These values, made for it, take the place of its results, and their names.
    New(Vec<Value>),
}

/// The new function so far, and what became of the old one's values.
pub(super) struct Rewrite<'a> {
    pub(super) source: &'a Function,
    pub(super) builder: Builder,
    known: Vec<Option<Value>>,
}

impl<'a> Rewrite<'a> {
    /// The value that took the place of an old one.
    pub(super) fn value(&self, id: ValueId) -> Result<Value> {
        self.known[id.index()].ok_or_else(|| {
            let name = &self.source.value(id).name;
            crate::Error::function(&self.source.name, format!("`{name}` was removed"))
        })
    }

    /// The value that took the place of an operand, if it is a value.
    pub(super) fn operand(&self, operation: &Operation, name: &str) -> Result<Option<Value>> {
        match operation.argument(name).and_then(|argument| argument.operands().first()) {
            Some(crate::Operand::Value(id)) => self.value(*id).map(Some),
            _ => Ok(None),
        }
    }

    /// Starts with the inputs as they are.
    pub(super) fn new(source: &'a Function) -> Result<Self> {
        Self::with_inputs(source, |builder, name, ty| builder.input_named(name, ty))
    }

    /// Starts with inputs that `declare` makes.
    pub(super) fn with_inputs(
        source: &'a Function,
        mut declare: impl FnMut(&mut Builder, &str, crate::Type) -> Result<Value>,
    ) -> Result<Self> {
        let mut builder = Builder::like(source);
        let mut known = vec![None; source.values.len()];
        for id in source.input_ids() {
            let value = source.value(id);
            known[id.index()] = Some(declare(&mut builder, &value.name, value.ty)?);
        }
        Ok(Self { source, builder, known })
    }

    /// Whether a value stands for an output of the old function already.
    pub(super) fn took_output_name(&self, value: Value) -> bool {
        self.source.outputs.iter().any(|id| self.known[id.index()] == Some(value))
    }

    /// Puts a value in the place of an old one.
    pub(super) fn replace(&mut self, id: ValueId, value: Value) {
        self.known[id.index()] = Some(value);
    }

    /// Goes through the operations.
    pub(super) fn run(
        &mut self,
        mut each: impl FnMut(&mut Self, &Operation) -> Result<Step>,
    ) -> Result<()> {
        for operation in &self.source.operations {
            let values = match each(self, operation)? {
                Step::Drop => continue,
                Step::Keep => self.builder.copy(self.source, operation, &self.known)?,
                Step::Alias(values) => values,
                Step::New(values) => {
                    for (id, value) in operation.results.iter().zip(&values) {
                        self.builder.take_name(*value, &self.source.value(*id).name)?;
                    }
                    values
                }
            };
            for (id, value) in operation.results.iter().zip(values) {
                self.known[id.index()] = Some(value);
            }
        }
        Ok(())
    }

    /// Returns what the old function returned, under the same names.
    pub(super) fn finish(mut self) -> Result<Function> {
        for id in &self.source.outputs {
            let value = self.value(*id)?;
            self.builder.output_named(&self.source.value(*id).name, value)?;
        }
        self.builder.finish()
    }
}
