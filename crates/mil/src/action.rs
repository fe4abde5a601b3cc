//! What an operation asks for, its settings read: for those who execute programs in their own way,
//! and hand what they have no way for to [`eval::operation`](crate::eval::operation).

use crate::blob::Weights;
use crate::eval::{Binary, Compare, Kernel, Reduce, Tensor, Unary};
use crate::infer::{Call, join, reduce, reshape, slice, window};
use crate::program::{Argument, Function, Operand, Operation};
use crate::{Literal, Result};

/// An operation's work. Operands stay with the operation, under the names of its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It names a constant.
    Constant,
    /// The elements of `x`, in their order, in the result's shape.
    View,
    /// Axis `i` of the result is axis `order[i]` of `x`.
    Permute {
        /// A permutation of the axes.
        order: Vec<usize>,
    },
    /// Parts of `x`, one for each result. What it keeps is in each part's ranges; the result has the
    /// shape of those that do not squeeze.
    Slice {
        /// One range for each axis of `x`, for each result.
        parts: Vec<Vec<Range>>,
    },
    /// The `values` one after another along an axis.
    Concat {
        /// Of every operand.
        axis: usize,
        /// Places of the axis are taken from the operands in turn.
        interleave: bool,
    },
    /// A function of `x`.
    Unary {
        /// The function.
        f: Unary,
        /// The operation's alpha, or its epsilon.
        alpha: f64,
        /// The operation's beta.
        beta: f64,
    },
    /// A function of `x` and `y`, broadcast.
    Binary(Binary),
    /// A comparison of `x` and `y`, broadcast.
    Compare(Compare),
    /// `x` folded along axes.
    Reduce {
        /// How.
        f: Reduce,
        /// Sorted; all for none given.
        axes: Vec<usize>,
    },
    /// `x` normalised along an axis.
    Softmax {
        /// Of `x`.
        axis: usize,
    },
    /// Products of the matrices in the last two axes of `x` and `y`, the others broadcast.
    MatMul {
        /// `x` is `[.., K, M]`.
        transpose_x: bool,
        /// `y` is `[.., N, K]`.
        transpose_y: bool,
    },
    /// `x[.., K]` with `weight[N, K]` and, if given, `bias[N]`.
    Linear,
    /// A convolution whose window is one element, without padding: `weight[O, I / groups, 1..]`.
    PointConv {
        /// Groups of channels that do not see each other.
        groups: usize,
    },
    /// A change of element type.
    Cast,
    /// `a` where `cond` holds, else `b`.
    Select,
    /// Anything else.
    Other,
}

/// Places of an axis: `count` of them from `begin` on, `stride` apart, which may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub begin: usize,
    /// From one to the next.
    pub stride: isize,
    /// How many.
    pub count: usize,
    /// Whether the result does without this axis.
    pub squeeze: bool,
}

impl Range {
    /// All of an axis.
    fn whole(dim: usize) -> Self {
        Self { begin: 0, stride: 1, count: dim, squeeze: false }
    }
}

/// Reads an operation.
///
/// # Errors
///
/// Settings that do not fit the operands, and settings in weight files that are not there: nothing
/// that has passed [`check`](crate::check()) with its `weights` at hand.
pub fn action(function: &Function, operation: &Operation, weights: &Weights) -> Result<Action> {
    if operation.def.is_const() {
        return Ok(Action::Constant);
    }
    let call = Call::new(function, operation, function.label(operation))?;
    let number = |name| number(function, operation, name, weights);
    Ok(match operation.def.kernel {
        Kernel::View => Action::View,
        Kernel::Unary(f) => {
            // As coremltools sets it; `None` only where the operation has no epsilon.
            let alpha = number("alpha")?.or(number("epsilon")?);
            let (alpha, beta) = (alpha.unwrap_or(f.default_epsilon()), number("beta")?);
            Action::Unary { f, alpha, beta: beta.unwrap_or(0.0) }
        }
        Kernel::Binary(f) => Action::Binary(f),
        Kernel::Compare(f) => Action::Compare(f),
        Kernel::Reduce(f) => Action::Reduce { f, axes: call.axes("axes", call.ty("x")?)? },
        _ => by_name(&call)?,
    })
}

/// Operations that have no family.
fn by_name(call: &Call<'_>) -> Result<Action> {
    let flag = |name| Ok::<_, crate::Error>(call.flag(name)?.unwrap_or(false));
    Ok(match call.def.name {
        "transpose" => Action::Permute { order: reshape::permutation(call, call.ty("x")?)? },
        "slice_by_size" | "slice_by_index" | "split" | "reverse" => {
            Action::Slice { parts: parts(call)? }
        }
        "concat" => {
            let first = call.list("values")[0];
            let axis = call.axis("axis", first, 0)?;
            Action::Concat { axis, interleave: flag("interleave")? }
        }
        "gelu" => {
            let f = Unary::gelu(call.string("mode")?.unwrap_or("EXACT"));
            f.map_or(Action::Other, |f| Action::Unary { f, alpha: 0.0, beta: 0.0 })
        }
        "softmax" => {
            let axis = call.axis("axis", call.ty("x")?, reduce::default_axis(call.def.name))?;
            Action::Softmax { axis }
        }
        "matmul" => {
            Action::MatMul { transpose_x: flag("transpose_x")?, transpose_y: flag("transpose_y")? }
        }
        "linear" => Action::Linear,
        "conv" => {
            let geometry = window::conv_geometry(call)?;
            let point = geometry
                .windows
                .iter()
                .all(|w| w.kernel == 1 && w.stride == 1 && w.before == 0 && w.after == 0);
            if point { Action::PointConv { groups: geometry.groups } } else { Action::Other }
        }
        "cast" => Action::Cast,
        "select" => Action::Select,
        _ => Action::Other,
    })
}

/// What each result takes of each axis of `x`.
fn parts(call: &Call<'_>) -> Result<Vec<Vec<Range>>> {
    let x = call.ty("x")?;
    let whole = || x.shape.iter().map(Range::whole);
    Ok(match call.def.name {
        "slice_by_size" => {
            let sized = slice::sized(call, x)?.into_iter();
            vec![sized.map(|(begin, count)| Range { begin, ..Range::whole(count) }).collect()]
        }
        "slice_by_index" => {
            let ranges = slice::indexed(call, x)?.into_iter();
            let range = |r: slice::Range| Range {
                begin: r.begin as usize,
                stride: r.stride as isize,
                count: r.count,
                squeeze: r.squeeze,
            };
            vec![ranges.map(range).collect()]
        }
        "reverse" => {
            let axes = call.axes("axes", x)?;
            let turned = |(axis, range): (usize, Range)| {
                if axes.contains(&axis) {
                    Range { begin: range.count - 1, stride: -1, ..range }
                } else {
                    range
                }
            };
            vec![whole().enumerate().map(turned).collect()]
        }
        _ => {
            let axis = call.axis("axis", x, 0)?;
            let mut begin = 0;
            let part = |count| {
                let mut ranges: Vec<Range> = whole().collect();
                ranges[axis] = Range { begin, ..Range::whole(count) };
                begin += count;
                ranges
            };
            join::sizes(call, x.shape.dim(axis))?.into_iter().map(part).collect()
        }
    })
}

/// The first element of a constant operand, if it is given.
fn number(
    function: &Function,
    operation: &Operation,
    name: &str,
    weights: &Weights,
) -> Result<Option<f64>> {
    let operand = match operation.argument(name) {
        Some(Argument::One(operand)) => operand,
        _ => return Ok(None),
    };
    let literal: Option<&Literal> = match operand {
        Operand::Value(id) => function.constant(*id),
        Operand::Literal(literal) => Some(literal),
    };
    let Some(literal) = literal else { return Ok(None) };
    Ok(Tensor::from_literal(weights.resolve(literal)?.as_ref())?.values.first().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Conv, DType, Opset, Slice, Type, Value};

    /// What a one-operation function asks for.
    fn asked(build: impl Fn(&mut Builder, Value) -> Result<Value>) -> Action {
        let mut b = Builder::new("main", Opset::Ios18);
        let x = b.input("x", Type::fp16(&[2, 4, 6]).unwrap()).unwrap();
        let y = build(&mut b, x).unwrap();
        b.output("y", y).unwrap();
        let function = b.finish().unwrap();
        let last = function.operations.last().unwrap();
        action(&function, last, &Weights::new()).unwrap()
    }

    fn range(begin: usize, stride: isize, count: usize, squeeze: bool) -> Range {
        Range { begin, stride, count, squeeze }
    }

    #[test]
    fn settings_are_read_whatever_their_spelling() {
        let whole = |dim| range(0, 1, dim, false);
        assert_eq!(
            asked(|b, x| b.transpose(x, &[-1, 0, 1])),
            Action::Permute { order: vec![2, 0, 1] }
        );
        assert_eq!(
            asked(|b, x| b.slice_by_size(x, &[0, -3, 1], &[-1, 2, 5])),
            Action::Slice {
                parts: vec![vec![whole(2), range(1, 1, 2, false), range(1, 1, 5, false)]]
            }
        );
        assert_eq!(
            asked(|b, x| {
                let slice = Slice { begin: &[1, 3, 0], end: &[2, -4, 6], ..Slice::default() };
                b.slice_by_index(
                    x,
                    Slice { stride: &[1, -2, 3], squeeze_mask: &[true, false, false], ..slice },
                )
            }),
            Action::Slice {
                parts: vec![vec![
                    range(1, 1, 1, true),
                    range(3, -2, 2, false),
                    range(0, 3, 2, false)
                ]]
            }
        );
        assert_eq!(
            asked(|b, x| b.reverse(x, &[1])),
            Action::Slice { parts: vec![vec![whole(2), range(3, -1, 4, false), whole(6)]] }
        );
        let Action::Slice { parts } = asked(|b, x| Ok(b.split(x, &[1, 5], -1)?[1])) else {
            panic!("a split is a slice");
        };
        assert_eq!(parts[0][2], whole(1));
        assert_eq!(parts[1], [whole(2), whole(4), range(1, 1, 5, false)]);
        assert_eq!(
            asked(|b, x| b.concat(&[x, x], -1, true)),
            Action::Concat { axis: 2, interleave: true }
        );
        assert_eq!(
            asked(|b, x| b.clip(x, -0.5, 2.0)),
            Action::Unary { f: Unary::Clip, alpha: -0.5, beta: 2.0 }
        );
        assert_eq!(
            asked(|b, x| b.reduce_mean(x, &[-1, 0])),
            Action::Reduce { f: Reduce::Mean, axes: vec![0, 2] }
        );
        assert_eq!(asked(|b, x| b.softmax(x, -2)), Action::Softmax { axis: 1 });
        assert_eq!(asked(|b, x| b.cast(x, DType::Fp32)), Action::Cast);
    }

    #[test]
    fn only_windows_of_one_element_are_points() {
        let conv = |kernel: usize, options: Conv<'_>| {
            asked(|b, x| {
                let ty = Type::fp16(&[3, 4 / options.groups as usize, kernel]).unwrap();
                let weight = b.floats(ty, &vec![0.5; ty.shape.elements()])?;
                b.conv(x, weight, options)
            })
        };
        assert_eq!(conv(1, Conv::default()), Action::PointConv { groups: 1 });
        assert_eq!(conv(2, Conv::default()), Action::Other);
        assert_eq!(conv(1, Conv { strides: &[2], ..Conv::default() }), Action::Other);
        let padded = Conv { pad_type: "custom", pad: &[1, 0], ..Conv::default() };
        assert_eq!(conv(1, padded), Action::Other);
    }
}
