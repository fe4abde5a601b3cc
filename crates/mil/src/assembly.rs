//! Putting a function together statement by statement, as both readers do, typed on the way.

use std::collections::HashMap;

use crate::infer::infer;
use crate::program::{Argument, Function, Operation, Opset, ValueId, ValueInfo};
use crate::{Error, Literal, OpDef, Result, Type, check, is_identifier};

/// A function whose statements so far hold together.
pub(crate) struct Assembly {
    function: Function,
    names: HashMap<String, ValueId>,
}

impl Assembly {
    pub(crate) fn new(name: &str, opset: Opset) -> Result<Self> {
        if !is_identifier(name) {
            return Err(Error::function(name, "this cannot be a function's name"));
        }
        let function = Function {
            name: name.to_owned(),
            opset,
            values: Vec::new(),
            inputs: 0,
            operations: Vec::new(),
            outputs: Vec::new(),
        };
        Ok(Self { function, names: HashMap::new() })
    }

    /// The value of that name.
    pub(crate) fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    fn define(&mut self, name: &str, ty: Type, origin: Option<u32>) -> Result<ValueId> {
        let refuse = |reason: String| Err(Error::function(&self.function.name, reason));
        if !is_identifier(name) {
            return refuse(format!("`{name}` cannot be a value's name"));
        }
        let id = ValueId(self.function.values.len() as u32);
        if self.names.insert(name.to_owned(), id).is_some() {
            return refuse(format!("`{name}` is defined twice"));
        }
        self.function.values.push(ValueInfo { name: name.to_owned(), ty, origin });
        Ok(id)
    }

    /// The next input.
    pub(crate) fn input(&mut self, name: &str, ty: Type) -> Result<()> {
        check::input_type(&self.function.name, name, ty)?;
        self.define(name, ty, None)?;
        self.function.inputs += 1;
        Ok(())
    }

    /// The next statement; its results must be declared as what the operation makes.
    pub(crate) fn push(
        &mut self,
        def: &'static OpDef,
        arguments: Vec<(&'static str, Argument)>,
        attributes: Vec<(String, Literal)>,
        declared: &[(&str, Type)],
    ) -> Result<()> {
        let label = declared.first().map_or("", |(name, _)| *name);
        let mut operation = Operation { def, arguments, attributes, results: Vec::new() };
        let inferred = infer(&self.function, &operation, label)?;
        let types: Vec<Type> = declared.iter().map(|(_, ty)| *ty).collect();
        check::results(&operation, label, &inferred, &types)?;
        let origin = Some(self.function.operations.len() as u32);
        for (name, ty) in declared {
            operation.results.push(self.define(name, *ty, origin)?);
        }
        self.function.operations.push(operation);
        Ok(())
    }

    /// The function, returning values by name.
    pub(crate) fn finish(mut self, outputs: &[&str]) -> Result<Function> {
        for name in outputs {
            let id = self.find(name).ok_or_else(|| {
                let reason = format!("output `{name}` is not defined");
                Error::function(&self.function.name, reason)
            })?;
            self.function.outputs.push(id);
        }
        check::outputs(&self.function)?;
        Ok(self.function)
    }
}
