//! From messages to programs. Everything is checked as the text parser checks it.

use super::{message as m, version};
use crate::assembly::Assembly;
use crate::literal::BlobRef;
use crate::program::{Argument, Function, Operand, Opset, Program};
use crate::{DType, Error, Literal, OpDef, Result, Shape, Type};

fn refuse(reason: impl Into<String>) -> Error {
    Error::Protobuf(reason.into())
}

/// The program of a model.
pub(super) fn program(model: &m::Model) -> Result<Program> {
    let program = model
        .ml_program
        .as_ref()
        .ok_or_else(|| refuse("it is a model of another kind; expected an ML program"))?;
    let mut names: Vec<&String> = program.functions.keys().collect();
    // The protobuf keeps functions in a map; their order is that of the interface.
    if let Some(description) = &model.description {
        let place = |name: &String| description.functions.iter().position(|f| f.name == *name);
        names.sort_by_key(|name| place(name));
    }
    let functions = names.into_iter().map(|name| function(name, &program.functions[name]));
    let functions = functions.collect::<Result<Vec<_>>>()?;
    if functions.is_empty() {
        return Err(refuse("the program has no function"));
    }
    let build_info = match program.attributes.get("buildInfo") {
        Some(value) => build_info(value)?,
        None => Vec::new(),
    };
    Ok(Program { build_info, functions })
}

fn function(name: &str, message: &m::Function) -> Result<Function> {
    let opset = Opset::ALL.into_iter().find(|opset| version(*opset).0 == message.opset);
    let opset = opset.ok_or_else(|| {
        refuse(format!("function `{name}` has opset `{}`, expected CoreML5 to 8", message.opset))
    })?;
    let block = message.block_specializations.get(&message.opset).ok_or_else(|| {
        refuse(format!("function `{name}` has no block for its opset {}", message.opset))
    })?;
    let mut assembly = Assembly::new(name, opset)?;
    for input in &message.inputs {
        assembly.input(&input.name, ty(input.r#type.as_ref())?)?;
    }
    for operation in &block.operations {
        self::operation(&mut assembly, operation)?;
    }
    let outputs: Vec<&str> = block.outputs.iter().map(String::as_str).collect();
    assembly.finish(&outputs)
}

fn operation(assembly: &mut Assembly, message: &m::Operation) -> Result<()> {
    let kind = &message.r#type;
    let name = message.outputs.first().map_or("", |output| &output.name);
    let def = OpDef::find(kind)
        .ok_or_else(|| refuse(format!("`{name}` is made by `{kind}`, which is not known here")))?;
    if !message.blocks.is_empty() {
        return Err(refuse(format!(
            "`{name}` ({kind}) has blocks of its own; no such op is known"
        )));
    }
    let mut arguments = Vec::with_capacity(message.inputs.len());
    for (parameter, argument) in &message.inputs {
        let param = def
            .param(parameter)
            .ok_or_else(|| refuse(format!("`{name}`: {kind} has no parameter `{parameter}`")))?;
        let operands = argument.arguments.iter().map(|binding| operand(assembly, name, binding));
        let mut operands = operands.collect::<Result<Vec<_>>>()?;
        let argument = match (param.list, operands.len()) {
            (true, _) => Argument::Many(operands),
            (false, 1) => Argument::One(operands.remove(0)),
            (false, found) => {
                let reason = format!("`{name}`: `{parameter}` has {found} operands, expected one");
                return Err(refuse(reason));
            }
        };
        arguments.push((param.name, argument));
    }
    let attributes = message.attributes.iter().map(|(key, v)| Ok((key.clone(), value(v)?)));
    let attributes = attributes.collect::<Result<Vec<_>>>()?;
    let declared = message.outputs.iter().map(|o| Ok((o.name.as_str(), ty(o.r#type.as_ref())?)));
    let declared = declared.collect::<Result<Vec<_>>>()?;
    assembly.push(def, arguments, attributes, &declared)
}

fn operand(assembly: &Assembly, user: &str, binding: &m::Binding) -> Result<Operand> {
    match &binding.binding {
        Some(m::Bound::Name(name)) => match assembly.find(name) {
            Some(id) => Ok(Operand::Value(id)),
            None => Err(refuse(format!("`{user}` uses `{name}`, which is not defined before it"))),
        },
        Some(m::Bound::Value(v)) => Ok(Operand::Literal(value(v)?)),
        None => Err(refuse(format!("`{user}` has an argument without operand"))),
    }
}

fn ty(message: Option<&m::ValueType>) -> Result<Type> {
    let Some(m::TypeOf::Tensor(tensor)) = message.and_then(|ty| ty.r#type.as_ref()) else {
        return Err(refuse("a value is no tensor; lists, tuples and states are not supported"));
    };
    let code = tensor.data_type;
    let dtype = DType::from_proto(code)
        .ok_or_else(|| refuse(format!("element type {code} is not known here")))?;
    let dims = tensor.dimensions.iter().map(|dimension| {
        let size = dimension.constant.map(|constant| constant.size);
        size.and_then(|size| usize::try_from(size).ok())
            .ok_or_else(|| refuse("a dimension is unknown; shapes must be static (C77)"))
    });
    let dims = dims.collect::<Result<Vec<_>>>()?;
    if tensor.rank != dims.len() as i64 {
        let (rank, found) = (tensor.rank, dims.len());
        return Err(refuse(format!("a type says rank {rank} and has {found} dimensions")));
    }
    Ok(Type::new(dtype, Shape::new(&dims)?))
}

fn value(message: &m::Value) -> Result<Literal> {
    let ty = ty(message.r#type.as_ref())?;
    match &message.value {
        Some(m::Content::BlobFile(blob)) => {
            let path = blob.file_name.as_str().into();
            Literal::from_blob(ty, BlobRef { path, offset: blob.offset })
        }
        Some(m::Content::Immediate(immediate)) => match &immediate.value {
            Some(m::Immediate::Tensor(m::TensorValue { value: Some(values) })) => {
                elements(ty, values)
            }
            _ => Err(refuse(format!("a constant of type {ty} has no elements"))),
        },
        None => Err(refuse(format!("a constant of type {ty} has no value"))),
    }
}

fn elements(ty: Type, values: &m::Elements) -> Result<Literal> {
    match values {
        m::Elements::Floats(floats) => Literal::from_floats(ty, &floats.values),
        m::Elements::Ints(ints) => {
            let wide: Vec<i64> = ints.values.iter().map(|&v| v.into()).collect();
            Literal::from_integers(ty, &wide)
        }
        m::Elements::LongInts(ints) => Literal::from_integers(ty, &ints.values),
        m::Elements::Bools(bools) if ty.dtype == DType::Bool => {
            Literal::from_bytes(ty, bools.values.iter().map(|&v| v.into()).collect())
        }
        m::Elements::Strings(strings) => Literal::from_strings(ty, strings.values.clone()),
        m::Elements::Bytes(bytes) if ty.dtype != DType::Bool => {
            Literal::from_bytes(ty, bytes.values.clone())
        }
        _ => Err(refuse(format!("a constant of type {ty} has elements of another"))),
    }
}

fn build_info(message: &m::Value) -> Result<Vec<(String, String)>> {
    let Some(m::Content::Immediate(m::ImmediateValue {
        value: Some(m::Immediate::Dictionary(dictionary)),
    })) = &message.value
    else {
        return Err(refuse("`buildInfo` is no dictionary"));
    };
    let text = |value: Option<&m::Value>| -> Result<String> {
        let literal = self::value(value.ok_or_else(|| refuse("`buildInfo` has an empty entry"))?)?;
        match literal.strings() {
            Some([text]) => Ok(text.clone()),
            _ => Err(refuse("`buildInfo` holds something else than strings")),
        }
    };
    let pairs = dictionary.values.iter();
    pairs.map(|pair| Ok((text(pair.key.as_ref())?, text(pair.value.as_ref())?))).collect()
}
