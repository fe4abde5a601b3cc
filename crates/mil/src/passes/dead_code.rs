//! Removing what no output needs.

use super::rewrite::{Rewrite, Step};
use crate::Result;
use crate::program::Function;

/// Removes operations, constants among them, that no output depends on. Inputs stay, used or not:
/// they are the function's interface.
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn dead_code(function: &Function) -> Result<Function> {
    let mut live = vec![false; function.values.len()];
    for id in &function.outputs {
        live[id.index()] = true;
    }
    for operation in function.operations.iter().rev() {
        if operation.results.iter().any(|id| live[id.index()]) {
            operation.uses().for_each(|id| live[id.index()] = true);
        }
    }
    let mut rewrite = Rewrite::new(function)?;
    rewrite.run(|_, operation| {
        let needed = operation.results.iter().any(|id| live[id.index()]);
        Ok(if needed { Step::Keep } else { Step::Drop })
    })?;
    rewrite.finish()
}
