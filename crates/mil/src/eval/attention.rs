//! The fused attention, mask included; an engine that ignores the mask (C39) is a profile's matter.

use super::reduce::softmax_row;
use super::{Frame, Tensor, matmul};
use crate::{DType, Result, Shape, Type};

pub(crate) fn attention(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let [query, key, value] =
        [frame.tensor("query")?, frame.tensor("key")?, frame.tensor("value")?];
    let (arithmetic, dtype, rank) = (frame.arithmetic, query.ty.dtype, query.shape().rank());
    let out = frame.result().shape;
    let (q, k) = (query.shape(), key.shape());
    let lead = |shape: Shape| Shape::new(&shape.dims()[..rank - 2]);
    let wide = lead(q)?.broadcast(&lead(k)?).unwrap_or(lead(q)?);
    let mut dims = wide.dims();
    dims.extend([q.dim(rank - 2), k.dim(rank - 2)]);
    let shape = Shape::new(&dims)?;
    let store = |v| arithmetic.store(v, dtype);
    let scale = 1.0 / (q.width() as f64).sqrt();
    let mut scores: Vec<f64> = matmul::product(arithmetic, query, false, key, true, &shape)?
        .into_iter()
        .map(|score| store(store(score) * scale))
        .collect();
    if let Some(mask) = frame.get("attn_mask")? {
        let bool_mask = mask.ty.dtype == DType::Bool;
        for (score, m) in scores.iter_mut().zip(mask.broadcast(&shape)) {
            *score = match bool_mask {
                true if m == 0.0 => f64::NEG_INFINITY,
                true => *score,
                false => store(*score + m),
            };
        }
    }
    for row in scores.chunks_exact_mut(shape.width()) {
        softmax_row(arithmetic, row, dtype);
    }
    let scores = Tensor { ty: Type::new(dtype, shape), values: scores };
    Ok(vec![frame.rounded(matmul::product(arithmetic, &scores, false, value, false, &out)?)])
}
