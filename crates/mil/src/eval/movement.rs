//! Moving elements: slices, joins, transposes, paddings.

use super::tensor::{Walk, steps};
use super::{Frame, Tensor};
use crate::infer::{join, reshape, slice};
use crate::{Result, Type};

/// Elements of `x` at `start` plus the offsets of a walk.
fn pick(x: &Tensor, ty: Type, start: usize, walk: Walk) -> Tensor {
    Tensor { ty, values: walk.map(|at| x.values[start + at]).collect() }
}

/// The first result, each element from the place of `x` that `place` finds for it along each axis.
fn mapped(frame: &Frame<'_>, x: &Tensor, place: impl Fn(usize, usize) -> usize) -> Tensor {
    let (from, ty) = (steps(&x.shape()), frame.result());
    let dims = ty.shape.dims();
    let walk = Walk::new(dims.clone(), steps(&ty.shape));
    let values = walk.map(|mut at| {
        let mut source = 0;
        for axis in (0..dims.len()).rev() {
            source += place(axis, at % dims[axis]) * from[axis];
            at /= dims[axis];
        }
        x.values[source]
    });
    Tensor { ty, values: values.collect() }
}

pub(crate) fn transpose(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let from = steps(&x.shape());
    let order = reshape::permutation(&frame.call, x.ty)?;
    let walk = order.into_iter().map(|axis| from[axis]).collect();
    let ty = frame.result();
    Ok(vec![pick(x, ty, 0, Walk::new(ty.shape.dims(), walk))])
}

pub(crate) fn slice_by_size(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let from = steps(&x.shape());
    let ranges = slice::sized(&frame.call, x.ty)?;
    let start = ranges.iter().zip(&from).map(|((begin, _), step)| begin * step).sum();
    let ty = frame.result();
    Ok(vec![pick(x, ty, start, Walk::new(ty.shape.dims(), from))])
}

pub(crate) fn slice_by_index(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let from = steps(&x.shape());
    let ranges = slice::indexed(&frame.call, x.ty)?;
    let dims: Vec<usize> = ranges.iter().map(|range| range.count).collect();
    // Strides may be negative, so places are computed, not stepped to.
    let counts = crate::Shape::new(&dims)?;
    let values = Walk::new(dims.clone(), steps(&counts)).map(|mut at| {
        let mut source = 0;
        for (axis, range) in ranges.iter().enumerate().rev() {
            let place = range.begin + (at % range.count) as i64 * range.stride;
            source += place as usize * from[axis];
            at /= range.count;
        }
        x.values[source]
    });
    Ok(vec![Tensor { ty: frame.result(), values: values.collect() }])
}

pub(crate) fn split(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let axis = frame.call.axis("axis", x.ty, 0)?;
    let from = steps(&x.shape());
    let mut begin = 0;
    let sizes = join::sizes(&frame.call, x.shape().dim(axis))?;
    let parts = frame.results.iter().zip(sizes).map(|(&ty, size)| {
        let walk = Walk::new(ty.shape.dims(), from.clone());
        let part = pick(x, ty, begin * from[axis], walk);
        begin += size;
        part
    });
    Ok(parts.collect())
}

pub(crate) fn concat(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let values = frame.list("values")?;
    let axis = frame.call.axis("axis", values[0].ty, 0)?;
    let interleave = frame.call.flag("interleave")?.unwrap_or(false);
    let ty = frame.result();
    let outer: usize = ty.shape.iter().take(axis).product();
    let inner: usize = ty.shape.iter().skip(axis + 1).product();
    let mut out = Vec::with_capacity(ty.shape.elements());
    for block in 0..outer {
        let rows = values.iter().map(|value| {
            let length = value.shape().dim(axis) * inner;
            &value.values[block * length..(block + 1) * length]
        });
        if interleave {
            let rows: Vec<&[f64]> = rows.collect();
            for place in 0..values[0].shape().dim(axis) {
                for row in &rows {
                    out.extend_from_slice(&row[place * inner..(place + 1) * inner]);
                }
            }
        } else {
            rows.for_each(|row| out.extend_from_slice(row));
        }
    }
    Ok(vec![Tensor { ty, values: out }])
}

pub(crate) fn stack(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let values = frame.list("values")?;
    let ty = frame.result();
    let axis = frame.call.integer("axis")?.unwrap_or(0);
    let rank = ty.shape.rank() as i64;
    let axis = if axis < 0 { axis + rank } else { axis } as usize;
    let inner: usize = ty.shape.iter().skip(axis + 1).product();
    let outer: usize = ty.shape.iter().take(axis).product();
    let mut out = Vec::with_capacity(ty.shape.elements());
    for block in 0..outer {
        for value in &values {
            out.extend_from_slice(&value.values[block * inner..(block + 1) * inner]);
        }
    }
    Ok(vec![Tensor { ty, values: out }])
}

pub(crate) fn reverse(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let axes = frame.call.axes("axes", x.ty)?;
    let shape = x.shape();
    Ok(vec![mapped(
        frame,
        x,
        |axis, at| {
            if axes.contains(&axis) { shape.dim(axis) - 1 - at } else { at }
        },
    )])
}

pub(crate) fn tile(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let shape = x.shape();
    Ok(vec![mapped(frame, x, |axis, at| at % shape.dim(axis))])
}

pub(crate) fn fill(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let value = f64::from(frame.number("value", 0.0)?);
    let ty = frame.result();
    Ok(vec![Tensor { ty, values: vec![value; ty.shape.elements()] }])
}

pub(crate) fn gather(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (x, indices) = (frame.tensor("x")?, frame.tensor("indices")?);
    let axis = frame.call.axis("axis", x.ty, 0)?;
    let dim = x.shape().dim(axis);
    let outer: usize = x.shape().iter().take(axis).product();
    let inner: usize = x.shape().iter().skip(axis + 1).product();
    let mut out = Vec::with_capacity(frame.result().shape.elements());
    for block in 0..outer {
        for &index in &indices.values {
            let place = if index < 0.0 { index + dim as f64 } else { index };
            if !(0.0..dim as f64).contains(&place) {
                let reason = format!("index {index} is outside of axis {axis} of {}", x.shape());
                return Err(frame.call.refuse(reason));
            }
            let start = (block * dim + place as usize) * inner;
            out.extend_from_slice(&x.values[start..start + inner]);
        }
    }
    Ok(vec![Tensor { ty: frame.result(), values: out }])
}

pub(crate) fn pad(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let amounts = reshape::paddings(&frame.call, x.ty)?;
    let mode = frame.call.string("mode")?.unwrap_or("constant");
    let shape = x.shape();
    let edge = |axis: usize, at: usize| -> usize {
        let (at, last) = (at as i64 - amounts[axis].0 as i64, shape.dim(axis) as i64 - 1);
        let inside = match mode {
            "reflect" => (if at < 0 { -at } else { at }).min(last) - (at - last).max(0),
            _ => at.clamp(0, last),
        };
        inside as usize
    };
    let mut out = mapped(frame, x, edge);
    if mode == "constant" {
        let value = f64::from(frame.number("constant_val", 0.0)?);
        let dims = out.ty.shape.dims();
        for (flat, slot) in out.values.iter_mut().enumerate() {
            let mut at = flat;
            let outside = (0..dims.len()).rev().any(|axis| {
                let place = at % dims[axis];
                at /= dims[axis];
                place < amounts[axis].0 || place >= amounts[axis].0 + shape.dim(axis)
            });
            if outside {
                *slot = value;
            }
        }
    }
    Ok(vec![out])
}
