//! The attention half of a layer: norm, projections, positions, causal softmax, values, residual,
//! there and back.
//!
//! Heads of all sequences are groups of one product, `[1, B heads, S, head_dim]`, a row a token. The
//! queries of all heads that share keys are the rows of one group, `[1, B kv_heads, shared S,
//! head_dim]`, so that head h meets key-value head h / (heads / kv_heads), nothing is repeated, and
//! gradients of keys and values are summed over the heads that share them by their products.

use aneal_mil::Value;

use super::draft::{Draft, PLAIN, TRANSPOSE_X, TRANSPOSE_Y};
use super::norm::Norm;
use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::{ATTENTION_NORM, Sizes, WK, WO, WQ, WV};
use crate::ane::{Activation, DwOn, KernelSpec, tables};

/// The inputs that both programs have last: gain, Wq, Wk, Wv, Wo.
struct Weights {
    gain: Value,
    wq: Value,
    wk: Value,
    wv: Value,
    wo: Value,
}

/// What is computed on the way to the output projection.
struct Heads {
    norm: Norm,
    /// `[1, B kv_heads, shared S, head_dim]`, turned by position.
    query: Value,
    /// `[1, B kv_heads, S, head_dim]`, turned by position.
    key: Value,
    /// `[1, B kv_heads, S, head_dim]`
    value: Value,
    /// `[1, B kv_heads, shared S, S]`
    probabilities: Value,
    /// `[Q, T]`
    attention: Value,
}

impl Weights {
    fn of(draft: &mut Draft) -> Result<Self> {
        let Sizes { d, q, kv, .. } = draft.n;
        Ok(Self {
            gain: draft.gain(ATTENTION_NORM)?,
            wq: draft.weight(WQ, q, d)?,
            wk: draft.weight(WK, kv, d)?,
            wv: draft.weight(WV, kv, d)?,
            wo: draft.weight(WO, d, q)?,
        })
    }
}

impl Heads {
    /// Of the stream before the layer, `[D, T]`.
    fn of(draft: &mut Draft, x: Value, weights: &Weights) -> Result<Self> {
        let n = draft.n;
        let norm = Norm::of(draft, x, weights.gain)?;
        let project = |draft: &mut Draft, weight, heads| {
            let y = draft.b.matmul(weight, norm.y, PLAIN)?;
            split(draft, y, heads)
        };
        let query = project(draft, weights.wq, n.heads)?;
        let key = project(draft, weights.wk, n.kv_heads)?;
        let value = project(draft, weights.wv, n.kv_heads)?;
        let (query, key) = (turn(draft, query)?, turn(draft, key)?);
        let query = gathered(draft, query)?;

        let scores = draft.b.matmul(query, key, TRANSPOSE_Y)?;
        let scores = draft.reshape(scores, [1, n.b * n.heads, n.s, n.s])?;
        let probabilities = causal_softmax(draft, scores)?;
        let probabilities = gathered(draft, probabilities)?;
        let attention = draft.b.matmul(probabilities, value, PLAIN)?;
        let attention = merged(draft, attention, n.heads)?;
        Ok(Self { norm, query, key, value, probabilities, attention })
    }
}

/// Stream to MiddleStream.
pub(super) fn forward(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("attentionFwd", n, form);
    let stream = draft.stream("stream", Activation::Stream)?;
    let weights = Weights::of(&mut draft)?;
    let x = draft.matrix(stream)?;
    let heads = Heads::of(&mut draft, x, &weights)?;
    let branch = draft.b.matmul(weights.wo, heads.attention, PLAIN)?;
    let middle = draft.residual(x, branch)?;
    draft.returns_linked(middle, Activation::MiddleStream)?;
    draft.finish()
}

/// MiddleStreamGrad, beside Stream, to StreamGrad, and the gradient of the gain with those of the
/// weights or what they are products of.
pub(super) fn backward(n: Sizes, form: Form, dw_on: DwOn) -> Result<KernelSpec> {
    let mut draft = Draft::new("attentionBwd", n, form);
    let stream = draft.stream("stream", Activation::Stream)?;
    let grad = draft.stream("grad", Activation::MiddleStreamGrad)?;
    let weights = Weights::of(&mut draft)?;
    let (x, grad) = (draft.matrix(stream)?, draft.matrix(grad)?);
    let heads = Heads::of(&mut draft, x, &weights)?;

    let of_branch = draft.b.mul(grad, n.residual_scale)?;
    let of_attention = draft.b.matmul(weights.wo, of_branch, TRANSPOSE_X)?;
    let of_attention = split(&mut draft, of_attention, n.heads)?;
    let of_attention = gathered(&mut draft, of_attention)?;
    let of_value = draft.b.matmul(heads.probabilities, of_attention, TRANSPOSE_X)?;
    let of_scores = through_softmax(&mut draft, &heads, of_attention)?;
    let of_query = draft.b.matmul(of_scores, heads.key, PLAIN)?;
    let of_key = draft.b.matmul(of_scores, heads.query, TRANSPOSE_X)?;
    let of_query = draft.reshape(of_query, [1, n.b * n.heads, n.s, n.head_dim])?;
    let (of_query, of_key) = (turn_back(&mut draft, of_query)?, turn_back(&mut draft, of_key)?);
    let of_query = merged(&mut draft, of_query, n.heads)?;
    let of_key = merged(&mut draft, of_key, n.kv_heads)?;
    let of_value = merged(&mut draft, of_value, n.kv_heads)?;

    let through_wq = draft.b.matmul(weights.wq, of_query, TRANSPOSE_X)?;
    let through_wk = draft.b.matmul(weights.wk, of_key, TRANSPOSE_X)?;
    let through_wv = draft.b.matmul(weights.wv, of_value, TRANSPOSE_X)?;
    let of_norm = draft.b.add(through_wq, through_wk)?;
    let of_norm = draft.b.add(of_norm, through_wv)?;
    let (through_norm, of_gain) = heads.norm.backward(&mut draft, of_norm)?;
    let of_stream = draft.b.add(grad, through_norm)?;

    draft.returns_linked(of_stream, Activation::StreamGrad)?;
    draft.returns_gradient(of_gain, ATTENTION_NORM)?;
    let y = heads.norm.y;
    draft.returns_gradients(
        dw_on,
        &[(WQ, of_query, y), (WK, of_key, y), (WV, of_value, y), (WO, of_branch, heads.attention)],
        &[
            (y, Activation::AttentionNorm),
            (of_query, Activation::QueryGrad),
            (of_key, Activation::KeyGrad),
            (of_value, Activation::ValueGrad),
            (of_branch, Activation::AttentionBranchGrad),
            (heads.attention, Activation::Attention),
        ],
    )?;
    draft.finish()
}

/// Elements of the largest constant of any program here.
pub(super) fn largest_table(n: Sizes) -> usize {
    let longest = n.s.max(n.head_dim);
    longest.saturating_mul(longest)
}

/// `[heads head_dim, T]` to `[1, B heads, S, head_dim]`.
fn split(draft: &mut Draft, x: Value, heads: usize) -> Result<Value> {
    let Sizes { b, s, head_dim, .. } = draft.n;
    let x = draft.reshape(x, [heads, head_dim, b, s])?;
    let x = draft.b.transpose(x, &[2, 0, 3, 1])?;
    draft.reshape(x, [1, b * heads, s, head_dim])
}

/// [`split`] undone, of any grouping of heads.
fn merged(draft: &mut Draft, x: Value, heads: usize) -> Result<Value> {
    let Sizes { b, s, head_dim, .. } = draft.n;
    let x = draft.reshape(x, [b, heads, s, head_dim])?;
    let x = draft.b.transpose(x, &[1, 3, 0, 2])?;
    draft.reshape(x, [1, 1, heads * head_dim, b * s])
}

/// `[1, B heads, S, ..]` to `[1, B kv_heads, shared S, ..]`: the rows of heads that share keys.
fn gathered(draft: &mut Draft, x: Value) -> Result<Value> {
    let n = draft.n;
    let rows = n.heads / n.kv_heads * n.s;
    draft.reshape(x, [1, n.b * n.kv_heads, rows, x.shape().width()])
}

/// Cosines, sines `[S, head_dim]`, and the matrix that gives each channel the other of its pair.
fn positions(draft: &mut Draft) -> Result<[Value; 3]> {
    let n = draft.n;
    let (wide, places) = (n.head_dim, 0..n.s * n.head_dim);
    let angles = places.map(|at| tables::angle(n, at % wide, at / wide).sin_cos());
    let (sin, cos): (Vec<f32>, Vec<f32>) =
        angles.map(|(sin, cos)| (sin as f32, cos as f32)).unzip();
    Ok([
        draft.table("rope_cos", [n.s, wide], &cos)?,
        draft.table("rope_sin", [n.s, wide], &sin)?,
        draft.table("rope_other", [wide, wide], &tables::other_of_pair(wide))?,
    ])
}

/// Rotary positions of `x[1, B heads, S, head_dim]`.
fn turn(draft: &mut Draft, x: Value) -> Result<Value> {
    let [cos, sin, other] = positions(draft)?;
    let b = &mut draft.b;
    let turned = b.matmul(x, other, TRANSPOSE_Y)?;
    let (straight, turned) = (b.mul(x, cos)?, b.mul(turned, sin)?);
    Ok(b.add(straight, turned)?)
}

/// From the gradient of what [`turn`] gives to that of what it takes.
fn turn_back(draft: &mut Draft, dy: Value) -> Result<Value> {
    let [cos, sin, other] = positions(draft)?;
    let b = &mut draft.b;
    let (straight, turned) = (b.mul(dy, cos)?, b.mul(dy, sin)?);
    let turned = b.matmul(turned, other, PLAIN)?;
    Ok(b.add(straight, turned)?)
}

/// Of `scores[1, B heads, S, S]`, which are not scaled yet.
fn causal_softmax(draft: &mut Draft, scores: Value) -> Result<Value> {
    let n = draft.n;
    let mask = tables::causal_mask(n);
    let mask = draft.table("causal_mask", [n.s, n.s], &mask)?;
    let scores = draft.b.mul(scores, n.score_scale())?;
    let scores = draft.b.add(scores, mask)?;
    if draft.form.softmax {
        return Ok(draft.b.softmax(scores, -1)?);
    }
    let greatest = draft.b.reduce_max(scores, &[-1])?;
    let scores = draft.b.sub(scores, greatest)?;
    let weights = draft.b.exp(scores)?;
    let sums = draft.b.reduce_sum(weights, &[-1])?;
    Ok(draft.b.real_div(weights, sums)?)
}

/// From the gradient of attention to that of scores before their scale, both `[1, B kv_heads, shared
/// S, ..]`: `ds = (dp - sum(dp p)) p / sqrt(head_dim)`.
fn through_softmax(draft: &mut Draft, heads: &Heads, of_attention: Value) -> Result<Value> {
    let scale = draft.n.score_scale();
    let b = &mut draft.b;
    let grads = b.matmul(of_attention, heads.value, TRANSPOSE_Y)?;
    let products = b.mul(grads, heads.probabilities)?;
    let sums = b.reduce_sum(products, &[-1])?;
    let centred = b.sub(grads, sums)?;
    let of_scores = b.mul(centred, heads.probabilities)?;
    Ok(b.mul(of_scores, scale)?)
}
