//! Matrix products, each element one [`Arithmetic::dot`].

use super::tensor::{Walk, broadcast_steps};
use super::{Arithmetic, Frame, Tensor};
use crate::{DType, Result, Shape};

/// A matrix `[rows, columns]` inside a tensor, row-major, or transposed.
fn rows(values: &[f64], rows: usize, columns: usize, transposed: bool) -> Vec<f64> {
    if !transposed {
        return values.to_vec();
    }
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// The matrices of a tensor, each with its inner dimension last, by place in a wider batch.
struct Batch {
    /// `[rows, inner]`.
    matrices: Vec<Vec<f64>>,
    steps: Vec<usize>,
}

impl Batch {
    /// `transposed`: whether the inner dimension comes first in the tensor.
    fn new(tensor: &Tensor, transposed: bool, wide: &Shape) -> Result<Self> {
        let dims = tensor.shape().dims();
        let (lead, last) = dims.split_at(dims.len() - 2);
        let matrices = tensor
            .values
            .chunks_exact(last[0] * last[1])
            .map(|matrix| rows(matrix, last[0], last[1], transposed))
            .collect();
        Ok(Self { matrices, steps: broadcast_steps(&Shape::new(lead)?, wide) })
    }
}

/// `[.., M, K] x [.., K, N]`, not yet stored.
pub(super) fn product(
    arithmetic: &dyn Arithmetic,
    x: &Tensor,
    transpose_x: bool,
    y: &Tensor,
    transpose_y: bool,
    out: &Shape,
) -> Result<Vec<f64>> {
    let dims = out.dims();
    let (lead, last) = dims.split_at(dims.len() - 2);
    let wide = Shape::new(lead)?;
    let x_dims = x.shape().dims();
    let inner = x_dims[x_dims.len() - if transpose_x { 2 } else { 1 }];
    let xs = Batch::new(x, transpose_x, &wide)?;
    // The columns of y as rows: transposed unless it already is.
    let ys = Batch::new(y, !transpose_y, &wide)?;
    let places =
        Walk::new(lead.to_vec(), xs.steps.clone()).zip(Walk::new(lead.to_vec(), ys.steps.clone()));
    let mut values = Vec::with_capacity(out.elements());
    for (at_x, at_y) in places {
        let (x_rows, y_rows) = (&xs.matrices[at_x], &ys.matrices[at_y]);
        debug_assert_eq!(x_rows.len(), last[0] * inner);
        for x_row in x_rows.chunks_exact(inner) {
            for y_row in y_rows.chunks_exact(inner) {
                values.push(arithmetic.dot(0.0, x_row, y_row, x.ty.dtype));
            }
        }
    }
    Ok(values)
}

pub(crate) fn matmul(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let flag = |name| Ok::<_, crate::Error>(frame.call.flag(name)?.unwrap_or(false));
    let (transpose_x, transpose_y) = (flag("transpose_x")?, flag("transpose_y")?);
    let (x, y) = (frame.tensor("x")?, frame.tensor("y")?);
    let out = frame.result().shape;
    let values = product(frame.arithmetic, x, transpose_x, y, transpose_y, &out)?;
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn linear(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (x, weight) = (frame.tensor("x")?, frame.tensor("weight")?);
    let bias = frame.get("bias")?;
    let inner = weight.shape().dim(1);
    let dtype: DType = x.ty.dtype;
    let mut values = Vec::with_capacity(frame.result().shape.elements());
    for x_row in x.values.chunks_exact(inner) {
        for (output, w_row) in weight.values.chunks_exact(inner).enumerate() {
            let start = bias.map_or(0.0, |bias| bias.values[output]);
            values.push(frame.arithmetic.dot(start, x_row, w_row, dtype));
        }
    }
    Ok(vec![frame.rounded(values)])
}
