//! The artifact's dictionary: from quantised weights to torch values and back.

use std::collections::HashMap;

use half::f16;

use super::{Artifact, config};
use crate::quantize::{QuantizedState, Scales, Stored};
use crate::torch_file::{Dtype, TorchTensor, Value};
use crate::{Error, Result};

/// What the challenge calls the format.
const FORMAT: &str = "int8_clean_per_row_v1";

/// Items of a torch dictionary.
type Items = Vec<(String, Value)>;

/// The dictionary that holds `artifact`, its keys in the order of the challenge's export.
pub(super) fn from_artifact(artifact: &Artifact) -> Result<Value> {
    let str = |text: &str| Value::Str(text.to_owned());
    let mut quantized = Items::new();
    let mut scale_tensors = Items::new();
    let mut dtypes = Items::new();
    let mut passthrough = Items::new();
    let mut qmeta = Items::new();
    let mut originals = Items::new();
    for (name, stored) in &artifact.state.entries {
        let item = |value| (name.clone(), value);
        match stored {
            Stored::Quantized { shape, ints, scales, dtype } => {
                quantized.push(item(Value::Tensor(TorchTensor::from_i8(shape.clone(), ints))));
                dtypes.push(item(str(dtype.name())));
                scale_tensors.push(item(Value::Tensor(match scales {
                    Scales::PerRow(scales) => TorchTensor::from_f16(vec![scales.len()], scales),
                    Scales::PerTensor(scale) => TorchTensor::from_f32(vec![], &[*scale]),
                })));
                if let Scales::PerRow(_) = scales {
                    let scheme = ("scheme".to_owned(), str("per_row"));
                    qmeta.push(item(Value::Dict(vec![scheme, ("axis".to_owned(), Value::Int(0))])));
                }
            }
            Stored::Passthrough { tensor, original } => {
                passthrough.push(item(Value::Tensor(tensor.clone())));
                if let Some(dtype) = original {
                    originals.push(item(str(dtype.name())));
                }
            }
        }
    }

    let mut dictionary = vec![("__quant_format__".to_owned(), str(FORMAT))];
    for (key, items, optional) in [
        ("quantized", quantized, false),
        ("scales", scale_tensors, false),
        ("dtypes", dtypes, false),
        ("passthrough", passthrough, false),
        ("qmeta", qmeta, true),
        ("passthrough_orig_dtypes", originals, true),
    ] {
        if !(optional && items.is_empty()) {
            dictionary.push((key.to_owned(), Value::Dict(items)));
        }
    }
    if let Some(model_config) = &artifact.model_config {
        dictionary.push(("model_config".to_owned(), config::to_torch(model_config)?));
    }
    Ok(Value::Dict(dictionary))
}

/// The artifact that a dictionary holds.
pub(super) fn to_artifact(value: Value) -> Result<Artifact> {
    let mut dictionary = by_name(items(value, "it")?);
    match dictionary.get("__quant_format__") {
        Some(Value::Str(format)) if format == FORMAT => {}
        Some(Value::Str(format)) => {
            return Err(broken(format!("its format is `{format}`, expected `{FORMAT}`")));
        }
        _ => {
            let reason = format!(
                "it does not state its format, expected `{FORMAT}`; is it a \
                 state dictionary that was not quantised?"
            );
            return Err(broken(reason));
        }
    }
    let mut section = |key: &str, required: bool| match dictionary.remove(key) {
        Some(value) => items(value, &format!("key `{key}`")),
        None if required => Err(broken(format!("key `{key}` is absent"))),
        None => Ok(Items::new()),
    };
    let quantized = section("quantized", true)?;
    let mut scales = by_name(section("scales", true)?);
    let mut dtypes = by_name(section("dtypes", true)?);
    let passthrough = section("passthrough", true)?;
    let mut originals = by_name(section("passthrough_orig_dtypes", false)?);
    let model_config = match dictionary.remove("model_config") {
        Some(Value::Dict(items)) => Some(config::from_torch(items)?),
        Some(other) => {
            let found = other.type_name();
            return Err(broken(format!("key `model_config` is of type {found}, expected dict")));
        }
        None => None,
    };

    let mut entries = Vec::with_capacity(quantized.len() + passthrough.len());
    for (name, value) in quantized {
        let scale = scales.remove(&name);
        let scale = scale.ok_or_else(|| bad_tensor(&name, "has no scales"))?;
        let dtype = dtypes.remove(&name);
        let dtype = dtype.ok_or_else(|| bad_tensor(&name, "has no dtype"))?;
        let dtype = float_dtype(&name, dtype)?;
        let stored = to_quantized(&name, tensor(&name, value)?, tensor(&name, scale)?, dtype)?;
        entries.push((name, stored));
    }
    for (name, value) in passthrough {
        let tensor = tensor(&name, value)?;
        let original = originals.remove(&name);
        let original = original.map(|dtype| float_dtype(&name, dtype)).transpose()?;
        entries.push((name, Stored::Passthrough { tensor, original }));
    }
    refuse_repeats(&entries)?;
    Ok(Artifact { state: QuantizedState { entries }, model_config })
}

/// Checks a quantised tensor against its scales.
fn to_quantized(name: &str, ints: TorchTensor, scale: TorchTensor, dtype: Dtype) -> Result<Stored> {
    if ints.dtype != Dtype::I8 {
        let reason = format!("is {}, expected int8", ints.dtype.name());
        return Err(bad_tensor(name, &reason));
    }
    let values = scale.to_f32().unwrap_or_default();
    let scales = match (scale.dtype, &scale.shape[..], &values[..], &ints.shape[..]) {
        (Dtype::F32, [], &[scale], _) => Scales::PerTensor(scale),
        (Dtype::F16, &[count], _, &[rows, ..]) if count == rows => {
            Scales::PerRow(values.iter().map(|&value| f16::from_f32(value)).collect())
        }
        (dtype, shape, _, tensor) => {
            let reason = format!(
                "has {} scales of shape {shape:?}, expected float16 of shape {:?} or one float32",
                dtype.name(),
                tensor.first().as_slice(),
            );
            return Err(bad_tensor(name, &reason));
        }
    };
    if let Some(row) = values.iter().position(|scale| !scale.is_finite()) {
        let reason = format!("has scale {} in row {row}, expected finite scales", values[row]);
        return Err(bad_tensor(name, &reason));
    }
    let TorchTensor { shape, bytes, .. } = ints;
    let ints = bytemuck::cast_slice(&bytes).to_vec();
    Ok(Stored::Quantized { shape, ints, scales, dtype })
}

fn refuse_repeats(entries: &[(String, Stored)]) -> Result<()> {
    let mut names = std::collections::HashSet::new();
    match entries.iter().find(|(name, _)| !names.insert(name)) {
        Some((name, _)) => Err(Error::TensorTwice { name: name.clone() }),
        None => Ok(()),
    }
}

fn by_name(items: Items) -> HashMap<String, Value> {
    items.into_iter().collect()
}

fn items(value: Value, what: &str) -> Result<Items> {
    match value {
        Value::Dict(items) => Ok(items),
        other => Err(broken(format!("{what} is of type {}, expected dict", other.type_name()))),
    }
}

fn tensor(name: &str, value: Value) -> Result<TorchTensor> {
    match value {
        Value::Tensor(tensor) => Ok(tensor),
        other => {
            Err(bad_tensor(name, &format!("is of type {}, expected tensor", other.type_name())))
        }
    }
}

fn float_dtype(name: &str, value: Value) -> Result<Dtype> {
    let floats = [Dtype::F64, Dtype::F32, Dtype::F16, Dtype::BF16];
    match &value {
        Value::Str(text) => {
            let dtype = Dtype::from_name(text).filter(|dtype| floats.contains(dtype));
            dtype.ok_or_else(|| bad_tensor(name, &format!("was {text}, expected a float type")))
        }
        other => {
            let found = other.type_name();
            Err(bad_tensor(name, &format!("has a dtype of type {found}, expected str")))
        }
    }
}

fn broken(reason: String) -> Error {
    Error::Artifact { reason }
}

fn bad_tensor(name: &str, reason: &str) -> Error {
    Error::ArtifactTensor { name: name.to_owned(), reason: reason.to_owned() }
}
