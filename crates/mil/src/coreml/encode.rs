//! From programs to messages.

use std::collections::BTreeMap;

use super::{message as m, version};
use crate::literal::Data;
use crate::program::{Function, Operand, Operation, Program, ValueId};
use crate::{DType, Error, Literal, Opset, Result, Type};

/// The name under which Core ML looks for a program's only function.
const MAIN: &str = "main";

/// The whole model: program and interface.
pub(super) fn model(program: &Program) -> Result<m::Model> {
    let newest = program.functions.iter().map(|function| function.opset).max();
    let newest = newest.ok_or_else(|| Error::function(MAIN, "the program has no function"))?;
    let mut description = m::ModelDescription::default();
    if let [only] = &program.functions[..]
        && only.name == MAIN
    {
        description.input = features(only, &only.input_ids().collect::<Vec<_>>())?;
        description.output = features(only, &only.outputs)?;
    } else {
        if newest < Opset::Ios18 {
            let reason = "several functions, or one not called `main`, need ios18";
            return Err(Error::function(&program.functions[0].name, reason));
        }
        for function in &program.functions {
            description.functions.push(m::FunctionDescription {
                name: function.name.clone(),
                input: features(function, &function.input_ids().collect::<Vec<_>>())?,
                output: features(function, &function.outputs)?,
            });
        }
        description.default_function_name.clone_from(&program.functions[0].name);
    }
    let functions = program.functions.iter().map(|f| Ok((f.name.clone(), self::function(f)?)));
    let mut attributes = BTreeMap::new();
    if !program.build_info.is_empty() {
        attributes.insert("buildInfo".to_owned(), build_info(&program.build_info)?);
    }
    Ok(m::Model {
        specification_version: version(newest).1,
        description: Some(description),
        ml_program: Some(m::Program {
            version: 1,
            functions: functions.collect::<Result<_>>()?,
            attributes,
        }),
    })
}

/// Inputs or outputs as Core ML's interface declares them.
fn features(function: &Function, ids: &[ValueId]) -> Result<Vec<m::FeatureDescription>> {
    ids.iter()
        .map(|id| {
            let value = function.value(*id);
            // `ArrayFeatureType.ArrayDataType`.
            let data_type = match value.ty.dtype {
                DType::Fp16 if function.opset >= Opset::Ios16 => 65_552,
                DType::Fp32 => 65_568,
                DType::Int32 => 131_104,
                found => {
                    let reason = format!(
                        "`{}` is {found}; Core ML's interface takes fp32, int32, and from ios16 \
                         fp16: cast it inside",
                        value.name
                    );
                    return Err(Error::function(&function.name, reason));
                }
            };
            let shape = value.ty.shape.iter().map(|dim| dim as i64).collect();
            let array = m::ArrayFeatureType { shape, data_type };
            Ok(m::FeatureDescription {
                name: value.name.clone(),
                r#type: Some(m::FeatureType { multi_array_type: Some(array) }),
            })
        })
        .collect()
}

fn function(function: &Function) -> Result<m::Function> {
    let opset = version(function.opset).0.to_owned();
    let named = |id: ValueId| {
        let value = function.value(id);
        m::NamedValueType { name: value.name.clone(), r#type: Some(ty(value.ty)) }
    };
    let operations = function.operations.iter().map(|op| operation(function, op));
    let block = m::Block {
        inputs: Vec::new(),
        outputs: function.outputs.iter().map(|id| function.value(*id).name.clone()).collect(),
        operations: operations.collect::<Result<_>>()?,
    };
    Ok(m::Function {
        inputs: function.input_ids().map(named).collect(),
        opset: opset.clone(),
        block_specializations: BTreeMap::from([(opset, block)]),
    })
}

fn operation(function: &Function, operation: &Operation) -> Result<m::Operation> {
    let mut inputs = BTreeMap::new();
    for (name, argument) in &operation.arguments {
        let bindings = argument.operands().iter().map(|operand| {
            let bound = match operand {
                Operand::Value(id) => m::Bound::Name(function.value(*id).name.clone()),
                Operand::Literal(literal) => m::Bound::Value(value(literal)?),
            };
            Ok(m::Binding { binding: Some(bound) })
        });
        let arguments = bindings.collect::<Result<_>>()?;
        inputs.insert((*name).to_owned(), m::Argument { arguments });
    }
    let mut attributes = BTreeMap::new();
    for (name, literal) in &operation.attributes {
        attributes.insert(name.clone(), value(literal)?);
    }
    let outputs = operation.results.iter().map(|id| {
        let value = function.value(*id);
        m::NamedValueType { name: value.name.clone(), r#type: Some(ty(value.ty)) }
    });
    let outputs = outputs.collect();
    let r#type = operation.def.name.to_owned();
    Ok(m::Operation { r#type, inputs, outputs, blocks: Vec::new(), attributes })
}

fn ty(ty: Type) -> m::ValueType {
    let dimension =
        |dim| m::Dimension { constant: Some(m::ConstantDimension { size: dim as u64 }) };
    m::ValueType {
        r#type: Some(m::TypeOf::Tensor(m::TensorType {
            data_type: ty.dtype.proto(),
            rank: ty.shape.rank() as i64,
            dimensions: ty.shape.iter().map(dimension).collect(),
        })),
    }
}

fn value(literal: &Literal) -> Result<m::Value> {
    let content = match literal.data() {
        Data::Blob(blob) => m::Content::BlobFile(m::BlobFileValue {
            file_name: blob.path.to_string(),
            offset: blob.offset,
        }),
        _ => {
            let tensor = m::TensorValue { value: Some(elements(literal)?) };
            let value = Some(m::Immediate::Tensor(tensor));
            m::Content::Immediate(m::ImmediateValue { value })
        }
    };
    Ok(m::Value { r#type: Some(ty(literal.ty())), value: Some(content) })
}

/// Each element type goes into the list that coremltools reads it from.
fn elements(literal: &Literal) -> Result<m::Elements> {
    let missing = || Error::literal(literal.ty(), "Core ML's protobuf has no place for it");
    let narrow = |values: Vec<i64>| values.into_iter().map(|v| v as i32).collect();
    Ok(match literal.ty().dtype {
        DType::String => {
            let values = literal.strings().ok_or_else(missing)?.to_vec();
            m::Elements::Strings(m::RepeatedStrings { values })
        }
        DType::Bool => {
            let values = literal.booleans().ok_or_else(missing)?;
            m::Elements::Bools(m::RepeatedBools { values })
        }
        DType::Fp32 => {
            let values = literal.floats().ok_or_else(missing)?;
            m::Elements::Floats(m::RepeatedFloats { values })
        }
        DType::Int16 | DType::Uint16 | DType::Int32 => {
            let values = narrow(literal.integers().ok_or_else(missing)?);
            m::Elements::Ints(m::RepeatedInts { values })
        }
        DType::Int64 => {
            let values = literal.integers().ok_or_else(missing)?;
            m::Elements::LongInts(m::RepeatedLongInts { values })
        }
        DType::Uint64 => return Err(missing()),
        _ => {
            let values = literal.bytes().ok_or_else(missing)?.to_vec();
            m::Elements::Bytes(m::RepeatedBytes { values })
        }
    })
}

/// A dictionary of strings.
fn build_info(entries: &[(String, String)]) -> Result<m::Value> {
    let string = || Some(Box::new(ty(Type::scalar(DType::String))));
    let dictionary = m::DictionaryType { key_type: string(), value_type: string() };
    let pair = |(key, text): &(String, String)| {
        let [key, text] = [key, text].map(|text| value(&Literal::string(text)));
        Ok(m::KeyValuePair { key: Some(key?), value: Some(text?) })
    };
    let values = entries.iter().map(pair).collect::<Result<_>>()?;
    let immediate = m::Immediate::Dictionary(m::DictionaryValue { values });
    Ok(m::Value {
        r#type: Some(m::ValueType { r#type: Some(m::TypeOf::Dictionary(Box::new(dictionary))) }),
        value: Some(m::Content::Immediate(m::ImmediateValue { value: Some(immediate) })),
    })
}
