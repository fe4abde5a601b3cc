//! Rules about operations and how they follow each other.

use super::scan::Scan;
use super::{Hit, Limits};
use crate::{DType, Operation};

/// Operations that published sweeps of the engine could not reach at all (facts section 4.5).
const UNREACHABLE: &[&str] = &[
    "acos",
    "asin",
    "cosh",
    "cumsum",
    "gather",
    "logical_and",
    "logical_or",
    "logical_xor",
    "mod",
    "reduce_argmax",
    "reduce_prod",
    "sinh",
    "tan",
];

/// Functions that engines compute from tables.
const TABLES: &[&str] = &["sigmoid", "tanh", "gelu", "silu", "erf", "elu", "softplus"];

pub(super) fn unreachable(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(UNREACHABLE, |op| Some(format!("`{}`", op.def.name)))
}

pub(super) fn unreliable(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let ops = ["gelu", "softplus", "l2_norm", "tile", "gather"];
    scan.each(&ops, |op| Some(format!("`{}`", op.def.name)))
}

fn kernel_width(scan: &Scan<'_>, op: &Operation) -> Option<usize> {
    let weight = op.argument("weight")?.operands().first()?;
    let shape = scan.function.operand_type(weight).shape;
    (shape.rank() > 2).then(|| shape.width())
}

pub(super) fn conv_width(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    scan.each(&["conv", "conv_transpose"], |op| {
        let width = kernel_width(scan, op)?;
        (width > limits.conv_width).then(|| format!("a window of width {width}"))
    })
}

pub(super) fn conv_window(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["conv", "conv_transpose"], |op| {
        let width = kernel_width(scan, op)?;
        (width > 8).then(|| format!("a window of width {width}, native up to 8"))
    })
}

pub(super) fn conv_inputs(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const REFUSED: usize = 32_000;
    scan.each(&["conv"], |op| {
        let inputs = scan.ty(op, "x")?.shape.dim(1);
        (inputs >= REFUSED).then(|| format!("{inputs} input channels"))
    })
}

pub(super) fn conv_outputs(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const WORKS: usize = 62_080;
    scan.each(&["conv"], |op| {
        let outputs = scan.result(op)?.shape.dim(1);
        (outputs > WORKS).then(|| format!("{outputs} output channels"))
    })
}

pub(super) fn conv_weight(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["conv", "conv_transpose"], |op| {
        scan.is_runtime(op, "weight").then(|| "its weight is computed or an input".to_owned())
    })
}

pub(super) fn conv_bias(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["conv", "linear"], |op| {
        let bias = scan.constant(op, "bias")?.floats()?;
        // Half of the accumulator's last place.
        let lost = bias.iter().any(|&v| v != 0.0 && v.abs() < 2_f32.powi(-17));
        lost.then(|| "a bias below 2^-17".to_owned())
    })
}

pub(super) fn channel_mean(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["reduce_mean", "reduce_sum"], |op| {
        let x = scan.ty(op, "x")?;
        let axes = scan.integers(op, "axes")?;
        let channel = axes.iter().any(|&axis| x.shape.axis(axis) == Some(1));
        (channel && x.shape.rank() == 4).then(|| format!("`{}` over channels", op.def.name))
    })
}

pub(super) fn root_after_fold(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["rsqrt"], |op| {
        let maker = scan.maker(op, "x")?;
        maker.def.is_reduction().then(|| format!("`rsqrt` of a `{}`", maker.def.name))
    })
}

pub(super) fn square(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["square"], |op| {
        let id = *op.results.first()?;
        let width = scan.function.ty(id).shape.width();
        let then = scan.users(id).find(|user| TABLES.contains(&user.def.name))?;
        (width % 128 > 64).then(|| format!("then `{}`, at width {width}", then.def.name))
    })
}

pub(super) fn fold_by_zero(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["mul"], |op| {
        let zero = |name| {
            let values = scan.constant(op, name)?.floats()?;
            Some(values.iter().all(|&v| v == 0.0))
        };
        let fold = |name| scan.maker(op, name).is_some_and(|op| op.def.is_reduction());
        let hit = fold("x") && zero("y") == Some(true) || fold("y") && zero("x") == Some(true);
        hit.then(|| "a fold times 0".to_owned())
    })
}

pub(super) fn joins(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["concat", "stack"], |op| {
        let count = op.argument("values")?.operands().len();
        Some(format!("`{}` of {count}", op.def.name))
    })
}

pub(super) fn wide_join(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["concat"], |op| {
        let ty = scan.result(op)?;
        let last = scan.axis(op, ty)? + 1 == ty.shape.rank();
        last.then(|| "`concat` along the width".to_owned())
    })
}

pub(super) fn identity(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let [only] = scan.function.outputs[..] else { return Vec::new() };
    match scan.function.origin(only) {
        Some(op) if op.def.name == "identity" => {
            vec![Hit::new(scan.name(only), "`identity` makes the only output")]
        }
        _ => Vec::new(),
    }
}

pub(super) fn long_softmax(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    softmax(scan, |length| (length > limits.softmax).then(|| format!("over {length}")))
}

pub(super) fn odd_softmax(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    softmax(scan, |length| (!length.is_power_of_two()).then(|| format!("over {length}")))
}

fn softmax(scan: &Scan<'_>, found: impl Fn(usize) -> Option<String>) -> Vec<Hit> {
    scan.each(&["softmax"], |op| {
        let x = scan.ty(op, "x")?;
        let axis = scan.axis(op, x).unwrap_or(x.shape.rank().saturating_sub(1));
        found(x.shape.dim(axis))
    })
}

pub(super) fn early_chips(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let ops = ["reduce_sum", "rsqrt", "reshape", "transpose", "concat", "pad"];
    scan.each(&ops, |op| Some(format!("`{}`", op.def.name)))
}

pub(super) fn root_broadcast(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["add", "sub", "mul", "real_div"], |op| {
        let out = scan.result(op)?.shape;
        let rooted = ["x", "y"].into_iter().find(|name| {
            let root = scan.maker(op, name).is_some_and(|op| op.def.name == "sqrt");
            root && scan.ty(op, name).is_some_and(|ty| ty.shape != out)
        });
        rooted.map(|name| format!("`{name}` is a `sqrt` that broadcasts"))
    })
}

pub(super) fn attention_mask(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["scaled_dot_product_attention"], |op| {
        op.argument("attn_mask").map(|_| "an `attn_mask`".to_owned())
    })
}

pub(super) fn layer_norm(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["layer_norm"], |op| {
        let [gamma, beta] = ["gamma", "beta"].map(|name| op.argument(name).is_some());
        (gamma != beta).then(|| "one of `gamma` and `beta`".to_owned())
    })
}

pub(super) fn quantised_weights(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let packed = scan.function.operations.iter().filter(|op| op.def.is_constexpr());
    let loose = packed.filter(|op| {
        // Fewer than 8 bits are read packed only; unpacked ones compile and give garbage.
        op.attributes.iter().any(|(_, literal)| literal.ty().dtype == DType::Uint8)
            && op.def.name == "constexpr_affine_dequantize"
    });
    loose.map(|op| Hit::new(scan.function.label(op), "unsigned 8-bit data")).collect()
}

pub(super) fn tables(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["silu", "gelu"], |op| Some(format!("`{}`", op.def.name)))
}

pub(super) fn native_norms(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["l2_norm"], |op| Some(format!("`{}` with an epsilon", op.def.name)))
}

pub(super) fn wrapped_conv(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["conv"], |op| {
        let before = scan.maker(op, "x")?.def.name == "transpose";
        let after = scan.users(*op.results.first()?).any(|user| user.def.name == "transpose");
        (before && after).then(|| "a `conv` between transposes".to_owned())
    })
}

pub(super) fn last_operation(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let outputs = scan.function.outputs.iter();
    let ends = outputs.filter_map(|id| {
        let op = scan.function.origin(*id)?;
        op.def
            .is_elementwise()
            .then(|| Hit::new(scan.name(*id), format!("the output comes from `{}`", op.def.name)))
    });
    ends.collect()
}
