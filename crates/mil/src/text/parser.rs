//! Programs from text. Statements are typed as they are read, so that a fault has a place.

use std::collections::HashSet;

use super::cursor::Cursor;
use super::value::{literal_from, read_literal, read_type};
use crate::assembly::Assembly;
use crate::program::{Argument, Function, Operand, Opset, Program, is_identifier};
use crate::{Literal, OpDef, Param, Result, Type};

/// Most operands of one argument; the largest published `concat` has 12.
const MAX_LIST: usize = 4096;

/// Reads a program in either dialect, and checks that it holds together.
///
/// Spacing, the order of arguments and attributes, constants written in place, equal `name`
/// attributes and several results are taken as published programs have them.
///
/// # Errors
///
/// [`Error::Text`](crate::Error::Text) with line, column and the line itself, for the first fault found.
pub fn parse(text: &str) -> Result<Program> {
    let mut cursor = Cursor::new(text);
    cursor.keyword("program")?;
    cursor.expect(b'(')?;
    let at = cursor.place();
    let version = cursor.number();
    if !matches!(version, "1.0" | "1.1" | "1.2" | "1.3") {
        return Err(cursor.error(at, format!("version `{version}`, expected 1.0 to 1.3")));
    }
    cursor.expect(b')')?;
    let mut build_info = Vec::new();
    if cursor.take(b'[') {
        while cursor.peek() != b']' {
            cursor.keyword("buildInfo")?;
            cursor.expect(b'=')?;
            read_dictionary(&mut cursor, &mut build_info)?;
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b']')?;
    }
    cursor.expect(b'{')?;
    let mut functions: Vec<Function> = Vec::new();
    while cursor.peek() != b'}' {
        let at = cursor.place();
        let function = Body::read(&mut cursor)?;
        if functions.iter().any(|other| other.name == function.name) {
            let reason = format!("function `{}` is there already", function.name);
            return Err(cursor.error(at, reason));
        }
        functions.push(function);
    }
    cursor.expect(b'}')?;
    let at = cursor.place();
    if !cursor.is_at_end() {
        return Err(cursor.error(at, "expected the end of the text after the program"));
    }
    if functions.is_empty() {
        return Err(cursor.error(at, "the program has no function"));
    }
    Ok(Program { build_info, functions })
}

/// `dict<string, string>({{"key", "value"}, ...})`.
fn read_dictionary(cursor: &mut Cursor<'_>, out: &mut Vec<(String, String)>) -> Result<()> {
    cursor.keyword("dict")?;
    cursor.expect(b'<')?;
    read_type(cursor)?;
    cursor.expect(b',')?;
    read_type(cursor)?;
    cursor.expect(b'>')?;
    cursor.expect(b'(')?;
    cursor.expect(b'{')?;
    while cursor.take(b'{') {
        let key = cursor.string()?;
        cursor.expect(b',')?;
        let value = cursor.string()?;
        cursor.expect(b'}')?;
        out.push((key, value));
        if !cursor.take(b',') {
            break;
        }
    }
    cursor.expect(b'}')?;
    cursor.expect(b')')
}

/// A function being read.
struct Body {
    function: Assembly,
}

impl Body {
    fn read(cursor: &mut Cursor<'_>) -> Result<Function> {
        cursor.keyword("func")?;
        let at = cursor.place();
        let name = cursor.name("a function's name")?;
        cursor.expect(b'<')?;
        let at_opset = cursor.place();
        let opset = cursor.name("an opset")?;
        let opset = Opset::from_name(opset).ok_or_else(|| {
            cursor.error(at_opset, format!("`{opset}` is no opset; expected ios15 to ios18"))
        })?;
        cursor.expect(b'>')?;
        let function = Assembly::new(name, opset).map_err(|e| cursor.error(at, e.to_string()))?;
        let mut body = Self { function };
        body.inputs(cursor)?;
        cursor.expect(b'{')?;
        while cursor.peek() != b'}' {
            body.statement(cursor)?;
        }
        cursor.expect(b'}')?;
        body.outputs(cursor)
    }

    fn inputs(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        cursor.expect(b'(')?;
        while cursor.peek() != b')' {
            let at = cursor.place();
            let ty = read_type(cursor)?;
            let name = cursor.name("an input's name")?;
            self.function.input(name, ty).map_err(|e| cursor.error(at, e.to_string()))?;
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b')')
    }

    /// `TYPE name, TYPE name = op(argument = value, ...)[attribute = constant, ...];`
    fn statement(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let mut declared: Vec<(&str, Type)> = Vec::new();
        loop {
            let ty = read_type(cursor)?;
            let at = cursor.place();
            let name = cursor.name("a value's name")?;
            if self.function.find(name).is_some() {
                return Err(cursor.error(at, format!("`{name}` is defined twice")));
            }
            declared.push((name, ty));
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b'=')?;
        let at = cursor.place();
        let word = cursor.name("an operation")?;
        let def = OpDef::find(word).ok_or_else(|| {
            cursor.error(at, format!("`{word}` is no operation that is known here"))
        })?;
        let arguments = self.arguments(cursor, def)?;
        let attributes = self.attributes(cursor)?;
        cursor.expect(b';')?;
        self.function
            .push(def, arguments, attributes, &declared)
            .map_err(|error| cursor.error(at, error.to_string()))
    }

    fn arguments(
        &self,
        cursor: &mut Cursor<'_>,
        def: &'static OpDef,
    ) -> Result<Vec<(&'static str, Argument)>> {
        let mut arguments: Vec<(&'static str, Argument)> = Vec::new();
        cursor.expect(b'(')?;
        while cursor.peek() != b')' {
            let at = cursor.place();
            let name = cursor.name("an argument's name")?;
            let param: &'static Param = def.param(name).ok_or_else(|| {
                let known: Vec<_> = def.params.iter().map(|param| param.name).collect();
                let (op, known) = (def.name, known.join(", "));
                cursor.error(at, format!("{op} has no parameter `{name}`; it has {known}"))
            })?;
            if arguments.iter().any(|(other, _)| *other == param.name) {
                return Err(cursor.error(at, format!("`{name}` is given twice")));
            }
            cursor.expect(b'=')?;
            arguments.push((param.name, self.argument(cursor)?));
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b')')?;
        Ok(arguments)
    }

    fn argument(&self, cursor: &mut Cursor<'_>) -> Result<Argument> {
        if !cursor.take(b'(') {
            return Ok(Argument::One(self.operand(cursor)?));
        }
        let at = cursor.place();
        let mut operands = Vec::new();
        while cursor.peek() != b')' {
            operands.push(self.operand(cursor)?);
            if operands.len() > MAX_LIST {
                return Err(cursor.error(at, format!("the list has more than {MAX_LIST} operands")));
            }
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b')')?;
        Ok(Argument::Many(operands))
    }

    /// A value's name, or a constant in place.
    fn operand(&self, cursor: &mut Cursor<'_>) -> Result<Operand> {
        let at = cursor.place();
        let word = cursor.name("a value or a constant")?;
        if let Some(id) = self.function.find(word) {
            return Ok(Operand::Value(id));
        }
        // A type's word is no name, so the two cannot be confused.
        if is_identifier(word) {
            return Err(cursor.error(at, format!("`{word}` is not defined before this")));
        }
        Ok(Operand::Literal(literal_from(cursor, at, word)?))
    }

    fn attributes(&self, cursor: &mut Cursor<'_>) -> Result<Vec<(String, Literal)>> {
        let mut attributes: Vec<(String, Literal)> = Vec::new();
        let mut seen = HashSet::new();
        if !cursor.take(b'[') {
            return Ok(attributes);
        }
        while cursor.peek() != b']' {
            let at = cursor.place();
            let name = cursor.name("an attribute's name")?;
            // Published generators repeat `name`, and nothing reads it.
            if !seen.insert(name) && name != "name" {
                return Err(cursor.error(at, format!("`{name}` is given twice")));
            }
            cursor.expect(b'=')?;
            attributes.push((name.to_owned(), read_literal(cursor)?));
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b']')?;
        Ok(attributes)
    }

    fn outputs(self, cursor: &mut Cursor<'_>) -> Result<Function> {
        cursor.expect(b'-')?;
        cursor.expect(b'>')?;
        let start = cursor.place();
        cursor.expect(b'(')?;
        let mut outputs = Vec::new();
        while cursor.peek() != b')' {
            outputs.push(cursor.name("an output's name")?);
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b')')?;
        cursor.take(b';');
        self.function.finish(&outputs).map_err(|error| cursor.error(start, error.to_string()))
    }
}
