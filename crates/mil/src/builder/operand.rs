//! What operations of a function under construction are given.

use crate::program::ValueId;
use crate::{Literal, Shape, Type};

/// A value of a function under construction, with its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Value {
    pub(super) id: ValueId,
    pub(super) ty: Type,
}

impl Value {
    /// Its type.
    #[must_use]
    pub fn ty(self) -> Type {
        self.ty
    }

    /// Its shape.
    #[must_use]
    pub fn shape(self) -> Shape {
        self.ty.shape
    }
}

/// An operand: a value, or a number that takes the element type of the other operand.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// A value.
    Value(Value),
    /// A constant scalar.
    Number(f32),
}

impl From<Value> for Input {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<f32> for Input {
    fn from(number: f32) -> Self {
        Self::Number(number)
    }
}

/// What a parameter is given.
pub(crate) enum Given {
    Value(Value),
    Setting(Literal),
    List(Vec<Value>),
}

impl From<Value> for Given {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<Literal> for Given {
    fn from(literal: Literal) -> Self {
        Self::Setting(literal)
    }
}

/// Parameters and what they are given; those with `None` are left out.
pub(crate) type Arguments = Vec<(&'static str, Option<Given>)>;
