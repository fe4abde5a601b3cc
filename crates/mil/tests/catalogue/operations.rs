//! A small program for every operation, with the settings that matter.

use aneal_mil::{
    Builder, Conv, DType, Literal, MatMul, Opset, Pool, Program, Result, Shape, Slice, Type, Value,
};

use super::{Case, Random};

const ANY: (f32, f32) = (-3.0, 3.0);
const POSITIVE: (f32, f32) = (0.05, 4.0);
const UNIT: (f32, f32) = (-0.95, 0.95);

type Make = fn(&mut Builder, Value) -> Result<Value>;

fn fp16(dims: &[usize]) -> Type {
    Type::fp16(dims).unwrap()
}

fn ty(dtype: DType, dims: &[usize]) -> Type {
    Type::new(dtype, Shape::new(dims).unwrap())
}

/// A constant tensor.
fn weight(b: &mut Builder, dims: &[usize], seed: u64, range: (f32, f32)) -> Result<Value> {
    let values = Random::new(seed).tensor(fp16(dims), range);
    b.constant(values.to_literal()?)
}

fn integers(dtype: DType, dims: &[usize], seed: u64) -> Literal {
    let ty = ty(dtype, dims);
    let (least, greatest) = dtype.range();
    let mut random = Random::new(seed);
    let span = (greatest - least + 1) as u64;
    let values: Vec<i64> =
        (0..ty.shape.elements()).map(|_| (random.next() % span) as i64 + least as i64).collect();
    Literal::from_integers(ty, &values).unwrap()
}

fn floats(dims: &[usize], seed: u64) -> Literal {
    Random::new(seed).tensor(fp16(dims), (0.01, 0.2)).to_literal().unwrap()
}

/// As fp16, which Core ML's interface takes.
fn out(b: &mut Builder, x: Value) -> Result<Value> {
    b.cast(x, DType::Fp16)
}

/// Name, dimensions of the input, its range, and the operation on it.
type OneInput = (&'static str, &'static [usize], (f32, f32), Make);

#[rustfmt::skip] // one line a case
const ONE_INPUT: &[OneInput] = &[
    ("abs", &[2, 3, 4], ANY, |b, x| b.abs(x)),
    ("acos", &[2, 5], UNIT, |b, x| b.acos(x)),
    ("add", &[1, 4, 3, 8], ANY, |b, x| { let y = weight(b, &[4, 1, 8], 1, ANY)?; b.add(x, y) }),
    ("asin", &[2, 5], UNIT, |b, x| b.asin(x)),
    ("atan", &[2, 5], ANY, |b, x| b.atan(x)),
    ("avg_pool", &[1, 2, 6, 7], ANY, |b, x| b.avg_pool(x, Pool { kernel: &[3, 2], strides: &[2, 1], pad_type: "custom", pad: &[1, 1, 0, 1], ceil_mode: false }, true)),
    ("avg_pool_same", &[1, 2, 6, 7], ANY, |b, x| b.avg_pool(x, Pool { kernel: &[3, 2], strides: &[2, 2], pad_type: "same", ..Pool::default() }, false)),
    ("batch_norm", &[2, 3, 2, 4], ANY, |b, x| { let (m, v, g, s) = (weight(b, &[3], 1, UNIT)?, weight(b, &[3], 2, POSITIVE)?, weight(b, &[3], 3, ANY)?, weight(b, &[3], 4, ANY)?); b.batch_norm(x, [m, v], Some(g), Some(s), 1e-3) }),
    ("cast", &[3, 4], ANY, |b, x| { let y = b.cast(x, DType::Int32)?; out(b, y) }),
    ("ceil", &[2, 5], ANY, |b, x| b.ceil(x)),
    ("clamped_relu", &[2, 5], ANY, |b, x| b.clamped_relu(x, 0.25, 1.5)),
    ("clip", &[2, 5], ANY, |b, x| b.clip(x, -1.0, 1.5)),
    ("concat", &[1, 3, 2, 4], ANY, |b, x| { let y = weight(b, &[1, 2, 2, 4], 1, ANY)?; b.concat(&[x, y, x], 1, false) }),
    ("concat_interleave", &[1, 3, 2], ANY, |b, x| { let y = weight(b, &[1, 3, 2], 1, ANY)?; b.concat(&[x, y], 1, true) }),
    ("constexpr_affine_dequantize", &[1, 4, 1, 6], ANY, |b, x| { let w = b.constexpr_affine_dequantize(integers(DType::Int8, &[5, 4, 1, 1], 1), integers(DType::Int8, &[5], 2), floats(&[5], 3), 0)?; b.conv(x, w, Conv::default()) }),
    ("constexpr_blockwise_shift_scale", &[1, 4, 1, 6], ANY, |b, x| { let w = b.constexpr_blockwise_shift_scale(integers(DType::Int8, &[6, 4, 1, 1], 1), floats(&[6, 1, 1, 1], 2), None)?; b.conv(x, w, Conv::default()) }),
    ("constexpr_blockwise_int4", &[3, 8], ANY, |b, x| { let w = b.constexpr_blockwise_shift_scale(integers(DType::Uint4, &[6, 8], 1), floats(&[3, 2], 2), Some(integers(DType::Uint4, &[3, 2], 3)))?; b.matmul(x, w, MatMul { transpose_x: false, transpose_y: true }) }),
    ("constexpr_cast", &[3, 4], ANY, |b, x| { let w = b.constexpr_cast(floats(&[3, 4], 1))?; let x = b.cast(x, DType::Fp32)?; b.add(x, w) }),
    ("constexpr_lut_to_dense", &[3, 8], ANY, |b, x| { let w = b.constexpr_lut_to_dense(integers(DType::Uint4, &[8, 4], 1), floats(&[2, 1, 16, 1], 2))?; b.matmul(x, w, MatMul::default()) }),
    ("constexpr_sparse_to_dense", &[3, 8], ANY, |b, x| { let mask = integers(DType::Uint1, &[8, 4], 1); let ones = mask.integers().unwrap().iter().sum::<i64>() as usize; let w = b.constexpr_sparse_to_dense(floats(&[ones], 2), mask)?; b.matmul(x, w, MatMul::default()) }),
    ("conv", &[2, 4, 5, 7], ANY, |b, x| { let (w, bias) = (weight(b, &[6, 2, 3, 2], 1, UNIT)?, weight(b, &[6], 2, UNIT)?); b.conv(x, w, Conv { strides: &[2, 1], dilations: &[1, 2], pad_type: "custom", pad: &[1, 0, 2, 1], groups: 2, bias: Some(bias) }) }),
    ("conv_same", &[1, 3, 6, 6], ANY, |b, x| { let w = weight(b, &[4, 3, 3, 3], 1, UNIT)?; b.conv(x, w, Conv { strides: &[2, 2], pad_type: "same", ..Conv::default() }) }),
    ("conv_1d", &[1, 3, 9], ANY, |b, x| { let w = weight(b, &[4, 3, 3], 1, UNIT)?; b.conv(x, w, Conv::default()) }),
    ("conv_transpose", &[1, 4, 3, 4], ANY, |b, x| { let w = weight(b, &[4, 3, 3, 2], 1, UNIT)?; b.conv_transpose(x, w, Conv { strides: &[2, 2], pad_type: "custom", pad: &[1, 0, 0, 1], groups: 2, ..Conv::default() }) }),
    ("cos", &[2, 5], ANY, |b, x| b.cos(x)),
    ("cosh", &[2, 5], ANY, |b, x| b.cosh(x)),
    ("cumsum", &[2, 5], ANY, |b, x| b.cumsum(x, 1, true, true)),
    ("elu", &[2, 5], ANY, |b, x| b.elu(x, 0.7)),
    ("equal", &[2, 5], ANY, |b, x| { let y = b.round(x)?; let y = b.equal(y, 1.0)?; out(b, y) }),
    ("erf", &[2, 5], ANY, |b, x| b.erf(x)),
    ("exp", &[2, 5], ANY, |b, x| b.exp(x)),
    ("exp2", &[2, 5], ANY, |b, x| b.exp2(x)),
    ("expand_dims", &[2, 5], ANY, |b, x| b.expand_dims(x, &[0, -1])),
    ("fill", &[2, 3], ANY, |b, x| { let y = b.fill(DType::Fp16, &[2, 3], 0.75)?; b.add(x, y) }),
    ("flatten2d", &[2, 3, 4], ANY, |b, x| b.flatten2d(x, -1)),
    ("floor", &[2, 5], ANY, |b, x| b.floor(x)),
    ("floor_div", &[2, 5], ANY, |b, x| b.floor_div(x, 0.75)),
    ("gather", &[5, 3], ANY, |b, x| { let i = b.constant(Literal::int32_list(&[4, 0, 2])?)?; b.gather(x, i, 0) }),
    ("gelu_exact", &[2, 5], ANY, |b, x| b.gelu(x, "EXACT")),
    ("gelu_tanh", &[2, 5], ANY, |b, x| b.gelu(x, "TANH_APPROXIMATION")),
    ("gelu_sigmoid", &[2, 5], ANY, |b, x| b.gelu(x, "SIGMOID_APPROXIMATION")),
    ("greater", &[2, 5], ANY, |b, x| { let y = b.greater(x, 0.5)?; out(b, y) }),
    ("greater_equal", &[2, 5], ANY, |b, x| { let y = b.greater_equal(x, 0.5)?; out(b, y) }),
    ("identity", &[2, 5], ANY, |b, x| { let y = b.relu(x)?; b.identity(y) }),
    ("instance_norm", &[2, 3, 2, 4], ANY, |b, x| { let (g, s) = (weight(b, &[3], 1, ANY)?, weight(b, &[3], 2, ANY)?); b.instance_norm(x, Some(g), Some(s), 1e-3) }),
    ("inverse", &[2, 5], POSITIVE, |b, x| b.inverse(x, 1e-4)),
    ("l2_norm", &[2, 3, 2, 4], ANY, |b, x| b.l2_norm(x, 1e-4)),
    ("l2_pool", &[1, 2, 6, 7], ANY, |b, x| b.l2_pool(x, Pool { kernel: &[2, 3], strides: &[2, 2], ..Pool::default() })),
    ("layer_norm", &[2, 3, 8], ANY, |b, x| { let (g, s) = (weight(b, &[8], 1, ANY)?, weight(b, &[8], 2, ANY)?); b.layer_norm(x, &[-1], Some(g), Some(s), 1e-3) }),
    ("leaky_relu", &[2, 5], ANY, |b, x| b.leaky_relu(x, 0.1)),
    ("less", &[2, 5], ANY, |b, x| { let y = b.less(x, 0.5)?; out(b, y) }),
    ("less_equal", &[2, 5], ANY, |b, x| { let y = b.less_equal(x, 0.5)?; out(b, y) }),
    ("linear", &[3, 8], ANY, |b, x| { let (w, s) = (weight(b, &[5, 8], 1, UNIT)?, weight(b, &[5], 2, UNIT)?); b.linear(x, w, Some(s)) }),
    ("linear_activation", &[2, 5], ANY, |b, x| b.linear_activation(x, 0.5, -1.0)),
    ("log", &[2, 5], POSITIVE, |b, x| b.log(x, 0.0)),
    ("logical_and", &[2, 5], ANY, |b, x| { let (p, q) = (b.greater(x, -1.0)?, b.less(x, 1.0)?); let y = b.logical_and(p, q)?; out(b, y) }),
    ("logical_not", &[2, 5], ANY, |b, x| { let p = b.greater(x, -1.0)?; let y = b.logical_not(p)?; out(b, y) }),
    ("logical_or", &[2, 5], ANY, |b, x| { let (p, q) = (b.greater(x, 1.0)?, b.less(x, -1.0)?); let y = b.logical_or(p, q)?; out(b, y) }),
    ("logical_xor", &[2, 5], ANY, |b, x| { let (p, q) = (b.greater(x, -1.0)?, b.less(x, 1.0)?); let y = b.logical_xor(p, q)?; out(b, y) }),
    ("matmul", &[2, 3, 4, 8], ANY, |b, x| { let y = weight(b, &[3, 8, 5], 1, ANY)?; b.matmul(x, y, MatMul::default()) }),
    ("matmul_transposed", &[1, 1, 8, 4], ANY, |b, x| { let y = weight(b, &[1, 1, 5, 8], 1, ANY)?; b.matmul(x, y, MatMul { transpose_x: true, transpose_y: true }) }),
    ("max_pool", &[1, 2, 6, 7], ANY, |b, x| b.max_pool(x, Pool { kernel: &[3, 3], strides: &[2, 2], pad_type: "custom", pad: &[1, 1, 1, 1], ceil_mode: true })),
    ("maximum", &[2, 5], ANY, |b, x| b.maximum(x, 0.5)),
    ("minimum", &[2, 5], ANY, |b, x| b.minimum(x, 0.5)),
    ("mod", &[2, 5], ANY, |b, x| b.modulo(x, 0.75)),
    ("mul", &[2, 5], ANY, |b, x| b.mul(x, x)),
    ("not_equal", &[2, 5], ANY, |b, x| { let y = b.round(x)?; let y = b.not_equal(y, 1.0)?; out(b, y) }),
    ("pad_constant", &[2, 3, 4], ANY, |b, x| b.pad(x, &[1, 0, 2, 3], "constant", -2.0)),
    ("pad_reflect", &[2, 3, 4], ANY, |b, x| b.pad(x, &[1, 2, 3, 2], "reflect", 0.0)),
    ("pad_replicate", &[2, 3, 4], ANY, |b, x| b.pad(x, &[1, 2, 3, 2], "replicate", 0.0)),
    ("pow", &[2, 5], POSITIVE, |b, x| b.pow(x, -0.5)),
    ("quantize", &[2, 5], ANY, |b, x| { let s = Literal::from_floats(Type::scalar(DType::Fp16), &[0.03])?; let q = b.quantize(x, s.clone(), None, None, DType::Int8)?; b.dequantize(q, s, None, None) }),
    ("quantize_per_axis", &[3, 5], ANY, |b, x| { let (s, z) = (floats(&[3], 1), integers(DType::Uint8, &[3], 2)); let q = b.quantize(x, s.clone(), Some(z.clone()), Some(0), DType::Uint8)?; b.dequantize(q, s, Some(z), Some(0)) }),
    ("real_div", &[2, 5], POSITIVE, |b, x| b.real_div(1.0, x)),
    ("reduce_argmax", &[2, 5], ANY, |b, x| b.reduce_argmax(x, -1)),
    ("reduce_l1_norm", &[2, 3, 4], ANY, |b, x| b.reduce_l1_norm(x, &[0, 2])),
    ("reduce_l2_norm", &[2, 3, 4], ANY, |b, x| b.reduce_l2_norm(x, &[1])),
    ("reduce_log_sum", &[2, 3, 4], POSITIVE, |b, x| b.reduce_log_sum(x, &[1])),
    ("reduce_log_sum_exp", &[2, 3, 4], ANY, |b, x| b.reduce_log_sum_exp(x, &[-1])),
    ("reduce_max", &[2, 3, 4], ANY, |b, x| b.reduce_max(x, &[-1])),
    ("reduce_mean", &[2, 3, 4], ANY, |b, x| b.reduce_mean(x, &[0, 1])),
    ("reduce_min", &[2, 3, 4], ANY, |b, x| b.reduce_min(x, &[2])),
    ("reduce_prod", &[2, 3, 4], ANY, |b, x| b.reduce_prod(x, &[1])),
    ("reduce_sum", &[2, 3, 4], ANY, |b, x| b.reduce_sum(x, &[1])),
    ("reduce_sum_square", &[2, 3, 4], ANY, |b, x| b.reduce_sum_square(x, &[0, 2])),
    ("relu", &[2, 5], ANY, |b, x| b.relu(x)),
    ("relu6", &[2, 5], (-3.0, 9.0), |b, x| b.relu6(x)),
    ("reshape", &[2, 3, 4], ANY, |b, x| b.reshape(x, &[4, -1])),
    ("reverse", &[2, 3, 4], ANY, |b, x| b.reverse(x, &[0, -1])),
    ("round", &[2, 5], ANY, |b, x| b.round(x)),
    ("rsqrt", &[2, 5], POSITIVE, |b, x| b.rsqrt(x, 1e-3)),
    ("scaled_dot_product_attention", &[1, 2, 4, 8], UNIT, |b, x| { let k = weight(b, &[1, 2, 5, 8], 1, ANY)?; let m = weight(b, &[4, 5], 2, ANY)?; b.scaled_dot_product_attention(x, k, k, Some(m)) }),
    ("scaled_tanh", &[2, 5], ANY, |b, x| b.scaled_tanh(x, 1.5, 0.5)),
    ("select", &[2, 3, 4], ANY, |b, x| { let c = b.greater(x, 0.0)?; let y = b.mul(x, 0.5)?; b.select(c, x, y) }),
    ("sigmoid", &[2, 5], ANY, |b, x| b.sigmoid(x)),
    ("sigmoid_hard", &[2, 5], ANY, |b, x| b.sigmoid_hard(x, 0.2, 0.5)),
    ("sign", &[2, 5], ANY, |b, x| b.sign(x)),
    ("silu", &[2, 5], ANY, |b, x| b.silu(x)),
    ("sin", &[2, 5], ANY, |b, x| b.sin(x)),
    ("sinh", &[2, 5], ANY, |b, x| b.sinh(x)),
    ("slice_by_index", &[4, 5, 6], ANY, |b, x| b.slice_by_index(x, Slice { begin: &[1, 4, 3], end: &[3, 0, 6], stride: &[1, -2, 1], begin_mask: &[false, false, true], end_mask: &[true, false, false], squeeze_mask: &[false, false, false] })),
    ("slice_by_index_squeeze", &[4, 5, 6], ANY, |b, x| b.slice_by_index(x, Slice { begin: &[1, -1, 0], end: &[4, 0, 6], squeeze_mask: &[false, true, false], ..Slice::default() })),
    ("slice_by_size", &[4, 5, 6], ANY, |b, x| b.slice_by_size(x, &[1, 0, 2], &[2, -1, 3])),
    ("softmax", &[2, 3, 8], ANY, |b, x| b.softmax(x, -1)),
    ("softmax_channel", &[2, 3, 8], ANY, |b, x| b.softmax(x, 1)),
    ("softplus", &[2, 5], ANY, |b, x| b.softplus(x)),
    ("softsign", &[2, 5], ANY, |b, x| b.softsign(x)),
    ("split", &[2, 6, 3], ANY, |b, x| { let parts = b.split(x, &[1, 3, 2], 1)?; let y = b.concat(&[parts[2], parts[0], parts[1]], 1, false)?; b.relu(y) }),
    ("sqrt", &[2, 5], POSITIVE, |b, x| b.sqrt(x)),
    ("square", &[2, 5], ANY, |b, x| b.square(x)),
    ("squeeze", &[1, 3, 1, 4], ANY, |b, x| b.squeeze(x, &[0, 2])),
    ("stack", &[2, 3], ANY, |b, x| { let y = b.mul(x, 2.0)?; b.stack(&[x, y], -1) }),
    ("sub", &[2, 5], ANY, |b, x| b.sub(1.0, x)),
    ("tan", &[2, 5], UNIT, |b, x| b.tan(x)),
    ("tanh", &[2, 5], ANY, |b, x| b.tanh(x)),
    ("threshold", &[2, 5], ANY, |b, x| b.threshold(x, 0.3)),
    ("thresholded_relu", &[2, 5], ANY, |b, x| b.thresholded_relu(x, 0.3)),
    ("tile", &[2, 3], ANY, |b, x| b.tile(x, &[2, 3])),
    ("transpose", &[2, 3, 4, 5], ANY, |b, x| b.transpose(x, &[0, 3, -3, 2])),
];

/// Every program.
pub(crate) fn cases() -> Vec<Case> {
    let one = ONE_INPUT.iter().map(|(name, dims, range, make)| {
        let mut b = Builder::new("main", Opset::Ios18);
        let function = (|| {
            let x = b.input("x", Type::fp16(dims)?)?;
            let y = make(&mut b, x)?;
            b.output("y", y)?;
            b.finish()
        })();
        let function = function.unwrap_or_else(|e| panic!("{name}: {e}"));
        let program = Program::new(vec![function]);
        Case { name: (*name).to_owned(), program, range: *range, evaluated: true }
    });
    let mut cases: Vec<Case> = one.collect();
    cases.push(two_functions());
    cases.push(old_opset());
    cases
}

/// Several functions that share a constant.
fn two_functions() -> Case {
    let make = |name: &str, scale: f32| {
        let mut b = Builder::new(name, Opset::Ios18);
        let x = b.input("x", fp16(&[1, 32, 1, 32])).unwrap();
        let w = weight(&mut b, &[1, 32, 1, 32], 7, ANY).unwrap();
        let y = b.mul(x, w).unwrap();
        let y = b.mul(y, scale).unwrap();
        b.output("y", y).unwrap();
        b.finish().unwrap()
    };
    let program = Program::new(vec![make("main", 2.0), make("again", 0.1)]);
    Case { name: "two_functions".into(), program, range: ANY, evaluated: true }
}

/// What iOS 16 has, with its interface in fp32.
fn old_opset() -> Case {
    let mut b = Builder::new("main", Opset::Ios16);
    let x = b.input("x", ty(DType::Fp32, &[1, 4, 1, 6])).unwrap();
    let x = b.cast(x, DType::Fp16).unwrap();
    let w = b
        .constexpr_affine_dequantize(
            integers(DType::Uint8, &[5, 4, 1, 1], 1),
            Literal::from_integers(Type::scalar(DType::Uint8), &[128]).unwrap(),
            Literal::from_floats(Type::scalar(DType::Fp16), &[0.0125]).unwrap(),
            0,
        )
        .unwrap();
    let y = b.conv(x, w, Conv::default()).unwrap();
    let y = b.cast(y, DType::Fp32).unwrap();
    b.output("y", y).unwrap();
    let program = Program::new(vec![b.finish().unwrap()]);
    Case { name: "ios16_quantised".into(), program, range: ANY, evaluated: true }
}
