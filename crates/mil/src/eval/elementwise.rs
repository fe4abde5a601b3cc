//! Element by element.

use super::{Binary, Compare, Frame, Tensor, Unary};
use crate::Result;

pub(super) fn unary(frame: &Frame<'_>, f: Unary) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let dtype = x.ty.dtype;
    let epsilon = frame.arithmetic.store(f.default_epsilon(), dtype);
    let first = |name: &str, default: f64| -> Result<f64> {
        Ok(frame.get(name)?.and_then(|t| t.values.first().copied()).unwrap_or(default))
    };
    let alpha = first("alpha", first("epsilon", epsilon)?)?;
    let beta = first("beta", 0.0)?;
    let values = x.values.iter().map(|&x| frame.arithmetic.unary(f, x, alpha, beta, dtype));
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn gelu(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let mode = frame.call.string("mode")?.unwrap_or("EXACT");
    let refuse = || frame.call.refuse(format!("`mode` is \"{mode}\""));
    unary(frame, Unary::gelu(mode).ok_or_else(refuse)?)
}

pub(super) fn binary(frame: &Frame<'_>, f: Binary) -> Result<Vec<Tensor>> {
    let (x, y) = (frame.tensor("x")?, frame.tensor("y")?);
    let shape = frame.result().shape;
    let pairs = x.broadcast(&shape).zip(y.broadcast(&shape));
    let dtype = x.ty.dtype;
    let values = pairs.map(|(x, y)| frame.arithmetic.binary(f, x, y, dtype));
    Ok(vec![frame.rounded(values)])
}

pub(super) fn compare(frame: &Frame<'_>, f: Compare) -> Result<Vec<Tensor>> {
    let (x, y) = (frame.tensor("x")?, frame.tensor("y")?);
    let shape = frame.result().shape;
    let pairs = x.broadcast(&shape).zip(y.broadcast(&shape));
    Ok(vec![frame.rounded(pairs.map(|(x, y)| f.apply(x, y).into()))])
}

pub(crate) fn logical_not(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    Ok(vec![frame.rounded(x.values.iter().map(|&x| (x == 0.0).into()))])
}

pub(crate) fn select(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let shape = frame.result().shape;
    let [cond, a, b] = [frame.tensor("cond")?, frame.tensor("a")?, frame.tensor("b")?]
        .map(|tensor| tensor.broadcast(&shape).collect::<Vec<_>>());
    let values = cond.iter().zip(a.iter().zip(&b));
    Ok(vec![frame.rounded(values.map(|(&c, (&a, &b))| if c != 0.0 { a } else { b }))])
}
