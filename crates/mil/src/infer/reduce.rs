//! Results of operations along axes.

use super::Call;
use crate::{DType, Result, Type};

/// `x` with the axes folded: kept as 1 or removed.
pub(crate) fn reduce(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let axes = call.axes("axes", x)?;
    fold(call, x, &axes, x.dtype)
}

/// As [`reduce`] over one axis, with indices as result.
pub(crate) fn arg(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let axis = call.axis("axis", x, -1)?;
    fold(call, x, &[axis], DType::Int32)
}

fn fold(call: &Call<'_>, x: Type, axes: &[usize], dtype: DType) -> Result<Vec<Type>> {
    let keep = call.flag("keep_dims")?.unwrap_or(false);
    let dims = x.shape.iter().enumerate();
    let dims: Vec<usize> = if keep {
        dims.map(|(axis, dim)| if axes.contains(&axis) { 1 } else { dim }).collect()
    } else {
        dims.filter(|(axis, _)| !axes.contains(axis)).map(|(_, dim)| dim).collect()
    };
    Ok(vec![call.result(dtype, &dims)?])
}

/// The type of `x`, along an axis that it has.
pub(crate) fn along_axis(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    call.axis("axis", x, default_axis(call.def.name))?;
    Ok(vec![x])
}

/// The axis that an operation works along when none is given.
pub(crate) fn default_axis(op: &str) -> i64 {
    if op == "cumsum" { 0 } else { -1 }
}
