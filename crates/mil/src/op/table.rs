//! The table of operations, by name.
//!
//! Parameters, optional ones and element types as coremltools 9.0 registers them (checked against
//! its registry by `python/check_mil.py`), restricted where noted to what can be known before a
//! program runs: shapes, axes and bounds of slices are constants (C20, C77).

use Opset::{Ios15, Ios16, Ios17, Ios18};

use super::{
    ANY, BOOL, FLOAT, INDEX, INT8, INT32, MOVABLE, NUMBER, OpDef, PACKED, PALETTE, Param, STRING,
    UINT1,
};
use crate::Opset;
use crate::eval::{self, Binary, Compare, Kernel, Reduce, Unary};
use crate::infer::{self, Infer};

const X: Param = Param::new("x", FLOAT);
const ALPHA: Param = Param::setting("alpha", FLOAT).apart_since_ios17();
const BETA: Param = Param::setting("beta", FLOAT).apart_since_ios17();
const EPSILON: Param = Param::setting("epsilon", FLOAT).apart_since_ios17().optional();
const AXES: Param = Param::setting("axes", INT32);
const AXIS: Param = Param::setting("axis", INT32);

const UNARY: &[Param] = &[X];
const UNARY_NUMBER: &[Param] = &[Param::new("x", NUMBER)];
const UNARY_ALPHA: &[Param] = &[X, ALPHA];
const UNARY_ALPHA_BETA: &[Param] = &[X, ALPHA, BETA];
const UNARY_EPSILON: &[Param] = &[X, EPSILON];
const BINARY: &[Param] = &[Param::new("x", NUMBER), Param::new("y", NUMBER)];
const LOGIC: &[Param] = &[Param::new("x", BOOL), Param::new("y", BOOL)];
const REDUCE: &[Param] =
    &[Param::new("x", NUMBER), AXES.optional(), Param::setting("keep_dims", BOOL).optional()];
const MOVE_AXES: &[Param] = &[Param::new("x", MOVABLE), AXES];
const MOVE_AXES_OPTIONAL: &[Param] = &[Param::new("x", MOVABLE), AXES.optional()];

const CONV: &[Param] = &[
    X,
    Param::new("weight", FLOAT),
    Param::new("bias", FLOAT).optional(),
    Param::setting("strides", INT32).optional(),
    Param::setting("pad_type", STRING).optional(),
    Param::setting("pad", INT32).optional(),
    Param::setting("dilations", INT32).optional(),
    Param::setting("groups", INT32).optional(),
];
const CONV_TRANSPOSE: &[Param] = &[
    X,
    Param::new("weight", FLOAT),
    Param::new("bias", FLOAT).optional(),
    Param::setting("pad", INT32).optional(),
    Param::setting("output_shape", INT32).optional(),
    Param::setting("pad_type", STRING).optional(),
    Param::setting("strides", INT32).optional(),
    Param::setting("dilations", INT32).optional(),
    Param::setting("groups", INT32).optional(),
];
const POOL: &[Param] = &[
    X,
    Param::setting("kernel_sizes", INT32),
    Param::setting("strides", INT32).optional(),
    Param::setting("pad_type", STRING),
    Param::setting("pad", INT32).optional(),
    Param::setting("ceil_mode", BOOL).optional(),
];
const AVG_POOL: &[Param] = &[
    X,
    Param::setting("kernel_sizes", INT32),
    Param::setting("strides", INT32).optional(),
    Param::setting("pad_type", STRING),
    Param::setting("pad", INT32).optional(),
    Param::setting("ceil_mode", BOOL).optional(),
    Param::setting("exclude_padding_from_average", BOOL).optional(),
];
const NORM_GAMMA: Param = Param::new("gamma", FLOAT).constant().optional();
const NORM_BETA: Param = Param::new("beta", FLOAT).constant().optional();
const NORM_EPSILON: Param = Param::new("epsilon", FLOAT).constant().optional();
const SLICE_INDEX: &[Param] = &[
    Param::new("x", MOVABLE),
    Param::setting("begin", INDEX),
    Param::setting("end", INDEX),
    Param::setting("stride", INDEX).optional(),
    Param::setting("begin_mask", BOOL).optional(),
    Param::setting("end_mask", BOOL).optional(),
    Param::setting("squeeze_mask", BOOL).optional(),
];

const fn op(
    name: &'static str,
    since: Opset,
    params: &'static [Param],
    infer: Infer,
    kernel: Kernel,
) -> OpDef {
    OpDef { name, since, params, infer, kernel }
}

const fn unary(name: &'static str, params: &'static [Param], f: Unary) -> OpDef {
    op(name, Ios15, params, infer::elementwise::same, Kernel::Unary(f))
}

const fn binary(name: &'static str, f: Binary) -> OpDef {
    op(name, Ios15, BINARY, infer::elementwise::broadcast, Kernel::Binary(f))
}

const fn compare(name: &'static str, params: &'static [Param], f: Compare) -> OpDef {
    op(name, Ios15, params, infer::elementwise::compare, Kernel::Compare(f))
}

const fn reduce(name: &'static str, f: Reduce) -> OpDef {
    op(name, Ios15, REDUCE, infer::reduce::reduce, Kernel::Reduce(f))
}

/// Sorted by name, for the binary search.
#[rustfmt::skip] // one line an operation
pub(super) static OPS: &[OpDef] = &[
    unary("abs", UNARY_NUMBER, Unary::Abs),
    unary("acos", UNARY, Unary::Acos),
    binary("add", Binary::Add),
    unary("asin", UNARY, Unary::Asin),
    unary("atan", UNARY, Unary::Atan),
    op("avg_pool", Ios15, AVG_POOL, infer::window::pool, Kernel::Avg),
    op("batch_norm", Ios15, &[X, Param::new("mean", FLOAT).constant(), Param::new("variance", FLOAT).constant(), NORM_GAMMA, NORM_BETA, NORM_EPSILON], infer::norm::batch, Kernel::Each(eval::norm::batch)),
    op("cast", Ios15, &[Param::new("x", MOVABLE), Param::setting("dtype", STRING)], infer::elementwise::cast, Kernel::Each(eval::convert::cast)),
    unary("ceil", UNARY, Unary::Ceil),
    unary("clamped_relu", UNARY_ALPHA_BETA, Unary::ClampedRelu),
    unary("clip", UNARY_ALPHA_BETA, Unary::Clip),
    op("concat", Ios15, &[Param::new("values", MOVABLE).list(), AXIS, Param::setting("interleave", BOOL).optional()], infer::join::concat, Kernel::Each(eval::movement::concat)),
    op("const", Ios15, &[Param::setting("val", ANY)], infer::constant::constant, Kernel::Const),
    op("constexpr_affine_dequantize", Ios16, &[Param::setting("quantized_data", INT8), Param::setting("zero_point", INT8), Param::setting("scale", FLOAT), AXIS], infer::constant::affine_dequantize, Kernel::Each(eval::constexpr::affine_dequantize)),
    op("constexpr_blockwise_shift_scale", Ios18, &[Param::setting("data", PACKED), Param::setting("scale", FLOAT), Param::setting("offset", PACKED | FLOAT).optional()], infer::constant::blockwise, Kernel::Each(eval::constexpr::blockwise)),
    op("constexpr_cast", Ios16, &[Param::setting("source_val", FLOAT), Param::setting("output_dtype", STRING)], infer::constant::cast, Kernel::Each(eval::convert::constexpr_cast)),
    op("constexpr_lut_to_dense", Ios18, &[Param::setting("indices", PALETTE), Param::setting("lut", FLOAT | INT8), Param::setting("vector_axis", INT32).optional()], infer::constant::palette, Kernel::Each(eval::constexpr::palette)),
    op("constexpr_sparse_to_dense", Ios18, &[Param::setting("nonzero_data", FLOAT | INT8), Param::setting("mask", UINT1)], infer::constant::sparse, Kernel::Each(eval::constexpr::sparse)),
    op("conv", Ios15, CONV, infer::window::conv, Kernel::Each(eval::conv::conv)),
    op("conv_transpose", Ios15, CONV_TRANSPOSE, infer::window::conv_transpose, Kernel::Each(eval::conv::conv_transpose)),
    unary("cos", UNARY, Unary::Cos),
    unary("cosh", UNARY, Unary::Cosh),
    op("cumsum", Ios15, &[Param::new("x", NUMBER), AXIS.optional(), Param::setting("exclusive", BOOL).optional(), Param::setting("reverse", BOOL).optional()], infer::reduce::along_axis, Kernel::Each(eval::reduce::cumsum)),
    op("dequantize", Ios17, &[Param::new("input", INT8), Param::new("zero_point", INT8).constant().optional(), Param::setting("scale", FLOAT), AXIS.optional()], infer::elementwise::dequantize, Kernel::Each(eval::convert::dequantize)),
    unary("elu", UNARY_ALPHA, Unary::Elu),
    compare("equal", BINARY, Compare::Equal),
    unary("erf", UNARY, Unary::Erf),
    unary("exp", UNARY, Unary::Exp),
    unary("exp2", UNARY, Unary::Exp2),
    op("expand_dims", Ios15, MOVE_AXES, infer::reshape::expand_dims, Kernel::View),
    op("fill", Ios15, &[Param::setting("shape", INT32), Param::setting("value", MOVABLE).optional()], infer::reshape::fill, Kernel::Each(eval::movement::fill)),
    op("flatten2d", Ios15, &[Param::new("x", NUMBER), AXIS.optional()], infer::reshape::flatten2d, Kernel::View),
    unary("floor", UNARY, Unary::Floor),
    binary("floor_div", Binary::FloorDiv),
    op("gather", Ios15, &[Param::new("x", MOVABLE), Param::new("indices", INDEX).apart(), AXIS.optional(), Param::setting("batch_dims", INT32).optional(), Param::setting("validate_indices", BOOL).optional()], infer::slice::gather, Kernel::Each(eval::movement::gather)),
    op("gelu", Ios15, &[X, Param::setting("mode", STRING).optional()], infer::elementwise::gelu, Kernel::Each(eval::elementwise::gelu)),
    compare("greater", BINARY, Compare::Greater),
    compare("greater_equal", BINARY, Compare::GreaterEqual),
    op("identity", Ios15, &[Param::new("x", MOVABLE)], infer::elementwise::same, Kernel::View),
    op("instance_norm", Ios15, &[X, NORM_GAMMA, NORM_BETA, NORM_EPSILON], infer::norm::instance, Kernel::Each(eval::norm::instance)),
    unary("inverse", UNARY_EPSILON, Unary::Inverse),
    op("l2_norm", Ios15, &[X, NORM_EPSILON], infer::norm::l2, Kernel::Each(eval::norm::l2)),
    op("l2_pool", Ios15, POOL, infer::window::pool, Kernel::L2Pool),
    op("layer_norm", Ios15, &[X, AXES.optional(), NORM_GAMMA, NORM_BETA, NORM_EPSILON], infer::norm::layer, Kernel::Each(eval::norm::layer)),
    unary("leaky_relu", UNARY_ALPHA, Unary::LeakyRelu),
    compare("less", BINARY, Compare::Less),
    compare("less_equal", BINARY, Compare::LessEqual),
    op("linear", Ios15, &[X, Param::new("weight", FLOAT).constant(), Param::new("bias", FLOAT).constant().optional()], infer::matmul::linear, Kernel::Each(eval::matmul::linear)),
    unary("linear_activation", UNARY_ALPHA_BETA, Unary::LinearActivation),
    unary("log", UNARY_EPSILON, Unary::Log),
    compare("logical_and", LOGIC, Compare::And),
    op("logical_not", Ios15, &[Param::new("x", BOOL)], infer::elementwise::same, Kernel::Each(eval::elementwise::logical_not)),
    compare("logical_or", LOGIC, Compare::Or),
    compare("logical_xor", LOGIC, Compare::Xor),
    op("matmul", Ios15, &[Param::new("x", FLOAT), Param::new("y", FLOAT), Param::setting("transpose_x", BOOL).optional(), Param::setting("transpose_y", BOOL).optional()], infer::matmul::matmul, Kernel::Each(eval::matmul::matmul)),
    op("max_pool", Ios15, POOL, infer::window::pool, Kernel::MaxPool),
    binary("maximum", Binary::Maximum),
    binary("minimum", Binary::Minimum),
    binary("mod", Binary::Mod),
    binary("mul", Binary::Mul),
    compare("not_equal", BINARY, Compare::NotEqual),
    op("pad", Ios15, &[Param::new("x", NUMBER), Param::setting("pad", INT32), Param::setting("mode", STRING).optional(), Param::new("constant_val", NUMBER).constant().optional()], infer::reshape::pad, Kernel::Each(eval::movement::pad)),
    binary("pow", Binary::Pow),
    op("quantize", Ios17, &[Param::new("input", FLOAT), Param::setting("zero_point", INT8).optional(), Param::new("scale", FLOAT).constant(), AXIS.optional(), Param::setting("output_dtype", STRING)], infer::elementwise::quantize, Kernel::Each(eval::convert::quantize)),
    binary("real_div", Binary::RealDiv),
    op("reduce_argmax", Ios15, &[Param::new("x", NUMBER), AXIS.optional(), Param::setting("keep_dims", BOOL).optional()], infer::reduce::arg, Kernel::Each(eval::reduce::argmax)),
    reduce("reduce_l1_norm", Reduce::L1Norm),
    reduce("reduce_l2_norm", Reduce::L2Norm),
    reduce("reduce_log_sum", Reduce::LogSum),
    reduce("reduce_log_sum_exp", Reduce::LogSumExp),
    reduce("reduce_max", Reduce::Max),
    reduce("reduce_mean", Reduce::Mean),
    reduce("reduce_min", Reduce::Min),
    reduce("reduce_prod", Reduce::Prod),
    reduce("reduce_sum", Reduce::Sum),
    reduce("reduce_sum_square", Reduce::SumSquare),
    unary("relu", UNARY, Unary::Relu),
    unary("relu6", UNARY, Unary::Relu6),
    op("reshape", Ios15, &[Param::new("x", MOVABLE), Param::setting("shape", INDEX)], infer::reshape::reshape, Kernel::View),
    op("reverse", Ios15, MOVE_AXES_OPTIONAL, infer::reshape::reverse, Kernel::Each(eval::movement::reverse)),
    unary("round", UNARY, Unary::Round),
    unary("rsqrt", UNARY_EPSILON, Unary::Rsqrt),
    op("scaled_dot_product_attention", Ios18, &[Param::new("query", FLOAT), Param::new("key", FLOAT), Param::new("value", FLOAT), Param::new("attn_mask", FLOAT | BOOL).apart().optional()], infer::attention::attention, Kernel::Each(eval::attention::attention)),
    unary("scaled_tanh", UNARY_ALPHA_BETA, Unary::ScaledTanh),
    op("select", Ios15, &[Param::new("cond", BOOL).apart(), Param::new("a", MOVABLE), Param::new("b", MOVABLE)], infer::elementwise::select, Kernel::Each(eval::elementwise::select)),
    unary("sigmoid", UNARY, Unary::Sigmoid),
    unary("sigmoid_hard", UNARY_ALPHA_BETA, Unary::SigmoidHard),
    unary("sign", UNARY_NUMBER, Unary::Sign),
    unary("silu", UNARY, Unary::Silu),
    unary("sin", UNARY, Unary::Sin),
    unary("sinh", UNARY, Unary::Sinh),
    op("slice_by_index", Ios15, SLICE_INDEX, infer::slice::by_index, Kernel::Each(eval::movement::slice_by_index)),
    op("slice_by_size", Ios15, &[Param::new("x", MOVABLE), Param::setting("begin", INDEX), Param::setting("size", INDEX)], infer::slice::by_size, Kernel::Each(eval::movement::slice_by_size)),
    op("softmax", Ios15, &[X, AXIS.optional()], infer::reduce::along_axis, Kernel::Each(eval::reduce::softmax)),
    unary("softplus", UNARY, Unary::Softplus),
    unary("softsign", UNARY, Unary::Softsign),
    op("split", Ios15, &[Param::new("x", MOVABLE), Param::setting("num_splits", INT32).optional(), Param::setting("split_sizes", INT32).optional(), AXIS], infer::join::split, Kernel::Each(eval::movement::split)),
    unary("sqrt", UNARY, Unary::Sqrt),
    unary("square", UNARY_NUMBER, Unary::Square),
    op("squeeze", Ios15, MOVE_AXES_OPTIONAL, infer::reshape::squeeze, Kernel::View),
    op("stack", Ios15, &[Param::new("values", MOVABLE).list(), AXIS], infer::join::stack, Kernel::Each(eval::movement::stack)),
    binary("sub", Binary::Sub),
    unary("tan", UNARY, Unary::Tan),
    unary("tanh", UNARY, Unary::Tanh),
    unary("threshold", UNARY_ALPHA, Unary::Threshold),
    unary("thresholded_relu", UNARY_ALPHA, Unary::ThresholdedRelu),
    op("tile", Ios15, &[Param::new("x", MOVABLE), Param::setting("reps", INT32)], infer::reshape::tile, Kernel::Each(eval::movement::tile)),
    op("transpose", Ios15, &[Param::new("x", MOVABLE), Param::setting("perm", INT32)], infer::reshape::transpose, Kernel::Each(eval::movement::transpose)),
];
