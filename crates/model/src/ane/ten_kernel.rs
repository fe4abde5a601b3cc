//! The plan of the published trainers (section 7.1), right where theirs is wrong: query head h reads
//! key-value head h / (heads / kv_heads).
//!
//! A sequence a dispatch. Activations and weights lie side by side in one input. The CPU does norms,
//! the gate's backward, the classifier and loss, gradients of weights and the optimiser. Where a
//! device's rules refuse the published form, so much changes as must:
//!
//! - outputs are not joined but returned one by one;
//! - the feed-forward layer is three programs, the gate on the CPU, where its input is wider than an
//!   axis may be (section 7.4);
//! - where nothing may be reshaped, surfaces are declared in the shapes that products need, and the
//!   forward attention is two programs, heads repeated between them on the CPU.

mod attention;
mod draft;
mod feed_forward;
mod products;

use super::form::Form;
use super::sizes::{Sizes, W1, W3};
use super::steps::Steps;
use super::{Activation, Content, DwOn, HostOp, Order, Plan, Target, WeightRef, tables};
use crate::Result;

/// A weight of the layer as stored, `[out, in]`.
fn stored(name: &'static str) -> Content {
    Content::Weight(WeightRef { name, of_layer: true, transposed: false })
}

/// A weight of the layer with its inputs as rows, `[in, out]`.
fn turned(name: &'static str) -> Content {
    Content::Weight(WeightRef { name, of_layer: true, transposed: true })
}

pub(super) const NAME: &str = "ten-kernel";

/// The plan for a target, in the form that its device needs.
pub(super) fn plan(target: &Target<'_>, form: Form) -> Result<Plan> {
    let n = Sizes::of(target.model, 1, target.seq_len);
    tables::check(NAME, n, attention::largest_table(n, form))?;
    let mut steps = Steps::default();
    steps.host(HostOp::Embedding);
    steps.end(Order::Once);
    forward(&mut steps, n, form)?;
    steps.end(Order::Layers);

    steps.head();
    steps.end(Order::Once);

    backward(&mut steps, n, form)?;
    steps.end(Order::LayersBackwards);
    steps.host(HostOp::EmbeddingBackward);
    steps.end(Order::Once);
    steps.host(HostOp::Update);
    steps.end(Order::Update);
    Ok(Plan {
        name: NAME,
        model: target.model.clone(),
        sequences: 1,
        seq_len: target.seq_len,
        dw_on: DwOn::Worker,
        kernels: steps.kernels,
        sections: steps.sections,
    })
}

fn forward(steps: &mut Steps, n: Sizes, form: Form) -> Result<()> {
    steps.host(HostOp::AttentionNorm);
    if form.reshapes {
        steps.dispatch(attention::forward(n, form)?);
    } else {
        steps.dispatch(attention::projections(n, form)?);
        if n.grouped() {
            steps.host(HostOp::RepeatHeads);
        }
        steps.dispatch(attention::forward_of_heads(n, form)?);
    }
    steps.dispatch(products::attention_out(n, form)?);
    steps.host(HostOp::FfnNorm);
    if feed_forward::fits(n, form) {
        steps.dispatch(feed_forward::forward(n, form)?);
        return Ok(());
    }
    steps.dispatch(products::hidden(n, form, "ffnW1Fwd", W1, Activation::H1)?);
    steps.dispatch(products::hidden(n, form, "ffnW3Fwd", W3, Activation::H3)?);
    steps.host(HostOp::Gate);
    steps.dispatch(products::ffn_out(n, form)?);
    steps.host(HostOp::FfnResidual);
    Ok(())
}

fn backward(steps: &mut Steps, n: Sizes, form: Form) -> Result<()> {
    steps.dispatch(products::gate_grad(n, form)?);
    steps.host(HostOp::GateBackward);
    steps.dispatch(products::ffn_norm_grad(n, form)?);
    steps.host(HostOp::FfnOperands);
    steps.worker(HostOp::FfnWeightGrads);
    steps.host(HostOp::FfnNormBackward);
    steps.dispatch(products::attention_grad(n, form)?);
    // Without reshapes the forward pass has repeated them already.
    if n.grouped() && form.reshapes {
        steps.host(HostOp::RepeatHeads);
    }
    steps.dispatch(attention::backward_scores(n, form)?);
    steps.dispatch(attention::backward_softmax(n, form)?);
    if n.grouped() {
        steps.host(HostOp::SumHeads);
    }
    steps.host(HostOp::RopeBackward);
    steps.host(HostOp::AttentionOperands);
    steps.worker(HostOp::AttentionWeightGrads);
    steps.dispatch(products::query_grad(n, form)?);
    steps.dispatch(products::key_value_grad(n, form)?);
    steps.host(HostOp::AttentionNormBackward);
    Ok(())
}
