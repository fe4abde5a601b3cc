//! The plan of the published trainers: ten programs, three forward and seven backward a layer, one
//! sequence a dispatch, activations and weights packed side by side; the rest on the CPU.
//!
//! D is the width, H the hidden width, Q and K the widths of queries and keys, S the sequence.

use aneal_ane::clock::{Costs, HostWork, Lane, OpWork, SpanId, State, Timeline, Work};

/// A model and its sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Transformer {
    pub(crate) layers: u64,
    pub(crate) dim: u64,
    pub(crate) hidden: u64,
    pub(crate) heads: u64,
    pub(crate) kv_heads: u64,
    pub(crate) head_dim: u64,
    pub(crate) seq: u64,
    /// Tokens that occur in the data: the trainers leave the others out of the loss.
    pub(crate) vocab: u64,
}

/// One program: its name, what it runs, and elements that the CPU writes before and reads after.
struct Kernel {
    name: &'static str,
    work: Work,
    writes: u64,
    reads: u64,
}

fn matmul(m: u64, k: u64, n: u64) -> OpWork {
    OpWork::MatMul { groups: 1, m, k, n }
}

fn moves(elements: u64) -> OpWork {
    OpWork::Move { elements }
}

fn passes(elements: u64, passes: u64) -> OpWork {
    OpWork::Elementwise { elements, passes }
}

impl Transformer {
    /// The model of parameter-golf PR #801. Of 1,024 tokens 888 occur in its training shard.
    pub(crate) const GOLF: Self = Self {
        layers: 9,
        dim: 512,
        hidden: 1024,
        heads: 8,
        kv_heads: 4,
        head_dim: 64,
        seq: 256,
        vocab: 888,
    };

    fn widths(&self) -> (u64, u64, u64, u64, u64) {
        let (q, k) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
        (self.dim, self.hidden, q, k, self.seq)
    }

    /// A product of packed activations and weights: both ways of turning the activations are moves.
    fn product(&self, name: &'static str, from: u64, to: u64) -> Kernel {
        let s = self.seq;
        let ops = vec![moves(s * from), matmul(s, from, to), moves(s * to)];
        kernel(name, from * (s + to), to * s, from * s, to * s, ops)
    }

    fn heads(&self, m: u64, k: u64, n: u64) -> OpWork {
        OpWork::MatMul { groups: self.heads, m, k, n }
    }

    fn forward(&self) -> [Kernel; 3] {
        let (d, h, q, k, s) = self.widths();
        let (head, scores) = (self.head_dim, self.heads * s * s);
        let attention = vec![
            moves(s * d),
            matmul(s, d, q),
            matmul(s, d, k),
            matmul(s, d, k),
            passes((q + k) * s, 4), // rotary positions: two products with tables, a sum of two
            self.heads(s, head, s),
            passes(scores, 2), // scale, mask
            passes(scores, 5), // softmax
            self.heads(s, s, head),
            moves((2 * q + 2 * k) * s),
        ];
        let out = (2 * q + 2 * k + d) * s;
        let gated = vec![
            moves(s * d),
            matmul(s, d, h),
            matmul(s, d, h),
            passes(s * h, 5), // sigmoid and two products of two
            moves(d * h),
            matmul(s, h, d),
            passes(s * d, 3), // scale, residual
            moves(s * (2 * h + d)),
        ];
        let written = (d + 3 * h) * s;
        [
            kernel("sdpaFwd", d * (s + q + 2 * k), out, d * s, out, attention),
            self.product("woFwd", q, d),
            kernel("ffnFused", d * (2 * s + 3 * h), written, 2 * d * s, written, gated),
        ]
    }

    fn backward(&self) -> [Kernel; 7] {
        let (d, h, q, k, s) = self.widths();
        let (head, scores) = (self.head_dim, self.heads * s * s);
        let pair = |name, from: u64| {
            let ops = vec![
                moves(2 * s * from),
                matmul(s, from, d),
                matmul(s, from, d),
                passes(s * d, 2),
                moves(s * d),
            ];
            kernel(name, from * (2 * s + 2 * d), d * s, 2 * from * s, d * s, ops)
        };
        let recompute = vec![
            moves(4 * q * s),
            self.heads(s, head, s),
            passes(scores, 2),
            passes(scores, 5),
            self.heads(s, s, head),
            self.heads(s, head, s),
            moves(q * s),
        ];
        let softmax = vec![
            passes(scores, 7), // product of two, sum, difference, product of two, scale
            self.heads(s, s, head),
            self.heads(s, s, head),
            moves(4 * q * s),
        ];
        // Scores pass from one program to the next through the CPU's hands, once.
        let passed = 2 * scores + 2 * q * s;
        [
            self.product("ffnBwdW2t", d, h),
            pair("ffnBwdW13t", h),
            self.product("wotBwd", d, q),
            kernel("sdpaBwd1", 4 * q * s, q * s + 2 * scores, 4 * q * s, q * s, recompute),
            kernel("sdpaBwd2", 2 * scores + 2 * q * s, 2 * q * s, passed, 2 * q * s, softmax),
            self.product("qBwd", q, d),
            pair("kvBwd", k),
        ]
    }

    /// Arithmetic on the engine.
    pub(crate) fn flops(&self) -> f64 {
        self.sum(Work::flops)
    }

    /// Bytes that the engine reads and writes.
    pub(crate) fn bytes(&self) -> f64 {
        self.sum(Work::streamed_bytes)
    }

    fn sum(&self, of: impl Fn(&Work) -> f64) -> f64 {
        let (forward, backward) = (self.forward(), self.backward());
        let layer: f64 = forward.iter().chain(&backward).map(|kernel| of(&kernel.work)).sum();
        layer * self.layers as f64
    }

    /// A step of one sequence: loss and gradients, without the update.
    pub(crate) fn step(&self, costs: &Costs) -> Timeline {
        let mut line = Line { costs, timeline: Timeline::default(), last: None };
        let (d, h, q, k, s) = self.widths();
        let norm = HostWork::Norm((d * s) as f64);
        let grouped = (self.kv_heads < self.heads).then_some((2 * q * s) as f64);
        for _ in 0..self.layers {
            let [sdpa, wo, ffn] = self.forward();
            line.host("norm", norm);
            line.kernel(&sdpa);
            line.kernel(&wo);
            line.host("norm", norm);
            line.kernel(&ffn);
        }
        let (logits, product) = ((self.vocab * s) as f64, (2 * self.vocab * d * s) as f64);
        line.host("norm", norm);
        line.host("head", HostWork::MatMul(product));
        line.host("loss", HostWork::Loss(logits));
        line.host("head", HostWork::MatMul(product));
        line.weight_gradient(product);
        line.host("norm", HostWork::Norm((2 * d * s) as f64));
        for _ in 0..self.layers {
            let [w2t, w13t, wot, first, second, query, key_value] = self.backward();
            line.kernel(&w2t);
            line.host("gate", HostWork::Gate((h * s) as f64));
            line.kernel(&w13t);
            line.host("copy", HostWork::Copy(((2 * d + 3 * h) * s) as f64));
            line.weight_gradient((6 * s * d * h) as f64);
            line.host("norm", norm);
            line.kernel(&wot);
            if let Some(elements) = grouped {
                line.host("heads", HostWork::Copy(elements));
            }
            line.kernel(&first);
            line.kernel(&second);
            if let Some(elements) = grouped {
                line.host("heads", HostWork::Copy(elements));
            }
            line.host("copy", HostWork::Copy(((2 * d + 2 * q + 2 * k) * s) as f64));
            line.weight_gradient((4 * s * d * (q + k)) as f64);
            line.kernel(&query);
            line.kernel(&key_value);
            line.host("norm", norm);
        }
        line.timeline
    }
}

fn kernel(
    name: &'static str,
    inputs: u64,
    outputs: u64,
    writes: u64,
    reads: u64,
    ops: Vec<OpWork>,
) -> Kernel {
    let work = Work { input_bytes: 2 * inputs, output_bytes: 2 * outputs, ops };
    Kernel { name, work, writes, reads }
}

/// The thread that feeds the engine: each piece waits for the one before.
struct Line<'a> {
    costs: &'a Costs,
    timeline: Timeline,
    last: Option<SpanId>,
}

impl Line<'_> {
    fn host(&mut self, label: &str, work: HostWork) {
        let after: Vec<_> = self.last.into_iter().collect();
        self.last = Some(self.timeline.push_host(self.costs, Lane::Cpu, label, work, &after));
    }

    fn kernel(&mut self, kernel: &Kernel) {
        self.host("surfaces", HostWork::Convert(kernel.writes as f64));
        let price = self.costs.dispatch(&kernel.work, &State::default());
        let after: Vec<_> = self.last.into_iter().collect();
        self.last = Some(self.timeline.push_dispatch(kernel.name, &price, &after));
        self.host("surfaces", HostWork::Convert(kernel.reads as f64));
    }

    /// On another thread; nothing waits for it but the step's end.
    fn weight_gradient(&mut self, flops: f64) {
        let after: Vec<_> = self.last.into_iter().collect();
        let work = HostWork::MatMul(flops);
        self.timeline.push_host(self.costs, Lane::Worker, "dW", work, &after);
    }
}
