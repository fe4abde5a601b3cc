//! Results of joining and cutting along an axis.

use super::Call;
use crate::{Result, Type};

/// Most parts of a split. Each is a named result; a count alone must not fill memory.
const MAX_PARTS: usize = 1 << 16;

/// Tensors equal in all axes but one, which adds up. With `interleave`, equal in all.
pub(crate) fn concat(call: &Call<'_>) -> Result<Vec<Type>> {
    let values = call.list("values");
    let first = values[0];
    let axis = call.axis("axis", first, 0)?;
    let interleave = call.flag("interleave")?.unwrap_or(false);
    let mut dims = first.shape.dims();
    for value in &values[1..] {
        let other = value.shape.dims();
        let fits = other.len() == dims.len()
            && (0..dims.len())
                .all(|a| (a == axis && !interleave) || other[a] == first.shape.dim(a));
        if !fits {
            return Err(call.refuse(format!(
                "{} and {} do not join along axis {axis}: all {}dimensions must be equal",
                first.shape,
                value.shape,
                if interleave { "" } else { "other " }
            )));
        }
        // Cannot overflow: at most 2^16 operands of at most 2^31.
        dims[axis] += other[axis];
    }
    Ok(vec![call.result(first.dtype, &dims)?])
}

/// Equal tensors along a new axis.
pub(crate) fn stack(call: &Call<'_>) -> Result<Vec<Type>> {
    let values = call.list("values");
    let first = values[0];
    if let Some(other) = values.iter().find(|value| value.shape != first.shape) {
        return Err(call.refuse(format!(
            "{} and {} do not stack: shapes must be equal",
            first.shape, other.shape
        )));
    }
    let mut dims = first.shape.dims();
    let axis = call.integer("axis")?.unwrap_or(0);
    let rank = dims.len() as i64 + 1;
    let place = if axis < 0 { axis + rank } else { axis };
    if !(0..rank).contains(&place) {
        return Err(call.refuse(format!("`axis` is {axis}, expected from -{rank} to {}", rank - 1)));
    }
    dims.insert(place as usize, values.len());
    Ok(vec![call.result(first.dtype, &dims)?])
}

/// Equal parts, or parts of given sizes, along an axis.
pub(crate) fn split(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let axis = call.axis("axis", x, 0)?;
    let mut dims = x.shape.dims();
    sizes(call, dims[axis])?
        .into_iter()
        .map(|size| {
            dims[axis] = size;
            call.result(x.dtype, &dims)
        })
        .collect()
}

/// The sizes of the parts of an axis of length `dim`.
pub(crate) fn sizes(call: &Call<'_>, dim: usize) -> Result<Vec<usize>> {
    let count = call.integer("num_splits")?;
    if let Some(sizes) = call.integers("split_sizes")? {
        let whole = sizes
            .iter()
            .try_fold(0_i64, |sum, &size| if size < 1 { None } else { sum.checked_add(size) });
        if whole != Some(dim as i64) || count.is_some_and(|count| count != sizes.len() as i64) {
            return Err(call.refuse(format!(
                "`split_sizes` {sizes:?} are no parts of {dim}: they must be positive and add up"
            )));
        }
        return Ok(sizes.into_iter().map(|size| size as usize).collect());
    }
    match count.and_then(|count| usize::try_from(count).ok()) {
        Some(count) if count > MAX_PARTS => {
            Err(call.refuse(format!("{count} parts, expected at most {MAX_PARTS}")))
        }
        Some(count) if count > 0 && dim.is_multiple_of(count) => Ok(vec![dim / count; count]),
        Some(count) => Err(call.refuse(format!("{dim} does not split into {count} equal parts"))),
        None => Err(call.refuse("needs `num_splits`, at least 1, or `split_sizes`")),
    }
}
