//! Results of operations that work element by element.

use super::Call;
use crate::{DType, Opset, Result, Type};

/// The type of `x`.
pub(crate) fn same(call: &Call<'_>) -> Result<Vec<Type>> {
    for name in ["alpha", "beta", "epsilon"] {
        if let Some(known) = call.get(name)
            && known.ty.shape.elements() != 1
        {
            let shape = known.ty.shape;
            return Err(call.refuse(format!("`{name}` has shape {shape}, expected one number")));
        }
    }
    Ok(vec![call.ty("x")?])
}

/// `gelu`: the type of `x`, in a mode that there is.
pub(crate) fn gelu(call: &Call<'_>) -> Result<Vec<Type>> {
    let mode = call.string("mode")?.unwrap_or("EXACT");
    if crate::eval::Unary::gelu(mode).is_none() {
        return Err(call.refuse(format!(
            "`mode` is \"{mode}\", expected EXACT, TANH_APPROXIMATION or SIGMOID_APPROXIMATION"
        )));
    }
    same(call)
}

/// The shape that `x` and `y` broadcast to.
pub(crate) fn broadcast(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, y) = (call.ty("x")?, call.ty("y")?);
    let shape = x.shape.broadcast(&y.shape).ok_or_else(|| {
        call.refuse(format!(
            "`x` {} and `y` {} do not broadcast: aligned at the end, dimensions must be equal or 1",
            x.shape, y.shape
        ))
    })?;
    Ok(vec![Type::new(x.dtype, shape)])
}

/// Booleans in the shape that `x` and `y` broadcast to.
pub(crate) fn compare(call: &Call<'_>) -> Result<Vec<Type>> {
    let mut types = broadcast(call)?;
    types[0].dtype = DType::Bool;
    Ok(types)
}

/// `cond`, `a` and `b` broadcast together.
pub(crate) fn select(call: &Call<'_>) -> Result<Vec<Type>> {
    let (cond, a, b) = (call.ty("cond")?, call.ty("a")?, call.ty("b")?);
    let shape = a.shape.broadcast(&b.shape).and_then(|shape| shape.broadcast(&cond.shape));
    let shape = shape.ok_or_else(|| {
        call.refuse(format!(
            "`cond` {}, `a` {} and `b` {} do not broadcast",
            cond.shape, a.shape, b.shape
        ))
    })?;
    Ok(vec![Type::new(a.dtype, shape)])
}

/// What `cast` makes, integers of 8 and 16 bits from iOS 17 on.
const CAST: [DType; 8] = [
    DType::Fp16,
    DType::Fp32,
    DType::Int32,
    DType::Bool,
    DType::Int8,
    DType::Uint8,
    DType::Int16,
    DType::Uint16,
];

/// The shape of `x`, of the type that `dtype` names.
pub(crate) fn cast(call: &Call<'_>) -> Result<Vec<Type>> {
    let dtype = call.dtype("dtype", &CAST)?;
    if dtype.is_small() && call.opset < Opset::Ios17 {
        let opset = call.opset;
        return Err(call.refuse(format!("`dtype` is \"{dtype}\"; ios17 has that, not {opset}")));
    }
    Ok(vec![Type::new(dtype, call.ty("x")?.shape)])
}

/// The scale and zero point must be one number, or one for each place along the axis.
fn per_axis(call: &Call<'_>) -> Result<Type> {
    let (input, scale) = (call.ty("input")?, call.ty("scale")?);
    let fits = |shape: &crate::Shape| -> Result<bool> {
        Ok(match shape.rank() {
            0 => true,
            1 => {
                let axis = call.get("axis").map(|_| call.axis("axis", input, 0)).transpose()?;
                axis.is_some_and(|axis| shape.dim(0) == input.shape.dim(axis))
            }
            _ => false,
        })
    };
    for (name, ty) in [("scale", Some(scale)), ("zero_point", call.get("zero_point").map(|k| k.ty))]
    {
        let Some(ty) = ty else { continue };
        if !fits(&ty.shape)? {
            return Err(call.refuse(format!(
                "`{name}` has shape {}, expected a scalar, or a list as long as `axis` of {}",
                ty.shape, input.shape
            )));
        }
        if ty.shape.rank() != scale.shape.rank() {
            return Err(call.refuse("`scale` and `zero_point` have different ranks"));
        }
    }
    Ok(input)
}

/// 8-bit integers in the shape of `input`.
pub(crate) fn quantize(call: &Call<'_>) -> Result<Vec<Type>> {
    let dtype = call.dtype("output_dtype", &[DType::Int8, DType::Uint8])?;
    if let Some(zero) = call.get("zero_point")
        && zero.ty.dtype != dtype
    {
        let found = zero.ty.dtype;
        return Err(call.refuse(format!("`zero_point` is {found}, expected {dtype} as the output")));
    }
    Ok(vec![Type::new(dtype, per_axis(call)?.shape)])
}

/// The type of the scale, in the shape of `input`.
pub(crate) fn dequantize(call: &Call<'_>) -> Result<Vec<Type>> {
    Ok(vec![Type::new(call.ty("scale")?.dtype, per_axis(call)?.shape)])
}
