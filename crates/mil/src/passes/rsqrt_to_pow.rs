//! Reciprocal roots that compile everywhere.

use super::rewrite::{Rewrite, Step};
use crate::Result;
use crate::program::Function;

/// Replaces `rsqrt(x, epsilon)` by `pow(x + epsilon, -0.5)`, without the addition where epsilon is
/// none to speak of in the element type (C12).
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn rsqrt_to_pow(function: &Function) -> Result<Function> {
    let mut rewrite = Rewrite::new(function)?;
    rewrite.run(|rewrite, operation| {
        if operation.def.name != "rsqrt" {
            return Ok(Step::Keep);
        }
        let Some(mut x) = rewrite.operand(operation, "x")? else { return Ok(Step::Keep) };
        let epsilon =
            operation.argument("epsilon").and_then(|argument| argument.operands().first());
        let epsilon = epsilon.and_then(|operand| function.operand_constant(operand)?.floats());
        if let Some(&epsilon) = epsilon.as_ref().and_then(|values| values.first())
            && epsilon != 0.0
        {
            x = rewrite.builder.add(x, epsilon)?;
        }
        Ok(Step::New(vec![rewrite.builder.pow(x, -0.5)?]))
    })?;
    rewrite.finish()
}
