//! Moving elements.

use super::{Builder, Given, Value};
use crate::{DType, Literal, Result, Shape, Type};

/// A strided part for `slice_by_index`. Empty lists stand for 1, or false, along each axis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slice<'a> {
    /// First place along each axis; negative ones count from the end.
    pub begin: &'a [i64],
    /// Place behind the last.
    pub end: &'a [i64],
    /// Steps.
    pub stride: &'a [i64],
    /// Axes taken from their edge, whatever `begin` says.
    pub begin_mask: &'a [bool],
    /// Axes taken to their edge, whatever `end` says.
    pub end_mask: &'a [bool],
    /// Axes of which one place is taken, and the axis removed.
    pub squeeze_mask: &'a [bool],
}

fn integers(values: &[i64]) -> Result<Option<Given>> {
    Ok(Some(Literal::int32_list(values)?.into()))
}

fn flags(values: &[bool]) -> Result<Option<Given>> {
    if values.is_empty() {
        return Ok(None);
    }
    let ty = Type::new(DType::Bool, Shape::new(&[values.len()])?);
    Ok(Some(Literal::from_bytes(ty, values.iter().map(|&v| v.into()).collect())?.into()))
}

fn given(value: Value) -> Option<Given> {
    Some(value.into())
}

/// Methods of `x` and a list of integers.
macro_rules! listed {
    ($($op:ident($p:ident) $doc:literal)*) => { impl Builder { $(
        #[doc = concat!("`", stringify!($op), "`: ", $doc, ".")]
        ///
        /// # Errors
        ///
        /// [`Error::Operation`](crate::Error::Operation) when they do not go with the shape of `x`.
        pub fn $op(&mut self, x: Value, $p: &[i64]) -> Result<Value> {
            self.call(stringify!($op), vec![(stringify!($p), integers($p)?), ("x", given(x))])
        }
    )* } };
}

listed! {
    reshape(shape) "the same elements in another shape; one dimension may be -1"
    transpose(perm) "the axes in another order"
    expand_dims(axes) "axes of 1 at these places of the result"
    squeeze(axes) "without these axes of 1"
    reverse(axes) "back to front along these axes"
    tile(reps) "repeated along each axis"
}

impl Builder {
    /// `flatten2d`: the axes before `axis` as one, the others as another.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for an axis that `x` does not have.
    pub fn flatten2d(&mut self, x: Value, axis: i32) -> Result<Value> {
        let axis = Literal::int32(axis);
        self.call("flatten2d", vec![("axis", Some(axis.into())), ("x", given(x))])
    }

    /// `slice_by_size`: `size` elements from `begin` on along each axis.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for a part that reaches outside of `x`.
    pub fn slice_by_size(&mut self, x: Value, begin: &[i64], size: &[i64]) -> Result<Value> {
        let arguments =
            vec![("begin", integers(begin)?), ("size", integers(size)?), ("x", given(x))];
        self.call("slice_by_size", arguments)
    }

    /// `slice_by_index`: from begin to end in steps.
    ///
    /// # Errors
    ///
    /// As [`Builder::slice_by_size`].
    pub fn slice_by_index(&mut self, x: Value, slice: Slice<'_>) -> Result<Value> {
        let stride = if slice.stride.is_empty() { None } else { integers(slice.stride)? };
        let arguments = vec![
            ("begin", integers(slice.begin)?),
            ("begin_mask", flags(slice.begin_mask)?),
            ("end", integers(slice.end)?),
            ("end_mask", flags(slice.end_mask)?),
            ("squeeze_mask", flags(slice.squeeze_mask)?),
            ("stride", stride),
            ("x", given(x)),
        ];
        self.call("slice_by_index", arguments)
    }

    /// `concat`: one behind the other along an axis, or alternating with `interleave`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for shapes that differ elsewhere.
    pub fn concat(&mut self, values: &[Value], axis: i32, interleave: bool) -> Result<Value> {
        let (axis, interleave) = (Literal::int32(axis), Literal::bool(interleave));
        let arguments = vec![
            ("axis", Some(axis.into())),
            ("interleave", Some(interleave.into())),
            ("values", Some(Given::List(values.to_vec()))),
        ];
        self.call("concat", arguments)
    }

    /// `stack`: along a new axis.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for shapes that differ.
    pub fn stack(&mut self, values: &[Value], axis: i32) -> Result<Value> {
        let axis = Literal::int32(axis);
        let values = Some(Given::List(values.to_vec()));
        self.call("stack", vec![("axis", Some(axis.into())), ("values", values)])
    }

    /// `split`: parts of these sizes along an axis.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) when the sizes do not add up.
    pub fn split(&mut self, x: Value, sizes: &[i64], axis: i32) -> Result<Vec<Value>> {
        let axis = Literal::int32(axis);
        let arguments =
            vec![("axis", Some(axis.into())), ("split_sizes", integers(sizes)?), ("x", given(x))];
        self.call_many("split", arguments)
    }

    /// `pad`: two amounts for each of the last axes; `mode` is `constant`, `reflect` or `replicate`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for amounts that cannot be.
    pub fn pad(&mut self, x: Value, pad: &[i64], mode: &str, value: f32) -> Result<Value> {
        let dtype = x.ty().dtype;
        let fill = match dtype.is_float() {
            true => Literal::from_floats(Type::scalar(dtype), &[value])?,
            false => Literal::from_integers(Type::scalar(dtype), &[value as i64])?,
        };
        let mode = Literal::string(mode);
        let arguments = vec![
            ("constant_val", Some(fill.into())),
            ("mode", Some(mode.into())),
            ("pad", integers(pad)?),
            ("x", given(x)),
        ];
        self.call("pad", arguments)
    }

    /// `gather`: places along an axis by index. Engines do not have it (facts section 4.5).
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for constant indices outside of the axis.
    pub fn gather(&mut self, x: Value, indices: Value, axis: i32) -> Result<Value> {
        let axis = Literal::int32(axis);
        let mut arguments =
            vec![("axis", Some(axis.into())), ("indices", given(indices)), ("x", given(x))];
        if self.function.opset >= crate::Opset::Ios17 {
            // Required by the reader of later opsets, though optional on paper.
            let (dims, validate) = (Literal::int32(0), Literal::bool(false));
            arguments.insert(1, ("batch_dims", Some(dims.into())));
            arguments.push(("validate_indices", Some(validate.into())));
        }
        self.call("gather", arguments)
    }

    /// `fill`: one value in a shape.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for a shape that cannot be.
    pub fn fill(&mut self, dtype: DType, shape: &[i64], value: f32) -> Result<Value> {
        let fill = Literal::from_floats(Type::scalar(dtype), &[value])?;
        self.call("fill", vec![("shape", integers(shape)?), ("value", Some(fill.into()))])
    }
}
