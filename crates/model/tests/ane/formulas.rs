//! Every activation from those before it, written as plainly as its formula: the oracle of programs.
//!
//! Constants of programs are fp16, so those here are rounded to it; everything else is f64.

use aneal_mil::Type;
use aneal_mil::eval::Tensor;
use aneal_model::ane::Activation;
use aneal_model::{ModelConfig, Params};

use super::surfaces::Activations;

/// What is known, of one layer.
pub(crate) struct Given<'a> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) tokens: usize,
    pub(crate) known: &'a Activations,
    pub(crate) params: &'a Params,
}

fn rounded(x: f64) -> f64 {
    Tensor::from_floats(Type::fp16(&[1]).unwrap(), &[x as f32]).unwrap().values[0]
}

/// An activation `[rows, tokens]`.
type Rows = Vec<f64>;

impl Given<'_> {
    /// As given, else by its formula.
    pub(crate) fn get(&self, activation: Activation) -> Rows {
        match self.known.get(&activation) {
            Some(values) => values.iter().map(|&v| f64::from(v)).collect(),
            None => self.formula(activation),
        }
    }

    pub(crate) fn formula(&self, activation: Activation) -> Rows {
        use Activation as A;
        let (heads, s) = (self.config.heads, self.tokens);
        let each = |a: A, b: A, f: fn(f64, f64) -> f64| -> Rows {
            self.get(a).into_iter().zip(self.get(b)).map(|(a, b)| f(a, b)).collect()
        };
        match activation {
            A::Query => self.turned(self.forward("attention.wq", A::AttentionNorm)),
            A::Key => self.turned(self.forward("attention.wk", A::AttentionNorm)),
            A::Value => self.forward("attention.wv", A::AttentionNorm),
            A::KeyRepeated => self.repeated(A::Key),
            A::ValueRepeated => self.repeated(A::Value),
            A::Attention => {
                let (p, v) = (self.get(A::Probabilities), self.get(self.of_each_head().1));
                self.per_head(|h, c, i| {
                    (0..s).map(|j| p[(h * s + i) * s + j] * v[self.channel(h, c) * s + j]).sum()
                })
            }
            A::AttentionBranch => self.forward("attention.wo", A::Attention),
            A::H1 => self.forward("feed_forward.w1", A::FfnNorm),
            A::H3 => self.forward("feed_forward.w3", A::FfnNorm),
            A::Gate => each(A::H1, A::H3, |h1, h3| h1 / (1.0 + (-h1).exp()) * h3),
            A::FfnBranch => self.forward("feed_forward.w2", A::Gate),
            A::NextStream => {
                let scale = rounded(f64::from(self.config.residual_scale()));
                let (x, branch) = (self.get(A::MiddleStream), self.get(A::FfnBranch));
                x.into_iter().zip(branch).map(|(x, branch)| x + scale * branch).collect()
            }
            A::GateGrad => self.backward("feed_forward.w2", A::FfnBranchGrad),
            A::FfnNormGrad => sum(
                self.backward("feed_forward.w1", A::H1Grad),
                self.backward("feed_forward.w3", A::H3Grad),
            ),
            A::AttentionGrad => self.backward("attention.wo", A::AttentionBranchGrad),
            A::NormGradOfQuery => self.backward("attention.wq", A::QueryGrad),
            A::NormGradOfKeyValue => sum(
                self.backward("attention.wk", A::KeyGrad),
                self.backward("attention.wv", A::ValueGrad),
            ),
            A::Probabilities => {
                let (q, k) = (self.get(A::Query), self.get(self.of_each_head().0));
                let mut p = vec![0.0; heads * s * s];
                for (row, p) in p.chunks_exact_mut(s).enumerate() {
                    let (h, i) = (row / s, row % s);
                    for (j, p) in p[..=i].iter_mut().enumerate() {
                        let terms = (0..self.config.head_dim).map(|c| {
                            q[(h * self.config.head_dim + c) * s + i]
                                * k[self.channel(h, c) * s + j]
                        });
                        *p = (terms.sum::<f64>() * self.scale()).exp();
                    }
                    let total: f64 = p.iter().sum();
                    p.iter_mut().for_each(|p| *p /= total);
                }
                p
            }
            A::ProbabilityGrads => {
                let (grad, v) = (self.get(A::AttentionGrad), self.get(self.of_each_head().1));
                let of = |row: usize, j: usize| -> f64 {
                    let (h, i, wide) = (row / s, row % s, self.config.head_dim);
                    let terms = (0..wide)
                        .map(|c| grad[(h * wide + c) * s + i] * v[self.channel(h, c) * s + j]);
                    terms.sum()
                };
                (0..heads * s * s).map(|at| of(at / s, at % s)).collect()
            }
            A::ValueGrad | A::ValueRepeatedGrad => {
                let (grad, p) = (self.get(A::AttentionGrad), self.get(A::Probabilities));
                self.per_head(|h, c, j| {
                    let row = (h * self.config.head_dim + c) * s;
                    (0..s).map(|i| grad[row + i] * p[(h * s + i) * s + j]).sum()
                })
            }
            A::QueryGradTurned => {
                let (ds, k) = (self.score_grads(), self.get(self.of_each_head().0));
                self.per_head(|h, c, i| {
                    (0..s).map(|j| ds[(h * s + i) * s + j] * k[self.channel(h, c) * s + j]).sum()
                })
            }
            A::KeyGradTurned | A::KeyRepeatedGradTurned => {
                let (ds, q) = (self.score_grads(), self.get(A::Query));
                self.per_head(|h, c, j| {
                    let row = (h * self.config.head_dim + c) * s;
                    (0..s).map(|i| ds[(h * s + i) * s + j] * q[row + i]).sum()
                })
            }
            A::Stream
            | A::NextStreamGrad
            | A::MiddleStreamGrad
            | A::StreamGrad
            | A::AttentionNorm
            | A::MiddleStream
            | A::FfnNorm
            | A::FfnBranchGrad
            | A::H1Grad
            | A::H3Grad
            | A::AttentionBranchGrad
            | A::QueryGrad
            | A::KeyGrad => panic!("{activation:?} is the CPU's"),
        }
    }

    /// Keys and values as they are known: with a head for each query head, or for several.
    fn of_each_head(&self) -> (Activation, Activation) {
        match self.known.contains_key(&Activation::KeyRepeated) {
            true => (Activation::KeyRepeated, Activation::ValueRepeated),
            false => (Activation::Key, Activation::Value),
        }
    }

    /// The row of keys and values that channel c of query head h meets.
    fn channel(&self, h: usize, c: usize) -> usize {
        let repeated = self.known.contains_key(&Activation::KeyRepeated);
        let shared = if repeated { 1 } else { self.config.heads / self.config.kv_heads };
        h / shared * self.config.head_dim + c
    }

    fn scale(&self) -> f64 {
        rounded(1.0 / (self.config.head_dim as f64).sqrt())
    }

    fn score_grads(&self) -> Rows {
        let (p, dp) = (self.get(Activation::Probabilities), self.get(Activation::ProbabilityGrads));
        let rows = p.chunks_exact(self.tokens).zip(dp.chunks_exact(self.tokens));
        rows.flat_map(|(p, dp)| {
            let along: f64 = p.iter().zip(dp).map(|(p, dp)| p * dp).sum();
            p.iter().zip(dp).map(move |(p, dp)| p * (dp - along) * self.scale())
        })
        .collect()
    }

    /// `[heads head_dim, tokens]` of head, channel and token.
    fn per_head(&self, f: impl Fn(usize, usize, usize) -> f64) -> Rows {
        let (wide, s) = (self.config.head_dim, self.tokens);
        let channels = 0..self.config.heads * wide;
        channels
            .flat_map(|at| (0..s).map(move |t| (at, t)))
            .map(|(at, t)| f(at / wide, at % wide, t))
            .collect()
    }

    fn repeated(&self, activation: Activation) -> Rows {
        let x = self.get(activation);
        let shared = self.config.heads / self.config.kv_heads;
        self.per_head(|h, c, t| x[(h / shared * self.config.head_dim + c) * self.tokens + t])
    }

    /// The pairs (2i, 2i + 1) of each head turned by position.
    fn turned(&self, x: Rows) -> Rows {
        let (wide, s) = (self.config.head_dim, self.tokens);
        let mut y = x.clone();
        for channel in (0..x.len() / s).step_by(2) {
            let power = -((channel % wide) as f64) / wide as f64;
            for t in 0..s {
                let angle = t as f64 * self.config.rope_theta.powf(power);
                let (cos, sin) = (rounded(angle.cos()), rounded(angle.sin()));
                let (a, b) = (x[channel * s + t], x[(channel + 1) * s + t]);
                y[channel * s + t] = a * cos - b * sin;
                y[(channel + 1) * s + t] = a * sin + b * cos;
            }
        }
        y
    }

    /// `W x` with a weight of the first layer.
    fn forward(&self, weight: &str, x: Activation) -> Rows {
        self.product(weight, x, false)
    }

    /// `W^T x`.
    fn backward(&self, weight: &str, x: Activation) -> Rows {
        self.product(weight, x, true)
    }

    fn product(&self, weight: &str, x: Activation, transposed: bool) -> Rows {
        let spec = self.params.layout().find(&format!("layers.0.{weight}.weight")).unwrap();
        let (w, x, s) = (self.params.slice(&spec.slot), self.get(x), self.tokens);
        let [out, inner] = spec.shape[..] else { panic!("{weight} is no matrix") };
        let (rows, terms) = if transposed { (inner, out) } else { (out, inner) };
        let at = |row: usize, term: usize| {
            f64::from(if transposed { w[term * inner + row] } else { w[row * inner + term] })
        };
        let mut y = vec![0.0; rows * s];
        for (row, y) in y.chunks_exact_mut(s).enumerate() {
            for (t, y) in y.iter_mut().enumerate() {
                *y = (0..terms).map(|term| at(row, term) * x[term * s + t]).sum();
            }
        }
        y
    }
}

fn sum(a: Rows, b: Rows) -> Rows {
    a.into_iter().zip(b).map(|(a, b)| a + b).collect()
}
