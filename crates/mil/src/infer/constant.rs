//! Results of constants, and of the operations that unpack weights while a program is compiled.

use super::Call;
use crate::{DType, Result, Type};

/// The type of `val`.
pub(crate) fn constant(call: &Call<'_>) -> Result<Vec<Type>> {
    Ok(vec![call.ty("val")?])
}

/// `(quantized_data - zero_point) * scale`, both one number or one for each place along `axis`.
/// The engine refuses scales of other ranks (C45).
pub(crate) fn affine_dequantize(call: &Call<'_>) -> Result<Vec<Type>> {
    let (data, scale, zero) =
        (call.ty("quantized_data")?, call.ty("scale")?, call.ty("zero_point")?);
    let axis = call.axis("axis", data, 0)?;
    for (name, ty) in [("scale", scale), ("zero_point", zero)] {
        let fits = match ty.shape.rank() {
            0 => true,
            1 => ty.shape.dim(0) == data.shape.dim(axis),
            _ => false,
        };
        if !fits {
            return Err(call.refuse(format!(
                "`{name}` has shape {}, expected a scalar or [{}] (C45)",
                ty.shape,
                data.shape.dim(axis)
            )));
        }
    }
    if zero.dtype != data.dtype {
        let (zero, data) = (zero.dtype, data.dtype);
        return Err(call.refuse(format!("`zero_point` is {zero}, `quantized_data` {data}")));
    }
    Ok(vec![Type::new(scale.dtype, data.shape)])
}

/// `(data - offset) * scale`, a scale for each block; block sizes follow from the shapes.
pub(crate) fn blockwise(call: &Call<'_>) -> Result<Vec<Type>> {
    let (data, scale) = (call.ty("data")?, call.ty("scale")?);
    let ranks = data.shape.rank() == scale.shape.rank() && data.shape.rank() > 0;
    if !ranks || data.shape.iter().zip(scale.shape.iter()).any(|(d, s)| !d.is_multiple_of(s)) {
        return Err(call.refuse(format!(
            "`scale` {} does not cut `data` {} into blocks: one rank, dimensions that divide",
            scale.shape, data.shape
        )));
    }
    if !matches!(data.dtype, DType::Int4 | DType::Uint4 | DType::Int8 | DType::Uint8) {
        let found = data.dtype;
        return Err(call.refuse(format!("`data` is {found}, expected int4, uint4, int8 or uint8")));
    }
    if let Some(offset) = call.get("offset")
        && (offset.ty.shape != scale.shape
            || !offset.ty.dtype.is_float() && offset.ty.dtype != data.dtype)
    {
        return Err(call.refuse(format!(
            "`offset` is {}, expected the shape of `scale` {} and the type of `data` {}",
            offset.ty, scale.shape, data.dtype
        )));
    }
    Ok(vec![Type::new(scale.dtype, data.shape)])
}

/// A constant as `fp32`, the only type this operation makes.
pub(crate) fn cast(call: &Call<'_>) -> Result<Vec<Type>> {
    let dtype = call.dtype("output_dtype", &[DType::Fp32])?;
    let source = call.ty("source_val")?;
    if source.dtype != DType::Fp16 {
        return Err(call.refuse(format!("`source_val` is {}, expected fp16", source.dtype)));
    }
    Ok(vec![Type::new(dtype, source.shape)])
}

/// Indices replaced by entries of a palette of shape `[blocks.., entries, 1]`.
pub(crate) fn palette(call: &Call<'_>) -> Result<Vec<Type>> {
    let (indices, lut) = (call.ty("indices")?, call.ty("lut")?);
    let rank = indices.shape.rank();
    let entries = 1_usize << indices.dtype.bits();
    let fits = rank > 0
        && lut.shape.rank() == rank + 2
        && indices.shape.iter().zip(lut.shape.iter()).all(|(i, l)| i.is_multiple_of(l))
        && lut.shape.dim(rank) == entries
        && lut.shape.dim(rank + 1) == 1;
    if !fits {
        return Err(call.refuse(format!(
            "`lut` {} does not serve {} `indices` {}: expected dimensions that divide theirs, then \
             [{entries}, 1]",
            lut.shape, indices.dtype, indices.shape
        )));
    }
    Ok(vec![Type::new(lut.dtype, indices.shape)])
}

/// Values where the mask is 1, zeros elsewhere.
pub(crate) fn sparse(call: &Call<'_>) -> Result<Vec<Type>> {
    let (values, mask) = (call.ty("nonzero_data")?, call.get("mask"));
    if values.shape.rank() != 1 {
        return Err(call.refuse(format!("`nonzero_data` {} must be a list", values.shape)));
    }
    let ones = mask.and_then(|known| known.literal?.integers());
    if let Some(ones) = ones.map(|bits| bits.iter().filter(|&&bit| bit == 1).count())
        && ones != values.shape.dim(0)
    {
        return Err(
            call.refuse(format!("`mask` has {ones} ones for {} values", values.shape.dim(0)))
        );
    }
    Ok(vec![Type::new(values.dtype, call.ty("mask")?.shape)])
}
