//! Results of taking parts. Bounds are checked here, because Apple's own checker accepts slices
//! past the end.

use super::Call;
use crate::{Result, Type};

/// `size` elements from `begin` on, for each axis; a size of -1 takes the rest.
pub(crate) fn by_size(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let dims: Vec<usize> = sized(call, x)?.into_iter().map(|(_, size)| size).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// Begin and size for each axis of `x`.
pub(crate) fn sized(call: &Call<'_>, x: Type) -> Result<Vec<(usize, usize)>> {
    let (begin, size) = (call.required_integers("begin")?, call.required_integers("size")?);
    let rank = x.shape.rank();
    if begin.len() != rank || size.len() != rank {
        return Err(call.refuse(format!(
            "`begin` {begin:?} and `size` {size:?} must hold one number for each axis of `x` {}",
            x.shape
        )));
    }
    (x.shape.iter().enumerate())
        .map(|(axis, dim)| {
            let (first, count) = (begin[axis], size[axis]);
            let dim = dim as i64;
            let first = if first < 0 { first + dim } else { first };
            let count = if count == -1 { dim - first } else { count };
            let inside = (0..dim).contains(&first) && (1..=dim - first).contains(&count);
            inside.then_some((first as usize, count as usize)).ok_or_else(|| {
                call.refuse(format!(
                    "axis {axis} of `x` {} has {dim} elements; cannot take {} from {} on",
                    x.shape, size[axis], begin[axis]
                ))
            })
        })
        .collect()
}

/// A strided range of an axis, or a single place of it.
pub(crate) struct Range {
    pub(crate) begin: i64,
    pub(crate) stride: i64,
    pub(crate) count: usize,
    /// Whether the axis is removed.
    pub(crate) squeeze: bool,
}

/// From `begin` up to `end` in steps of `stride`, for each axis.
pub(crate) fn by_index(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let ranges = indexed(call, x)?;
    let kept = ranges.iter().filter(|range| !range.squeeze);
    let dims: Vec<usize> = kept.map(|range| range.count).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// The range for each axis of `x`.
pub(crate) fn indexed(call: &Call<'_>, x: Type) -> Result<Vec<Range>> {
    let rank = x.shape.rank();
    let (begins, ends) = (call.required_integers("begin")?, call.required_integers("end")?);
    let strides = call.integers("stride")?.unwrap_or_else(|| vec![1; rank]);
    if [&begins, &ends, &strides].iter().any(|list| list.len() != rank) {
        return Err(call.refuse(format!(
            "`begin` {begins:?}, `end` {ends:?} and `stride` {strides:?} must hold one number for \
             each axis of `x` {}",
            x.shape
        )));
    }
    let from_edge = call.mask("begin_mask", rank)?;
    let to_edge = call.mask("end_mask", rank)?;
    let squeeze = call.mask("squeeze_mask", rank)?;
    (x.shape.iter().enumerate())
        .map(|(axis, dim)| {
            let (dim, stride) = (dim as i64, strides[axis]);
            let refuse = || {
                call.refuse(format!(
                    "axis {axis} of `x` {} has {dim} elements; cannot go from {} to {} by {stride}",
                    x.shape, begins[axis], ends[axis]
                ))
            };
            let wrap = |at: i64| if at < 0 { at + dim } else { at };
            if squeeze[axis] {
                let begin = wrap(begins[axis]);
                let inside = (0..dim).contains(&begin);
                let range = Range { begin, stride: 1, count: 1, squeeze: true };
                return inside.then_some(range).ok_or_else(refuse);
            }
            let begin = match from_edge[axis] {
                true if stride < 0 => dim - 1,
                true => 0,
                false => wrap(begins[axis]),
            };
            let end = match to_edge[axis] {
                true if stride < 0 => -1,
                true => dim,
                false => wrap(ends[axis]),
            };
            let inside = (0..dim).contains(&begin) && (-1..=dim).contains(&end) && stride != 0;
            let span = if stride < 0 { begin - end } else { end - begin };
            if !inside || span < 1 {
                return Err(refuse());
            }
            let count = span.unsigned_abs().div_ceil(stride.unsigned_abs()) as usize;
            Ok(Range { begin, stride, count, squeeze: false })
        })
        .collect()
}

/// Places along an axis by index: `x` with that axis replaced by the shape of `indices`.
pub(crate) fn gather(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, indices) = (call.ty("x")?, call.ty("indices")?);
    let axis = call.axis("axis", x, 0)?;
    if call.integer("batch_dims")?.is_some_and(|dims| dims != 0) {
        return Err(call.refuse("`batch_dims` other than 0 is not supported; gather each alone"));
    }
    let mut dims = x.shape.dims();
    dims.splice(axis..=axis, indices.shape.iter());
    if let Some(values) = call.get("indices").and_then(|known| known.literal?.integers()) {
        let dim = x.shape.dim(axis) as i64;
        if let Some(index) = values.iter().find(|&&index| index < -dim || index >= dim) {
            return Err(call.refuse(format!(
                "`indices` holds {index}, axis {axis} of `x` {} has {dim} elements",
                x.shape
            )));
        }
    }
    Ok(vec![call.result(x.dtype, &dims)?])
}
