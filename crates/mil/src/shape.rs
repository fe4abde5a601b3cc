//! Shapes and types: static dimensions only, because the engine takes no others (C77).

use std::fmt;

use crate::{DType, Error, Result};

/// Most dimensions of a value inside a program (C5). Only the palette of `constexpr_lut_to_dense`
/// has one more, and it is a constant.
pub const MAX_RANK: usize = 5;
/// Most dimensions of anything.
const DIMS: usize = 6;
/// Most elements of a tensor: far above what an engine holds, far below where sizes overflow.
const MAX_ELEMENTS: usize = 1 << 40;

/// Dimensions, outermost first; none for a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    rank: u8,
    /// Those past `rank` are 0, so that derived equality holds.
    dims: [u32; DIMS],
}

impl Shape {
    /// The shape of a single number.
    pub const SCALAR: Self = Self { rank: 0, dims: [0; DIMS] };

    /// A shape of `dims`, each from 1 to `i32::MAX`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for more than 6 dimensions, a dimension out of range, or more than 2^40
    /// elements.
    pub fn new(dims: &[usize]) -> Result<Self> {
        let refuse = |reason: String| Error::Shape { dims: dims.to_vec(), reason };
        if dims.len() > DIMS {
            return Err(refuse(format!("it has rank {}, expected at most {MAX_RANK}", dims.len())));
        }
        let mut out = Self { rank: dims.len() as u8, dims: [0; DIMS] };
        let mut elements = 1_usize;
        for (slot, &dim) in out.dims.iter_mut().zip(dims) {
            if dim == 0 || dim > i32::MAX as usize {
                return Err(refuse(format!("dimension {dim} is not from 1 to {}", i32::MAX)));
            }
            // Fits: at most 2^40 times 2^31.
            elements *= dim;
            if elements > MAX_ELEMENTS {
                return Err(refuse("it has more than 2^40 elements; cut the tensor".into()));
            }
            *slot = dim as u32;
        }
        Ok(out)
    }

    /// Number of dimensions.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.rank.into()
    }

    /// The dimensions, outermost first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + '_ {
        self.dims[..self.rank()].iter().map(|&dim| dim as usize)
    }

    /// The dimensions as a vector.
    #[must_use]
    pub fn dims(&self) -> Vec<usize> {
        self.iter().collect()
    }

    /// Dimension `axis`, or 1 past the end.
    #[must_use]
    pub fn dim(&self, axis: usize) -> usize {
        if axis < self.rank() { self.dims[axis] as usize } else { 1 }
    }

    /// Product of the dimensions; 1 for a scalar.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.iter().product()
    }

    /// The innermost dimension; 1 for a scalar.
    #[must_use]
    pub fn width(&self) -> usize {
        self.iter().next_back().unwrap_or(1)
    }

    /// The axis that `axis` names, counted from the end when negative.
    #[must_use]
    pub fn axis(&self, axis: i64) -> Option<usize> {
        let rank = i64::from(self.rank);
        let from_start = if axis < 0 { axis + rank } else { axis };
        (0..rank).contains(&from_start).then_some(from_start as usize)
    }

    /// The shape both broadcast to: aligned at the end, dimensions equal or one of them 1.
    #[must_use]
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        let rank = self.rank().max(other.rank());
        let mut out = Self { rank: rank as u8, dims: [0; DIMS] };
        for axis in 0..rank {
            let of = |shape: &Self| {
                (axis + shape.rank()).checked_sub(rank).map_or(1, |axis| shape.dims[axis])
            };
            out.dims[axis] = match (of(self), of(other)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        // Two shapes within bounds can broadcast past them.
        Self::new(&out.dims()).ok()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, dim) in self.iter().enumerate() {
            write!(f, "{}{dim}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The type of a value: what its elements are and how they are arranged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Type {
    /// Of the elements.
    pub dtype: DType,
    /// Of the tensor; [`Shape::SCALAR`] for a single element.
    pub shape: Shape,
}

impl Type {
    /// A tensor.
    #[must_use]
    pub fn new(dtype: DType, shape: Shape) -> Self {
        Self { dtype, shape }
    }

    /// A single element.
    #[must_use]
    pub fn scalar(dtype: DType) -> Self {
        Self { dtype, shape: Shape::SCALAR }
    }

    /// A tensor of `fp16`, the engine's own element type.
    ///
    /// # Errors
    ///
    /// As [`Shape::new`].
    pub fn fp16(dims: &[usize]) -> Result<Self> {
        Ok(Self::new(DType::Fp16, Shape::new(dims)?))
    }

    /// Bytes of the packed tensor.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.dtype.bytes(self.shape.elements())
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.rank() == 0 {
            write!(f, "{}", self.dtype)
        } else {
            write!(f, "{}{}", self.dtype, self.shape)
        }
    }
}

impl fmt::Debug for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_from_the_end() {
        for (a, b, want) in [
            (&[1, 4, 1, 8][..], &[4, 3, 1][..], Some(&[1, 4, 3, 8][..])),
            (&[], &[2, 3], Some(&[2, 3])),
            (&[2, 3], &[3, 2], None),
            (&[5], &[1], Some(&[5])),
        ] {
            let (a, b) = (Shape::new(a).unwrap(), Shape::new(b).unwrap());
            let got = a.broadcast(&b).map(|shape| shape.dims());
            assert_eq!(got.as_deref(), want, "{a} with {b}");
            assert_eq!(a.broadcast(&b), b.broadcast(&a));
        }
    }

    #[test]
    fn sizes_that_would_overflow_are_refused() {
        for dims in [&[0][..], &[1 << 31], &[1 << 20, 1 << 21], &[1; 7]] {
            assert!(Shape::new(dims).is_err(), "{dims:?}");
        }
        let long = Shape::new(&[1 << 30, 1]).unwrap();
        let wide = Shape::new(&[1, 1 << 30]).unwrap();
        assert_eq!(long.broadcast(&wide), None);
    }

    #[test]
    fn axes_count_from_either_end() {
        let shape = Shape::new(&[2, 3, 4]).unwrap();
        for (axis, want) in
            [(0, Some(0)), (2, Some(2)), (-1, Some(2)), (-3, Some(0)), (3, None), (-4, None)]
        {
            assert_eq!(shape.axis(axis), want, "{axis}");
        }
    }
}
