//! Removing what changes nothing.

use super::rewrite::{Rewrite, Step};
use crate::Result;
use crate::program::{Function, Operation};

/// Removes `identity`, reshapes and casts to what a value already is, and transposes that keep the
/// order. Where such an operation makes an output, its operand takes over the name, unless it is an
/// input, a constant or an output itself (C17: an engine may need the copy).
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn remove_identity(function: &Function) -> Result<Function> {
    let mut rewrite = Rewrite::new(function)?;
    rewrite.run(|rewrite, operation| {
        if !changes_nothing(function, operation) {
            return Ok(Step::Keep);
        }
        let Some(x) = rewrite.operand(operation, "x")? else { return Ok(Step::Keep) };
        let returned = operation.results.iter().any(|id| function.outputs.contains(id));
        if !returned {
            return Ok(Step::Alias(vec![x]));
        }
        // An output's name goes to its operand, if that has none that matters.
        let operand = operation.uses().find(|id| rewrite.value(*id).is_ok_and(|value| value == x));
        let named = operand.is_none_or(|id| function.outputs.contains(&id));
        let free = !named && rewrite.builder.is_plain(x) && !rewrite.took_output_name(x);
        Ok(if free { Step::New(vec![x]) } else { Step::Keep })
    })?;
    rewrite.finish()
}

fn changes_nothing(function: &Function, operation: &Operation) -> bool {
    let Some(x) = operation.argument("x").and_then(|argument| argument.operands().first()) else {
        return false;
    };
    let same = operation.results.iter().all(|id| function.ty(*id) == function.operand_type(x));
    match operation.def.name {
        "identity" => true,
        "reshape" | "cast" | "squeeze" | "flatten2d" => same,
        "transpose" => {
            let perm = operation.argument("perm").and_then(|argument| argument.operands().first());
            let perm = perm.and_then(|perm| function.operand_constant(perm)?.integers());
            perm.is_some_and(|perm| perm.iter().copied().eq(0..perm.len() as i64))
        }
        _ => false,
    }
}
