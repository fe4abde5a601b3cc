//! The weight files that go with a program.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::{Check, Reader, Writer};
use crate::literal::{BlobRef, Data};
use crate::{Error, Literal, Operand, Operation, Program, Result};

/// Weight files by path, as programs spell it: `@model_path/weights/weight.bin`.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    files: BTreeMap<String, Arc<[u8]>>,
}

impl Weights {
    /// The path that Core ML packages use.
    pub const CORE_ML: &'static str = "@model_path/weights/weight.bin";

    /// No files.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<String>, bytes: impl Into<Arc<[u8]>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// The bytes of a file.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|bytes| &bytes[..])
    }

    /// Paths and bytes, by path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..]))
    }

    /// A constant with its elements in memory, read strictly where they are in a file.
    ///
    /// # Errors
    ///
    /// [`Error::MissingWeights`] and [`Error::Blob`].
    pub fn resolve<'a>(&self, literal: &'a Literal) -> Result<Cow<'a, Literal>> {
        let Data::Blob(blob) = literal.data() else { return Ok(Cow::Borrowed(literal)) };
        let Some(bytes) = self.files.get(&*blob.path) else {
            let known: Vec<_> = self.files.keys().map(String::as_str).collect();
            let hint = match &known[..] {
                [] => "there are none; give its weight files".to_owned(),
                known => format!("there are: {}", known.join(", ")),
            };
            return Err(Error::MissingWeights { path: blob.path.to_string(), hint });
        };
        let reader = Reader::new(bytes, Check::Strict)?;
        Ok(Cow::Owned(reader.read(blob.offset, literal.ty())?))
    }

    /// Brings every constant of a program into memory.
    ///
    /// # Errors
    ///
    /// As [`Weights::resolve`].
    pub fn load_into(&self, program: &mut Program) -> Result<()> {
        // A blob that is named often is in memory once.
        let mut seen: HashMap<Literal, Literal> = HashMap::new();
        for_each_literal(
            program,
            |_| true,
            |literal| {
                if !matches!(literal.data(), Data::Blob(_)) {
                    return Ok(());
                }
                if let Some(known) = seen.get(literal) {
                    *literal = known.clone();
                } else if let Cow::Owned(loaded) = self.resolve(literal)? {
                    seen.insert(std::mem::replace(literal, loaded.clone()), loaded);
                }
                Ok(())
            },
        )
    }

    /// Moves a program's constants of at least `min_elements` elements out into one file at
    /// `path`, equal ones once, and returns the file.
    ///
    /// # Errors
    ///
    /// Those of [`Writer::push`], which cannot happen for constants in memory.
    pub fn move_out(program: &mut Program, path: &str, min_elements: usize) -> Result<Self> {
        let path: Arc<str> = path.into();
        let mut writer = Writer::new();
        let mut written: HashMap<Literal, Literal> = HashMap::new();
        // What is written in place elsewhere stays there: axes, epsilons, fill values.
        let holds_weights = |op: &Operation| op.def.is_const() || op.def.is_constexpr();
        for_each_literal(program, holds_weights, |literal| {
            let ty = literal.ty();
            if !is_weight(literal) || ty.shape.elements() < min_elements {
                return Ok(());
            }
            if let Some(known) = written.get(literal) {
                *literal = known.clone();
                return Ok(());
            }
            let blob = BlobRef { path: Arc::clone(&path), offset: writer.push(literal)? };
            let moved = Literal::from_blob(ty, blob)?;
            written.insert(std::mem::replace(literal, moved.clone()), moved);
            Ok(())
        })?;
        let mut weights = Self::new();
        if !writer.is_empty() {
            weights.insert(&*path, writer.finish());
        }
        Ok(weights)
    }
}

/// Constants of the operations chosen: values of attributes, and those written in place.
fn for_each_literal(
    program: &mut Program,
    choose: impl Fn(&Operation) -> bool,
    mut visit: impl FnMut(&mut Literal) -> Result<()>,
) -> Result<()> {
    let operations = program.functions.iter_mut().flat_map(|function| &mut function.operations);
    for operation in operations.filter(|op| choose(op)) {
        for (name, literal) in &mut operation.attributes {
            if name != "name" {
                visit(literal)?;
            }
        }
        for (_, argument) in &mut operation.arguments {
            for operand in argument.operands_mut() {
                if let Operand::Literal(literal) = operand {
                    visit(literal)?;
                }
            }
        }
    }
    Ok(())
}

/// Whether a constant is a weight, rather than axes, shapes or flags, which must be known to type
/// an operation.
fn is_weight(literal: &Literal) -> bool {
    let ty = literal.ty();
    let small = ty.dtype.is_integer() && ty.dtype.bits() <= 8;
    literal.bytes().is_some() && ty.shape.rank() > 0 && (ty.dtype.is_float() || small)
}

impl From<BTreeMap<String, Vec<u8>>> for Weights {
    fn from(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self { files: files.into_iter().map(|(path, bytes)| (path, bytes.into())).collect() }
    }
}
