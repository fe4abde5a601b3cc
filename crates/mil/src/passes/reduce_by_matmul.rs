//! Sums as products with ones.

use super::rewrite::{Rewrite, Step};
use crate::program::{Function, Operation};
use crate::{Builder, Literal, MatMul, Result, Shape, Type, Value};

/// Replaces `reduce_sum` and `reduce_mean` over one kept axis by a product with a matrix of ones, or
/// of `1 / n`: engines sum products widely and folds narrowly (facts section 6.1), and refuse some
/// folds over channels (C11).
///
/// The axis must be one of the last two, or the channel of `[1, C, 1, S]`; others stay.
///
/// # Errors
///
/// Those of [`check`](crate::check()), for functions that do not hold together.
pub fn reduce_by_matmul(function: &Function) -> Result<Function> {
    let mut rewrite = Rewrite::new(function)?;
    rewrite.run(|rewrite, operation| {
        let Some((axis, x)) = candidate(rewrite, function, operation)? else {
            return Ok(Step::Keep);
        };
        let mean = operation.def.name == "reduce_mean";
        let sum = product(&mut rewrite.builder, x, axis, mean)?;
        Ok(sum.map_or(Step::Keep, |sum| Step::New(vec![sum])))
    })?;
    rewrite.finish()
}

/// The axis and the operand of a fold that may be replaced.
fn candidate(
    rewrite: &Rewrite<'_>,
    function: &Function,
    operation: &Operation,
) -> Result<Option<(usize, Value)>> {
    if !matches!(operation.def.name, "reduce_sum" | "reduce_mean") {
        return Ok(None);
    }
    let constant = |name: &str| {
        let operand = operation.argument(name)?.operands().first()?;
        function.operand_constant(operand)
    };
    let Some(x) = rewrite.operand(operation, "x")? else { return Ok(None) };
    let kept = constant("keep_dims").and_then(Literal::booleans) == Some(vec![true]);
    let axes = constant("axes").and_then(Literal::integers);
    Ok(match axes.as_deref() {
        Some([axis]) if kept && x.ty().dtype.is_float() => {
            x.shape().axis(*axis).map(|axis| (axis, x))
        }
        _ => None,
    })
}

fn product(b: &mut Builder, x: Value, axis: usize, mean: bool) -> Result<Option<Value>> {
    let (shape, dtype) = (x.shape(), x.ty().dtype);
    let (rank, n) = (shape.rank(), shape.dim(axis));
    let factor = if mean { 1.0 / n as f32 } else { 1.0 };
    let ones = |b: &mut Builder, dims: &[usize]| -> Result<Value> {
        b.floats(Type::new(dtype, Shape::new(dims)?), &vec![factor; n])
    };
    let from_end = rank - axis;
    let lead = vec![1; rank.saturating_sub(2)];
    Ok(match (rank, from_end) {
        (2.., 1) => {
            let ones = ones(b, &[&lead[..], &[n, 1]].concat())?;
            Some(b.matmul(x, ones, MatMul::default())?)
        }
        (2.., 2) => {
            let ones = ones(b, &[&lead[..], &[1, n]].concat())?;
            Some(b.matmul(ones, x, MatMul::default())?)
        }
        // [1, C, 1, S] and [1, 1, C, S] hold the same bytes.
        (4, 3) if shape.dim(2) == 1 => {
            let dims = [shape.dim(0), 1, n, shape.dim(3)].map(|dim| dim as i64);
            let rows = b.reshape(x, &dims)?;
            let ones = ones(b, &[1, 1, 1, n])?;
            Some(b.matmul(ones, rows, MatMul::default())?)
        }
        _ => None,
    })
}
