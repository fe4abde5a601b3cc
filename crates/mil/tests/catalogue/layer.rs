//! A layer of the GolfWide model, weights as inputs, channels first: RMSNorm, grouped attention with
//! RoPE by a permutation (C44) and a causal mask, SwiGLU, scaled residuals; and its backward pass,
//! which computes the forward pass again.
//!
//! Shapes: `D` model width, `Q` query width, `KV` key width, `H` hidden width, `S` tokens, `hd` head
//! width. Activations are `[1, C, 1, S]`, weights `[1, 1, in, out]`, gains `[1, D, 1, 1]`.

use aneal_mil::{Builder, Function, MatMul, Opset, Result, Type, Value};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Dims {
    pub(crate) d: usize,
    pub(crate) h: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) hd: usize,
    pub(crate) s: usize,
    pub(crate) layers: usize,
}

impl Dims {
    pub(crate) const GOLFWIDE: Self =
        Self { d: 512, h: 1024, heads: 8, kv_heads: 4, hd: 64, s: 256, layers: 9 };
    pub(crate) const SMALL: Self =
        Self { d: 8, h: 12, heads: 4, kv_heads: 2, hd: 4, s: 6, layers: 2 };

    pub(super) fn q(self) -> usize {
        self.heads * self.hd
    }

    pub(super) fn kv(self) -> usize {
        self.kv_heads * self.hd
    }

    /// Scale of each residual branch: `1 / sqrt(2 * layers)`.
    pub(super) fn residual(self) -> f32 {
        1.0 / (2.0 * self.layers as f32).sqrt()
    }
}

/// Weights, in the order of the inputs.
pub(crate) struct Weights {
    pub(super) g1: Value,
    pub(super) wq: Value,
    pub(super) wk: Value,
    pub(super) wv: Value,
    pub(super) wo: Value,
    pub(super) g2: Value,
    pub(super) w1: Value,
    pub(super) w3: Value,
    pub(super) w2: Value,
}

/// What the backward pass needs of the forward pass.
struct Saved {
    norm1: Norm,
    q: Value,
    k: Value,
    v: Value,
    p: Value,
    o: Value,
    norm2: Norm,
    h1: Value,
    h3: Value,
    sigmoid: Value,
    a: Value,
    gate: Value,
    y: Value,
}

/// A norm's input, reciprocal root, and scaled output as a matrix.
pub(super) struct Norm {
    pub(super) x: Value,
    pub(super) r: Value,
    pub(super) y: Value,
}

pub(super) struct Rope {
    cos: Value,
    sin: Value,
    turn: Value,
}

const EPSILON: f32 = 1e-5;
pub(super) const PLAIN: MatMul = MatMul { transpose_x: false, transpose_y: false };
pub(super) const TX: MatMul = MatMul { transpose_x: true, transpose_y: false };
pub(super) const TY: MatMul = MatMul { transpose_x: false, transpose_y: true };

fn weights(b: &mut Builder, n: Dims) -> Result<Weights> {
    let gain = Type::fp16(&[1, n.d, 1, 1])?;
    let matrix = |rows, columns| Type::fp16(&[1, 1, rows, columns]);
    Ok(Weights {
        g1: b.input("g1", gain)?,
        wq: b.input("wq", matrix(n.d, n.q())?)?,
        wk: b.input("wk", matrix(n.d, n.kv())?)?,
        wv: b.input("wv", matrix(n.d, n.kv())?)?,
        wo: b.input("wo", matrix(n.q(), n.d)?)?,
        g2: b.input("g2", gain)?,
        w1: b.input("w1", matrix(n.d, n.h)?)?,
        w3: b.input("w3", matrix(n.d, n.h)?)?,
        w2: b.input("w2", matrix(n.h, n.d)?)?,
    })
}

pub(super) fn i(n: usize) -> i64 {
    n as i64
}

/// `[1, C, 1, S]` and `[1, 1, C, S]` hold the same bytes.
pub(super) fn matrix(b: &mut Builder, x: Value) -> Result<Value> {
    let shape = x.shape();
    b.reshape(x, &[1, 1, i(shape.dim(1)), i(shape.dim(3))])
}

pub(super) fn image(b: &mut Builder, x: Value) -> Result<Value> {
    let shape = x.shape();
    b.reshape(x, &[1, i(shape.dim(2)), 1, i(shape.dim(3))])
}

pub(super) fn norm(b: &mut Builder, n: Dims, x: Value, gain: Value) -> Result<Norm> {
    let squares = b.mul(x, x)?;
    let sum = b.reduce_sum(squares, &[1])?;
    let mean = b.mul(sum, 1.0 / n.d as f32)?;
    let mean = b.add(mean, EPSILON)?;
    let r = b.pow(mean, -0.5)?;
    let unit = b.mul(x, r)?;
    let y = b.mul(unit, gain)?;
    let y = matrix(b, y)?;
    Ok(Norm { x, r, y })
}

pub(super) fn rope(b: &mut Builder, n: Dims) -> Result<Rope> {
    let (half, mut cos, mut sin) = (n.hd / 2, Vec::new(), Vec::new());
    for channel in 0..n.hd {
        let frequency = 10_000_f64.powf(-((channel % half) as f64) / half as f64);
        for position in 0..n.s {
            let angle = position as f64 * frequency;
            cos.push(angle.cos() as f32);
            sin.push(angle.sin() as f32);
        }
    }
    // Channel c of the turned vector is -x[c + half] or x[c - half].
    let mut turn = vec![0.0; n.hd * n.hd];
    for c in 0..half {
        turn[c * n.hd + c + half] = -1.0;
        turn[(c + half) * n.hd + c] = 1.0;
    }
    let table = Type::fp16(&[1, 1, n.hd, n.s])?;
    let turn = b.floats(Type::fp16(&[1, 1, n.hd, n.hd])?, &turn)?;
    let turn = b.name(turn, "rope_turn")?;
    let (cos, sin) = (b.floats(table, &cos)?, b.floats(table, &sin)?);
    Ok(Rope { cos: b.name(cos, "rope_cos")?, sin: b.name(sin, "rope_sin")?, turn })
}

impl Rope {
    pub(super) fn forward(&self, b: &mut Builder, x: Value) -> Result<Value> {
        let turned = b.matmul(self.turn, x, PLAIN)?;
        let (straight, turned) = (b.mul(x, self.cos)?, b.mul(turned, self.sin)?);
        b.add(straight, turned)
    }

    pub(super) fn backward(&self, b: &mut Builder, dy: Value) -> Result<Value> {
        let (straight, turned) = (b.mul(dy, self.cos)?, b.mul(dy, self.sin)?);
        let turned = b.matmul(self.turn, turned, TX)?;
        b.add(straight, turned)
    }
}

pub(super) fn mask(b: &mut Builder, n: Dims) -> Result<Value> {
    // Disallowed scores are the least fp16, never -inf (C63).
    let values: Vec<f32> =
        (0..n.s * n.s).map(|at| if at % n.s > at / n.s { -65504.0 } else { 0.0 }).collect();
    let mask = b.floats(Type::fp16(&[1, 1, n.s, n.s])?, &values)?;
    b.name(mask, "causal_mask")
}

fn through(b: &mut Builder, n: Dims, x: Value, w: &Weights, rope: &Rope) -> Result<Saved> {
    let rep = n.heads / n.kv_heads;
    let norm1 = norm(b, n, x, w.g1)?;
    let heads = |b: &mut Builder, weight: Value, per_kv: usize, norm: Value| -> Result<Value> {
        let y = b.matmul(weight, norm, TX)?;
        b.reshape(y, &[i(n.kv_heads), i(per_kv), i(n.hd), i(n.s)])
    };
    let (q, k) = (heads(b, w.wq, rep, norm1.y)?, heads(b, w.wk, 1, norm1.y)?);
    let v = heads(b, w.wv, 1, norm1.y)?;
    let (q, k) = (rope.forward(b, q)?, rope.forward(b, k)?);
    let scores = b.matmul(q, k, TX)?;
    let scores = b.mul(scores, 1.0 / (n.hd as f32).sqrt())?;
    let mask = mask(b, n)?;
    let scores = b.add(scores, mask)?;
    let p = b.softmax(scores, -1)?;
    let o = b.matmul(v, p, TY)?;
    let o = b.reshape(o, &[1, 1, i(n.q()), i(n.s)])?;
    let attention = b.matmul(w.wo, o, TX)?;
    let attention = image(b, attention)?;
    let branch = b.mul(attention, n.residual())?;
    let x2 = b.add(x, branch)?;

    let norm2 = norm(b, n, x2, w.g2)?;
    let (h1, h3) = (b.matmul(w.w1, norm2.y, TX)?, b.matmul(w.w3, norm2.y, TX)?);
    let sigmoid = b.sigmoid(h1)?;
    let a = b.mul(h1, sigmoid)?;
    let gate = b.mul(a, h3)?;
    let f = b.matmul(w.w2, gate, TX)?;
    let f = image(b, f)?;
    let branch = b.mul(f, n.residual())?;
    let y = b.add(x2, branch)?;
    Ok(Saved { norm1, q, k, v, p, o, norm2, h1, h3, sigmoid, a, gate, y })
}

/// Inputs: the residual stream and nine weights. Output: the residual stream.
pub(crate) fn forward(n: Dims) -> Result<Function> {
    let mut b = Builder::new("main", Opset::Ios18);
    let x = b.input("x", Type::fp16(&[1, n.d, 1, n.s])?)?;
    let w = weights(&mut b, n)?;
    let rope = rope(&mut b, n)?;
    let saved = through(&mut b, n, x, &w, &rope)?;
    b.output("y", saved.y)?;
    b.finish()
}

/// Gradient of a norm's input and gain from the gradient of its output, a matrix.
pub(super) fn norm_backward(
    b: &mut Builder,
    n: Dims,
    norm: &Norm,
    gain: Value,
    dy: Value,
) -> Result<(Value, Value)> {
    let dy = image(b, dy)?;
    let unit = b.mul(norm.x, norm.r)?;
    let per_token = b.mul(dy, unit)?;
    let d_gain = b.reduce_sum(per_token, &[3])?;
    let d_unit = b.mul(dy, gain)?;
    let along = b.mul(d_unit, unit)?;
    let along = b.reduce_sum(along, &[1])?;
    let along = b.mul(along, 1.0 / n.d as f32)?;
    let back = b.mul(unit, along)?;
    let dx = b.sub(d_unit, back)?;
    Ok((b.mul(dx, norm.r)?, d_gain))
}

/// Inputs: the residual stream, the gradient behind the layer, nine weights. Outputs: the gradient
/// before the layer, and that of each weight, in their order.
pub(crate) fn backward(n: Dims) -> Result<Function> {
    let mut b = Builder::new("main", Opset::Ios18);
    let b = &mut b;
    let stream = Type::fp16(&[1, n.d, 1, n.s])?;
    let (x, dy) = (b.input("x", stream)?, b.input("dy", stream)?);
    let w = weights(b, n)?;
    let rope = rope(b, n)?;
    let s = through(b, n, x, &w, &rope)?;
    let rep = n.heads / n.kv_heads;

    // Feed-forward half.
    let df = b.mul(dy, n.residual())?;
    let df = matrix(b, df)?;
    let dw2 = b.matmul(s.gate, df, TY)?;
    let d_gate = b.matmul(w.w2, df, PLAIN)?;
    let (da, dh3) = (b.mul(d_gate, s.h3)?, b.mul(d_gate, s.a)?);
    // d silu / dx = s (1 + x (1 - s)).
    let rest = b.sub(1.0, s.sigmoid)?;
    let slope = b.mul(s.h1, rest)?;
    let slope = b.add(slope, 1.0)?;
    let slope = b.mul(slope, s.sigmoid)?;
    let dh1 = b.mul(da, slope)?;
    let (dw1, dw3) = (b.matmul(s.norm2.y, dh1, TY)?, b.matmul(s.norm2.y, dh3, TY)?);
    let (from1, from3) = (b.matmul(w.w1, dh1, PLAIN)?, b.matmul(w.w3, dh3, PLAIN)?);
    let d_norm2 = b.add(from1, from3)?;
    let (through_norm, dg2) = norm_backward(b, n, &s.norm2, w.g2, d_norm2)?;
    let dx2 = b.add(dy, through_norm)?;

    // Attention half.
    let d_attention = b.mul(dx2, n.residual())?;
    let d_attention = matrix(b, d_attention)?;
    let dwo = b.matmul(s.o, d_attention, TY)?;
    let d_o = b.matmul(w.wo, d_attention, PLAIN)?;
    let d_o = b.reshape(d_o, &[i(n.kv_heads), i(rep), i(n.hd), i(n.s)])?;
    let dv = b.matmul(d_o, s.p, PLAIN)?;
    let dv = b.reduce_sum(dv, &[1])?;
    let dp = b.matmul(d_o, s.v, TX)?;
    let weighted = b.mul(dp, s.p)?;
    let row = b.reduce_sum(weighted, &[-1])?;
    let ds = b.sub(dp, row)?;
    let ds = b.mul(ds, s.p)?;
    let ds = b.mul(ds, 1.0 / (n.hd as f32).sqrt())?;
    let dq = b.matmul(s.k, ds, TY)?;
    let dk = b.matmul(s.q, ds, PLAIN)?;
    let dk = b.reduce_sum(dk, &[1])?;
    let (dq, dk) = (rope.backward(b, dq)?, rope.backward(b, dk)?);
    let dq = b.reshape(dq, &[1, 1, i(n.q()), i(n.s)])?;
    let [dk, dv] = [dk, dv].map(|d| b.reshape(d, &[1, 1, i(n.kv()), i(n.s)]));
    let (dk, dv) = (dk?, dv?);
    let mut d_norm1 = b.matmul(w.wq, dq, PLAIN)?;
    let mut d_weights = vec![b.matmul(s.norm1.y, dq, TY)?];
    for (weight, d) in [(w.wk, dk), (w.wv, dv)] {
        d_weights.push(b.matmul(s.norm1.y, d, TY)?);
        let part = b.matmul(weight, d, PLAIN)?;
        d_norm1 = b.add(d_norm1, part)?;
    }
    let (through_norm, dg1) = norm_backward(b, n, &s.norm1, w.g1, d_norm1)?;
    let dx = b.add(dx2, through_norm)?;

    b.output("dx", dx)?;
    b.output("dg1", dg1)?;
    for (label, d) in ["dwq", "dwk", "dwv"].into_iter().zip(d_weights) {
        b.output(label, d)?;
    }
    for (label, d) in [("dwo", dwo), ("dg2", dg2), ("dw1", dw1), ("dw3", dw3), ("dw2", dw2)] {
        b.output(label, d)?;
    }
    std::mem::replace(b, Builder::new("main", Opset::Ios18)).finish()
}
