//! Interfaces whose rows need no padding by the caller.

use super::rewrite::{Rewrite, Step};
use crate::program::Function;
use crate::{Result, Shape, Type};

/// fp16 elements of a row of 64 bytes (C22, C23); a multiple of what wider types need.
const COLUMNS: usize = 32;

/// Widens every input and output to a multiple of 32 columns: inputs are cut back to their width
/// first thing, outputs filled with zeros last thing. What lies in the added columns of an input
/// does not matter.
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn pad_width(function: &Function) -> Result<Function> {
    let mut rewrite =
        Rewrite::with_inputs(function, |b, name, ty| b.input_named(name, widened(ty)?))?;
    for id in function.input_ids() {
        let (ty, wide) = (function.ty(id), rewrite.value(id)?);
        if wide.ty() != ty {
            let size: Vec<i64> = ty.shape.iter().map(|dim| dim as i64).collect();
            let cut = rewrite.builder.slice_by_size(wide, &vec![0; size.len()], &size)?;
            rewrite.replace(id, cut);
        }
    }
    rewrite.run(|_, _| Ok(Step::Keep))?;
    for id in &function.outputs {
        let (ty, narrow) = (function.ty(*id), rewrite.value(*id)?);
        let extra = widened(ty)?.shape.width() - ty.shape.width();
        if extra > 0 {
            // The output's name goes to the padded value.
            let name = &function.value(*id).name;
            rewrite.builder.name(narrow, &format!("{name}_narrow"))?;
            let wide = rewrite.builder.pad(narrow, &[0, extra as i64], "constant", 0.0)?;
            rewrite.replace(*id, wide);
        }
    }
    rewrite.finish()
}

fn widened(ty: Type) -> Result<Type> {
    let mut dims = ty.shape.dims();
    if let Some(width) = dims.last_mut() {
        *width = width.next_multiple_of(COLUMNS);
    }
    Ok(Type::new(ty.dtype, Shape::new(&dims)?))
}
