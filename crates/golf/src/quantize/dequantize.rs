//! Weights from an artifact, as the challenge's loader computes them.

use half::{bf16, f16};
use rayon::prelude::*;

use super::{NamedTensor, QuantizedState, Scales, Stored};
use crate::torch_file::{Dtype, TorchTensor};
use crate::{Error, Result};

impl QuantizedState {
    /// The weights, in order: `int8 * scale` in f32, then rounded to the type that the tensor had
    /// before.
    ///
    /// # Errors
    ///
    /// [`Error::ArtifactTensor`] if a tensor is not of a float type.
    pub fn dequantize(&self) -> Result<Vec<NamedTensor>> {
        let tensor = |(name, stored): &(String, Stored)| {
            let (shape, data) = match stored {
                Stored::Quantized { shape, ints, scales, dtype } => {
                    (shape, cast(multiply(ints, scales), *dtype))
                }
                Stored::Passthrough { tensor, original } => {
                    let data = tensor.to_f32().ok_or_else(|| not_float(name, tensor))?;
                    (&tensor.shape, cast(data, original.unwrap_or(tensor.dtype)))
                }
            };
            Ok(NamedTensor { name: name.clone(), shape: shape.clone(), data })
        };
        self.entries.iter().map(tensor).collect()
    }
}

fn multiply(ints: &[i8], scales: &Scales) -> Vec<f32> {
    let times = |ints: &[i8], scale: f32, out: &mut [f32]| {
        for (value, &int) in out.iter_mut().zip(ints) {
            *value = f32::from(int) * scale;
        }
    };
    let mut data = vec![0.0; ints.len()];
    match scales {
        Scales::PerTensor(scale) => times(ints, *scale, &mut data),
        Scales::PerRow(scales) => {
            // No rows, or rows of nothing: there is nothing to multiply.
            let columns = (ints.len() / scales.len().max(1)).max(1);
            let rows = data.par_chunks_mut(columns).zip(ints.par_chunks(columns)).zip(scales);
            rows.for_each(|((out, ints), scale)| times(ints, scale.to_f32(), out));
        }
    }
    data
}

/// Rounds to the values that `dtype` has.
fn cast(mut data: Vec<f32>, dtype: Dtype) -> Vec<f32> {
    match dtype {
        Dtype::BF16 => data.iter_mut().for_each(|value| *value = bf16::from_f32(*value).to_f32()),
        Dtype::F16 => data.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32()),
        _ => {}
    }
    data
}

fn not_float(name: &str, tensor: &TorchTensor) -> Error {
    let reason = format!("is {}, expected a float type", tensor.dtype.name());
    Error::ArtifactTensor { name: name.to_owned(), reason }
}
