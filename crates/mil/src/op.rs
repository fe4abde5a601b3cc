//! What an operation is: its parameters, the rule for its results, and how to compute it. The
//! builder, the parser, the evaluator and the linter all read the one table in [`table`].

pub(crate) mod table;

use crate::eval::Kernel;
use crate::infer::Infer;
use crate::{DType, Opset};

/// An operation of the language.
#[derive(Debug)]
pub struct OpDef {
    /// As MIL spells it.
    pub name: &'static str,
    /// The first opset that has it.
    pub since: Opset,
    /// Its parameters, required ones among them marked so.
    pub params: &'static [Param],
    /// Types of the results from types and constants of the operands.
    pub(crate) infer: Infer,
    /// How to compute it.
    pub(crate) kernel: Kernel,
}

impl PartialEq for OpDef {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl OpDef {
    /// The operation that MIL spells so.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let ops = table::OPS;
        ops.binary_search_by(|op| op.name.cmp(name)).ok().map(|index| &ops[index])
    }

    /// Every operation, by name.
    #[must_use]
    pub fn all() -> &'static [Self] {
        table::OPS
    }

    /// A parameter of it.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&'static Param> {
        self.params.iter().find(|param| param.name == name)
    }

    /// Whether it is `const`, which names a constant and computes nothing.
    #[must_use]
    pub fn is_const(&self) -> bool {
        matches!(self.kernel, Kernel::Const)
    }

    /// Whether it computes a weight while the program is compiled.
    #[must_use]
    pub fn is_constexpr(&self) -> bool {
        self.name.starts_with("constexpr_")
    }

    /// Whether its parameters stand among the attributes, as those of the first `constexpr_` ops.
    #[must_use]
    pub fn takes_attributes(&self) -> bool {
        self.is_const() || self.is_constexpr() && self.since < Opset::Ios18
    }

    /// The first opset in which a parameter may have an element type of its domain: operands of 8
    /// and 16 bits came with iOS 17, indices of 16 bits a year earlier.
    pub(crate) fn takes_since(&self, param: &Param, dtype: DType) -> Opset {
        if self.takes_attributes() || !dtype.is_small() {
            Opset::Ios15
        } else if self.name == "gather" && param.name == "indices" && dtype.bits() == 16 {
            Opset::Ios16
        } else {
            Opset::Ios17
        }
    }

    /// Whether each element of the result depends on one element of each operand.
    #[must_use]
    pub fn is_elementwise(&self) -> bool {
        matches!(self.kernel, Kernel::Unary(_) | Kernel::Binary(_) | Kernel::Compare(_))
            || matches!(self.name, "cast" | "dequantize" | "quantize" | "select")
    }

    /// Whether it sums or otherwise folds axes.
    #[must_use]
    pub fn is_reduction(&self) -> bool {
        matches!(self.kernel, Kernel::Reduce(_))
    }
}

/// A parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// As MIL spells it.
    pub name: &'static str,
    /// Element types it may have, a bit each.
    domain: u32,
    /// Whether it must be given.
    pub required: bool,
    /// Whether it must be a constant.
    pub constant: bool,
    /// Whether it takes a list of operands.
    pub list: bool,
    /// Whether its element type is the one that all such parameters of the operation share.
    pub(crate) shared: Shared,
}

/// Whether a parameter's element type is tied to others'.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shared {
    No,
    /// With the other parameters marked so.
    Yes,
    /// Up to iOS 16; later any of its domain.
    UntilIos16,
}

/// A domain of one type.
const fn bit(dtype: DType) -> u32 {
    1 << dtype as u32
}

pub(crate) const FLOAT: u32 = bit(DType::Fp16) | bit(DType::Fp32);
pub(crate) const INT32: u32 = bit(DType::Int32);
pub(crate) const BOOL: u32 = bit(DType::Bool);
pub(crate) const STRING: u32 = bit(DType::String);
pub(crate) const NUMBER: u32 = FLOAT | INT32;
pub(crate) const INT8: u32 = bit(DType::Int8) | bit(DType::Uint8);
pub(crate) const INDEX: u32 = INT32 | INT8 | bit(DType::Int16) | bit(DType::Uint16);
/// What moves data may move.
pub(crate) const MOVABLE: u32 = NUMBER | BOOL | INDEX;
/// What `constexpr_` ops may read.
pub(crate) const PACKED: u32 = INT8 | bit(DType::Int4) | PALETTE;
/// Indices of `constexpr_lut_to_dense`.
pub(crate) const PALETTE: u32 = bit(DType::Uint8)
    | bit(DType::Uint1)
    | bit(DType::Uint2)
    | bit(DType::Uint3)
    | bit(DType::Uint4)
    | bit(DType::Uint6);
pub(crate) const UINT1: u32 = bit(DType::Uint1);
pub(crate) const ANY: u32 = u32::MAX;

impl Param {
    /// Required, of the shared element type.
    pub(crate) const fn new(name: &'static str, domain: u32) -> Self {
        let shared = Shared::Yes;
        Self { name, domain, required: true, constant: false, list: false, shared }
    }

    /// Required, constant, of a type of its own: axes, flags, modes.
    pub(crate) const fn setting(name: &'static str, domain: u32) -> Self {
        Self::new(name, domain).constant().apart()
    }

    pub(crate) const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    pub(crate) const fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    pub(crate) const fn apart(mut self) -> Self {
        self.shared = Shared::No;
        self
    }

    pub(crate) const fn apart_since_ios17(mut self) -> Self {
        self.shared = Shared::UntilIos16;
        self
    }

    pub(crate) const fn list(mut self) -> Self {
        self.list = true;
        self
    }

    /// Whether an operand of this element type may be given.
    #[must_use]
    pub fn takes(&self, dtype: DType) -> bool {
        self.domain & bit(dtype) != 0
    }

    /// The element types it may have, for messages.
    #[must_use]
    pub fn domain(&self) -> String {
        let names: Vec<_> = DType::all().filter(|d| self.takes(*d)).map(DType::name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_for_the_search() {
        for pair in OpDef::all().windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        for op in OpDef::all() {
            assert!(std::ptr::eq(OpDef::find(op.name).unwrap(), op));
        }
        assert!(OpDef::find("matmull").is_none());
    }

    #[test]
    fn every_operation_has_something_to_work_on() {
        for op in OpDef::all() {
            let starts = op.params.iter().any(|param| param.required);
            assert!(starts, "{} requires nothing", op.name);
            let mut names: Vec<_> = op.params.iter().map(|param| param.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), op.params.len(), "{}", op.name);
        }
    }
}
