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
use super::{
    Activation, Content, HostOp, KernelSpec, Order, Plan, Section, Step, Target, WeightRef,
};
use crate::{Error, ModelConfig, Result};

/// The sizes that programs are made of.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    /// D
    d: usize,
    /// H
    h: usize,
    /// Width of all queries.
    q: usize,
    /// Width of all keys.
    kv: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    /// Tokens.
    s: usize,
    rope_theta: f64,
    residual_scale: f32,
}

impl Sizes {
    fn of(config: &ModelConfig, s: usize) -> Self {
        Self {
            d: config.dim,
            h: config.hidden,
            q: config.q_width(),
            kv: config.kv_width(),
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            s,
            rope_theta: config.rope_theta,
            residual_scale: config.residual_scale(),
        }
    }

    /// Whether query heads share key-value heads.
    fn grouped(&self) -> bool {
        self.kv_heads < self.heads
    }
}

/// A weight of the layer as stored, `[out, in]`.
fn stored(name: &'static str) -> Content {
    Content::Weight(WeightRef { name, of_layer: true, transposed: false })
}

/// A weight of the layer with its inputs as rows, `[in, out]`.
fn turned(name: &'static str) -> Content {
    Content::Weight(WeightRef { name, of_layer: true, transposed: true })
}

const WQ: &str = "attention.wq.weight";
const WK: &str = "attention.wk.weight";
const WV: &str = "attention.wv.weight";
const WO: &str = "attention.wo.weight";
const W1: &str = "feed_forward.w1.weight";
const W2: &str = "feed_forward.w2.weight";
const W3: &str = "feed_forward.w3.weight";

/// Steps being put in order, with the programs that they dispatch.
#[derive(Default)]
struct Steps {
    kernels: Vec<KernelSpec>,
    steps: Vec<Step>,
    sections: Vec<Section>,
}

impl Steps {
    fn dispatch(&mut self, kernel: KernelSpec) {
        self.steps.push(Step::Dispatch(self.kernels.len()));
        self.kernels.push(kernel);
    }

    fn host(&mut self, op: HostOp) {
        self.steps.push(Step::Host(op));
    }

    fn worker(&mut self, op: HostOp) {
        self.steps.push(Step::Worker(op));
    }

    fn end(&mut self, order: Order) {
        self.sections.push(Section { order, steps: std::mem::take(&mut self.steps) });
    }
}

const NAME: &str = "ten-kernel";

/// Most elements of a mask or another table: 128 MiB of fp16, the mask of 8,192 tokens. Published
/// programs stop compiling at 1,024 (section 1.3 of the speed facts).
const MOST_TABLE: usize = 1 << 26;

/// The plan for a target, in the form that its device needs.
pub(super) fn plan(target: &Target<'_>, form: Form) -> Result<Plan> {
    let n = Sizes::of(target.model, target.seq_len);
    let table = attention::largest_table(n, form);
    if table > MOST_TABLE {
        let (s, wide) = (n.s, n.head_dim);
        let reason = format!(
            "sequences of {s} tokens and heads of {wide} need a table of {table} elements, the limit \
             is {MOST_TABLE}; choose shorter sequences or narrower heads"
        );
        return Err(Error::Plan { plan: NAME.to_owned(), reason });
    }
    let mut steps = Steps::default();
    steps.host(HostOp::Embedding);
    steps.end(Order::Once);
    forward(&mut steps, n, form)?;
    steps.end(Order::Layers);

    steps.host(HostOp::FinalNorm);
    steps.host(HostOp::Classifier);
    steps.host(HostOp::Loss);
    steps.host(HostOp::ClassifierBackward);
    steps.worker(HostOp::ClassifierWeightGrad);
    steps.host(HostOp::FinalNormBackward);
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
