//! Attention: projections, positions, scores and their softmax, forward and backward.
//!
//! Heads are `[1, heads, head_dim, S]`: the same bytes as the rows of a surface, so that products of
//! heads need no turning, only the flags of `matmul`. Probabilities are `[1, heads, S, S]`, a row a
//! query.

use aneal_mil::{MatMul, Type, Value};

use super::draft::Draft;
use super::turned;
use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::{Sizes, WK, WQ, WV};
use crate::ane::{Activation, Content, KernelSpec, tables};

const PLAIN: MatMul = MatMul { transpose_x: false, transpose_y: false };
const TRANSPOSE_X: MatMul = MatMul { transpose_x: true, transpose_y: false };
const TRANSPOSE_Y: MatMul = MatMul { transpose_x: false, transpose_y: true };

/// The published `sdpaFwd`, `[1, D, 1, S + Q + 2 KV]` to `[1, 2 Q + 2 KV + D, 1, S]`: Attention,
/// Query, Key, Value, and AttentionNorm again, which is only returned where outputs are joined.
pub(super) fn forward(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("sdpaFwd", form);
    let (norm, [query, key, value]) = projected(&mut draft, n)?;
    let query = draft.reshape(query, [1, n.heads, n.head_dim, n.s])?;
    let query = turn(&mut draft, n, query, 1)?;
    let key = draft.reshape(key, [1, n.kv_heads, n.head_dim, n.s])?;
    let key = turn(&mut draft, n, key, 1)?;
    let value = draft.reshape(value, [1, n.kv_heads, n.head_dim, n.s])?;

    // The queries of all heads that share keys are the rows of one product, so that head h meets
    // key-value head h / (heads / kv_heads) and nothing is repeated.
    let shared = n.heads / n.kv_heads * n.s;
    let rows = draft.b.transpose(query, &[0, 1, 3, 2])?;
    let rows = draft.reshape(rows, [1, n.kv_heads, shared, n.head_dim])?;
    let scores = draft.b.matmul(rows, key, PLAIN)?;
    let scores = draft.reshape(scores, [1, n.heads, n.s, n.s])?;
    let weights = probabilities(&mut draft, n, scores)?;
    let weights = draft.reshape(weights, [1, n.kv_heads, shared, n.s])?;
    let rows = draft.b.matmul(weights, value, TRANSPOSE_Y)?;
    let rows = draft.reshape(rows, [1, n.heads, n.s, n.head_dim])?;
    let attention = draft.b.transpose(rows, &[0, 1, 3, 2])?;

    let mut outputs = vec![
        (attention, Activation::Attention),
        (query, Activation::Query),
        (key, Activation::Key),
        (value, Activation::Value),
    ];
    if form.joins {
        outputs.push((norm, Activation::AttentionNorm));
    }
    draft.returns(&outputs)?;
    draft.finish()
}

/// Where nothing may be reshaped: Query, Key and Value of the published input.
pub(super) fn projections(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("qkvFwd", form);
    let (_, [query, key, value]) = projected(&mut draft, n)?;
    let query = turn(&mut draft, n, query, n.heads)?;
    let key = turn(&mut draft, n, key, n.kv_heads)?;
    draft.returns(&[
        (query, Activation::Query),
        (key, Activation::Key),
        (value, Activation::Value),
    ])?;
    draft.finish()
}

/// Where nothing may be reshaped: Attention from heads that are repeated already.
pub(super) fn forward_of_heads(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("sdpaFwd", form);
    let (key, value) = repeated(n);
    let parts = [Activation::Query, key, value].map(|part| (n.head_dim, part));
    let [query, key, value] = draft.under(n.heads, n.s, parts)?;
    let scores = draft.b.matmul(query, key, TRANSPOSE_X)?;
    let weights = probabilities(&mut draft, n, scores)?;
    let attention = draft.b.matmul(value, weights, TRANSPOSE_Y)?;
    draft.returns(&[(attention, Activation::Attention)])?;
    draft.finish()
}

/// `[1, 4 Q, 1, S]` to `[1, Q + 2 heads S, 1, S]`: from Query, keys, values and AttentionGrad the
/// gradient of the values, Probabilities once more, and ProbabilityGrads.
pub(super) fn backward_scores(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("sdpaBwd1", form);
    let (key, value) = repeated(n);
    let parts = [Activation::Query, key, value, Activation::AttentionGrad];
    let parts = parts.map(|part| (n.head_dim, part));
    let [query, key, value, grad] = draft.under(n.heads, n.s, parts)?;
    let scores = draft.b.matmul(query, key, TRANSPOSE_X)?;
    let weights = probabilities(&mut draft, n, scores)?;
    let value_grad = draft.b.matmul(grad, weights, PLAIN)?;
    let weight_grads = draft.b.matmul(grad, value, TRANSPOSE_X)?;
    let of_value = if n.grouped() { Activation::ValueRepeatedGrad } else { Activation::ValueGrad };
    draft.returns(&[
        (value_grad, of_value),
        (weights, Activation::Probabilities),
        (weight_grads, Activation::ProbabilityGrads),
    ])?;
    draft.finish()
}

/// `[1, 2 heads S + 2 Q, 1, S]` to `[1, 2 Q, 1, S]`: through the softmax,
/// `ds = (dp - sum(dp p)) p / sqrt(head_dim)`, to the gradients of queries and keys.
pub(super) fn backward_softmax(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("sdpaBwd2", form);
    let parts = [
        (n.s, Activation::Probabilities),
        (n.s, Activation::ProbabilityGrads),
        (n.head_dim, Activation::Query),
        (n.head_dim, repeated(n).0),
    ];
    let [weights, grads, query, key] = draft.under(n.heads, n.s, parts)?;
    let products = draft.b.mul(grads, weights)?;
    let sums = row_sums(&mut draft, n, products)?;
    let centred = draft.b.sub(grads, sums)?;
    let scores = draft.b.mul(centred, weights)?;
    let scores = draft.b.mul(scores, n.score_scale())?;
    let query_grad = draft.b.matmul(key, scores, TRANSPOSE_Y)?;
    let key_grad = draft.b.matmul(query, scores, PLAIN)?;
    let of_key =
        if n.grouped() { Activation::KeyRepeatedGradTurned } else { Activation::KeyGradTurned };
    draft.returns(&[(query_grad, Activation::QueryGradTurned), (key_grad, of_key)])?;
    draft.finish()
}

/// Keys and values with a head for each query head; where none is shared they have that already.
fn repeated(n: Sizes) -> (Activation, Activation) {
    match n.grouped() {
        true => (Activation::KeyRepeated, Activation::ValueRepeated),
        false => (Activation::Key, Activation::Value),
    }
}

/// The published input: AttentionNorm and, of it, rows of queries, keys and values, no positions yet.
fn projected(draft: &mut Draft, n: Sizes) -> Result<(Value, [Value; 3])> {
    let norm = Content::Activation(Activation::AttentionNorm);
    let parts = [(n.s, norm), (n.q, turned(WQ)), (n.kv, turned(WK)), (n.kv, turned(WV))];
    let [norm, wq, wk, wv] = draft.beside(n.d, parts)?;
    let operand = draft.operand(norm)?;
    let query = draft.product(operand, wq)?;
    let key = draft.product(operand, wk)?;
    Ok((norm, [query, key, draft.product(operand, wv)?]))
}

/// Rotary positions of `x[.., heads head_dim, S]`, a position a column.
fn turn(draft: &mut Draft, n: Sizes, x: Value, heads: usize) -> Result<Value> {
    let width = heads * n.head_dim;
    let places = (0..width).flat_map(|channel| (0..n.s).map(move |position| (channel, position)));
    let angles = places.map(|(channel, position)| tables::angle(n, channel, position).sin_cos());
    let (sin, cos): (Vec<f32>, Vec<f32>) =
        angles.map(|(sin, cos)| (sin as f32, cos as f32)).unzip();
    let other = tables::other_of_pair(width);
    let copies = x.shape().dim(1);
    let cos = table(draft, "rope_cos", copies, [width, n.s], &cos)?;
    let sin = table(draft, "rope_sin", copies, [width, n.s], &sin)?;
    let other = table(draft, "rope_other", 1, [width, width], &other)?;
    let b = &mut draft.b;
    let turned = b.matmul(other, x, PLAIN)?;
    let (straight, turned) = (b.mul(x, cos)?, b.mul(turned, sin)?);
    Ok(b.add(straight, turned)?)
}

/// Elements of the largest constant of any program here, in a form.
pub(super) fn largest_table(n: Sizes, form: Form) -> usize {
    let copies = if form.broadcasts { 1 } else { n.heads };
    let (width, turned) = if form.reshapes { (n.head_dim, copies) } else { (n.q, 1) };
    let mask = copies.saturating_mul(n.s).saturating_mul(n.s);
    let positions = turned.saturating_mul(width).saturating_mul(n.s);
    mask.max(positions).max(width.saturating_mul(width))
}

/// A constant that is combined with each of `copies` matrices of this shape.
fn table(
    draft: &mut Draft,
    name: &str,
    copies: usize,
    shape: [usize; 2],
    values: &[f32],
) -> Result<Value> {
    let copies = if draft.form.broadcasts { 1 } else { copies };
    let ty = Type::fp16(&[1, copies, shape[0], shape[1]])?;
    let value = draft.b.floats(ty, &values.repeat(copies))?;
    Ok(draft.b.name(value, name)?)
}

/// The causal softmax of `scores[1, heads, S, S]`, which are not scaled yet.
fn probabilities(draft: &mut Draft, n: Sizes, scores: Value) -> Result<Value> {
    let mask = table(draft, "causal_mask", n.heads, [n.s, n.s], &tables::causal_mask(n))?;
    let scores = draft.b.mul(scores, n.score_scale())?;
    let scores = draft.b.add(scores, mask)?;
    if draft.form.softmax {
        return Ok(draft.b.softmax(scores, -1)?);
    }
    let greatest = draft.b.reduce_max(scores, &[-1])?;
    let scores = draft.b.sub(scores, greatest)?;
    let weights = draft.b.exp(scores)?;
    let sums = row_sums(draft, n, weights)?;
    Ok(draft.b.real_div(weights, sums)?)
}

/// The sum of each row of `x[1, heads, S, S]`; by a product with ones where folds are refused (C32).
fn row_sums(draft: &mut Draft, n: Sizes, x: Value) -> Result<Value> {
    if draft.form.reshapes {
        return Ok(draft.b.reduce_sum(x, &[-1])?);
    }
    let ones = draft.b.floats(Type::fp16(&[1, 1, n.s, 1])?, &vec![1.0; n.s])?;
    Ok(draft.b.matmul(x, ones, PLAIN)?)
}
