//! Whether a program holds together: names, order, types, outputs.

use std::collections::HashSet;

use crate::infer::infer;
use crate::program::{Function, Operation, Program, ValueId};
use crate::shape::MAX_RANK;
use crate::{Error, Result, Type, is_identifier};

/// Checks a whole program, every function from its first statement to its outputs.
///
/// A program from [`Builder`](crate::Builder), [`text::parse`](crate::text::parse) or
/// [`coreml`](crate::coreml) has passed already; this is for those put together or changed by hand.
///
/// # Errors
///
/// The first fault found: [`Error::Function`] or [`Error::Operation`].
pub fn check(program: &Program) -> Result<()> {
    let mut names = HashSet::new();
    if program.functions.is_empty() {
        return Err(Error::function("main", "the program has no function"));
    }
    for function in &program.functions {
        if !names.insert(&function.name) {
            return Err(Error::function(&function.name, "there are two of that name"));
        }
        check_function(function)?;
    }
    Ok(())
}

fn check_function(function: &Function) -> Result<()> {
    let refuse = |reason: String| Err(Error::function(&function.name, reason));
    if !is_identifier(&function.name) {
        return refuse(format!("`{}` is no name", function.name));
    }
    let mut names = HashSet::new();
    for value in &function.values {
        if !is_identifier(&value.name) {
            return refuse(format!("`{}` is no name for a value", value.name));
        }
        if !names.insert(value.name.as_str()) {
            return refuse(format!("`{}` is defined twice", value.name));
        }
    }
    if function.inputs > function.values.len() {
        return refuse("it counts more inputs than values".into());
    }
    let operations = function.operations.len();
    let strays = |origin: Option<u32>| origin.is_some_and(|at| at as usize >= operations);
    if function.values.iter().any(|value| strays(value.origin)) {
        return refuse("it holds values of operations that it does not have".into());
    }
    for id in function.input_ids() {
        let value = function.value(id);
        input_type(&function.name, &value.name, value.ty)?;
    }
    let mut next = function.inputs;
    for (index, operation) in function.operations.iter().enumerate() {
        let label = label(function, operation, next)?;
        for id in operation.uses() {
            if id.index() >= next {
                return refuse(format!("{} `{label}` uses a later value", operation.def.name));
            }
        }
        for id in &operation.results {
            let origin = function.values.get(id.index()).and_then(|value| value.origin);
            if id.index() != next || origin != Some(index as u32) {
                return refuse(format!("results of `{label}` are not in the order of values"));
            }
            next += 1;
        }
        let declared: Vec<Type> = operation.results.iter().map(|id| function.ty(*id)).collect();
        results(operation, label, &infer(function, operation, label)?, &declared)?;
    }
    if next != function.values.len() {
        return refuse("it holds values that nothing makes".into());
    }
    outputs(function)
}

fn label<'a>(function: &'a Function, operation: &Operation, next: usize) -> Result<&'a str> {
    match function.values.get(next) {
        Some(value) if !operation.results.is_empty() => Ok(&value.name),
        _ => {
            let reason = format!("a {} makes no value", operation.def.name);
            Err(Error::function(&function.name, reason))
        }
    }
}

/// Refuses inputs that no engine and no Core ML takes.
pub(crate) fn input_type(function: &str, name: &str, ty: Type) -> Result<()> {
    if ty.shape.rank() == 0 {
        return Err(Error::function(
            function,
            format!("input `{name}` is a scalar; inputs have rank 1 or more, use [1] (C75)"),
        ));
    }
    if ty.dtype == crate::DType::String || ty.shape.rank() > MAX_RANK {
        return Err(Error::function(
            function,
            format!("input `{name}` is {ty}; expected numbers of rank 1 to {MAX_RANK} (C5)"),
        ));
    }
    Ok(())
}

/// Compares what an operation makes with what the program declares (C19).
pub(crate) fn results(
    operation: &Operation,
    label: &str,
    inferred: &[Type],
    declared: &[Type],
) -> Result<()> {
    let op = operation.def.name;
    let refuse = |reason: String| {
        Err(Error::Operation { op: op.to_owned(), name: label.to_owned(), reason })
    };
    if inferred.len() != declared.len() {
        let (makes, has) = (inferred.len(), declared.len());
        return refuse(format!("makes {makes} results, {has} are declared"));
    }
    for (want, found) in inferred.iter().zip(declared) {
        if want != found {
            return refuse(format!("makes {want}, the statement declares {found}"));
        }
        if want.shape.rank() > MAX_RANK && !operation.def.is_const() {
            let rank = want.shape.rank();
            return refuse(format!(
                "makes a value of rank {rank}, expected at most {MAX_RANK} (C5)"
            ));
        }
    }
    Ok(())
}

/// Each output is a different result of an operation: engines refuse inputs and constants that are
/// passed through, and the same value twice (facts section 4.2).
pub(crate) fn outputs(function: &Function) -> Result<()> {
    let refuse = |reason: String| Err(Error::function(&function.name, reason));
    if function.outputs.is_empty() {
        return refuse("it returns nothing; return at least one value".into());
    }
    let mut seen: HashSet<ValueId> = HashSet::new();
    for id in &function.outputs {
        let Some(value) = function.values.get(id.index()) else {
            return refuse("it returns a value that it does not have".into());
        };
        let name = &value.name;
        if !seen.insert(*id) {
            return refuse(format!("it returns `{name}` twice"));
        }
        match function.origin(*id) {
            None => return refuse(format!("output `{name}` is an input; compute something first")),
            Some(origin) if origin.def.is_const() => {
                return refuse(format!("output `{name}` is a constant; compute something first"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
