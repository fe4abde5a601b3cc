//! Programs that only multiply: activations by one weight, or by two and the sum of both.

use super::draft::Draft;
use super::{stored, turned};
use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::{Sizes, W1, W2, W3, WK, WO, WQ, WV};
use crate::ane::{Activation, Content, KernelSpec};

/// `out[to, S]` of `x[from, S]` beside one weight `[from, to]`.
fn single(
    name: &'static str,
    form: Form,
    [from, to, s]: [usize; 3],
    (x, weight): (Activation, Content),
    out: Activation,
) -> Result<KernelSpec> {
    let mut draft = Draft::new(name, form);
    let [x, weight] = draft.beside(from, [(s, Content::Activation(x)), (to, weight)])?;
    let x = draft.operand(x)?;
    let y = draft.product(x, weight)?;
    draft.returns(&[(y, out)])?;
    draft.finish()
}

/// `out[to, S]`: the sum over two activations `[from, S]`, which lie beside their weights
/// `[from, to]`, activations first.
fn double(
    name: &'static str,
    form: Form,
    [from, to, s]: [usize; 3],
    xs: [Activation; 2],
    weights: [Content; 2],
    out: Activation,
) -> Result<KernelSpec> {
    let mut draft = Draft::new(name, form);
    let [x0, x1] = xs.map(|x| (s, Content::Activation(x)));
    let [w0, w1] = weights.map(|weight| (to, weight));
    let [x0, x1, w0, w1] = draft.beside(from, [x0, x1, w0, w1])?;
    let (x0, x1) = (draft.operand(x0)?, draft.operand(x1)?);
    let (y0, y1) = (draft.product(x0, w0)?, draft.product(x1, w1)?);
    let y = draft.b.add(y0, y1)?;
    draft.returns(&[(y, out)])?;
    draft.finish()
}

/// AttentionBranch, `[1, Q, 1, S + D]` to `[1, D, 1, S]`.
pub(super) fn attention_out(n: Sizes, form: Form) -> Result<KernelSpec> {
    let x = (Activation::Attention, turned(WO));
    single("woFwd", form, [n.q, n.d, n.s], x, Activation::AttentionBranch)
}

/// H1 or H3 alone, `[1, D, 1, S + H]` to `[1, H, 1, S]`.
pub(super) fn hidden(
    n: Sizes,
    form: Form,
    name: &'static str,
    weight: &'static str,
    out: Activation,
) -> Result<KernelSpec> {
    single(name, form, [n.d, n.h, n.s], (Activation::FfnNorm, turned(weight)), out)
}

/// FfnBranch alone, `[1, H, 1, S + D]` to `[1, D, 1, S]`.
pub(super) fn ffn_out(n: Sizes, form: Form) -> Result<KernelSpec> {
    let x = (Activation::Gate, turned(W2));
    single("ffnW2Fwd", form, [n.h, n.d, n.s], x, Activation::FfnBranch)
}

/// GateGrad, `[1, D, 1, S + H]` to `[1, H, 1, S]`.
pub(super) fn gate_grad(n: Sizes, form: Form) -> Result<KernelSpec> {
    let x = (Activation::FfnBranchGrad, stored(W2));
    single("ffnBwdW2t", form, [n.d, n.h, n.s], x, Activation::GateGrad)
}

/// FfnNormGrad, `[1, H, 1, 2 S + 2 D]` to `[1, D, 1, S]`.
pub(super) fn ffn_norm_grad(n: Sizes, form: Form) -> Result<KernelSpec> {
    let (xs, weights) = ([Activation::H1Grad, Activation::H3Grad], [stored(W1), stored(W3)]);
    double("ffnBwdW13t", form, [n.h, n.d, n.s], xs, weights, Activation::FfnNormGrad)
}

/// AttentionGrad, `[1, D, 1, S + Q]` to `[1, Q, 1, S]`.
pub(super) fn attention_grad(n: Sizes, form: Form) -> Result<KernelSpec> {
    let x = (Activation::AttentionBranchGrad, stored(WO));
    single("wotBwd", form, [n.d, n.q, n.s], x, Activation::AttentionGrad)
}

/// NormGradOfQuery, `[1, Q, 1, S + D]` to `[1, D, 1, S]`.
pub(super) fn query_grad(n: Sizes, form: Form) -> Result<KernelSpec> {
    let x = (Activation::QueryGrad, stored(WQ));
    single("qBwd", form, [n.q, n.d, n.s], x, Activation::NormGradOfQuery)
}

/// NormGradOfKeyValue, `[1, KV, 1, 2 S + 2 D]` to `[1, D, 1, S]`.
pub(super) fn key_value_grad(n: Sizes, form: Form) -> Result<KernelSpec> {
    let (xs, weights) = ([Activation::KeyGrad, Activation::ValueGrad], [stored(WK), stored(WV)]);
    double("kvBwd", form, [n.kv, n.d, n.s], xs, weights, Activation::NormGradOfKeyValue)
}
