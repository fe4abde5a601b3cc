//! Int8 weights with one scale a row: the challenge's export, value for value, and a finer variant
//! that the same loader reads.
//!
//! Tensors of at most 65,536 elements pass through as fp16, or as fp32 if their name marks them as
//! control tensors. Larger matrices become int8 with an fp16 scale a row; larger tensors of other
//! ranks int8 with one fp32 scale. A weight is read back as `int8 * scale`.

use std::collections::HashSet;

use half::f16;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::torch_file::{Dtype, TorchTensor};
use crate::{Error, Result};

mod dequantize;
mod per_row;
mod reference;

/// Largest tensor, in elements, that is not quantised.
pub const MAX_PASSTHROUGH: usize = 65_536;

/// Parts of names whose small tensors stay fp32.
pub const CONTROL_PATTERNS: [&str; 9] = [
    "attn_scale",
    "attn_scales",
    "mlp_scale",
    "mlp_scales",
    "resid_mix",
    "resid_mixes",
    "q_gain",
    "skip_weight",
    "skip_weights",
];

/// Largest int8 that is used; -128 is not, so that the range is symmetric.
const MAX_INT: f32 = 127.0;

/// How clips and scales are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuantScheme {
    /// The challenge's export, bit for bit: a row is clipped at a quantile of its magnitudes, and
    /// no step is finer than 1/127, which leaves rows below 1 with few levels.
    Reference,
    /// A row spans its own largest magnitude, and weights are rounded against the scale that is
    /// stored.
    #[default]
    PerRow,
}

/// A float32 tensor with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor {
    /// Name in the state dictionary.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements in row-major order.
    pub data: Vec<f32>,
}

/// A [`NamedTensor`] that lies elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    /// Name in the state dictionary.
    pub name: &'a str,
    /// Sizes, outermost first.
    pub shape: &'a [usize],
    /// Elements in row-major order.
    pub data: &'a [f32],
}

impl NamedTensor {
    /// The same tensor, borrowed.
    #[must_use]
    pub fn view(&self) -> TensorView<'_> {
        TensorView { name: &self.name, shape: &self.shape, data: &self.data }
    }
}

/// The scales of a quantised tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// One for each index of the first dimension.
    PerRow(Vec<f16>),
    /// One for all.
    PerTensor(f32),
}

/// A tensor as the artifact holds it.
#[derive(Debug, Clone, PartialEq)]
pub enum Stored {
    /// Int8 and scales.
    Quantized {
        /// Sizes, outermost first.
        shape: Vec<usize>,
        /// Elements in row-major order.
        ints: Vec<i8>,
        /// What they are multiplied by.
        scales: Scales,
        /// The type that the tensor had.
        dtype: Dtype,
    },
    /// Kept as it is, or as fp16.
    Passthrough {
        /// The tensor.
        tensor: TorchTensor,
        /// The type that it had, where `tensor` has another.
        original: Option<Dtype>,
    },
}

/// A quantised state dictionary: names and tensors in order.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedState {
    pub(crate) entries: Vec<(String, Stored)>,
}

impl QuantizedState {
    /// Names and tensors in order.
    #[must_use]
    pub fn entries(&self) -> &[(String, Stored)] {
        &self.entries
    }

    /// Bytes of all stored tensors: the log's `payload`.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        let bytes = |stored: &Stored| match stored {
            Stored::Quantized { ints, scales: Scales::PerRow(scales), .. } => {
                ints.len() + size_of::<f16>() * scales.len()
            }
            Stored::Quantized { ints, scales: Scales::PerTensor(_), .. } => {
                ints.len() + size_of::<f32>()
            }
            Stored::Passthrough { tensor, .. } => tensor.bytes.len(),
        };
        self.entries.iter().map(|(_, stored)| bytes(stored)).sum()
    }

    /// Bytes of all tensors before quantisation: the numerator of the log's `payload_ratio`.
    #[must_use]
    pub fn baseline_bytes(&self) -> usize {
        let bytes = |stored: &Stored| match stored {
            Stored::Quantized { ints, dtype, .. } => ints.len() * dtype.size(),
            Stored::Passthrough { tensor, original } => {
                let size = original.unwrap_or(tensor.dtype).size();
                tensor.bytes.len() / tensor.dtype.size() * size
            }
        };
        self.entries.iter().map(|(_, stored)| bytes(stored)).sum()
    }
}

/// Quantises a state dictionary, in order.
///
/// # Errors
///
/// [`Error::TensorShape`] if a shape does not go with its data, [`Error::TensorTwice`] if a name
/// repeats, [`Error::WeightRange`] for a weight that is not finite or that fp16, as a scale or as
/// itself, cannot hold.
pub fn quantize(tensors: &[TensorView<'_>], scheme: QuantScheme) -> Result<QuantizedState> {
    let mut names = HashSet::new();
    let mut entries = Vec::with_capacity(tensors.len());
    for tensor in tensors {
        let TensorView { name, shape, data } = *tensor;
        if element_count(shape) != Some(data.len()) {
            let (name, shape, elements) = (name.to_owned(), shape.to_vec(), data.len());
            return Err(Error::TensorShape { name, shape, elements });
        }
        if !names.insert(name) {
            return Err(Error::TensorTwice { name: name.to_owned() });
        }
        refuse_where(tensor, "int8", |value| !value.is_finite())?;
        let stored = match data.len() > MAX_PASSTHROUGH {
            true => quantized(tensor, scheme)?,
            false => passthrough(tensor)?,
        };
        entries.push((name.to_owned(), stored));
    }
    Ok(QuantizedState { entries })
}

/// How the elements of a row, or of a whole tensor, become int8.
struct Step {
    /// Magnitudes above this are cut off.
    clip: f32,
    /// What elements are divided by.
    divisor: f32,
    /// What the artifact holds.
    scale: f16,
}

fn quantized(tensor: &TensorView<'_>, scheme: QuantScheme) -> Result<Stored> {
    let TensorView { shape, data, .. } = *tensor;
    let mut ints = vec![0; data.len()];
    let scales = if let [_, columns] = *shape {
        let step: fn(&[f32]) -> Step = match scheme {
            QuantScheme::Reference => reference::row_step,
            QuantScheme::PerRow => per_row::row_step,
        };
        // Rows do not touch each other, so the number of threads changes nothing.
        let rows = data.par_chunks(columns).zip(ints.par_chunks_mut(columns));
        let scales: Vec<f16> = rows
            .map(|(row, ints)| {
                let step = step(row);
                round_to_ints(row, step.clip, step.divisor, ints);
                step.scale
            })
            .collect();
        if let Some(row) = scales.iter().position(|scale| !scale.is_finite()) {
            let range = row * columns..(row + 1) * columns;
            let (index, value) = largest(&data[range], row * columns);
            return Err(weight_range(tensor, index, value, "an fp16 scale"));
        }
        Scales::PerRow(scales)
    } else {
        let clip = match scheme {
            QuantScheme::Reference => reference::clip(data),
            QuantScheme::PerRow => per_row::clip(data),
        };
        let scale = if clip > 0.0 { (f64::from(clip) / f64::from(MAX_INT)) as f32 } else { 1.0 };
        data.par_chunks(1 << 16).zip(ints.par_chunks_mut(1 << 16)).for_each(|(data, ints)| {
            round_to_ints(data, clip, scale, ints);
        });
        Scales::PerTensor(scale)
    };
    Ok(Stored::Quantized { shape: shape.to_vec(), ints, scales, dtype: Dtype::F32 })
}

/// `round(clamp(weight, clip) / divisor)`, ties to even, within +-127.
fn round_to_ints(weights: &[f32], clip: f32, divisor: f32, ints: &mut [i8]) {
    for (int, weight) in ints.iter_mut().zip(weights) {
        let steps = (weight.clamp(-clip, clip) / divisor).round_ties_even();
        *int = steps.clamp(-MAX_INT, MAX_INT) as i8;
    }
}

fn passthrough(tensor: &TensorView<'_>) -> Result<Stored> {
    let TensorView { name, shape, data } = *tensor;
    if CONTROL_PATTERNS.iter().any(|pattern| name.contains(pattern)) {
        let tensor = TorchTensor::from_f32(shape.to_vec(), data);
        return Ok(Stored::Passthrough { tensor, original: None });
    }
    refuse_where(tensor, "fp16", |value| !f16::from_f32(value).is_finite())?;
    let halves: Vec<f16> = data.iter().map(|&value| f16::from_f32(value)).collect();
    let tensor = TorchTensor::from_f16(shape.to_vec(), &halves);
    Ok(Stored::Passthrough { tensor, original: Some(Dtype::F32) })
}

/// Refuses the first element for which `bad` holds.
fn refuse_where(
    tensor: &TensorView<'_>,
    format: &'static str,
    bad: impl Fn(f32) -> bool,
) -> Result<()> {
    match tensor.data.iter().position(|&value| bad(value)) {
        Some(index) => Err(weight_range(tensor, index, tensor.data[index], format)),
        None => Ok(()),
    }
}

fn weight_range(tensor: &TensorView<'_>, index: usize, value: f32, format: &'static str) -> Error {
    Error::WeightRange { name: tensor.name.to_owned(), index, value, format }
}

/// The element of largest magnitude and its index, counted from `first`.
fn largest(data: &[f32], first: usize) -> (usize, f32) {
    let indexed = data.iter().enumerate().map(|(index, &value)| (first + index, value));
    indexed.fold((first, 0.0), |best, next| if next.1.abs() > best.1.abs() { next } else { best })
}

/// The product of a shape; `None` if it overflows.
fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
}

#[cfg(test)]
mod tests;
