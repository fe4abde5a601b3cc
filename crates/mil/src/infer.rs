//! Types of an operation's results, from types and constants of its operands. One file a family;
//! this one checks what the table says of every operation alike.

pub(crate) mod attention;
pub(crate) mod constant;
pub(crate) mod elementwise;
pub(crate) mod join;
pub(crate) mod matmul;
pub(crate) mod norm;
pub(crate) mod reduce;
pub(crate) mod reshape;
pub(crate) mod slice;
pub(crate) mod window;

use crate::op::{OpDef, Param, Shared};
use crate::program::{Argument, Function, Operation, is_word};
use crate::{DType, Error, Literal, Opset, Result, Type};

/// A rule for the types of results.
pub(crate) type Infer = fn(&Call<'_>) -> Result<Vec<Type>>;

/// What an operand is known to be before the program runs.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) ty: Type,
    pub(crate) literal: Option<&'a Literal>,
    /// Computed from constants by a `constexpr_` operation: constant, but with no value yet.
    pub(crate) derived: bool,
}

/// An operation about to be typed: its operands by parameter.
pub(crate) struct Call<'a> {
    pub(crate) def: &'static OpDef,
    pub(crate) label: &'a str,
    pub(crate) opset: Opset,
    /// One slot for each parameter of the table, in its order.
    slots: Vec<Slot<'a>>,
}

enum Slot<'a> {
    Absent,
    One(Known<'a>),
    Many(Vec<Known<'a>>),
}

/// Types of the results of an operation in its function.
pub(crate) fn infer(function: &Function, operation: &Operation, label: &str) -> Result<Vec<Type>> {
    let call = Call::new(function, operation, label)?;
    (operation.def.infer)(&call)
}

impl<'a> Call<'a> {
    /// Sorts arguments into parameters and checks them against the table.
    pub(crate) fn new(
        function: &'a Function,
        operation: &'a Operation,
        label: &'a str,
    ) -> Result<Self> {
        let def = operation.def;
        let slots = def.params.iter().map(|_| Slot::Absent).collect();
        let mut call = Self { def, label, opset: function.opset, slots };
        if function.opset < def.since {
            let (have, since) = (function.opset, def.since);
            return Err(call.refuse(format!("opset {have} has no such operation, {since} has")));
        }
        if let Some((name, _)) = operation.attributes.iter().find(|(name, _)| !is_word(name)) {
            let reason = format!("attribute {name:?} is no name; use letters, digits and `_`");
            return Err(call.refuse(reason));
        }
        for (name, argument) in &operation.arguments {
            let slot = call.free_slot(name)?;
            let known = argument.operands().iter().map(|operand| Known {
                ty: function.operand_type(operand),
                literal: function.operand_constant(operand),
                derived: matches!(operand, crate::Operand::Value(id)
                    if function.origin(*id).is_some_and(|origin| origin.def.is_constexpr())),
            });
            call.slots[slot] = match argument {
                Argument::One(_) => known.map(Slot::One).next().unwrap_or(Slot::Absent),
                Argument::Many(_) => Slot::Many(known.collect()),
            };
        }
        if def.takes_attributes() || def.is_constexpr() {
            let given = operation.attributes.iter().filter(|(name, _)| name != "name");
            for (name, literal) in given {
                let slot = call.free_slot(name)?;
                let known = Known { ty: literal.ty(), literal: Some(literal), derived: false };
                call.slots[slot] = Slot::One(known);
            }
        }
        call.check()?;
        Ok(call)
    }

    fn free_slot(&self, name: &str) -> Result<usize> {
        let slot = self.def.params.iter().position(|param| param.name == name);
        let Some(slot) = slot else {
            let known: Vec<_> = self.def.params.iter().map(|param| param.name).collect();
            let known = known.join(", ");
            return Err(self.refuse(format!("has no parameter `{name}`; it has {known}")));
        };
        if !matches!(self.slots[slot], Slot::Absent) {
            return Err(self.refuse(format!("`{name}` is given twice")));
        }
        Ok(slot)
    }

    /// Presence, lists, element types and constants, as the table says.
    fn check(&self) -> Result<()> {
        let mut first: Option<(&'static str, DType)> = None;
        for (param, slot) in self.def.params.iter().zip(&self.slots) {
            let operands = match slot {
                Slot::Absent if param.required => {
                    return Err(self.refuse(format!("`{}` is missing", param.name)));
                }
                Slot::Absent => continue,
                Slot::One(_) if param.list => {
                    let reason = format!("`{}` takes a list in parentheses", param.name);
                    return Err(self.refuse(reason));
                }
                Slot::Many(_) if !param.list => {
                    return Err(self.refuse(format!("`{}` takes one operand", param.name)));
                }
                Slot::One(operand) => std::slice::from_ref(operand),
                Slot::Many(operands) if operands.is_empty() => {
                    return Err(self.refuse(format!("`{}` is an empty list", param.name)));
                }
                Slot::Many(operands) => operands,
            };
            for operand in operands {
                self.check_operand(param, operand)?;
                let shared = match param.shared {
                    Shared::Yes => true,
                    Shared::No => false,
                    Shared::UntilIos16 => self.opset <= Opset::Ios16,
                };
                match first {
                    Some((name, dtype)) if shared && dtype != operand.ty.dtype => {
                        return Err(self.refuse(format!(
                            "`{}` is {} and `{name}` {dtype}; cast one of them",
                            param.name, operand.ty.dtype
                        )));
                    }
                    None if shared => first = Some((param.name, operand.ty.dtype)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn check_operand(&self, param: &Param, operand: &Known<'_>) -> Result<()> {
        if !param.takes(operand.ty.dtype) {
            let (name, domain, found) = (param.name, param.domain(), operand.ty.dtype);
            return Err(self.refuse(format!("`{name}` is {found}, expected one of {domain}")));
        }
        let since = self.def.takes_since(param, operand.ty.dtype);
        if self.opset < since {
            let (name, found, opset) = (param.name, operand.ty.dtype, self.opset);
            return Err(self.refuse(format!("`{name}` is {found}; {since} has that, not {opset}")));
        }
        if param.constant && operand.literal.is_none() && !operand.derived {
            return Err(self.refuse(format!("`{}` must be a constant", param.name)));
        }
        Ok(())
    }

    /// A refusal that names the operation.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> Error {
        let (op, name) = (self.def.name.to_owned(), self.label.to_owned());
        Error::Operation { op, name, reason: reason.into() }
    }

    fn slot(&self, name: &str) -> &Slot<'a> {
        let index = self.def.params.iter().position(|param| param.name == name);
        index.map_or(&Slot::Absent, |index| &self.slots[index])
    }

    /// What an operand is known to be, if it was given.
    pub(crate) fn get(&self, name: &str) -> Option<Known<'a>> {
        match self.slot(name) {
            Slot::One(known) => Some(*known),
            _ => None,
        }
    }

    /// The type of a required operand.
    pub(crate) fn ty(&self, name: &str) -> Result<Type> {
        // `check` saw to it; an error all the same, so that no rule can panic.
        self.get(name)
            .map(|known| known.ty)
            .ok_or_else(|| self.refuse(format!("`{name}` is missing")))
    }

    /// The types of a list of operands.
    pub(crate) fn list(&self, name: &str) -> Vec<Type> {
        match self.slot(name) {
            Slot::Many(known) => known.iter().map(|known| known.ty).collect(),
            _ => Vec::new(),
        }
    }

    /// The literal of an operand, if it was given. Refused where its value is not in memory.
    fn literal(&self, name: &str) -> Result<Option<&'a Literal>> {
        let Some(known) = self.get(name) else { return Ok(None) };
        let literal = known
            .literal
            .filter(|literal| !matches!(literal.data(), crate::literal::Data::Blob(_)));
        let reason = || self.refuse(format!("`{name}` must be written out, not in a weight file"));
        literal.map(Some).ok_or_else(reason)
    }

    /// Constant integers, of rank 1 unless a scalar is expected.
    pub(crate) fn integers(&self, name: &str) -> Result<Option<Vec<i64>>> {
        let Some(literal) = self.literal(name)? else { return Ok(None) };
        if literal.ty().shape.rank() > 1 {
            let shape = literal.ty().shape;
            return Err(self.refuse(format!("`{name}` has shape {shape}, expected a list")));
        }
        let values = literal.integers();
        values.map(Some).ok_or_else(|| self.refuse(format!("`{name}` holds no integers")))
    }

    /// Constant integers that must be given.
    pub(crate) fn required_integers(&self, name: &str) -> Result<Vec<i64>> {
        self.integers(name)?.ok_or_else(|| self.refuse(format!("`{name}` is missing")))
    }

    /// A single constant integer.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>> {
        let Some(values) = self.integers(name)? else { return Ok(None) };
        match values[..] {
            [value] => Ok(Some(value)),
            _ => Err(self.refuse(format!("`{name}` holds {} values, expected one", values.len()))),
        }
    }

    /// A single constant boolean.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>> {
        Ok(self.integer(name)?.map(|value| value != 0))
    }

    /// Constant booleans, one for each of `rank` axes; all false when not given.
    pub(crate) fn mask(&self, name: &str, rank: usize) -> Result<Vec<bool>> {
        let Some(values) = self.integers(name)? else { return Ok(vec![false; rank]) };
        if values.len() != rank {
            let found = values.len();
            return Err(self.refuse(format!("`{name}` holds {found} flags, expected {rank}")));
        }
        Ok(values.into_iter().map(|value| value != 0).collect())
    }

    /// A single constant string.
    pub(crate) fn string(&self, name: &str) -> Result<Option<&'a str>> {
        let Some(literal) = self.literal(name)? else { return Ok(None) };
        match literal.strings() {
            Some([value]) => Ok(Some(value)),
            _ => Err(self.refuse(format!("`{name}` must be one string"))),
        }
    }

    /// An element type that a string names, one of `allowed`.
    pub(crate) fn dtype(&self, name: &str, allowed: &[DType]) -> Result<DType> {
        let given = self.string(name)?.unwrap_or_default();
        DType::from_name(given).filter(|dtype| allowed.contains(dtype)).ok_or_else(|| {
            let names: Vec<_> = allowed.iter().map(|dtype| dtype.name()).collect();
            self.refuse(format!("`{name}` is \"{given}\", expected one of {}", names.join(", ")))
        })
    }

    /// An axis of `ty`, by default the given one.
    pub(crate) fn axis(&self, name: &str, ty: Type, default: i64) -> Result<usize> {
        let axis = self.integer(name)?.unwrap_or(default);
        ty.shape.axis(axis).ok_or_else(|| {
            let (shape, rank) = (ty.shape, ty.shape.rank());
            self.refuse(format!(
                "`{name}` is {axis}, which {shape} does not have; expected from -{rank} to {}",
                rank as i64 - 1
            ))
        })
    }

    /// Distinct axes of `ty`, sorted; all of them when not given.
    pub(crate) fn axes(&self, name: &str, ty: Type) -> Result<Vec<usize>> {
        let rank = ty.shape.rank();
        let Some(given) = self.integers(name)? else { return Ok((0..rank).collect()) };
        let mut axes = Vec::with_capacity(given.len());
        for axis in given {
            let shape = ty.shape;
            let resolved = shape.axis(axis).ok_or_else(|| {
                self.refuse(format!("`{name}` holds {axis}, which {shape} does not have"))
            })?;
            if axes.contains(&resolved) {
                return Err(self.refuse(format!("`{name}` names axis {resolved} twice")));
            }
            axes.push(resolved);
        }
        axes.sort_unstable();
        Ok(axes)
    }

    /// A result of the given dimensions, refused where no tensor can have them.
    pub(crate) fn result(&self, dtype: DType, dims: &[usize]) -> Result<Type> {
        let shape = crate::Shape::new(dims).map_err(|e| self.refuse(format!("the result: {e}")))?;
        Ok(Type::new(dtype, shape))
    }
}
