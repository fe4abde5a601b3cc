//! The feed-forward half of a layer: norm, SwiGLU, residual, there and back.

use aneal_mil::Value;

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
    /// Of the stream between the halves, `[D, T]`.
    fn of(draft: &mut Draft, x: Value, weights: &Weights) -> Result<Self> {
        let norm = Norm::of(draft, x, weights.gain)?;
        let b = &mut draft.b;
        let (h1, h3) = (b.matmul(weights.w1, norm.y, PLAIN)?, b.matmul(weights.w3, norm.y, PLAIN)?);
        // The operation `silu` comes from a coarse table (C70).
        let sigmoid = b.sigmoid(h1)?;
        let silu = b.mul(h1, sigmoid)?;
        let gate = b.mul(silu, h3)?;
        Ok(Self { norm, h1, h3, sigmoid, silu, gate })
    }
}

/// MiddleStream to NextStream.
pub(super) fn forward(n: Sizes, form: Form) -> Result<KernelSpec> {
    let mut draft = Draft::new("ffnFwd", n, form);
    let stream = draft.stream("stream", Activation::MiddleStream)?;
    let weights = Weights::of(&mut draft)?;
    let x = draft.matrix(stream)?;
    let hidden = Hidden::of(&mut draft, x, &weights)?;
    let branch = draft.b.matmul(weights.w2, hidden.gate, PLAIN)?;
    let next = draft.residual(x, branch)?;
    draft.returns_stream(next, Activation::NextStream)?;
    draft.finish()
}

/// NextStreamGrad, beside MiddleStream, to MiddleStreamGrad, and the gradient of the gain with those
/// of the weights or what they are products of.
pub(super) fn backward(n: Sizes, form: Form, dw_on: DwOn) -> Result<KernelSpec> {
    let mut draft = Draft::new("ffnBwd", n, form);
    let stream = draft.stream("stream", Activation::MiddleStream)?;
    let grad = draft.stream("grad", Activation::NextStreamGrad)?;
    let weights = Weights::of(&mut draft)?;
    let (x, grad) = (draft.matrix(stream)?, draft.matrix(grad)?);
    let hidden = Hidden::of(&mut draft, x, &weights)?;

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

    draft.returns_stream(of_stream, Activation::MiddleStreamGrad)?;
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
