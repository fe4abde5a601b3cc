//! Convolutions: each element of the result one [`Arithmetic::dot`](super::Arithmetic::dot) over the
//! window, padding left out.

use super::tensor::steps;
use super::{Frame, Tensor};
use crate::infer::window::{self, Window};
use crate::{Result, Shape};

/// Offsets in the input and in the kernel that meet at one place of the output.
fn meetings(
    windows: &[Window],
    place: &[usize],
    input: &[usize],
    kernel: &[usize],
) -> Vec<(usize, usize)> {
    let mut pairs = vec![(0, 0)];
    for (axis, window) in windows.iter().enumerate() {
        let hits: Vec<(usize, usize)> = (0..window.kernel)
            .filter_map(|k| Some((window.at(place[axis], k)? * input[axis], k * kernel[axis])))
            .collect();
        pairs = pairs
            .into_iter()
            .flat_map(|(x, w)| hits.iter().map(move |(dx, dw)| (x + dx, w + dw)))
            .collect();
    }
    pairs
}

/// Indices along each axis of a flat place.
fn unravel(mut flat: usize, dims: &[usize]) -> Vec<usize> {
    let mut out = vec![0; dims.len()];
    for axis in (0..dims.len()).rev() {
        out[axis] = flat % dims[axis];
        flat /= dims[axis];
    }
    out
}

fn spatial(shape: &Shape) -> Vec<usize> {
    steps(shape).split_off(2)
}

pub(crate) fn conv(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (x, weight) = (frame.tensor("x")?, frame.tensor("weight")?);
    let bias = frame.get("bias")?;
    let geometry = window::conv_geometry(&frame.call)?;
    let (xs, ws, out) = (x.shape(), weight.shape(), frame.result().shape);
    let (x_channel, w_channel) = (steps(&xs)[1], steps(&ws)[1]);
    let (x_batch, w_output) = (steps(&xs)[0], steps(&ws)[0]);
    let inputs = ws.dim(1);
    let per_group = ws.dim(0) / geometry.groups;
    let places: Vec<usize> = out.iter().skip(2).collect();
    let area: usize = places.iter().product();
    let mut values = vec![0.0; out.elements()];
    let (mut x_row, mut w_row) = (Vec::new(), Vec::new());
    for place in 0..area {
        let at = unravel(place, &places);
        let pairs = meetings(&geometry.windows, &at, &spatial(&xs), &spatial(&ws));
        for batch in 0..xs.dim(0) {
            for output in 0..ws.dim(0) {
                let first = batch * x_batch + output / per_group * inputs * x_channel;
                x_row.clear();
                w_row.clear();
                for channel in 0..inputs {
                    for (dx, dw) in &pairs {
                        x_row.push(x.values[first + channel * x_channel + dx]);
                        w_row.push(weight.values[output * w_output + channel * w_channel + dw]);
                    }
                }
                let start = bias.map_or(0.0, |bias| bias.values[output]);
                values[(batch * ws.dim(0) + output) * area + place] =
                    frame.arithmetic.dot(start, &x_row, &w_row, x.ty.dtype);
            }
        }
    }
    Ok(vec![frame.rounded(values)])
}

pub(crate) fn conv_transpose(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let (x, weight) = (frame.tensor("x")?, frame.tensor("weight")?);
    let bias = frame.get("bias")?;
    let geometry = window::transpose_geometry(&frame.call)?;
    let (xs, ws, out) = (x.shape(), weight.shape(), frame.result().shape);
    let (per_group, outputs) = (ws.dim(1), out.dim(1));
    let inputs = xs.dim(1) / geometry.groups;
    let in_dims: Vec<usize> = xs.iter().skip(2).collect();
    let k_dims: Vec<usize> = ws.iter().skip(2).collect();
    let out_dims: Vec<usize> = out.iter().skip(2).collect();
    let (in_area, k_area, area) =
        (in_dims.iter().product::<usize>(), k_dims.iter().product(), out_dims.iter().product());
    // Which pairs of an input's place and a kernel's place reach each place of the output.
    let mut reach: Vec<Vec<(usize, usize)>> = vec![Vec::new(); area];
    for place in 0..in_area {
        let at = unravel(place, &in_dims);
        for k in 0..k_area {
            let tap = unravel(k, &k_dims);
            let target = geometry.windows.iter().enumerate().try_fold(0, |flat, (axis, w)| {
                let padded = at[axis] * w.stride + tap[axis] * w.dilation;
                let inside = padded.checked_sub(w.before).filter(|&to| to < w.output)?;
                Some(flat * out_dims[axis] + inside)
            });
            if let Some(target) = target {
                reach[target].push((place, k));
            }
        }
    }
    let mut values = Vec::with_capacity(out.elements());
    let (mut x_row, mut w_row) = (Vec::new(), Vec::new());
    for batch in 0..xs.dim(0) {
        for output in 0..outputs {
            let first = output / per_group * inputs;
            for pairs in &reach {
                x_row.clear();
                w_row.clear();
                for channel in first..first + inputs {
                    for (place, k) in pairs {
                        x_row.push(x.values[(batch * xs.dim(1) + channel) * in_area + place]);
                        let row = channel * per_group + output % per_group;
                        w_row.push(weight.values[row * k_area + k]);
                    }
                }
                let start = bias.map_or(0.0, |bias| bias.values[output]);
                values.push(frame.arithmetic.dot(start, &x_row, &w_row, x.ty.dtype));
            }
        }
    }
    Ok(vec![frame.rounded(values)])
}
