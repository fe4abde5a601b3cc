//! As few dispatches a layer as its mathematics allows: two forward, two backward, for any number of
//! sequences at once.
//!
//! - The residual stream and its gradient go from program to program in surfaces, which the CPU only
//!   fills at one end and reads at the other.
//! - Weights are inputs of their own, as stored, `[out, in]`: with channels as rows, a product has the
//!   weight on its left forward and backward, and the gradient of a weight comes out as the weight is
//!   stored. Nothing is sliced, no weight is turned, and a program takes at most seven inputs (C25).
//! - Norms, positions, mask, softmax and residuals are in the programs. Each backward program computes
//!   its half of the layer again from the stream, so that nothing else is kept.
//! - The CPU does the embedding, the classifier with the loss, and the update.
//!
//! Inside of programs a matrix is `[1, 1, rows, columns]`, so that broadcasts are along rows or
//! columns and never along channels (C29).
//!
//! Where devices differ: channels are summed by a product with ones or by a fold (C11, C12), softmax
//! is one operation or written out (C13, C40), tables are shared by all heads or repeated (C29). A
//! device that takes no reshapes and transposes (C32) cannot split heads, and gets no plan.

mod attention;
mod draft;
mod feed_forward;
mod norm;

use super::form::Form;
use super::sizes::Sizes;
use super::steps::Steps;
use super::{DwOn, HostOp, Order, Plan, Target, tables};
use crate::{Error, Result};

/// With gradients of weights on the engine.
pub(super) const NAME: &str = "fused";

/// With gradients of weights on the CPU, beside the engine.
pub(super) const NAME_WORKER: &str = "fused-worker";

/// The plan for a target, in the form that its device needs.
pub(super) fn plan(target: &Target<'_>, form: Form, dw_on: DwOn) -> Result<Plan> {
    let name = match dw_on {
        DwOn::Engine => NAME,
        DwOn::Worker => NAME_WORKER,
    };
    if !form.reshapes {
        let reason = format!(
            "heads are split by reshapes and transposes, which {} refuses (C32); choose ten-kernel",
            target.profile.name
        );
        return Err(Error::Plan { plan: name.to_owned(), reason });
    }
    let n = Sizes::of(target.model, target.sequences, target.seq_len);
    tables::check(name, n, attention::largest_table(n, form))?;

    let mut steps = Steps::default();
    steps.host(HostOp::Embedding);
    steps.host(HostOp::WriteStream);
    steps.end(Order::Once);
    steps.dispatch(attention::forward(n, form)?);
    steps.dispatch(feed_forward::forward(n, form)?);
    steps.end(Order::Layers);

    steps.host(HostOp::ReadStream);
    steps.head();
    steps.host(HostOp::WriteStreamGrad);
    steps.end(Order::Once);

    steps.dispatch(feed_forward::backward(n, form, dw_on)?);
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
