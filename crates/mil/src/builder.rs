//! Building a function: every operation is a method that types its result and refuses what does not
//! fit. Constants are made once, names are unique, and inputs and outputs are numbered so that the
//! engine's sorted order is the order of the calls (C24).

mod copy;
mod movement;
mod operand;
mod products;
mod simple;
mod weights;

use std::collections::{HashMap, HashSet};

pub use movement::Slice;
pub(crate) use operand::{Arguments, Given};
pub use operand::{Input, Value};
pub use products::{Conv, MatMul, Pool};

use crate::infer::infer;
use crate::program::{Argument, Function, Operand, Operation, Opset, ValueId, ValueInfo};
use crate::{DType, Error, Literal, OpDef, Result, Type, check, is_identifier};

/// Most inputs and most outputs: what two digits number.
const MAX_NUMBERED: usize = 100;

/// A function under construction.
#[derive(Debug)]
pub struct Builder {
    function: Function,
    constants: HashMap<Literal, Value>,
    names: HashSet<String>,
    /// Names that only [`Builder::copy`] and renaming give.
    reserved: HashSet<String>,
    /// How many values each prefix of a name has.
    counters: HashMap<String, usize>,
}

impl Builder {
    /// An empty function.
    #[must_use]
    pub fn new(name: &str, opset: Opset) -> Self {
        let function = Function {
            name: name.to_owned(),
            opset,
            values: Vec::new(),
            inputs: 0,
            operations: Vec::new(),
            outputs: Vec::new(),
        };
        Self {
            function,
            constants: HashMap::new(),
            names: HashSet::new(),
            reserved: HashSet::new(),
            counters: HashMap::new(),
        }
    }

    /// The next input, named `i00_label`, `i01_label`, ..., so that the order of the calls is the
    /// order in which the engine binds them.
    ///
    /// # Errors
    ///
    /// [`Error::Function`] for a label that is no name, a scalar, more than 100 inputs, or an input
    /// after an operation.
    pub fn input(&mut self, label: &str, ty: Type) -> Result<Value> {
        let place = self.function.inputs;
        self.numbered("inputs", place)?;
        self.input_named(&format!("i{place:02}_{label}"), ty)
    }

    /// The next input, named exactly so. The caller sees to the order (C24).
    ///
    /// # Errors
    ///
    /// As [`Builder::input`], and for a name in use.
    pub fn input_named(&mut self, name: &str, ty: Type) -> Result<Value> {
        if self.function.values.len() > self.function.inputs {
            return Err(self.refuse(format!("input `{name}` comes after an operation")));
        }
        check::input_type(&self.function.name, name, ty)?;
        let id = self.define(name.to_owned(), ty, None)?;
        self.function.inputs += 1;
        Ok(Value { id, ty })
    }

    /// Returns a value, renamed `o00_label`, `o01_label`, ...: see [`Builder::input`].
    ///
    /// # Errors
    ///
    /// [`Error::Function`] for a label that is no name, an input or a constant, a value returned
    /// before, or more than 100 outputs.
    pub fn output(&mut self, label: &str, value: Value) -> Result<()> {
        let place = self.function.outputs.len();
        self.numbered("outputs", place)?;
        self.output_named(&format!("o{place:02}_{label}"), value)
    }

    /// Returns a value, renamed exactly so. The caller sees to the order (C24).
    ///
    /// # Errors
    ///
    /// As [`Builder::output`], and for a name in use.
    pub fn output_named(&mut self, name: &str, value: Value) -> Result<()> {
        self.own(value)?;
        if self.function.value(value.id).name != name && self.names.contains(name) {
            return Err(self.refuse(format!("`{name}` is in use already")));
        }
        if self.function.outputs.contains(&value.id) {
            let known = &self.function.value(value.id).name;
            return Err(self.refuse(format!("`{known}` is returned already, now as `{name}`")));
        }
        let computed = self.function.origin(value.id).is_some_and(|origin| !origin.def.is_const());
        if !computed {
            let known = &self.function.value(value.id).name;
            let reason = format!("output `{name}` is the input or constant `{known}`");
            return Err(self.refuse(format!("{reason}; compute something first")));
        }
        self.rename(value, name)?;
        self.function.outputs.push(value.id);
        Ok(())
    }

    /// Gives a value a name; where it is in use, a number is appended.
    ///
    /// # Errors
    ///
    /// [`Error::Function`] for what is no name.
    pub fn name(&mut self, value: Value, name: &str) -> Result<Value> {
        self.own(value)?;
        let name = if self.names.contains(name) { self.fresh(name) } else { name.to_owned() };
        self.rename(value, &name)?;
        Ok(value)
    }

    /// A constant; equal ones are the same value.
    ///
    /// # Errors
    ///
    /// None for literals that exist; the result is for the chain of `?`.
    pub fn constant(&mut self, literal: Literal) -> Result<Value> {
        if let Some(known) = self.constants.get(&literal) {
            return Ok(*known);
        }
        let name = self.fresh(&constant_name(&literal));
        let (def, ty) = (op("const")?, literal.ty());
        let attributes =
            vec![("name".to_owned(), Literal::string(&name)), ("val".to_owned(), literal.clone())];
        let index = self.function.operations.len() as u32;
        let id = self.define(name, ty, Some(index))?;
        let (arguments, results) = (Vec::new(), vec![id]);
        self.function.operations.push(Operation { def, arguments, attributes, results });
        let value = Value { id, ty };
        self.constants.insert(literal, value);
        Ok(value)
    }

    /// A constant of `fp16` or `fp32`, rounded from `values`.
    ///
    /// # Errors
    ///
    /// As [`Literal::from_floats`].
    pub fn floats(&mut self, ty: Type, values: &[f32]) -> Result<Value> {
        self.constant(Literal::from_floats(ty, values)?)
    }

    /// The finished function.
    ///
    /// # Errors
    ///
    /// [`Error::Function`] when nothing is returned.
    pub fn finish(self) -> Result<Function> {
        check::outputs(&self.function)?;
        Ok(self.function)
    }

    /// An operation with one result.
    pub(crate) fn call(&mut self, op: &'static str, arguments: Arguments) -> Result<Value> {
        let results = self.call_many(op, arguments)?;
        results.first().copied().ok_or_else(|| self.refuse(format!("{op} makes nothing")))
    }

    /// An operation with as many results as it makes.
    pub(crate) fn call_many(&mut self, name: &str, arguments: Arguments) -> Result<Vec<Value>> {
        let def = op(name)?;
        let mut operation =
            Operation { def, arguments: Vec::new(), attributes: Vec::new(), results: Vec::new() };
        let label = self.fresh(name);
        operation.attributes.push(("name".to_owned(), Literal::string(&label)));
        for (parameter, given) in arguments {
            let Some(given) = given else { continue };
            let param = def
                .param(parameter)
                .ok_or_else(|| self.refuse(format!("{name} has no parameter `{parameter}`")))?;
            let argument = match given {
                Given::Setting(literal) if def.takes_attributes() => {
                    operation.attributes.push((parameter.to_owned(), literal));
                    continue;
                }
                // What unpacks weights takes them in place, as published programs write it.
                Given::Setting(literal) if def.is_constexpr() => {
                    Argument::One(Operand::Literal(literal))
                }
                Given::Setting(literal) => {
                    Argument::One(Operand::Value(self.constant(literal)?.id))
                }
                Given::Value(value) => Argument::One(Operand::Value(self.own(value)?.id)),
                Given::List(values) => Argument::Many(
                    values
                        .into_iter()
                        .map(|value| Ok(Operand::Value(self.own(value)?.id)))
                        .collect::<Result<_>>()?,
                ),
            };
            operation.arguments.push((param.name, argument));
        }
        // Sorted, as Core ML's own programs are, so that every format gives the same program.
        operation.arguments.sort_by_key(|(name, _)| *name);
        operation.attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        let types = infer(&self.function, &operation, &label)?;
        check::results(&operation, &label, &types, &types)?;
        let index = self.function.operations.len() as u32;
        let mut values = Vec::with_capacity(types.len());
        for (place, ty) in types.into_iter().enumerate() {
            let name = if place == 0 { label.clone() } else { self.fresh(name) };
            let id = self.define(name, ty, Some(index))?;
            operation.results.push(id);
            values.push(Value { id, ty });
        }
        self.function.operations.push(operation);
        Ok(values)
    }

    /// A value from a number, of an element type.
    pub(crate) fn value(&mut self, input: Input, dtype: DType) -> Result<Value> {
        match input {
            Input::Value(value) => Ok(value),
            Input::Number(number) => {
                let ty = Type::scalar(dtype);
                self.constant(match dtype.is_integer() {
                    true => Literal::from_integers(ty, &[number as i64])?,
                    false => Literal::from_floats(ty, &[number])?,
                })
            }
        }
    }

    /// Refuses values of another builder, as far as they can be told.
    fn own(&self, value: Value) -> Result<Value> {
        let known = self.function.values.get(value.id.index());
        if known.is_some_and(|known| known.ty == value.ty) {
            return Ok(value);
        }
        Err(self.refuse("an operand belongs to another function".to_owned()))
    }

    fn define(&mut self, name: String, ty: Type, origin: Option<u32>) -> Result<ValueId> {
        if !is_identifier(&name) {
            return Err(self.refuse(format!("`{name}` is no name: letters, digits, `_`")));
        }
        if !self.names.insert(name.clone()) {
            return Err(self.refuse(format!("`{name}` is in use already")));
        }
        let id = ValueId(self.function.values.len() as u32);
        self.function.values.push(ValueInfo { name, ty, origin });
        Ok(id)
    }

    fn rename(&mut self, value: Value, name: &str) -> Result<()> {
        if !is_identifier(name) {
            return Err(self.refuse(format!("`{name}` is no name: letters, digits, `_`")));
        }
        let index = value.id.index();
        let old = std::mem::replace(&mut self.function.values[index].name, name.to_owned());
        self.names.remove(&old);
        self.names.insert(name.to_owned());
        // The `name` attribute follows the first result.
        if let Some(origin) = self.function.values[index].origin {
            let operation = &mut self.function.operations[origin as usize];
            if operation.results.first() == Some(&value.id) {
                let attribute = operation.attributes.iter_mut().find(|(key, _)| key == "name");
                if let Some((_, literal)) = attribute {
                    *literal = Literal::string(name);
                }
            }
        }
        Ok(())
    }

    /// A name that is not in use: `prefix_0`, or the prefix itself where it ends in a digit.
    fn fresh(&mut self, prefix: &str) -> String {
        let free = |name: &str| !self.names.contains(name) && !self.reserved.contains(name);
        if prefix.ends_with(|c: char| c.is_ascii_digit()) && free(prefix) {
            return prefix.to_owned();
        }
        loop {
            let count = self.counters.entry(prefix.to_owned()).or_default();
            let name = format!("{prefix}_{count}");
            *count += 1;
            if free(&name) {
                return name;
            }
        }
    }

    fn numbered(&self, what: &str, count: usize) -> Result<()> {
        if count < MAX_NUMBERED {
            return Ok(());
        }
        Err(self.refuse(format!("more than {MAX_NUMBERED} {what}; name them yourself")))
    }

    fn refuse(&self, reason: String) -> Error {
        Error::function(&self.function.name, reason)
    }
}

/// An operation of the table by name.
fn op(name: &str) -> Result<&'static OpDef> {
    let missing = || Error::function(name, "no such operation");
    OpDef::find(name).ok_or_else(missing)
}

/// A readable name for a constant: short ones say what they are.
fn constant_name(literal: &Literal) -> String {
    let ty = literal.ty();
    let dtype = ty.dtype.name();
    if let Some([text]) = literal.strings() {
        let word: String =
            text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        return format!("str_{word}");
    }
    let short = ty.shape.elements() <= 6;
    match (short.then(|| literal.integers()).flatten(), ty.dtype) {
        (Some(values), DType::Bool) => {
            let words: Vec<_> = values.iter().map(|v| if *v == 1 { "t" } else { "f" }).collect();
            format!("bool_{}", words.join(""))
        }
        (Some(values), _) => {
            let words = values
                .iter()
                .map(|v| if *v < 0 { format!("m{}", v.unsigned_abs()) } else { v.to_string() });
            let words: Vec<_> = words.collect();
            format!("{dtype}_{}", words.join("_"))
        }
        _ => format!("{dtype}_const"),
    }
}
