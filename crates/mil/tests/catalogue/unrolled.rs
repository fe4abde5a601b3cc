//! A whole model there and back in one function, layer by layer and head by head: larger than what
//! engines compile, for the speed of reading and writing.
//!
//! Shapes as in [`layer`](super::layer); of a head, `[1, 1, hd, S]`.

use aneal_mil::{Builder, Function, Opset, Result, Type, Value};

use super::layer::{
    Dims, Norm, PLAIN, Rope, TX, TY, Weights, i, image, mask, matrix, norm, norm_backward, rope,
};

/// The shapes of Llama 3.2 3B: 28 layers of 24 heads.
pub(crate) const LARGE: Dims =
    Dims { d: 3072, h: 8192, heads: 24, kv_heads: 8, hd: 128, s: 32, layers: 28 };

/// What the backward pass needs of a layer.
struct Saved {
    weights: Weights,
    norm1: Norm,
    q: Vec<Value>,
    k: Vec<Value>,
    v: Vec<Value>,
    p: Vec<Value>,
    o: Value,
    norm2: Norm,
    h1: Value,
    h3: Value,
    sigmoid: Value,
    a: Value,
    gate: Value,
}

struct Constants {
    rope: Rope,
    mask: Value,
}

fn weights(b: &mut Builder, n: Dims, layer: usize) -> Result<Weights> {
    let mut input = |name: &str, dims: [usize; 4]| {
        b.input_named(&format!("layer{layer:02}_{name}"), Type::fp16(&dims)?)
    };
    let (q, kv) = (n.q(), n.kv());
    Ok(Weights {
        g1: input("g1", [1, n.d, 1, 1])?,
        wq: input("wq", [1, 1, n.d, q])?,
        wk: input("wk", [1, 1, n.d, kv])?,
        wv: input("wv", [1, 1, n.d, kv])?,
        wo: input("wo", [1, 1, q, n.d])?,
        g2: input("g2", [1, n.d, 1, 1])?,
        w1: input("w1", [1, 1, n.d, n.h])?,
        w3: input("w3", [1, 1, n.d, n.h])?,
        w2: input("w2", [1, 1, n.h, n.d])?,
    })
}

/// The heads of `[1, 1, heads * hd, S]`.
fn heads(b: &mut Builder, n: Dims, x: Value) -> Result<Vec<Value>> {
    let width = x.shape().dim(2);
    (0..width / n.hd)
        .map(|head| b.slice_by_size(x, &[0, 0, i(head * n.hd), 0], &[1, 1, i(n.hd), i(n.s)]))
        .collect()
}

/// One layer; returns the residual stream behind it.
fn forward(
    b: &mut Builder,
    n: Dims,
    x: Value,
    w: Weights,
    constants: &Constants,
) -> Result<(Value, Saved)> {
    let norm1 = norm(b, n, x, w.g1)?;
    let mut project = |weight: Value| {
        let y = b.matmul(weight, norm1.y, TX)?;
        heads(b, n, y)
    };
    let (mut q, mut k, v) = (project(w.wq)?, project(w.wk)?, project(w.wv)?);
    for head in q.iter_mut().chain(&mut k) {
        *head = constants.rope.forward(b, *head)?;
    }
    let (mut p, mut o) = (Vec::new(), Vec::new());
    for (head, &q) in q.iter().enumerate() {
        let group = head * n.kv_heads / n.heads;
        let scores = b.matmul(q, k[group], TX)?;
        let scores = b.mul(scores, 1.0 / (n.hd as f32).sqrt())?;
        let scores = b.add(scores, constants.mask)?;
        p.push(b.softmax(scores, -1)?);
        o.push(b.matmul(v[group], p[head], TY)?);
    }
    let o = b.concat(&o, 2, false)?;
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
    let saved = Saved { weights: w, norm1, q, k, v, p, o, norm2, h1, h3, sigmoid, a, gate };
    Ok((y, saved))
}

/// A sum of several values.
fn sum(b: &mut Builder, values: &[Value]) -> Result<Value> {
    let mut total = values[0];
    for &value in &values[1..] {
        total = b.add(total, value)?;
    }
    Ok(total)
}

/// One layer back: the gradient before it from `dy` behind it, and those of its weights by name.
fn backward(
    b: &mut Builder,
    n: Dims,
    dy: Value,
    s: &Saved,
    constants: &Constants,
) -> Result<(Value, Vec<(&'static str, Value)>)> {
    let w = &s.weights;
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

    let d_attention = b.mul(dx2, n.residual())?;
    let d_attention = matrix(b, d_attention)?;
    let dwo = b.matmul(s.o, d_attention, TY)?;
    let d_o = b.matmul(w.wo, d_attention, PLAIN)?;
    let (mut dq, mut dk, mut dv) = (Vec::new(), Vec::new(), Vec::new());
    for (head, d_o) in heads(b, n, d_o)?.into_iter().enumerate() {
        let group = head * n.kv_heads / n.heads;
        dv.push(b.matmul(d_o, s.p[head], PLAIN)?);
        let dp = b.matmul(d_o, s.v[group], TX)?;
        let weighted = b.mul(dp, s.p[head])?;
        let row = b.reduce_sum(weighted, &[-1])?;
        let ds = b.sub(dp, row)?;
        let ds = b.mul(ds, s.p[head])?;
        let ds = b.mul(ds, 1.0 / (n.hd as f32).sqrt())?;
        let turned = b.matmul(s.k[group], ds, TY)?;
        dq.push(constants.rope.backward(b, turned)?);
        dk.push(b.matmul(s.q[head], ds, PLAIN)?);
    }
    let per_group = n.heads / n.kv_heads;
    let (mut dk_groups, mut dv_groups) = (Vec::new(), Vec::new());
    for (dk, dv) in dk.chunks(per_group).zip(dv.chunks(per_group)) {
        let turned = sum(b, dk)?;
        dk_groups.push(constants.rope.backward(b, turned)?);
        dv_groups.push(sum(b, dv)?);
    }
    let mut d_norm1 = Vec::new();
    let mut gradients = Vec::new();
    for (name, weight, parts) in
        [("dwq", w.wq, dq), ("dwk", w.wk, dk_groups), ("dwv", w.wv, dv_groups)]
    {
        let d = b.concat(&parts, 2, false)?;
        gradients.push((name, b.matmul(s.norm1.y, d, TY)?));
        d_norm1.push(b.matmul(weight, d, PLAIN)?);
    }
    let d_norm1 = sum(b, &d_norm1)?;
    let (through_norm, dg1) = norm_backward(b, n, &s.norm1, w.g1, d_norm1)?;
    let dx = b.add(dx2, through_norm)?;
    gradients.extend([
        ("dg1", dg1),
        ("dwo", dwo),
        ("dg2", dg2),
        ("dw1", dw1),
        ("dw3", dw3),
        ("dw2", dw2),
    ]);
    Ok((dx, gradients))
}

/// Inputs: the residual stream, the gradient behind the last layer, nine weights a layer. Outputs:
/// the residual stream behind the last layer, the gradient before the first, and those of the
/// weights.
pub(crate) fn function(n: Dims) -> Result<Function> {
    let mut b = Builder::new("main", Opset::Ios18);
    let stream = Type::fp16(&[1, n.d, 1, n.s])?;
    let (mut x, mut dy) = (b.input_named("x", stream)?, b.input_named("dy", stream)?);
    let weights: Vec<Weights> =
        (0..n.layers).map(|layer| weights(&mut b, n, layer)).collect::<Result<_>>()?;
    let constants = Constants { rope: rope(&mut b, n)?, mask: mask(&mut b, n)? };
    let mut layers = Vec::with_capacity(n.layers);
    for weights in weights {
        let (y, saved) = forward(&mut b, n, x, weights, &constants)?;
        x = y;
        layers.push(saved);
    }
    b.output_named("y", x)?;
    for (layer, saved) in layers.iter().enumerate().rev() {
        let (dx, gradients) = backward(&mut b, n, dy, saved, &constants)?;
        dy = dx;
        for (name, gradient) in gradients {
            b.output_named(&format!("layer{layer:02}_{name}"), gradient)?;
        }
    }
    b.output_named("dx", dy)?;
    b.finish()
}
