//! The reference evaluator: what a program computes, slowly and plainly.
//!
//! How numbers are rounded, summed and put through special functions is left to an [`Arithmetic`],
//! so that a device's own ways can take the place of the reference's.

mod arithmetic;
pub(crate) mod attention;
pub(crate) mod constexpr;
pub(crate) mod conv;
pub(crate) mod convert;
pub(crate) mod elementwise;
mod function;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod norm;
mod pool;
pub(crate) mod reduce;
mod tensor;

use std::collections::BTreeMap;

pub use arithmetic::{Arithmetic, Exact, Half};
pub use function::{Binary, Compare, Reduce, Unary};
pub use tensor::Tensor;

use crate::blob::Weights;
use crate::infer::Call;
use crate::program::{Argument, Function, Operand, Operation};
use crate::{Error, Result, Type};

/// How an operation is computed.
#[derive(Clone, Copy)]
pub(crate) enum Kernel {
    /// A constant: not computed.
    Const,
    /// The same elements in another shape.
    View,
    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    Reduce(Reduce),
    Avg,
    MaxPool,
    L2Pool,
    /// In a way of its own.
    Each(fn(&Frame<'_>) -> Result<Vec<Tensor>>),
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kernel")
    }
}

/// An operation being computed: types, operands, arithmetic.
pub(crate) struct Frame<'a> {
    pub(crate) call: Call<'a>,
    pub(crate) arithmetic: &'a dyn Arithmetic,
    /// The types of the results.
    pub(crate) results: Vec<Type>,
    operation: &'a Operation,
    known: &'a [Option<Tensor>],
    /// Constants written in place, by parameter.
    inline: Vec<(&'a str, Tensor)>,
}

impl Frame<'_> {
    /// An operand, if it was given.
    pub(crate) fn get(&self, name: &str) -> Result<Option<&Tensor>> {
        if let Some((_, tensor)) = self.inline.iter().find(|(param, _)| *param == name) {
            return Ok(Some(tensor));
        }
        match self.operation.argument(name) {
            Some(Argument::One(Operand::Value(id))) => match &self.known[id.index()] {
                Some(tensor) => Ok(Some(tensor)),
                None => Err(self.call.refuse(format!("`{name}` has no value yet"))),
            },
            _ => Ok(None),
        }
    }

    /// An operand that must be given.
    pub(crate) fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.get(name)?.ok_or_else(|| self.call.refuse(format!("`{name}` is missing")))
    }

    /// A list of operands.
    pub(crate) fn list(&self, name: &str) -> Result<Vec<&Tensor>> {
        let operands = self.operation.argument(name).map_or(&[][..], Argument::operands);
        let mut inline = self.inline.iter().filter(|(param, _)| *param == name);
        operands
            .iter()
            .map(|operand| match operand {
                Operand::Value(id) => self.known[id.index()].as_ref(),
                Operand::Literal(_) => inline.next().map(|(_, tensor)| tensor),
            })
            .collect::<Option<_>>()
            .ok_or_else(|| self.call.refuse(format!("`{name}` has no value yet")))
    }

    /// A single float, or the default.
    pub(crate) fn number(&self, name: &str, default: f32) -> Result<f32> {
        Ok(match self.get(name)? {
            Some(tensor) => tensor.values.first().copied().unwrap_or(default as f64) as f32,
            None => default,
        })
    }

    /// The first result's type.
    pub(crate) fn result(&self) -> Type {
        self.results[0]
    }

    /// The first result from unrounded values.
    pub(crate) fn rounded(&self, values: impl IntoIterator<Item = f64>) -> Tensor {
        let ty = self.result();
        let store = |value| self.arithmetic.store(value, ty.dtype);
        Tensor { ty, values: values.into_iter().map(store).collect() }
    }
}

/// Computes a function's outputs from its inputs, both by name.
///
/// Work and memory are what the program asks for: callers that evaluate foreign programs look at
/// their shapes first.
///
/// # Errors
///
/// [`Error::Evaluation`] for inputs that are missing or of another type, [`Error::MissingWeights`]
/// and [`Error::Blob`] for constants that are not where the program says.
pub fn evaluate(
    function: &Function,
    weights: &Weights,
    inputs: &BTreeMap<String, Tensor>,
    arithmetic: &dyn Arithmetic,
) -> Result<BTreeMap<String, Tensor>> {
    let mut known: Vec<Option<Tensor>> = vec![None; function.values.len()];
    for id in function.input_ids() {
        let value = function.value(id);
        let tensor = inputs.get(&value.name).ok_or_else(|| {
            Error::Evaluation(format!("input `{}` {} is not given", value.name, value.ty))
        })?;
        if tensor.ty != value.ty {
            let (name, want, found) = (&value.name, value.ty, tensor.ty);
            return Err(Error::Evaluation(format!("input `{name}` is {found}, expected {want}")));
        }
        known[id.index()] = Some(tensor.clone());
    }
    let mut left = function.use_counts();
    for operation in &function.operations {
        let results = self::operation(function, operation, weights, &known, arithmetic)?;
        for (id, tensor) in operation.results.iter().zip(results) {
            known[id.index()] = Some(tensor);
        }
        // Values that nobody needs any more give their memory back.
        for id in operation.uses() {
            left[id.index()] -= 1;
            if left[id.index()] == 0 {
                known[id.index()] = None;
            }
        }
    }
    let outputs = function.outputs.iter().map(|id| {
        let name = &function.value(*id).name;
        let tensor = known[id.index()].clone();
        tensor
            .map(|tensor| (name.clone(), tensor))
            .ok_or_else(|| Error::Evaluation(format!("output `{name}` has no value")))
    });
    outputs.collect()
}

/// The results of one operation, in order; a constant of strings has none. `known` holds the values
/// of the function computed so far, by [`ValueId::index`](crate::ValueId::index).
///
/// # Errors
///
/// As [`evaluate`].
pub fn operation(
    function: &Function,
    operation: &Operation,
    weights: &Weights,
    known: &[Option<Tensor>],
    arithmetic: &dyn Arithmetic,
) -> Result<Vec<Tensor>> {
    if let Some(literal) = operation.constant() {
        // Strings are settings, read as such by the operations that have them.
        if literal.strings().is_some() {
            return Ok(Vec::new());
        }
        return Ok(vec![Tensor::from_literal(weights.resolve(literal)?.as_ref())?]);
    }
    let call = Call::new(function, operation, function.label(operation))?;
    let results = (operation.def.infer)(&call)?;
    let mut inline = Vec::new();
    let from_arguments = operation.arguments.iter().flat_map(|(name, argument)| {
        argument.operands().iter().map(move |operand| (*name, operand))
    });
    for (name, operand) in from_arguments {
        if let Operand::Literal(literal) = operand {
            // Settings are read as strings through the call.
            if literal.strings().is_none() {
                inline.push((name, Tensor::from_literal(weights.resolve(literal)?.as_ref())?));
            }
        }
    }
    for (name, literal) in operation.attributes.iter().filter(|(name, _)| name != "name") {
        if literal.strings().is_none() {
            inline.push((name, Tensor::from_literal(weights.resolve(literal)?.as_ref())?));
        }
    }
    let frame = Frame { call, arithmetic, results, operation, known, inline };
    match operation.def.kernel {
        Kernel::Const => Err(frame.call.refuse("`val` is missing")),
        Kernel::View => {
            let x = frame.tensor("x")?;
            Ok(vec![Tensor { ty: frame.result(), values: x.values.clone() }])
        }
        Kernel::Unary(f) => elementwise::unary(&frame, f),
        Kernel::Binary(f) => elementwise::binary(&frame, f),
        Kernel::Compare(f) => elementwise::compare(&frame, f),
        Kernel::Reduce(f) => reduce::reduce(&frame, f),
        Kernel::Avg => pool::average(&frame),
        Kernel::MaxPool => pool::maximum(&frame),
        Kernel::L2Pool => pool::l2(&frame),
        Kernel::Each(f) => f(&frame),
    }
}
