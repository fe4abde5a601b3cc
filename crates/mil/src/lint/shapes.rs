//! Rules about sizes.

use super::scan::Scan;
use super::{Hit, Limits};
use crate::DType;

/// fp16 elements of a 64-byte row, below which rows are padded.
const ROW: usize = 32;

pub(super) fn axis(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    let values = scan.function.values.iter();
    let long = values.filter_map(|value| {
        let dim = value.ty.shape.iter().find(|&dim| dim > limits.axis)?;
        Some(Hit::new(&value.name, format!("an axis of {dim}, the limit is {}", limits.axis)))
    });
    long.collect()
}

pub(super) fn rank_five_products(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["matmul"], |op| {
        let rank = scan.result(op)?.shape.rank();
        let transposed = ["x", "y"]
            .iter()
            .any(|name| scan.maker(op, name).is_some_and(|op| op.def.name == "transpose"));
        (rank >= 5 && transposed).then(|| format!("a product of rank {rank} of a transpose"))
    })
}

pub(super) fn narrow(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let narrow = scan.interface().filter_map(|id| {
        let ty = scan.function.ty(id);
        let least = if ty.dtype == DType::Fp32 { ROW / 2 } else { ROW };
        let width = ty.shape.width();
        (width < least).then(|| Hit::new(scan.name(id), format!("a width of {width}")))
    });
    narrow.collect()
}

pub(super) fn odd_width(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    let odd = scan.interface().filter_map(|id| {
        let ty = scan.function.ty(id);
        let bytes = ty.shape.width() * ty.dtype.bits() / 8;
        (!bytes.is_multiple_of(64))
            .then(|| Hit::new(scan.name(id), format!("rows of {bytes} bytes")))
    });
    odd.collect()
}

pub(super) fn inner_multiple(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["matmul"], |op| {
        let inner = inner(scan, op)?;
        (!inner.is_multiple_of(ROW)).then(|| format!("an inner dimension of {inner}"))
    })
}

/// The inner dimension of a `matmul`.
pub(super) fn inner(scan: &Scan<'_>, op: &crate::Operation) -> Option<usize> {
    let function = scan.function;
    let x = op.argument("x")?.operands().first()?;
    let shape = function.operand_type(x).shape;
    let flag = op.argument("transpose_x").and_then(|argument| argument.operands().first());
    let transposed = flag.and_then(|flag| function.operand_constant(flag)?.booleans());
    let from_end = if transposed.is_some_and(|flags| flags.first() == Some(&true)) { 2 } else { 1 };
    shape.rank().checked_sub(from_end).map(|axis| shape.dim(axis))
}

pub(super) fn channel_of_one(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["add", "sub", "mul", "real_div", "maximum", "minimum", "pow"], |op| {
        let (x, y) = (scan.ty(op, "x")?.shape, scan.ty(op, "y")?.shape);
        let one = |a: crate::Shape, b: crate::Shape| {
            a.rank() > 1 && a.rank() == b.rank() && a.dim(1) == 1 && b.dim(1) > 1
        };
        // Constants are repeated by the compiler: trainers that add a mask `[1, 1, S, S]` ran on M1 (MD).
        let hit = one(x, y) && scan.is_runtime(op, "x") || one(y, x) && scan.is_runtime(op, "y");
        hit.then(|| format!("{x} with {y}"))
    })
}

pub(super) fn large_elementwise(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const MOST: usize = 16_384;
    scan.each(&[], |op| {
        let elements = scan.result(op)?.shape.elements();
        (op.def.is_elementwise() && elements > MOST).then(|| format!("{elements} elements"))
    })
}

pub(super) fn slice_offsets(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["slice_by_size", "slice_by_index"], |op| {
        let begin = *scan.integers(op, "begin")?.last()?;
        let width = scan.ty(op, "x")?.shape.width() as i64;
        let begin = if begin < 0 { begin + width } else { begin };
        (begin % ROW as i64 != 0).then(|| format!("a slice from column {begin} on"))
    })
}

pub(super) fn wide_slices(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    scan.each(&["slice_by_size", "slice_by_index"], |op| {
        let begin = *scan.integers(op, "begin")?.last()?;
        (begin != 0).then(|| format!("a slice from column {begin} on"))
    })
}

pub(super) fn contraction(scan: &Scan<'_>, limits: &Limits) -> Vec<Hit> {
    scan.each(&["matmul"], |op| {
        let inner = inner(scan, op)?;
        (inner > limits.contraction).then(|| format!("an inner dimension of {inner}"))
    })
}

pub(super) fn wide_model(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const CLIFF: usize = 5_120;
    scan.each(&["matmul", "conv"], |op| {
        let inner = match op.def.name {
            "matmul" => inner(scan, op)?,
            _ => scan.ty(op, "x")?.shape.dim(1),
        };
        (inner >= CLIFF).then(|| format!("{inner} channels are summed"))
    })
}

pub(super) fn public_limits(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    const INNER: usize = 32_768;
    const AXIS: usize = 65_536;
    scan.each(&[], |op| {
        let ty = scan.result(op)?;
        if ty.dtype == DType::Int32 {
            return Some("a result of int32".to_owned());
        }
        if let Some(dim) = ty.shape.iter().find(|&dim| dim > AXIS) {
            return Some(format!("an axis of {dim}"));
        }
        let inner = if op.def.name == "matmul" { inner(scan, op)? } else { 0 };
        (inner > INNER).then(|| format!("an inner dimension of {inner}"))
    })
}

pub(super) fn channel_passes(scan: &Scan<'_>, _: &Limits) -> Vec<Hit> {
    /// Output channels of one pass.
    const PASS: usize = 256;
    scan.each(&["conv"], |op| {
        let outputs = scan.result(op)?.shape.dim(1);
        (outputs > PASS && !outputs.is_multiple_of(PASS))
            .then(|| format!("{outputs} output channels, no multiple of {PASS}"))
    })
}
