//! Computing what is known before the program runs.

use super::rewrite::{Rewrite, Step};
use crate::blob::Weights;
use crate::eval::{self, Half, Tensor};
use crate::program::{Function, Operand};
use crate::{DType, Result};

/// Most elements of a result that is computed here: shapes, axes, tables of a few rows. Larger ones
/// would make programs longer than what they save.
const MOST: usize = 64;

/// Replaces operations on constants in memory by their results, where these are small: engines
/// refuse shapes that are computed, even from constants (C20).
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn fold_constants(function: &Function) -> Result<Function> {
    // Constants of the old function, those folded included.
    let mut known: Vec<Option<Tensor>> = vec![None; function.values.len()];
    let none = Weights::new();
    let mut rewrite = Rewrite::new(function)?;
    rewrite.run(|rewrite, operation| {
        if let (Some(literal), [id]) = (operation.constant(), &operation.results[..]) {
            known[id.index()] = (literal.ty().shape.elements() <= MOST)
                .then(|| Tensor::from_literal(literal).ok())
                .flatten();
            return Ok(Step::Keep);
        }
        let returned = operation.results.iter().any(|id| function.outputs.contains(id));
        let small = operation.results.iter().all(|id| function.ty(*id).shape.elements() <= MOST);
        let constant = operation.operands().all(|operand| match operand {
            Operand::Value(id) => {
                // Strings are constants without elements.
                function.ty(*id).dtype == DType::String || known[id.index()].is_some()
            }
            Operand::Literal(_) => true,
        });
        let unpacks = operation.def.is_constexpr();
        if returned || !small || !constant || unpacks || operation.arguments.is_empty() {
            return Ok(Step::Keep);
        }
        let results = eval::operation(function, operation, &none, &known, &Half)?;
        let mut values = Vec::with_capacity(results.len());
        for (id, tensor) in operation.results.iter().zip(results) {
            values.push(rewrite.builder.constant(tensor.to_literal()?)?);
            known[id.index()] = Some(tensor);
        }
        Ok(Step::Alias(values))
    })?;
    rewrite.finish()
}
