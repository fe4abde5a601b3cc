//! The fused attention of iOS 18.

use super::Call;
use crate::{Result, Shape, Type};

/// `[.., S, E]`, `[.., T, E]`, `[.., T, V]` and a mask that broadcasts to `[.., S, T]` give
/// `[.., S, V]`. The engine ignores the mask (C39).
pub(crate) fn attention(call: &Call<'_>) -> Result<Vec<Type>> {
    let [query, key, value] = ["query", "key", "value"].map(|name| call.ty(name));
    let (query, key, value) = (query?, key?, value?);
    let rank = query.shape.rank();
    let shapes = format!("{}, {}, {}", query.shape, key.shape, value.shape);
    if rank < 3 || [key, value].iter().any(|ty| ty.shape.rank() != rank) {
        return Err(call
            .refuse(format!("query, key and value are {shapes}; expected one rank, at least 3")));
    }
    let [q, k, v] = [query, key, value].map(|ty| ty.shape.dims());
    let (batch, last) = (rank - 2, rank - 1);
    if q[last] != k[last] || k[batch] != v[batch] {
        return Err(call.refuse(format!(
            "query, key and value are {shapes}; expected [.., S, E], [.., T, E], [.., T, V]"
        )));
    }
    let lead = |dims: &[usize]| Shape::new(&dims[..batch]);
    let lead = lead(&q)?.broadcast(&lead(&k)?).zip(lead(&v).ok());
    let lead = lead
        .and_then(|(qk, v)| qk.broadcast(&v))
        .ok_or_else(|| call.refuse(format!("leading dimensions of {shapes} do not broadcast")))?;
    let mut dims = lead.dims();
    if let Some(mask) = call.get("attn_mask") {
        let mut scores = dims.clone();
        scores.extend([q[batch], k[batch]]);
        let scores = Shape::new(&scores)?;
        if mask.ty.shape.broadcast(&scores) != Some(scores) {
            return Err(call.refuse(format!(
                "`attn_mask` {} does not broadcast to the scores {scores}",
                mask.ty.shape
            )));
        }
    }
    dims.extend([q[batch], v[last]]);
    Ok(vec![call.result(query.dtype, &dims)?])
}
