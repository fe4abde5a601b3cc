//! The model configuration in an artifact, between JSON and torch values.

use serde_json::{Map, Value as Json};

use crate::torch_file::Value;
use crate::{Error, Result};

/// The dictionary that holds `config`.
pub(super) fn to_torch(config: &Map<String, Json>) -> Result<Value> {
    let pair = |(key, value): (&String, &Json)| Ok((key.clone(), value_to_torch(value)?));
    Ok(Value::Dict(config.iter().map(pair).collect::<Result<_>>()?))
}

/// What [`to_torch`] made a dictionary of.
pub(super) fn from_torch(items: Vec<(String, Value)>) -> Result<Map<String, Json>> {
    items.into_iter().map(|(key, value)| Ok((key, value_from_torch(value)?))).collect()
}

fn value_to_torch(value: &Json) -> Result<Value> {
    Ok(match value {
        Json::Null => Value::None,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(float)) if !number.is_u64() => Value::Float(float),
            _ => {
                let reason = format!("its configuration holds {number}, expected at most 2^63 - 1");
                return Err(Error::Artifact { reason });
            }
        },
        Json::String(text) => Value::Str(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value_to_torch).collect::<Result<_>>()?),
        Json::Object(items) => to_torch(items)?,
    })
}

fn value_from_torch(value: Value) -> Result<Json> {
    Ok(match value {
        Value::None => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Int(value) => value.into(),
        Value::Float(value) => {
            let number = serde_json::Number::from_f64(value);
            Json::Number(number.ok_or_else(|| Error::Artifact {
                reason: format!("its configuration holds {value}, expected finite numbers"),
            })?)
        }
        Value::Str(text) => Json::String(text),
        Value::List(items) | Value::Tuple(items) => {
            Json::Array(items.into_iter().map(value_from_torch).collect::<Result<_>>()?)
        }
        Value::Dict(items) => Json::Object(from_torch(items)?),
        Value::Tensor(_) => {
            let reason = "its configuration holds a tensor, expected plain values".into();
            return Err(Error::Artifact { reason });
        }
    })
}
