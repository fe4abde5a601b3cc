//! Results of rearranging and repeating.

use super::Call;
use crate::{DType, MAX_RANK, Result, Type};

/// The same elements in the shape that `shape` gives, one dimension of which may be -1.
pub(crate) fn reshape(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let shape = call.required_integers("shape")?;
    let open = shape.iter().filter(|&&dim| dim == -1).count();
    let known = shape.iter().filter(|&&dim| dim != -1).try_fold(1_usize, |product, &dim| {
        usize::try_from(dim).ok().filter(|&dim| dim > 0)?.checked_mul(product)
    });
    let elements = x.shape.elements();
    let refuse = |why: &str| Err(call.refuse(format!("`x` {} to {shape:?}: {why}", x.shape)));
    let rest = match (open, known) {
        (_, None) => return refuse("dimensions must be positive, or -1 once"),
        (0, Some(known)) if known == elements => 1,
        (1, Some(known)) if elements.is_multiple_of(known) => elements / known,
        (0 | 1, Some(_)) => return refuse(&format!("it has {elements} elements")),
        _ => return refuse("only one dimension may be -1"),
    };
    let dims: Vec<usize> = shape.iter().map(|&dim| usize::try_from(dim).unwrap_or(rest)).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// The axes in the order of `perm`.
pub(crate) fn transpose(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let perm = permutation(call, x)?;
    let dims: Vec<usize> = perm.into_iter().map(|axis| x.shape.dim(axis)).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// `perm` as axes of `x`.
pub(crate) fn permutation(call: &Call<'_>, x: Type) -> Result<Vec<usize>> {
    let perm = call.required_integers("perm")?;
    let axes: Option<Vec<usize>> = perm.iter().map(|&axis| x.shape.axis(axis)).collect();
    let mut sorted = axes.clone().unwrap_or_default();
    sorted.sort_unstable();
    match axes {
        Some(axes) if sorted.iter().copied().eq(0..x.shape.rank()) => Ok(axes),
        _ => {
            Err(call.refuse(format!("`perm` {perm:?} is no order of the axes of `x` {}", x.shape)))
        }
    }
}

/// `x` with axes of 1 at the places that `axes` names in the result.
pub(crate) fn expand_dims(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let axes = call.required_integers("axes")?;
    // No shape has so many, and looking each up in the others is quadratic.
    if axes.len() > MAX_RANK + 1 {
        return Err(call.refuse(format!("adds {} axes, expected at most {MAX_RANK}", axes.len())));
    }
    let rank = (x.shape.rank() + axes.len()) as i64;
    let mut places = Vec::with_capacity(axes.len());
    for &axis in &axes {
        let place = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&place) || places.contains(&place) {
            return Err(call.refuse(format!(
                "`axes` {axes:?} are no distinct axes of a result of rank {rank}"
            )));
        }
        places.push(place);
    }
    let mut dims = x.shape.iter();
    let dims: Vec<usize> = (0..rank)
        .map(|place| if places.contains(&place) { 1 } else { dims.next().unwrap_or(1) })
        .collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// `x` without the axes named, or without any axis of 1.
pub(crate) fn squeeze(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let given = call.get("axes").is_some();
    let axes = call.axes("axes", x)?;
    if given && let Some(&axis) = axes.iter().find(|&&axis| x.shape.dim(axis) != 1) {
        let dim = x.shape.dim(axis);
        return Err(call.refuse(format!("axis {axis} of `x` {} is {dim}, not 1", x.shape)));
    }
    let dims: Vec<usize> = (x.shape.iter().enumerate())
        .filter(|(axis, dim)| *dim != 1 || !axes.contains(axis))
        .map(|(_, dim)| dim)
        .collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// The type of `x`, with axes that it has.
pub(crate) fn reverse(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    call.axes("axes", x)?;
    Ok(vec![x])
}

/// Axes before `axis` as one, the others as another.
pub(crate) fn flatten2d(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let axis = call.axis("axis", x, 1)?;
    let before: usize = x.shape.iter().take(axis).product();
    Ok(vec![call.result(x.dtype, &[before, x.shape.elements() / before])?])
}

/// Every axis repeated.
pub(crate) fn tile(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let reps = call.required_integers("reps")?;
    if reps.len() != x.shape.rank() || reps.iter().any(|&n| n < 1 || n > i64::from(i32::MAX)) {
        return Err(call.refuse(format!(
            "`reps` {reps:?} must hold one positive number for each axis of `x` {}",
            x.shape
        )));
    }
    // Cannot overflow: 2^31 times 2^31.
    let dims: Vec<usize> = x.shape.iter().zip(&reps).map(|(dim, &n)| dim * n as usize).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// A shape filled with one value, 0 of `fp32` by default.
pub(crate) fn fill(call: &Call<'_>) -> Result<Vec<Type>> {
    let shape = call.required_integers("shape")?;
    let value = call.get("value").map(|known| known.ty);
    if let Some(value) = value.filter(|ty| ty.shape.rank() != 0) {
        return Err(call.refuse(format!("`value` has shape {}, expected a scalar", value.shape)));
    }
    let dims: Option<Vec<usize>> = shape.iter().map(|&dim| usize::try_from(dim).ok()).collect();
    let dims = dims.ok_or_else(|| call.refuse(format!("`shape` {shape:?} has a negative one")))?;
    Ok(vec![call.result(value.map_or(DType::Fp32, |ty| ty.dtype), &dims)?])
}

/// `x` with elements before and after its last axes.
pub(crate) fn pad(call: &Call<'_>) -> Result<Vec<Type>> {
    let x = call.ty("x")?;
    let amounts = paddings(call, x)?;
    let mode = call.string("mode")?.unwrap_or("constant");
    let dims = x.shape.dims();
    for (axis, &(before, after)) in amounts.iter().enumerate() {
        let limit = match mode {
            "constant" => usize::MAX,
            // A reflection leaves out the edge, a copy of it needs only the edge.
            "reflect" => dims[axis] - 1,
            "replicate" => usize::MAX,
            _ => {
                return Err(call.refuse(format!(
                    "`mode` is \"{mode}\", expected constant, reflect or replicate"
                )));
            }
        };
        if before > limit || after > limit {
            return Err(call.refuse(format!(
                "axis {axis} of `x` {} reflects at most {limit} elements",
                x.shape
            )));
        }
    }
    if call.get("constant_val").is_some_and(|known| known.ty.shape.elements() != 1) {
        return Err(call.refuse("`constant_val` must be one number"));
    }
    let dims: Vec<usize> =
        dims.iter().zip(&amounts).map(|(dim, (before, after))| dim + before + after).collect();
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// Elements before and after each axis of `x`; `pad` tells only the last ones.
pub(crate) fn paddings(call: &Call<'_>, x: Type) -> Result<Vec<(usize, usize)>> {
    let pad = call.required_integers("pad")?;
    let rank = x.shape.rank();
    let bad = pad.iter().any(|&n| n < 0 || n > i64::from(i32::MAX));
    if bad || !pad.len().is_multiple_of(2) || pad.len() > 2 * rank {
        return Err(call.refuse(format!(
            "`pad` {pad:?} must hold two non-negative numbers for each of the last axes of {}",
            x.shape
        )));
    }
    let mut amounts = vec![(0, 0); rank - pad.len() / 2];
    amounts.extend(pad.chunks_exact(2).map(|pair| (pair[0] as usize, pair[1] as usize)));
    Ok(amounts)
}
