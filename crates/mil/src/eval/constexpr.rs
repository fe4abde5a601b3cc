//! Weights unpacked while a program is compiled.

use super::tensor::{Walk, steps};
use super::{Frame, Tensor};
use crate::{Result, Shape};

/// For each place of `shape`, the flat place of its block in `blocks`, whose dimensions divide.
fn blocks(shape: Shape, blocks: Shape) -> impl Iterator<Item = usize> {
    let (dims, block_steps) = (shape.dims(), steps(&blocks));
    let sizes: Vec<usize> = (0..shape.rank()).map(|a| shape.dim(a) / blocks.dim(a)).collect();
    Walk::new(dims.clone(), steps(&shape)).map(move |mut flat| {
        let mut block = 0;
        for axis in (0..dims.len()).rev() {
            block += flat % dims[axis] / sizes[axis] * block_steps[axis];
            flat /= dims[axis];
        }
        block
    })
}

pub(crate) fn affine_dequantize(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let data = frame.tensor("quantized_data")?;
    let (scale, zero) = (frame.tensor("scale")?, frame.tensor("zero_point")?);
    let axis = frame.call.axis("axis", data.ty, 0)?;
    let inner: usize = data.shape().iter().skip(axis + 1).product();
    let dim = data.shape().dim(axis);
    let of = |tensor: &Tensor, flat: usize| {
        tensor.values[if tensor.values.len() == 1 { 0 } else { flat / inner % dim }]
    };
    let values = data.values.iter().enumerate();
    Ok(vec![frame.rounded(values.map(|(flat, &v)| (v - of(zero, flat)) * of(scale, flat)))])
}

pub(crate) fn blockwise(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (data, scale) = (frame.tensor("data")?, frame.tensor("scale")?);
    let offset = frame.get("offset")?;
    let values = data.values.iter().zip(blocks(data.shape(), scale.shape())).map(|(&v, block)| {
        (v - offset.map_or(0.0, |offset| offset.values[block])) * scale.values[block]
    });
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn palette(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (indices, lut) = (frame.tensor("indices")?, frame.tensor("lut")?);
    let rank = indices.shape().rank();
    let entries = lut.shape().dim(rank);
    let tables = Shape::new(&lut.shape().dims()[..rank])?;
    let values = indices.values.iter().zip(blocks(indices.shape(), tables));
    Ok(vec![frame.rounded(values.map(|(&i, table)| lut.values[table * entries + i as usize]))])
}

pub(crate) fn sparse(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (values, mask) = (frame.tensor("nonzero_data")?, frame.tensor("mask")?);
    let ones = mask.values.iter().filter(|&&bit| bit != 0.0).count();
    if ones != values.values.len() {
        let given = values.values.len();
        return Err(frame.call.refuse(format!("`mask` has {ones} ones for {given} values")));
    }
    let mut next = values.values.iter().copied();
    let filled =
        mask.values.iter().map(|&bit| if bit != 0.0 { next.next().unwrap_or(0.0) } else { 0.0 });
    Ok(vec![frame.rounded(filled)])
}
