//! The feed-forward half of a layer: norm, SwiGLU, residual, there and back.

use aneal_mil::Value;

use super::Kept;
use super::draft::{Draft, PLAIN, TRANSPOSE_X};
use super::norm::Norm;
use crate::Result;
use crate::ane::form::Form;
use crate::ane::sizes::{FFN_NORM, Sizes, W1, W2, W3};
use crate::ane::{Activation, DwOn, KernelSpec};

/// The inputs that both programs have last: gain, W1, W3, W2.
struct Weights {
    gain: Value,
    w1: Value,
    w3: Value,
    w2: Value,
}

/// What is computed on the way to the gate; `[H, T]` but for the norm.
struct Hidden {
    norm: Norm,
    h1: Value,
    h3: Value,
    sigmoid: Value,
    silu: Value,
    gate: Value,
}

impl Weights {
    fn of(draft: &mut Draft) -> Result<Self> {
        let (d, h) = (draft.n.d, draft.n.h);
        Ok(Self {
            gain: draft.gain(FFN_NORM)?,
            w1: draft.weight(W1, h, d)?,
            w3: draft.weight(W3, h, d)?,
            w2: draft.weight(W2, d, h)?,
        })
    }
}

impl Hidden {
    /// Of a norm and what W1 and W3 make of it.
    fn of(draft: &mut Draft, norm: Norm, [h1, h3]: [Value; 2]) -> Result<Self> {
        let b = &mut draft.b;
        // The operation `silu` comes from a coarse table (C70).
        let sigmoid = b.sigmoid(h1)?;
        let silu = b.mul(h1, sigmoid)?;
        let gate = b.mul(silu, h3)?;
        Ok(Self { norm, h1, h3, sigmoid, silu, gate })
    }
}

/// H1 and H3.
fn products(draft: &mut Draft, norm: &Norm, weights: &Weights) -> Result<[Value; 2]> {
    let h1 = draft.b.matmul(weights.w1, norm.y, PLAIN)?;
    Ok([h1, draft.b.matmul(weights.w3, norm.y, PLAIN)?])
}

/// MiddleStream to NextStream, with what is kept.
pub(super) fn forward(n: Sizes, form: Form, kept: Kept) -> Result<KernelSpec> {
    let mut draft = Draft::new("ffnFwd", n, form);
    let stream = draft.stream("stream", Activation::MiddleStream)?;
    let weights = Weights::of(&mut draft)?;
    let x = draft.matrix(stream)?;
    let norm = Norm::of(&mut draft, x, weights.gain)?;
    let products = products(&mut draft, &norm, &weights)?;
    let hidden = Hidden::of(&mut draft, norm, products)?;
    let branch = draft.b.matmul(weights.w2, hidden.gate, PLAIN)?;
    let next = draft.residual(x, branch)?;
    draft.returns_linked(next, Activation::NextStream)?;
    if kept == Kept::Hidden {
        draft.returns_linked(hidden.h1, Activation::H1)?;
        draft.returns_linked(hidden.h3, Activation::H3)?;
    }
    draft.finish()
}

/// NextStreamGrad, beside MiddleStream and what else is kept, to MiddleStreamGrad, and the gradient of
/// the gain with those of the weights or what they are products of.
pub(super) fn backward(n: Sizes, form: Form, dw_on: DwOn, kept: Kept) -> Result<KernelSpec> {
    let mut draft = Draft::new("ffnBwd", n, form);
    let stream = draft.stream("stream", Activation::MiddleStream)?;
    let grad = draft.stream("grad", Activation::NextStreamGrad)?;
    let weights = Weights::of(&mut draft)?;
    let found = match kept {
        Kept::Stream => None,
        Kept::Hidden => {
            let h1 = draft.linked("hidden", n.h, Activation::H1)?;
            Some([h1, draft.linked("hidden", n.h, Activation::H3)?])
        }
    };
    let (x, grad) = (draft.matrix(stream)?, draft.matrix(grad)?);
    let norm = Norm::of(&mut draft, x, weights.gain)?;
    let products = match found {
        None => products(&mut draft, &norm, &weights)?,
        Some([h1, h3]) => [draft.matrix(h1)?, draft.matrix(h3)?],
    };
    let hidden = Hidden::of(&mut draft, norm, products)?;

    let b = &mut draft.b;
    let of_branch = b.mul(grad, n.residual_scale)?;
    let of_gate = b.matmul(weights.w2, of_branch, TRANSPOSE_X)?;
    let (of_silu, of_h3) = (b.mul(of_gate, hidden.h3)?, b.mul(of_gate, hidden.silu)?);
    // d silu / d h1 = sigmoid (1 + h1 (1 - sigmoid)).
    let rest = b.sub(1.0, hidden.sigmoid)?;
    let slope = b.mul(hidden.h1, rest)?;
    let slope = b.add(slope, 1.0)?;
    let slope = b.mul(slope, hidden.sigmoid)?;
    let of_h1 = b.mul(of_silu, slope)?;
    let through_w1 = b.matmul(weights.w1, of_h1, TRANSPOSE_X)?;
    let through_w3 = b.matmul(weights.w3, of_h3, TRANSPOSE_X)?;
    let of_norm = b.add(through_w1, through_w3)?;
    let (through_norm, of_gain) = hidden.norm.backward(&mut draft, of_norm)?;
    let of_stream = draft.b.add(grad, through_norm)?;

    draft.returns_linked(of_stream, Activation::MiddleStreamGrad)?;
    draft.returns_gradient(of_gain, FFN_NORM)?;
    let y = hidden.norm.y;
    draft.returns_gradients(
        dw_on,
        &[(W1, of_h1, y), (W3, of_h3, y), (W2, of_branch, hidden.gate)],
        &[
            (y, Activation::FfnNorm),
            (of_h1, Activation::H1Grad),
            (of_h3, Activation::H3Grad),
            (of_branch, Activation::FfnBranchGrad),
            (hidden.gate, Activation::Gate),
        ],
    )?;
    draft.finish()
}
