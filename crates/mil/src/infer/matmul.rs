//! Results of matrix products.

use super::Call;
use crate::{Result, Type};

/// `[.., M, K] x [.., K, N] -> [.., M, N]`, leading dimensions broadcast, either operand transposed
/// first where its flag says so.
pub(crate) fn matmul(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, y) = (call.ty("x")?, call.ty("y")?);
    let rank = x.shape.rank().max(y.shape.rank());
    if x.shape.rank() < 2 || y.shape.rank() < 2 {
        return Err(call.refuse(format!(
            "`x` {} and `y` {} must have rank 2 or more; reshape them",
            x.shape, y.shape
        )));
    }
    let [mut xs, mut ys] = [x.shape.dims(), y.shape.dims()];
    for (dims, flag) in [(&mut xs, "transpose_x"), (&mut ys, "transpose_y")] {
        if call.flag(flag)? == Some(true) {
            let n = dims.len();
            dims.swap(n - 2, n - 1);
        }
    }
    let (inner_x, inner_y) = (xs[xs.len() - 1], ys[ys.len() - 2]);
    if inner_x != inner_y {
        return Err(call.refuse(format!(
            "inner dimensions differ: `x` {} gives {inner_x}, `y` {} gives {inner_y}",
            x.shape, y.shape
        )));
    }
    let batch = |dims: &[usize]| crate::Shape::new(&dims[..dims.len() - 2]);
    let batch = batch(&xs)?.broadcast(&batch(&ys)?).ok_or_else(|| {
        call.refuse(format!("leading dimensions of {} and {} do not broadcast", x.shape, y.shape))
    })?;
    let mut dims = batch.dims();
    dims.extend([xs[xs.len() - 2], ys[ys.len() - 1]]);
    debug_assert_eq!(dims.len(), rank);
    Ok(vec![call.result(x.dtype, &dims)?])
}

/// `[.., K]` with a weight `[N, K]` and a bias `[N]` gives `[.., N]`.
pub(crate) fn linear(call: &Call<'_>) -> Result<Vec<Type>> {
    let (x, weight) = (call.ty("x")?, call.ty("weight")?);
    if weight.shape.rank() != 2 || x.shape.rank() == 0 || x.shape.width() != weight.shape.dim(1) {
        return Err(call.refuse(format!(
            "`weight` {} does not go with `x` {}; expected [outputs, {}]",
            weight.shape,
            x.shape,
            x.shape.width()
        )));
    }
    let outputs = weight.shape.dim(0);
    if let Some(bias) = call.get("bias")
        && bias.ty.shape.dims() != [outputs]
    {
        return Err(call.refuse(format!("`bias` has {}, expected [{outputs}]", bias.ty.shape)));
    }
    let mut dims = x.shape.dims();
    let last = dims.len() - 1;
    dims[last] = outputs;
    Ok(vec![call.result(x.dtype, &dims)?])
}
