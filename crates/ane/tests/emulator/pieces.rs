//! Pieces of a transformer's step as engines run them, forward and backward: with weights packed
//! beside activations in one input, and with weights as inputs of their own.
//!
//! Activations are `[1, C, 1, S]`: a row a channel, a column a token.

use aneal_mil::{Builder, Conv, Function, MatMul, Opset, Result, Type, Value, text};

/// Width, hidden width, heads, key heads, head width, tokens.
const D: usize = 64;
const H: usize = 96;
const HEADS: usize = 4;
const KV: usize = 2;
const HD: usize = 32;
const S: usize = 64;

const PLAIN: MatMul = MatMul { transpose_x: false, transpose_y: false };
const TX: MatMul = MatMul { transpose_x: true, transpose_y: false };
const TY: MatMul = MatMul { transpose_x: false, transpose_y: true };

/// A piece: its name and how it is built.
pub(crate) type Piece = (&'static str, fn(&mut Builder) -> Result<()>);

/// All but the worked example.
pub(crate) const PIECES: &[Piece] = &[
    ("linear, packed", packed_linear),
    ("linear, separate", separate_linear),
    ("gradient of a linear's input, packed", packed_linear_backward),
    ("gradient of a linear's weight", weight_gradient),
    ("classifier, constant weights", classifier),
    ("rms_norm", rms_norm),
    ("rms_norm backward", rms_norm_backward),
    ("rope", rope),
    ("rope backward", rope_backward),
    ("attention, grouped heads", attention),
    ("attention backward, first half", attention_backward_first),
    ("attention backward, second half", attention_backward_second),
    ("feed-forward, packed", packed_feed_forward),
    ("feed-forward, separate", separate_feed_forward),
    ("gate backward", gate_backward),
    ("softmax over channels less target", cross_entropy),
];

/// The function of a piece.
pub(crate) fn function((_, build): &Piece) -> Function {
    let mut b = Builder::new("main", Opset::Ios18);
    build(&mut b).unwrap();
    b.finish().unwrap()
}

/// The worked example of the facts (4.5c), as text.
pub(crate) const WORKED_EXAMPLE: &str = r#"program(1.3)
[buildInfo = dict<string, string>({{"coremlc-component-MIL", "3510.2.1"}, {"coremlc-version", "3505.4.1"}})]
{
    func main<ios18>(tensor<fp16, [1, 64, 1, 32]> i0_act, tensor<fp16, [1, 64, 1, 96]> i1_wt) {
        tensor<int32, [4]> sh_a = const()[name = string("sh_a"), val = tensor<int32, [4]>([1, 1, 64, 32])];
        tensor<int32, [4]> sh_w = const()[name = string("sh_w"), val = tensor<int32, [4]>([1, 1, 64, 96])];
        bool flag_t = const()[name = string("flag_t"), val = bool(true)];
        bool flag_f = const()[name = string("flag_f"), val = bool(false)];
        tensor<fp16, [1, 1, 64, 32]> a4 = reshape(shape = sh_a, x = i0_act)[name = string("a4")];
        tensor<fp16, [1, 1, 64, 96]> w4 = reshape(shape = sh_w, x = i1_wt)[name = string("w4")];
        tensor<fp16, [1, 1, 96, 32]> mm = matmul(transpose_x = flag_t, transpose_y = flag_f, x = w4, y = a4)[name = string("mm")];
        tensor<int32, [4]> sh_o = const()[name = string("sh_o"), val = tensor<int32, [4]>([1, 96, 1, 32])];
        tensor<fp16, [1, 96, 1, 32]> o0_y = reshape(shape = sh_o, x = mm)[name = string("o0_y")];
    } -> (o0_y);
}
"#;

/// The worked example's function.
pub(crate) fn worked_example() -> Function {
    text::parse(WORKED_EXAMPLE).unwrap().functions.remove(0)
}

fn i(n: usize) -> i64 {
    n as i64
}

/// An input `[1, channels, 1, width]`.
fn image(b: &mut Builder, label: &str, channels: usize, width: usize) -> Result<Value> {
    b.input(label, Type::fp16(&[1, channels, 1, width])?)
}

/// Columns of a packed input as `[1, 1, C, width]`.
fn columns(b: &mut Builder, packed: Value, from: usize, width: usize) -> Result<Value> {
    let channels = packed.shape().dim(1);
    let part = b.slice_by_size(packed, &[0, 0, 0, i(from)], &[1, i(channels), 1, i(width)])?;
    b.reshape(part, &[1, 1, i(channels), i(width)])
}

/// `[1, C, 1, S]` as `[1, 1, C, S]`, and back.
fn matrix(b: &mut Builder, x: Value) -> Result<Value> {
    let shape = x.shape();
    b.reshape(x, &[1, 1, i(shape.dim(1)), i(shape.dim(3))])
}

fn unmatrix(b: &mut Builder, x: Value) -> Result<Value> {
    let shape = x.shape();
    b.reshape(x, &[1, i(shape.dim(2)), 1, i(shape.dim(3))])
}

/// As the published trainers write it: both parts sliced out, activations turned, multiplied, and
/// the product turned back.
fn packed_linear(b: &mut Builder) -> Result<()> {
    let packed = image(b, "packed", D, S + H)?;
    let (x, w) = (columns(b, packed, 0, S)?, columns(b, packed, S, H)?);
    let x = b.transpose(x, &[0, 1, 3, 2])?;
    let y = b.matmul(x, w, PLAIN)?;
    let y = b.transpose(y, &[0, 1, 3, 2])?;
    let y = unmatrix(b, y)?;
    b.output("y", y)
}

fn separate_linear(b: &mut Builder) -> Result<()> {
    let (x, w) = (image(b, "x", D, S)?, image(b, "w", D, H)?);
    let (x, w) = (matrix(b, x)?, matrix(b, w)?);
    let y = b.matmul(w, x, TX)?;
    let y = unmatrix(b, y)?;
    b.output("y", y)
}

fn packed_linear_backward(b: &mut Builder) -> Result<()> {
    let packed = image(b, "packed", H, S + D)?;
    let (dy, w) = (columns(b, packed, 0, S)?, columns(b, packed, S, D)?);
    let dx = b.matmul(w, dy, TX)?;
    let dx = unmatrix(b, dx)?;
    b.output("dx", dx)
}

fn weight_gradient(b: &mut Builder) -> Result<()> {
    let (x, dy) = (image(b, "x", D, S)?, image(b, "dy", H, S)?);
    let (x, dy) = (matrix(b, x)?, matrix(b, dy)?);
    let dw = b.matmul(x, dy, TY)?;
    let dw = unmatrix(b, dw)?;
    b.output("dw", dw)
}

fn classifier(b: &mut Builder) -> Result<()> {
    let x = image(b, "x", D, S)?;
    let values: Vec<f32> = (0..H * D).map(|at| ((at * 37 % 101) as f32 - 50.0) / 64.0).collect();
    let weight = b.floats(Type::fp16(&[H, D, 1, 1])?, &values)?;
    let bias: Vec<f32> = (0..H).map(|at| (at as f32 - 40.0) / 32.0).collect();
    let bias = b.floats(Type::fp16(&[H])?, &bias)?;
    let logits = b.conv(x, weight, Conv { bias: Some(bias), ..Conv::default() })?;
    b.output("logits", logits)
}

/// Means over channels, in every channel, by a product with ones: folds over channels are refused on
/// some chips (C11), and one channel is not repeated on others (C29).
fn mean(b: &mut Builder, x: Value) -> Result<Value> {
    let x = matrix(b, x)?;
    let ones = b.floats(Type::fp16(&[1, 1, D, D])?, &[1.0 / D as f32; D * D])?;
    let mean = b.matmul(ones, x, PLAIN)?;
    unmatrix(b, mean)
}

/// Reciprocal root of the mean square: `rsqrt` behind a fold is refused on some chips (C12).
fn root(b: &mut Builder, x: Value) -> Result<Value> {
    let squares = b.mul(x, x)?;
    let mean = mean(b, squares)?;
    let mean = b.add(mean, 1e-4)?;
    b.pow(mean, -0.5)
}

fn rms_norm(b: &mut Builder) -> Result<()> {
    let (x, gain) = (image(b, "x", D, S)?, image(b, "gain", D, 32)?);
    let r = root(b, x)?;
    let gain = b.slice_by_size(gain, &[0, 0, 0, 0], &[1, i(D), 1, 1])?;
    let y = b.mul(x, r)?;
    let y = b.mul(y, gain)?;
    b.output("y", y)
}

fn rms_norm_backward(b: &mut Builder) -> Result<()> {
    let (x, dy) = (image(b, "x", D, S)?, image(b, "dy", D, S)?);
    let r = root(b, x)?;
    let unit = b.mul(x, r)?;
    let along = b.mul(dy, unit)?;
    let along = mean(b, along)?;
    let back = b.mul(unit, along)?;
    let dx = b.sub(dy, back)?;
    let dx = b.mul(dx, r)?;
    b.output("dx", dx)
}

/// Tables of cosines and sines `[1, 1, HD, S]`, and the matrix that turns a head by a quarter (C44).
fn tables(b: &mut Builder) -> Result<[Value; 3]> {
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for channel in 0..HD {
        let frequency = 10_000_f64.powf(-((channel % (HD / 2)) as f64) / (HD / 2) as f64);
        for position in 0..S {
            let angle = position as f64 * frequency;
            cos.push(angle.cos() as f32);
            sin.push(angle.sin() as f32);
        }
    }
    let mut turn = vec![0.0; HD * HD];
    for c in 0..HD / 2 {
        turn[c * HD + c + HD / 2] = -1.0;
        turn[(c + HD / 2) * HD + c] = 1.0;
    }
    let table = Type::fp16(&[1, 1, HD, S])?;
    let turn = b.floats(Type::fp16(&[1, 1, HD, HD])?, &turn)?;
    Ok([b.floats(table, &cos)?, b.floats(table, &sin)?, turn])
}

fn rope(b: &mut Builder) -> Result<()> {
    let x = image(b, "x", HEADS * HD, S)?;
    let x = b.reshape(x, &[1, i(HEADS), i(HD), i(S)])?;
    let [cos, sin, turn] = tables(b)?;
    let turned = b.matmul(turn, x, PLAIN)?;
    let (straight, turned) = (b.mul(x, cos)?, b.mul(turned, sin)?);
    let y = b.add(straight, turned)?;
    let y = b.reshape(y, &[1, i(HEADS * HD), 1, i(S)])?;
    b.output("y", y)
}

fn rope_backward(b: &mut Builder) -> Result<()> {
    let dy = image(b, "dy", HEADS * HD, S)?;
    let dy = b.reshape(dy, &[1, i(HEADS), i(HD), i(S)])?;
    let [cos, sin, turn] = tables(b)?;
    let (straight, turned) = (b.mul(dy, cos)?, b.mul(dy, sin)?);
    let turned = b.matmul(turn, turned, TX)?;
    let dx = b.add(straight, turned)?;
    let dx = b.reshape(dx, &[1, i(HEADS * HD), 1, i(S)])?;
    b.output("dx", dx)
}

/// Weights of attention `[1, heads, S, S]`: scores, mask by addition (C39, C63), softmax.
fn weights(b: &mut Builder, q: Value, k: Value) -> Result<Value> {
    let scores = b.matmul(q, k, TX)?;
    let scores = b.mul(scores, 1.0 / (HD as f32).sqrt())?;
    let mask: Vec<f32> =
        (0..S * S).map(|at| if at % S > at / S { -65504.0 } else { 0.0 }).collect();
    let mask = b.floats(Type::fp16(&[1, 1, S, S])?, &mask)?;
    let scores = b.add(scores, mask)?;
    b.softmax(scores, -1)
}

/// Heads of `[1, heads * HD, 1, S]` in groups that share a key head.
fn grouped(b: &mut Builder, x: Value, per_key: usize) -> Result<Value> {
    b.reshape(x, &[i(KV), i(per_key), i(HD), i(S)])
}

fn attention(b: &mut Builder) -> Result<()> {
    let (q, k) = (image(b, "q", HEADS * HD, S)?, image(b, "k", KV * HD, S)?);
    let v = image(b, "v", KV * HD, S)?;
    let (q, k, v) = (grouped(b, q, HEADS / KV)?, grouped(b, k, 1)?, grouped(b, v, 1)?);
    let p = weights(b, q, k)?;
    let o = b.matmul(v, p, TY)?;
    let o = b.reshape(o, &[1, i(HEADS * HD), 1, i(S)])?;
    b.output("o", o)
}

/// Gradients of values and of the weights, which it computes again.
fn attention_backward_first(b: &mut Builder) -> Result<()> {
    let (q, k) = (image(b, "q", HEADS * HD, S)?, image(b, "k", HEADS * HD, S)?);
    let (v, d) = (image(b, "v", HEADS * HD, S)?, image(b, "do", HEADS * HD, S)?);
    let heads = |b: &mut Builder, x| b.reshape(x, &[1, i(HEADS), i(HD), i(S)]);
    let (q, k, v, d) = (heads(b, q)?, heads(b, k)?, heads(b, v)?, heads(b, d)?);
    let p = weights(b, q, k)?;
    let dv = b.matmul(d, p, PLAIN)?;
    let dp = b.matmul(d, v, TX)?;
    let dv = b.reshape(dv, &[1, i(HEADS * HD), 1, i(S)])?;
    let [p, dp] = [p, dp].map(|x| b.reshape(x, &[1, i(HEADS * S), 1, i(S)]));
    b.output("dv", dv)?;
    b.output("p", p?)?;
    b.output("dp", dp?)
}

fn attention_backward_second(b: &mut Builder) -> Result<()> {
    let (p, dp) = (image(b, "p", HEADS * S, S)?, image(b, "dp", HEADS * S, S)?);
    let (q, k) = (image(b, "q", HEADS * HD, S)?, image(b, "k", HEADS * HD, S)?);
    let scores = |b: &mut Builder, x| b.reshape(x, &[1, i(HEADS), i(S), i(S)]);
    let heads = |b: &mut Builder, x| b.reshape(x, &[1, i(HEADS), i(HD), i(S)]);
    let (p, dp, q, k) = (scores(b, p)?, scores(b, dp)?, heads(b, q)?, heads(b, k)?);
    let weighted = b.mul(dp, p)?;
    let row = b.reduce_sum(weighted, &[-1])?;
    let ds = b.sub(dp, row)?;
    let ds = b.mul(ds, p)?;
    let ds = b.mul(ds, 1.0 / (HD as f32).sqrt())?;
    let dq = b.matmul(k, ds, TY)?;
    let dk = b.matmul(q, ds, PLAIN)?;
    let [dq, dk] = [dq, dk].map(|x| b.reshape(x, &[1, i(HEADS * HD), 1, i(S)]));
    b.output("dq", dq?)?;
    b.output("dk", dk?)
}

/// `silu(h1) * h3`, composed (C70).
fn gate(b: &mut Builder, h1: Value, h3: Value) -> Result<Value> {
    let sigmoid = b.sigmoid(h1)?;
    let silu = b.mul(h1, sigmoid)?;
    b.mul(silu, h3)
}

fn packed_feed_forward(b: &mut Builder) -> Result<()> {
    let packed = image(b, "packed", D, S + 3 * H)?;
    let x = columns(b, packed, 0, S)?;
    let (w1, w3) = (columns(b, packed, S, H)?, columns(b, packed, S + H, H)?);
    let w2 = columns(b, packed, S + 2 * H, H)?;
    let (h1, h3) = (b.matmul(w1, x, TX)?, b.matmul(w3, x, TX)?);
    let gate = gate(b, h1, h3)?;
    let y = b.matmul(w2, gate, PLAIN)?;
    let y = b.add(x, y)?;
    let y = unmatrix(b, y)?;
    b.output("y", y)
}

fn separate_feed_forward(b: &mut Builder) -> Result<()> {
    let x = image(b, "x", D, S)?;
    let (w1, w3, w2) = (image(b, "w1", D, H)?, image(b, "w3", D, H)?, image(b, "w2", D, H)?);
    let (x, w1) = (matrix(b, x)?, matrix(b, w1)?);
    let (w3, w2) = (matrix(b, w3)?, matrix(b, w2)?);
    let (h1, h3) = (b.matmul(w1, x, TX)?, b.matmul(w3, x, TX)?);
    let gate = gate(b, h1, h3)?;
    let y = b.matmul(w2, gate, PLAIN)?;
    let y = b.add(x, y)?;
    let y = unmatrix(b, y)?;
    b.output("y", y)
}

/// d silu / dx = s (1 + x (1 - s)).
fn gate_backward(b: &mut Builder) -> Result<()> {
    let (h1, h3) = (image(b, "h1", H, S)?, image(b, "h3", H, S)?);
    let d = image(b, "d", H, S)?;
    let s = b.sigmoid(h1)?;
    let rest = b.sub(1.0, s)?;
    let slope = b.mul(h1, rest)?;
    let slope = b.add(slope, 1.0)?;
    let slope = b.mul(slope, s)?;
    let (d1, silu) = (b.mul(d, h3)?, b.mul(h1, s)?);
    let (dh1, dh3) = (b.mul(d1, slope)?, b.mul(d, silu)?);
    b.output("dh1", dh1)?;
    b.output("dh3", dh3)
}

fn cross_entropy(b: &mut Builder) -> Result<()> {
    let (logits, target) = (image(b, "logits", H, S)?, image(b, "target", H, S)?);
    let p = b.softmax(logits, 1)?;
    let d = b.sub(p, target)?;
    let d = b.mul(d, 0.25)?;
    b.output("d", d)
}
