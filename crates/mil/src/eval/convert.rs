//! Changing element types.

use super::{Frame, Tensor};
use crate::Result;

/// Whether a value counts as true.
fn truth(value: f64) -> f64 {
    (value != 0.0).into()
}

pub(crate) fn cast(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let to_bool = frame.result().dtype == crate::DType::Bool;
    let values = x.values.iter().map(|&v| if to_bool { truth(v) } else { v });
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn constexpr_cast(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    Ok(vec![frame.rounded(frame.tensor("source_val")?.values.iter().copied())])
}

/// Scale and zero point for each flat place of `input`.
fn affine<'a>(frame: &'a Frame<'_>) -> Result<impl Fn(usize) -> (f64, f64) + use<'a>> {
    let (input, scale) = (frame.tensor("input")?, frame.tensor("scale")?);
    let zero = frame.get("zero_point")?;
    let axis = frame.call.axis("axis", input.ty, 0).unwrap_or(0);
    let inner: usize = input.shape().iter().skip(axis + 1).product();
    let dim = input.shape().dim(axis);
    let of = move |tensor: &Tensor, flat: usize| {
        tensor.values[if tensor.values.len() == 1 { 0 } else { flat / inner % dim }]
    };
    Ok(move |flat| (of(scale, flat), zero.map_or(0.0, |zero| of(zero, flat))))
}

/// `round(input / scale) + zero_point`, held within the type.
pub(crate) fn quantize(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let affine = affine(frame)?;
    let values = frame.tensor("input")?.values.iter().enumerate().map(|(flat, &v)| {
        let (scale, zero) = affine(flat);
        (v / scale).round_ties_even() + zero
    });
    Ok(vec![frame.rounded(values)])
}

/// `(input - zero_point) * scale`.
pub(crate) fn dequantize(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let affine = affine(frame)?;
    let values = frame.tensor("input")?.values.iter().enumerate().map(|(flat, &v)| {
        let (scale, zero) = affine(flat);
        (v - zero) * scale
    });
    Ok(vec![frame.rounded(values)])
}
