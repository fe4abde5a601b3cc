//! Programs: functions of single-assignment operations over typed values.

use std::fmt;

use crate::op::OpDef;
use crate::{DType, Literal, Type};

/// A set of operations that an OS release brought; later ones hold the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the releases' names
pub enum Opset {
    Ios15,
    Ios16,
    Ios17,
    Ios18,
}

impl Opset {
    /// All, oldest first.
    pub const ALL: [Self; 4] = [Self::Ios15, Self::Ios16, Self::Ios17, Self::Ios18];

    /// As MIL text spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["ios15", "ios16", "ios17", "ios18"][self as usize]
    }

    /// The opset that MIL text spells so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|opset| opset.name() == name)
    }
}

impl fmt::Display for Opset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Functions, and what made them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Names and values of the `buildInfo` dictionary, in order.
    pub build_info: Vec<(String, String)>,
    /// In order; names differ.
    pub functions: Vec<Function>,
}

impl Program {
    /// A program of `functions` that says what made it.
    ///
    /// Apple's compiler looks for its own component's versions in the build information; these are
    /// the ones of published programs that compile from macOS 15 on (facts section 4.1).
    #[must_use]
    pub fn new(functions: Vec<Function>) -> Self {
        let build_info = [
            ("coremlc-component-MIL", "3510.2.1"),
            ("coremlc-version", "3505.4.1"),
            ("coremltools-component-milinternal", ""),
            ("coremltools-version", "9.0"),
        ];
        let build_info = build_info.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        Self { build_info, functions }
    }

    /// The function of that name.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// Operations of all functions.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.functions.iter().map(|function| function.operations.len()).sum()
    }
}

/// A function: typed inputs, operations in order, named outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// `main`, most often.
    pub name: String,
    /// The operations it may use.
    pub opset: Opset,
    /// Every value: inputs first, then the operations' results in order.
    pub values: Vec<ValueInfo>,
    /// How many of `values` are inputs.
    pub inputs: usize,
    /// In order; each uses only inputs and results of those before it.
    pub operations: Vec<Operation>,
    /// What it returns, in the order written. The engine binds by sorted name instead (C24).
    pub outputs: Vec<ValueId>,
}

/// A value of a function, as index into [`Function::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(crate) u32);

impl ValueId {
    /// The index.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Unique in the function.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The operation that makes it; `None` for an input.
    pub(crate) origin: Option<u32>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What it does.
    pub def: &'static OpDef,
    /// By parameter, in the order written.
    pub arguments: Vec<(&'static str, Argument)>,
    /// In the order written: `name`, a constant's `val`, parameters of the older `constexpr_` ops.
    pub attributes: Vec<(String, Literal)>,
    /// What it makes.
    pub results: Vec<ValueId>,
}

impl Eq for Operation {}

/// What a parameter is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A value or a constant.
    One(Operand),
    /// A list of them, for `concat`, `stack` and `einsum`.
    Many(Vec<Operand>),
}

impl Argument {
    /// The operands, one or several.
    #[must_use]
    pub fn operands(&self) -> &[Operand] {
        match self {
            Self::One(operand) => std::slice::from_ref(operand),
            Self::Many(operands) => operands,
        }
    }

    pub(crate) fn operands_mut(&mut self) -> &mut [Operand] {
        match self {
            Self::One(operand) => std::slice::from_mut(operand),
            Self::Many(operands) => operands,
        }
    }
}

/// A value, or a constant written in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    /// A value defined earlier.
    Value(ValueId),
    /// A constant.
    Literal(Literal),
}

impl Operation {
    /// What a parameter is given.
    #[must_use]
    pub fn argument(&self, parameter: &str) -> Option<&Argument> {
        self.arguments.iter().find(|(name, _)| *name == parameter).map(|(_, argument)| argument)
    }

    /// An attribute's value.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Literal> {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, literal)| literal)
    }

    /// The value of a `const`.
    #[must_use]
    pub fn constant(&self) -> Option<&Literal> {
        if self.def.is_const() { self.attribute("val") } else { None }
    }

    /// Every operand of every argument.
    pub fn operands(&self) -> impl Iterator<Item = &Operand> {
        self.arguments.iter().flat_map(|(_, argument)| argument.operands())
    }

    /// Every constant that it holds: attributes, and literals in place of operands.
    pub fn literals(&self) -> impl Iterator<Item = &Literal> {
        let in_place = self.operands().filter_map(|operand| match operand {
            Operand::Value(_) => None,
            Operand::Literal(literal) => Some(literal),
        });
        self.attributes.iter().map(|(_, literal)| literal).chain(in_place)
    }

    /// Every value that it uses.
    pub fn uses(&self) -> impl Iterator<Item = ValueId> + '_ {
        self.operands().filter_map(|operand| match operand {
            Operand::Value(id) => Some(*id),
            Operand::Literal(_) => None,
        })
    }
}

impl Function {
    /// The inputs, in the order written.
    pub fn input_ids(&self) -> impl Iterator<Item = ValueId> + use<> {
        (0..self.inputs as u32).map(ValueId)
    }

    /// What is known of a value.
    #[must_use]
    pub fn value(&self, id: ValueId) -> &ValueInfo {
        &self.values[id.index()]
    }

    /// The type of a value.
    #[must_use]
    pub fn ty(&self, id: ValueId) -> Type {
        self.value(id).ty
    }

    /// The operation that makes a value; `None` for an input.
    #[must_use]
    pub fn origin(&self, id: ValueId) -> Option<&Operation> {
        self.value(id).origin.map(|index| &self.operations[index as usize])
    }

    /// The constant that a value is.
    #[must_use]
    pub fn constant(&self, id: ValueId) -> Option<&Literal> {
        self.origin(id)?.constant()
    }

    /// The constant that an operand is, named or in place.
    #[must_use]
    pub fn operand_constant<'a>(&'a self, operand: &'a Operand) -> Option<&'a Literal> {
        match operand {
            Operand::Value(id) => self.constant(*id),
            Operand::Literal(literal) => Some(literal),
        }
    }

    /// The type of an operand.
    #[must_use]
    pub fn operand_type(&self, operand: &Operand) -> Type {
        match operand {
            Operand::Value(id) => self.ty(*id),
            Operand::Literal(literal) => literal.ty(),
        }
    }

    /// The name of an operation's first result, by which messages know it.
    #[must_use]
    pub fn label(&self, operation: &Operation) -> &str {
        operation.results.first().map_or("", |id| &self.value(*id).name)
    }

    /// The inputs as the engine binds them: sorted by name (C24).
    #[must_use]
    pub fn bound_inputs(&self) -> Vec<ValueId> {
        let mut ids: Vec<_> = self.input_ids().collect();
        ids.sort_by(|a, b| self.value(*a).name.cmp(&self.value(*b).name));
        ids
    }

    /// The outputs as the engine binds them: sorted by name with the suffix that the compiler
    /// appends, so that `y2` comes before `y` (C24).
    #[must_use]
    pub fn bound_outputs(&self) -> Vec<ValueId> {
        let mut ids = self.outputs.clone();
        ids.sort_by_key(|id| format!("{}@output", self.value(*id).name));
        ids
    }

    /// How often each value is used by an operation or returned.
    #[must_use]
    pub fn use_counts(&self) -> Vec<u32> {
        let mut counts = vec![0; self.values.len()];
        let uses = self.operations.iter().flat_map(Operation::uses);
        for id in uses.chain(self.outputs.iter().copied()) {
            counts[id.index()] += 1;
        }
        counts
    }
}

/// The name that the `name` attribute or an automatic name starts from: letters, digits and
/// underscores, not starting with a digit.
#[must_use]
pub fn is_identifier(name: &str) -> bool {
    is_word(name) && !RESERVED.contains(&name) && DType::from_name(name).is_none()
}

/// What text can spell as a name: an identifier, or a word of the language.
pub(crate) fn is_word(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Words of the language that no value may have as name.
const RESERVED: [&str; 7] = ["BLOBFILE", "dict", "false", "func", "program", "tensor", "true"];
