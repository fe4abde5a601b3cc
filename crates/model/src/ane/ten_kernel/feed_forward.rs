//! The feed-forward layer forward, with its residual, in one program.

use super::draft::Draft;
use super::{stored, turned};
use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::{Sizes, W1, W2, W3};
use crate::ane::{Activation, Content, KernelSpec};

/// Columns of its input.
fn width(n: Sizes) -> usize {
    2 * n.s + 3 * n.h
}

/// Whether its input may be as wide as it is.
pub(super) fn fits(n: Sizes, form: Form) -> bool {
    width(n) <= form.axis
}

/// NextStream with what the backward pass needs, `[1, D, 1, 2 S + 3 H]` to `[1, D + 3 H, 1, S]`:
/// NextStream, H1, H3, Gate. W2 lies there as stored and is turned inside.
pub(super) fn forward(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("ffnFused", form);
    let parts = [
        (n.s, Content::Activation(Activation::FfnNorm)),
        (n.s, Content::Activation(Activation::MiddleStream)),
        (n.h, turned(W1)),
        (n.h, turned(W3)),
        (n.h, stored(W2)),
    ];
    let [norm, middle, w1, w3, w2] = draft.beside(n.d, parts)?;
    let norm = draft.operand(norm)?;
    let (h1, h3) = (draft.product(norm, w1)?, draft.product(norm, w3)?);
    // The operation `silu` comes from a coarse table (C70).
    let sigmoid = draft.b.sigmoid(h1)?;
    let silu = draft.b.mul(h1, sigmoid)?;
    let gate = draft.b.mul(silu, h3)?;
    let operand = draft.operand(gate)?;
    let branch = draft.product_of_stored(operand, w2)?;
    let branch = draft.b.mul(branch, n.residual_scale)?;
    let next = draft.b.add(middle, branch)?;
    draft.returns(&[
        (next, Activation::NextStream),
        (h1, Activation::H1),
        (h3, Activation::H3),
        (gate, Activation::Gate),
    ])?;
    draft.finish()
}
