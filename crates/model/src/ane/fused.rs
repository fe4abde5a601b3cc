//! As few dispatches a layer as its mathematics allows: two forward, two backward, for any number of
//! sequences at once.
//!
//! - The residual stream and its gradient go from program to program in surfaces, which the CPU only
//!   fills at one end and reads at the other.
//! - Weights are inputs of their own, as stored, `[out, in]`: with channels as rows, a product has the
//!   weight on its left forward and backward, and the gradient of a weight comes out as the weight is
//!   stored. Nothing is sliced, no weight is turned, and a program takes at most eight inputs (C25).
//! - Norms, positions, mask, softmax and residuals are in the programs. Each backward program computes
//!   its half of the layer again from the stream, so that nothing else is kept; or all but the two
//!   large products, which are then kept in surfaces too.
//! - The CPU does the embedding, the classifier with the loss, and the update.
//!
//! Inside of programs a matrix is `[1, 1, rows, columns]`, so that broadcasts are along rows or
//! columns and never along channels (C29).
//!
//! Where devices differ: channels are summed by a product with ones or by a fold (C11, C12), softmax
//! is one operation or written out (C13, C40). A device that takes no reshapes and transposes (C32)
//! cannot split heads, and gets no plan.

mod attention;
mod draft;
mod feed_forward;
mod norm;

use super::form::Form;
use super::sizes::Sizes;
use super::steps::Steps;
use super::{DwOn, HostOp, Order, Plan, Target, tables};
use crate::{Error, Result};

/// What the backward pass finds in surfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// The residual stream alone.
    Stream,
    /// H1 and H3 as well: two products less against twice their bytes moved.
    Hidden,
}

/// Ways to do it, of which none is always best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) name: &'static str,
    dw_on: DwOn,
    kept: Kept,
}

/// All of them; names differ.
pub(super) const VARIANTS: [Variant; 4] = [
    Variant { name: "fused", dw_on: DwOn::Engine, kept: Kept::Stream },
    Variant { name: "fused-kept", dw_on: DwOn::Engine, kept: Kept::Hidden },
    Variant { name: "fused-worker", dw_on: DwOn::Worker, kept: Kept::Stream },
    Variant { name: "fused-kept-worker", dw_on: DwOn::Worker, kept: Kept::Hidden },
];

/// The plan for a target, in the form that its device needs.
pub(super) fn plan(target: &Target<'_>, form: Form, variant: Variant) -> Result<Plan> {
    let Variant { name, dw_on, kept } = variant;
    if !form.reshapes {
        let reason = format!(
            "heads are split by reshapes and transposes, which {} refuses (C32); choose ten-kernel",
            target.profile.name
        );
        return Err(Error::Plan { plan: name.to_owned(), reason });
    }
    let n = Sizes::of(target.model, target.sequences, target.seq_len);
    tables::check(name, n, attention::largest_table(n))?;

    let mut steps = Steps::default();
    steps.host(HostOp::Embedding);
    steps.host(HostOp::WriteStream);
    steps.end(Order::Once);
    steps.dispatch(attention::forward(n, form)?);
    steps.dispatch(feed_forward::forward(n, form, kept)?);
    steps.end(Order::Layers);

    steps.host(HostOp::ReadStream);
    steps.head();
    steps.host(HostOp::WriteStreamGrad);
    steps.end(Order::Once);

    steps.dispatch(feed_forward::backward(n, form, dw_on, kept)?);
    if dw_on == DwOn::Worker {
        steps.worker(HostOp::FfnWeightGrads);
    }
    steps.dispatch(attention::backward(n, form, dw_on)?);
    if dw_on == DwOn::Worker {
        steps.worker(HostOp::AttentionWeightGrads);
    }
    steps.end(Order::LayersBackwards);
    steps.host(HostOp::ReadStreamGrad);
    steps.host(HostOp::EmbeddingBackward);
    steps.end(Order::Once);
    steps.host(HostOp::Update);
    steps.end(Order::Update);
    Ok(Plan {
        name,
        model: target.model.clone(),
        sequences: target.sequences,
        seq_len: target.seq_len,
        dw_on,
        kernels: steps.kernels,
        sections: steps.sections,
    })
}
