//! Normalisations: mean and variance over some axes, then scale and shift.

use super::tensor::Walk;
use super::{Frame, Tensor};
use crate::{DType, Result, Shape};

/// Epsilon of a norm that is given none, as coremltools sets it.
const LAYER_EPSILON: f32 = 1e-5;
const L2_EPSILON: f32 = 1e-6;

/// The parameter that goes with an element, 1-dimensional or over the normalised axes.
fn at(tensor: Option<&Tensor>, index: usize, default: f64) -> f64 {
    tensor.map_or(default, |tensor| tensor.values[index])
}

/// Normalises over `axes`; `place` tells which element of gamma and beta belongs to a place, from
/// the number of the row and the place in it.
fn normalise(
    frame: &Frame<'_>,
    axes: &[usize],
    place: impl Fn(usize, usize) -> usize,
) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let (gamma, beta) = (frame.get("gamma")?, frame.get("beta")?);
    let epsilon = f64::from(frame.number("epsilon", LAYER_EPSILON)?);
    let (shape, dtype): (Shape, DType) = (x.shape(), x.ty.dtype);
    let all = super::tensor::steps(&shape);
    let pick = |inside: bool| -> (Vec<usize>, Vec<usize>) {
        let chosen = (0..shape.rank()).filter(|axis| axes.contains(axis) == inside);
        chosen.map(|axis| (shape.dim(axis), all[axis])).unzip()
    };
    let ((outer, outer_steps), (inner, inner_steps)) = (pick(false), pick(true));
    let mut values = x.values.clone();
    for (row, start) in Walk::new(outer, outer_steps).enumerate() {
        let offsets: Vec<usize> = Walk::new(inner.clone(), inner_steps.clone()).collect();
        let n = offsets.len() as f64;
        let of = |at: &usize| x.values[start + at];
        let mean = frame.arithmetic.sum(&mut offsets.iter().map(of), dtype) / n;
        let square = |at: &usize| (of(at) - mean).powi(2);
        let variance = frame.arithmetic.sum(&mut offsets.iter().map(square), dtype) / n;
        let scale = 1.0 / (variance + epsilon).sqrt();
        for (i, offset) in offsets.iter().enumerate() {
            let parameter = place(row, i);
            let value = (of(offset) - mean) * scale * at(gamma, parameter, 1.0);
            let value = value + at(beta, parameter, 0.0);
            values[start + offset] = frame.arithmetic.store(value, dtype);
        }
    }
    Ok(vec![Tensor { ty: frame.result(), values }])
}

pub(crate) fn layer(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let axes = frame.call.axes("axes", frame.tensor("x")?.ty)?;
    normalise(frame, &axes, |_, i| i)
}

pub(crate) fn instance(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let shape = frame.tensor("x")?.shape();
    let axes: Vec<usize> = (2..shape.rank()).collect();
    let channels = shape.dim(1);
    normalise(frame, &axes, |row, _| row % channels)
}

pub(crate) fn batch(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let (mean, variance) = (frame.tensor("mean")?, frame.tensor("variance")?);
    let (gamma, beta) = (frame.get("gamma")?, frame.get("beta")?);
    let epsilon = f64::from(frame.number("epsilon", LAYER_EPSILON)?);
    let (channels, area) = (x.shape().dim(1), x.shape().iter().skip(2).product::<usize>());
    let values = x.values.iter().enumerate().map(|(flat, &v)| {
        let c = flat / area % channels;
        let scale = at(gamma, c, 1.0) / (variance.values[c] + epsilon).sqrt();
        (v - mean.values[c]) * scale + at(beta, c, 0.0)
    });
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn l2(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let epsilon = f64::from(frame.number("epsilon", L2_EPSILON)?);
    let rank = x.shape().rank();
    let block: usize = x.shape().iter().skip(rank - 3).product();
    let dtype = x.ty.dtype;
    let values = x.values.chunks_exact(block).flat_map(|block| {
        let squares = frame.arithmetic.sum(&mut block.iter().map(|v| v * v), dtype);
        let norm = (squares + epsilon).sqrt();
        block.iter().map(move |v| v / norm)
    });
    Ok(vec![frame.rounded(values)])
}
