//! Pools: one number from each window.

use super::{Frame, Tensor};
use crate::Result;
use crate::infer::window::{Window, pool_windows};

/// One number from each window: `fold` sees the elements inside and the size of the window.
fn pool(frame: &Frame<'_>, fold: impl Fn(&[f64], usize) -> f64) -> Result<Vec<Tensor>> {
    let x = frame.tensor("x")?;
    let windows = pool_windows(&frame.call)?;
    let area: usize = windows.iter().map(|window| window.input).product();
    let places: usize = windows.iter().map(|window| window.output).product();
    let mut values = Vec::with_capacity(frame.result().shape.elements());
    let mut inside = Vec::new();
    for plane in x.values.chunks_exact(area) {
        for place in 0..places {
            inside.clear();
            gather(&windows, place, plane, &mut inside);
            values.push(fold(&inside, windows.iter().map(|window| window.kernel).product()));
        }
    }
    Ok(vec![frame.rounded(values)])
}

/// The elements of a plane that one window covers.
fn gather(windows: &[Window], place: usize, plane: &[f64], inside: &mut Vec<f64>) {
    let mut offsets = vec![0];
    for (axis, window) in windows.iter().enumerate() {
        offsets = offsets
            .into_iter()
            .flat_map(|offset| {
                let along = place_along(place, windows, axis);
                (0..window.kernel)
                    .filter_map(move |k| window.at(along, k))
                    .map(move |at| offset * window.input + at)
            })
            .collect();
    }
    inside.extend(offsets.into_iter().map(|offset| plane[offset]));
}

/// Index along one axis of a flat place of the output.
fn place_along(place: usize, windows: &[Window], axis: usize) -> usize {
    let after: usize = windows[axis + 1..].iter().map(|window| window.output).product();
    place / after % windows[axis].output
}

pub(super) fn average(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let exclude = frame.call.flag("exclude_padding_from_average")?.unwrap_or(false);
    let dtype = frame.result().dtype;
    pool(frame, |inside, size| {
        let count = if exclude { inside.len() } else { size };
        frame.arithmetic.sum(&mut inside.iter().copied(), dtype) / count as f64
    })
}

pub(super) fn maximum(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    pool(frame, |inside, _| inside.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

pub(super) fn l2(frame: &Frame<'_>) -> Result<Vec<Tensor>> {
    let dtype = frame.result().dtype;
    pool(frame, |inside, _| frame.arithmetic.sum(&mut inside.iter().map(|v| v * v), dtype).sqrt())
}
