//! A training step as a plan says it: programs evaluated, the CPU's work done with its own kernels.

use aneal_kernels::rms_norm::{self, Backward};
use aneal_kernels::{cross_entropy, embedding, rope};
use aneal_model::ane::{Activation, Content, HostOp, Order, Plan, Step};
use aneal_model::{Batch, Grads, ModelConfig, Params};

use super::surfaces::{Activations, run};

/// `[rows, columns]` to `[columns, rows]`.
fn transposed(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    (0..x.len()).map(|at| x[at % rows * columns + at / rows]).collect()
}

/// `y[T, out] = x[T, in] w[out, in]^T`.
fn product(x: &[f32], w: &[f32], inner: usize) -> Vec<f32> {
    let rows = x.chunks_exact(inner);
    let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum();
    rows.flat_map(|x| w.chunks_exact(inner).map(move |w| dot(x, w))).collect()
}

/// A layer's part of the step.
#[derive(Clone, Default)]
struct Layer {
    /// `[T, D]`, before the layer.
    stream: Vec<f32>,
    inv_rms: Vec<f32>,
    ffn_inv_rms: Vec<f32>,
    known: Activations,
}

pub(crate) struct Walk<'a> {
    plan: &'a Plan,
    config: &'a ModelConfig,
    params: &'a Params,
    pub(crate) grads: Grads,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    layers: Vec<Layer>,
    /// `[T, D]`: behind the last layer; its norm; gradients of it.
    stream: Vec<f32>,
    norm: Vec<f32>,
    inv_rms: Vec<f32>,
    norm_grad: Vec<f32>,
    stream_grad: Vec<f32>,
    /// `[T, V]`
    logits: Vec<f32>,
    logit_grads: Vec<f32>,
    pub(crate) losses: Vec<f32>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(plan: &'a Plan, params: &'a Params, batch: &Batch) -> Self {
        let (config, t) = (&plan.model, batch.targets());
        let inputs = batch.rows().flat_map(|row| &row[..row.len() - 1]).copied().collect();
        let targets = batch.rows().flat_map(|row| &row[1..]).copied().collect();
        Self {
            plan,
            config,
            params,
            grads: Grads::zeros(params.layout()),
            inputs,
            targets,
            layers: vec![Layer::default(); config.layers],
            stream: Vec::new(),
            norm: vec![0.0; t * config.dim],
            inv_rms: vec![0.0; t],
            norm_grad: Vec::new(),
            stream_grad: vec![0.0; t * config.dim],
            logits: Vec::new(),
            logit_grads: vec![0.0; t * config.vocab_size],
            losses: vec![0.0; t],
        }
    }

    /// Everything but the update.
    pub(crate) fn step(&mut self) {
        for section in &self.plan.sections {
            let layers: Vec<usize> = match section.order {
                Order::Once => vec![0],
                Order::Layers => (0..self.config.layers).collect(),
                Order::LayersBackwards => (0..self.config.layers).rev().collect(),
                Order::Update => continue,
            };
            for layer in layers {
                for step in &section.steps {
                    match *step {
                        Step::Dispatch(place) => {
                            let kernel = &self.plan.kernels[place];
                            let known = &self.layers[layer].known;
                            for (content, values) in run(kernel, known, self.params, layer) {
                                self.returned(content, values, layer);
                            }
                        }
                        Step::Host(op) | Step::Worker(op) => self.host(op, layer),
                    }
                }
            }
        }
    }

    /// Takes what a program returned, as a surface holds it.
    fn returned(&mut self, content: Content, values: Vec<f32>, layer: usize) {
        match content {
            Content::Activation(activation) => {
                let neighbour = match activation {
                    Activation::NextStream => layer + 1,
                    _ => layer.wrapping_sub(1),
                };
                if let Some(name) = activation.across()
                    && let Some(neighbour) = self.layers.get_mut(neighbour)
                {
                    neighbour.known.insert(name, values.clone());
                }
                self.layers[layer].known.insert(activation, values);
            }
            Content::Gradient(weight) => {
                let slot = self.params.layout().find(&weight.tensor(layer)).unwrap().slot.clone();
                let sums = self.grads.slice_mut(&slot);
                assert_eq!(sums.len(), values.len(), "{weight:?}");
                sums.iter_mut().zip(values).for_each(|(sum, v)| *sum += v);
            }
            Content::Weight(weight) => panic!("{weight:?} is returned"),
        }
    }

    /// An activation as `[T, rows]`.
    fn get(&self, layer: usize, activation: Activation) -> Vec<f32> {
        transposed(&self.layers[layer].known[&activation], self.inputs.len())
    }

    /// Takes `[T, rows]`.
    fn put(&mut self, layer: usize, activation: Activation, x: &[f32]) {
        let rows = x.len() / self.inputs.len();
        self.layers[layer].known.insert(activation, transposed(x, rows));
    }

    fn tensor(&self, name: &str) -> &'a [f32] {
        self.params.slice(&self.params.layout().find(name).unwrap().slot)
    }

    /// Adds `dy[T, out]^T x[T, in]` to the gradient of a tensor.
    fn weight_grad(&mut self, name: &str, dy: &[f32], x: &[f32]) {
        let t = self.inputs.len();
        let (dy, x) = (transposed(dy, dy.len() / t), transposed(x, x.len() / t));
        let slot = self.params.layout().find(name).unwrap().slot.clone();
        let sums = self.grads.slice_mut(&slot).iter_mut();
        sums.zip(product(&dy, &x, t)).for_each(|(sum, v)| *sum += v);
    }

    /// rms_norm backward into `dx`; the gradient of the gain goes to its tensor.
    fn norm_backward(
        &mut self,
        gain: &str,
        dy: &[f32],
        x: &[f32],
        inv_rms: &[f32],
        dx: &mut [f32],
    ) {
        let (d, t) = (self.config.dim, inv_rms.len());
        let (mut rounded, mut partial) = (dx.to_vec(), vec![0.0; rms_norm::partial_len(t, d)]);
        let slot = self.params.layout().find(gain).unwrap().slot.clone();
        let input = Backward { dy, x, w: self.tensor(gain), inv_rms };
        let dw = self.grads.slice_mut(&slot);
        rms_norm::backward(dx, &mut rounded, dw, &mut partial, input);
    }

    /// The residual stream's gradient times the residual scale, where the next program looks for it.
    fn put_branch_grad(&mut self, layer: usize, activation: Activation) {
        let scale = self.config.residual_scale();
        let scaled: Vec<f32> = self.stream_grad.iter().map(|g| scale * g).collect();
        self.put(layer, activation, &scaled);
    }

    fn plus_branch(&self, layer: usize, x: &[f32], branch: Activation) -> Vec<f32> {
        let scale = self.config.residual_scale();
        x.iter().zip(self.get(layer, branch)).map(|(x, b)| x + scale * b).collect()
    }

    fn host(&mut self, op: HostOp, layer: usize) {
        use Activation as A;
        let (d, v, t) = (self.config.dim, self.config.vocab_size, self.inputs.len());
        let (eps, table) = (self.config.norm_eps, "tok_embeddings.weight");
        let of_layer = |name: &str| format!("layers.{layer}.{name}.weight");
        match op {
            HostOp::Embedding => {
                let mut stream = vec![0.0; t * d];
                embedding::forward(&mut stream, &self.inputs, self.tensor(table), d);
                self.stream = stream;
            }
            HostOp::WriteStream => self.put(0, A::Stream, &self.stream.clone()),
            HostOp::ReadStream => {} // by the norm that follows
            HostOp::WriteStreamGrad => {
                let grad = self.stream_grad.clone();
                self.put(self.config.layers - 1, A::NextStreamGrad, &grad);
            }
            HostOp::ReadStreamGrad => self.stream_grad = self.get(0, A::StreamGrad),
            HostOp::AttentionNorm => {
                if layer > 0 {
                    self.stream = self.get(layer - 1, A::NextStream);
                }
                let (mut y, mut inv_rms) = (vec![0.0; t * d], vec![0.0; t]);
                let gain = self.tensor(&of_layer("attention_norm"));
                rms_norm::forward(&mut y, &mut inv_rms, &self.stream, gain, eps);
                self.layers[layer].inv_rms = inv_rms;
                self.layers[layer].stream = self.stream.clone();
                self.put(layer, A::AttentionNorm, &y);
            }
            HostOp::FfnNorm => {
                let middle = self.plus_branch(layer, &self.stream, A::AttentionBranch);
                let (mut y, mut inv_rms) = (vec![0.0; t * d], vec![0.0; t]);
                let gain = self.tensor(&of_layer("ffn_norm"));
                rms_norm::forward(&mut y, &mut inv_rms, &middle, gain, eps);
                self.layers[layer].ffn_inv_rms = inv_rms;
                self.put(layer, A::MiddleStream, &middle);
                self.put(layer, A::FfnNorm, &y);
            }
            HostOp::RepeatHeads => {
                let (wide, shared) =
                    (self.config.head_dim, self.config.heads / self.config.kv_heads);
                for (from, to) in [(A::Key, A::KeyRepeated), (A::Value, A::ValueRepeated)] {
                    let heads = self.layers[layer].known[&from].chunks_exact(wide * t);
                    let repeated = heads.flat_map(|head| head.repeat(shared)).collect();
                    self.layers[layer].known.insert(to, repeated);
                }
            }
            HostOp::Gate => {
                let (h1, h3) = (self.get(layer, A::H1), self.get(layer, A::H3));
                let gate: Vec<f32> =
                    h1.iter().zip(h3).map(|(h1, h3)| h1 / (1.0 + (-h1).exp()) * h3).collect();
                self.put(layer, A::Gate, &gate);
            }
            HostOp::FfnResidual => {
                let middle = self.get(layer, A::MiddleStream);
                let next = self.plus_branch(layer, &middle, A::FfnBranch);
                self.put(layer, A::NextStream, &next);
            }
            HostOp::FinalNorm => {
                self.stream = self.get(self.config.layers - 1, A::NextStream);
                let gain = self.tensor("norm.weight");
                rms_norm::forward(&mut self.norm, &mut self.inv_rms, &self.stream, gain, eps);
            }
            HostOp::Classifier => self.logits = product(&self.norm, self.tensor(table), d),
            HostOp::Loss => cross_entropy::forward_backward(
                &mut self.losses,
                &mut self.logit_grads,
                &mut self.logits,
                &self.targets,
                v,
                1.0 / t as f32,
            ),
            HostOp::ClassifierBackward => {
                self.norm_grad = product(&self.logit_grads, &transposed(self.tensor(table), d), v);
            }
            HostOp::ClassifierWeightGrad => {
                self.weight_grad(table, &self.logit_grads.clone(), &self.norm.clone());
            }
            HostOp::FinalNormBackward => {
                let (dy, x, inv_rms) =
                    (self.norm_grad.clone(), self.stream.clone(), self.inv_rms.clone());
                let mut dx = vec![0.0; t * d];
                self.norm_backward("norm.weight", &dy, &x, &inv_rms, &mut dx);
                self.stream_grad = dx;
                self.put_branch_grad(self.config.layers - 1, A::FfnBranchGrad);
            }
            HostOp::GateBackward => {
                let [h1, h3, grad] = [A::H1, A::H3, A::GateGrad].map(|a| self.get(layer, a));
                let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
                let each = h1.iter().zip(&h3).zip(&grad);
                let (of_h1, of_h3): (Vec<f32>, Vec<f32>) = each
                    .map(|((&h1, h3), grad)| {
                        let s = sigmoid(h1);
                        (grad * h3 * s * (1.0 + h1 * (1.0 - s)), grad * h1 * s)
                    })
                    .unzip();
                self.put(layer, A::H1Grad, &of_h1);
                self.put(layer, A::H3Grad, &of_h3);
            }
            HostOp::FfnOperands | HostOp::AttentionOperands => {} // nothing is overwritten here
            HostOp::FfnWeightGrads => {
                for (name, dy, x) in [
                    ("feed_forward.w1", A::H1Grad, A::FfnNorm),
                    ("feed_forward.w3", A::H3Grad, A::FfnNorm),
                    ("feed_forward.w2", A::FfnBranchGrad, A::Gate),
                ] {
                    let (dy, x) = (self.get(layer, dy), self.get(layer, x));
                    self.weight_grad(&of_layer(name), &dy, &x);
                }
            }
            HostOp::FfnNormBackward => {
                let (dy, x) = (self.get(layer, A::FfnNormGrad), self.get(layer, A::MiddleStream));
                let (inv_rms, mut dx) =
                    (self.layers[layer].ffn_inv_rms.clone(), self.stream_grad.clone());
                self.norm_backward(&of_layer("ffn_norm"), &dy, &x, &inv_rms, &mut dx);
                self.stream_grad = dx;
                self.put_branch_grad(layer, A::AttentionBranchGrad);
            }
            HostOp::SumHeads => {
                let (wide, shared) =
                    (self.config.head_dim, self.config.heads / self.config.kv_heads);
                for (from, to) in [
                    (A::KeyRepeatedGradTurned, A::KeyGradTurned),
                    (A::ValueRepeatedGrad, A::ValueGrad),
                ] {
                    let heads = self.layers[layer].known[&from].chunks_exact(shared * wide * t);
                    let sum = |group: &[f32]| -> Vec<f32> {
                        (0..wide * t).map(|at| group[at..].iter().step_by(wide * t).sum()).collect()
                    };
                    let summed = heads.flat_map(sum).collect();
                    self.layers[layer].known.insert(to, summed);
                }
            }
            HostOp::RopeBackward => {
                let table = rope::Table::new(t, self.config.head_dim, self.config.rope_theta);
                for (from, to) in
                    [(A::QueryGradTurned, A::QueryGrad), (A::KeyGradTurned, A::KeyGrad)]
                {
                    let mut x = self.get(layer, from);
                    let width = x.len() / t;
                    table.rotate_back(&mut x, width, width, t);
                    self.put(layer, to, &x);
                }
            }
            HostOp::AttentionWeightGrads => {
                for (name, dy, x) in [
                    ("attention.wq", A::QueryGrad, A::AttentionNorm),
                    ("attention.wk", A::KeyGrad, A::AttentionNorm),
                    ("attention.wv", A::ValueGrad, A::AttentionNorm),
                    ("attention.wo", A::AttentionBranchGrad, A::Attention),
                ] {
                    let (dy, x) = (self.get(layer, dy), self.get(layer, x));
                    self.weight_grad(&of_layer(name), &dy, &x);
                }
            }
            HostOp::AttentionNormBackward => {
                let mut dy = self.get(layer, A::NormGradOfQuery);
                let rest = self.get(layer, A::NormGradOfKeyValue);
                dy.iter_mut().zip(rest).for_each(|(a, b)| *a += b);
                let Layer { stream, inv_rms, .. } = self.layers[layer].clone();
                let mut dx = self.stream_grad.clone();
                self.norm_backward(&of_layer("attention_norm"), &dy, &stream, &inv_rms, &mut dx);
                self.stream_grad = dx;
                if layer > 0 {
                    self.put_branch_grad(layer - 1, A::FfnBranchGrad);
                }
            }
            HostOp::EmbeddingBackward => {
                let slot = self.params.layout().tok_embeddings.clone();
                let table = self.grads.slice_mut(&slot);
                embedding::backward(table, &self.inputs, &self.stream_grad, d);
            }
            HostOp::Update => panic!("an update belongs to no micro-batch"),
        }
    }
}
