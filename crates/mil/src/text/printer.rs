//! Programs as text.

use std::fmt::Write;

use half::f16;

use super::{Dialect, number};
use crate::literal::Data;
use crate::program::{Argument, Function, Operand, Operation, Program};
use crate::{DType, Literal, Type};

/// Writes a program. Reading the text gives the program back, whatever the dialect.
#[must_use]
pub fn print(program: &Program, dialect: Dialect) -> String {
    let mut printer = Printer { out: String::with_capacity(1 << 16), dialect };
    printer.program(program);
    printer.out
}

/// Writing to a `String` cannot fail, so results of `write!` are let go.
struct Printer {
    out: String,
    dialect: Dialect,
}

impl Printer {
    fn program(&mut self, program: &Program) {
        let _ = writeln!(self.out, "program({})", self.dialect.version());
        if !program.build_info.is_empty() {
            self.out.push_str("[buildInfo = dict<");
            self.ty(Type::scalar(DType::String));
            self.out.push_str(", ");
            self.ty(Type::scalar(DType::String));
            self.out.push_str(">({");
            for (i, (key, value)) in program.build_info.iter().enumerate() {
                self.separate(i);
                self.out.push('{');
                self.string(key);
                self.out.push_str(", ");
                self.string(value);
                self.out.push('}');
            }
            self.out.push_str("})]\n");
        }
        self.out.push_str("{\n");
        for function in &program.functions {
            self.function(function);
        }
        self.out.push_str("}\n");
    }

    fn function(&mut self, function: &Function) {
        let _ = write!(self.out, "    func {}<{}>(", function.name, function.opset);
        for (i, id) in function.input_ids().enumerate() {
            self.separate(i);
            let value = function.value(id);
            self.ty(value.ty);
            let _ = write!(self.out, " {}", value.name);
        }
        self.out.push_str(") {\n");
        for operation in &function.operations {
            self.operation(function, operation);
        }
        self.out.push_str("    } -> (");
        for (i, id) in function.outputs.iter().enumerate() {
            self.separate(i);
            self.out.push_str(&function.value(*id).name);
        }
        self.out.push_str(");\n");
    }

    fn operation(&mut self, function: &Function, operation: &Operation) {
        self.out.push_str("        ");
        for (i, id) in operation.results.iter().enumerate() {
            self.separate(i);
            let value = function.value(*id);
            self.ty(value.ty);
            self.out.push(' ');
            self.out.push_str(&value.name);
        }
        self.out.push_str(" = ");
        self.out.push_str(operation.def.name);
        self.out.push('(');
        for (i, (name, argument)) in operation.arguments.iter().enumerate() {
            self.separate(i);
            self.out.push_str(name);
            self.out.push_str(" = ");
            match argument {
                Argument::One(operand) => self.operand(function, operand),
                Argument::Many(operands) => {
                    self.out.push('(');
                    for (i, operand) in operands.iter().enumerate() {
                        self.separate(i);
                        self.operand(function, operand);
                    }
                    self.out.push(')');
                }
            }
        }
        self.out.push(')');
        if !operation.attributes.is_empty() {
            self.out.push('[');
            for (i, (name, literal)) in operation.attributes.iter().enumerate() {
                self.separate(i);
                self.out.push_str(name);
                self.out.push_str(" = ");
                self.literal(literal);
            }
            self.out.push(']');
        }
        self.out.push_str(";\n");
    }

    fn operand(&mut self, function: &Function, operand: &Operand) {
        match operand {
            Operand::Value(id) => self.out.push_str(&function.value(*id).name),
            Operand::Literal(literal) => self.literal(literal),
        }
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.out.push_str(", ");
        }
    }

    fn ty(&mut self, ty: Type) {
        if ty.shape.rank() == 0 && self.dialect == Dialect::Modern {
            self.out.push_str(ty.dtype.name());
        } else {
            let _ = write!(self.out, "tensor<{}, {}>", ty.dtype.name(), ty.shape);
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\t' => self.out.push_str("\\t"),
                '\r' => self.out.push_str("\\r"),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn literal(&mut self, literal: &Literal) {
        let ty = literal.ty();
        self.ty(ty);
        self.out.push('(');
        if let Data::Blob(blob) = literal.data() {
            self.out.push_str("BLOBFILE(path = ");
            self.ty(Type::scalar(DType::String));
            self.out.push('(');
            self.string(&blob.path);
            self.out.push_str("), offset = ");
            self.ty(Type::scalar(DType::Uint64));
            let _ = write!(self.out, "({}))", blob.offset);
        } else {
            self.elements(literal);
        }
        self.out.push(')');
    }

    /// One value, or lists nested as the shape.
    fn elements(&mut self, literal: &Literal) {
        let shape = literal.ty().shape;
        let dims = shape.dims();
        for flat in 0..shape.elements() {
            // Rows that start and end here, for each axis from the innermost.
            let mut block = 1;
            let starts = dims.iter().rev().take_while(|&&dim| {
                block *= dim;
                flat % block == 0
            });
            let starts = starts.count();
            self.separate(flat);
            self.out.extend(std::iter::repeat_n('[', starts));
            self.element(literal, flat);
            let mut block = 1;
            let ends = dims.iter().rev().take_while(|&&dim| {
                block *= dim;
                (flat + 1) % block == 0
            });
            let ends = ends.count();
            self.out.extend(std::iter::repeat_n(']', ends));
        }
    }

    fn element(&mut self, literal: &Literal, index: usize) {
        if let Some(strings) = literal.strings() {
            self.string(&strings[index]);
            return;
        }
        let Some(bytes) = literal.bytes() else { return };
        match literal.ty().dtype {
            DType::Bool => self.out.push_str(if bytes[index] == 1 { "true" } else { "false" }),
            DType::Fp16 => {
                let value = f16::from_le_bytes(bytes.as_chunks().0[index]);
                number::write_float(&mut self.out, value.to_f64());
            }
            DType::Fp32 => {
                let value = f32::from_le_bytes(bytes.as_chunks().0[index]);
                number::write_float(&mut self.out, value.into());
            }
            _ => {
                let _ = write!(self.out, "{}", literal.integer_at(index));
            }
        }
    }
}
