//! A tensor with its elements.

use crate::{DType, Error, Literal, Result, Shape, Type};

/// Elements of any type but `string`, row-major.
///
/// Every element type of the language has all its values in `f64`, but for 64-bit integers beyond
/// 2^53, which no operation makes; so there is one representation.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Element type and shape.
    pub ty: Type,
    /// As many as the shape has, each a value of the element type.
    pub values: Vec<f64>,
}

impl Tensor {
    /// A tensor of a float type, values rounded to it.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when type and number of values do not go together.
    pub fn from_floats(ty: Type, values: &[f32]) -> Result<Self> {
        Self::from_literal(&Literal::from_floats(ty, values)?)
    }

    /// The elements of a constant in memory.
    ///
    /// # Errors
    ///
    /// [`Error::Evaluation`] for strings, for constants in weight files, and past 2^53.
    pub fn from_literal(literal: &Literal) -> Result<Self> {
        let ty = literal.ty();
        let floats = literal.floats().map(|v| v.into_iter().map(f64::from).collect());
        let values: Option<Vec<f64>> = floats.or_else(|| {
            let exact = |v: i64| (v.unsigned_abs() <= 1 << 53).then_some(v as f64);
            literal.integers()?.into_iter().map(exact).collect()
        });
        let values = values.ok_or_else(|| {
            Error::Evaluation(format!("a constant of type {ty} has no values in memory"))
        })?;
        Ok(Self { ty, values })
    }

    /// The tensor as a constant.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when `values` are not what the type says.
    pub fn to_literal(&self) -> Result<Literal> {
        if self.ty.dtype.is_float() {
            return Literal::from_floats(self.ty, &self.to_f32());
        }
        let integers: Vec<i64> = self.values.iter().map(|&v| v as i64).collect();
        match self.ty.dtype {
            DType::Bool => {
                Literal::from_bytes(self.ty, integers.into_iter().map(|v| v as u8).collect())
            }
            _ => Literal::from_integers(self.ty, &integers),
        }
    }

    /// The values as `f32`, exact for `fp16`, `fp32` and integers up to 2^24.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }

    /// Its shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.ty.shape
    }

    /// Reads it as if broadcast to `shape`, row-major.
    pub(crate) fn broadcast<'a>(&'a self, shape: &Shape) -> impl Iterator<Item = f64> + 'a {
        let steps = broadcast_steps(&self.shape(), shape);
        Walk::new(shape.dims(), steps).map(|at| self.values[at])
    }
}

/// Distance in elements between neighbours along each axis of a row-major tensor.
pub(crate) fn steps(shape: &Shape) -> Vec<usize> {
    let mut out = vec![1; shape.rank()];
    for axis in (1..shape.rank()).rev() {
        out[axis - 1] = out[axis] * shape.dim(axis);
    }
    out
}

/// As [`steps`], for `shape` read along the axes of `wide`: 0 where it repeats.
pub(crate) fn broadcast_steps(shape: &Shape, wide: &Shape) -> Vec<usize> {
    let lead = wide.rank() - shape.rank();
    let own = steps(shape);
    (0..wide.rank())
        .map(|axis| match axis.checked_sub(lead) {
            Some(axis) if shape.dim(axis) > 1 => own[axis],
            _ => 0,
        })
        .collect()
}

/// Offsets of the places of a tensor, row-major, with a step for each axis.
pub(crate) struct Walk {
    dims: Vec<usize>,
    steps: Vec<usize>,
    place: Vec<usize>,
    at: usize,
    left: usize,
}

impl Walk {
    pub(crate) fn new(dims: Vec<usize>, steps: Vec<usize>) -> Self {
        let left = dims.iter().product();
        Self { place: vec![0; dims.len()], at: 0, left, dims, steps }
    }
}

impl Iterator for Walk {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let current = self.at;
        for axis in (0..self.dims.len()).rev() {
            self.place[axis] += 1;
            self.at += self.steps[axis];
            if self.place[axis] < self.dims[axis] {
                break;
            }
            self.at -= self.steps[axis] * self.dims[axis];
            self.place[axis] = 0;
        }
        Some(current)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Walk {}
