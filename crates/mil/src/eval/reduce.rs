//! Along axes: folds, softmax, running sums.

use super::tensor::{Walk, steps};
use super::{Arithmetic, Frame, Reduce, Tensor};
use crate::infer::reduce::default_axis;
use crate::{DType, Result, Shape};

/// Rows along the given axes of `shape`: for each place of the other axes, the offsets of its row.
fn rows<'a>(shape: &Shape, axes: &[usize]) -> (Vec<usize>, impl Fn(usize) -> Walk + use<'a>) {
    let all = steps(shape);
    let pick = |inside: bool| -> (Vec<usize>, Vec<usize>) {
        (0..shape.rank())
            .filter(|axis| axes.contains(axis) == inside)
            .map(|axis| (shape.dim(axis), all[axis]))
            .unzip()
    };
    let (dims, step) = pick(false);
    let starts = Walk::new(dims, step).collect();
    let (dims, step) = pick(true);
    (starts, move |_| Walk::new(dims.clone(), step.clone()))
}

pub(super) fn reduce(frame: &Frame<'_>, f: Reduce) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let axes = frame.call.axes("axes", x.ty)?;
    let (starts, row) = rows(&x.shape(), &axes);
    let dtype = x.ty.dtype;
    let values = starts.into_iter().map(|start| {
        let row: Vec<f64> = row(start).map(|at| x.values[start + at]).collect();
        fold(frame.arithmetic, f, &row, dtype)
    });
    Ok(vec![frame.rounded(values)])
}

fn fold(arithmetic: &dyn Arithmetic, f: Reduce, row: &[f64], dtype: DType) -> f64 {
    let sum = |map: &dyn Fn(f64) -> f64| arithmetic.sum(&mut row.iter().map(|&v| map(v)), dtype);
    let max = || row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match f {
        Reduce::L1Norm => sum(&f64::abs),
        Reduce::L2Norm => sum(&|v| v * v).sqrt(),
        Reduce::LogSum => sum(&|v| v).ln(),
        Reduce::LogSumExp => {
            // The greatest is taken out, so that nothing overflows.
            let max = max();
            max + sum(&|v| (v - max).exp()).ln()
        }
        Reduce::Max => max(),
        Reduce::Mean => sum(&|v| v) / row.len() as f64,
        Reduce::Min => row.iter().copied().fold(f64::INFINITY, f64::min),
        Reduce::Prod => row.iter().product(),
        Reduce::Sum => sum(&|v| v),
        Reduce::SumSquare => sum(&|v| v * v),
    }
}

/// Softmax of one row, in place: exponentials and their sum stay unrounded, the result is stored.
/// The exponential is no operation of the program, so no arithmetic has a say in it.
pub(super) fn softmax_row(arithmetic: &dyn Arithmetic, row: &mut [f64], dtype: DType) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for v in row.iter_mut() {
        *v = (*v - max).exp();
    }
    let sum = arithmetic.sum(&mut row.iter().copied(), dtype);
    for v in row {
        *v = arithmetic.store(*v / sum, dtype);
    }
}

pub(crate) fn softmax(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    along(frame, |row, dtype| softmax_row(frame.arithmetic, row, dtype))
}

/// Rewrites every row along the operation's axis.
fn along(frame: &Frame<'_>, rewrite: impl Fn(&mut [f64], DType)) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let axis = frame.call.axis("axis", x.ty, default_axis(frame.call.def.name))?;
    let (starts, walk) = rows(&x.shape(), &[axis]);
    let mut values = x.values.clone();
    for start in starts {
        let mut row: Vec<f64> = walk(start).map(|at| x.values[start + at]).collect();
        rewrite(&mut row, x.ty.dtype);
        for (at, value) in walk(start).zip(row) {
            values[start + at] = value;
        }
    }
    Ok(vec![Tensor { ty: frame.result(), values }])
}

pub(crate) fn cumsum(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let exclusive = frame.call.flag("exclusive")?.unwrap_or(false);
    let reverse = frame.call.flag("reverse")?.unwrap_or(false);
    along(frame, |row, dtype| {
        if reverse {
            row.reverse();
        }
        let mut sum = 0.0;
        for v in row.iter_mut() {
            let next = sum + *v;
            *v = frame.arithmetic.store(if exclusive { sum } else { next }, dtype);
            sum = next;
        }
        if reverse {
            row.reverse();
        }
    })
}

pub(crate) fn argmax(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let axis = frame.call.axis("axis", x.ty, -1)?;
    let (starts, row) = rows(&x.shape(), &[axis]);
    let values = starts.into_iter().map(|start| {
        let row = row(start).map(|at| x.values[start + at]).enumerate();
        let best =
            row.fold((0, f64::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best });
        best.0 as f64
    });
    Ok(vec![frame.rounded(values)])
}
