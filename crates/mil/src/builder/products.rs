//! Products: matrices, convolutions, attention; and pools, which slide like convolutions.

use super::{Arguments, Builder, Value};
use crate::{Literal, Result};

/// Which operands of a `matmul` are transposed first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatMul {
    /// `[.., K, M]` instead of `[.., M, K]`.
    pub transpose_x: bool,
    /// `[.., N, K]` instead of `[.., K, N]`.
    pub transpose_y: bool,
}

/// How a convolution slides. Empty lists stand for 1 along each axis, or no padding.
#[derive(Clone, Copy, Debug)]
pub struct Conv<'a> {
    /// Steps along each axis after the channel.
    pub strides: &'a [i64],
    /// Distance between neighbours of the window along each axis.
    pub dilations: &'a [i64],
    /// `valid`, `same`, `same_lower`, or `custom` with `pad`.
    pub pad_type: &'a str,
    /// Elements before and after each axis.
    pub pad: &'a [i64],
    /// Groups of channels that do not see each other.
    pub groups: i32,
    /// `[O]`, added to the sums; the accumulator starts from it (C68).
    pub bias: Option<Value>,
}

impl Default for Conv<'_> {
    fn default() -> Self {
        Self { strides: &[], dilations: &[], pad_type: "valid", pad: &[], groups: 1, bias: None }
    }
}

/// How a pool slides. Empty lists as in [`Conv`].
#[derive(Clone, Copy, Debug)]
pub struct Pool<'a> {
    /// Elements of the window along each axis after the channel.
    pub kernel: &'a [i64],
    /// Steps along each axis.
    pub strides: &'a [i64],
    /// As [`Conv::pad_type`].
    pub pad_type: &'a str,
    /// Elements before and after each axis.
    pub pad: &'a [i64],
    /// Whether the last window may reach past the end.
    pub ceil_mode: bool,
}

impl Default for Pool<'_> {
    fn default() -> Self {
        Self { kernel: &[], strides: &[], pad_type: "valid", pad: &[], ceil_mode: false }
    }
}

/// A list of settings, `default` for each axis where it is empty.
fn list(given: &[i64], axes: usize, default: i64) -> Result<Option<super::Given>> {
    let literal = match given {
        [] if axes == 0 => return Ok(None),
        [] => Literal::int32_list(&vec![default; axes])?,
        given => Literal::int32_list(given)?,
    };
    Ok(Some(literal.into()))
}

impl Builder {
    /// `matmul`: `[.., M, K] x [.., K, N] -> [.., M, N]`, leading dimensions broadcast.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for inner dimensions that differ.
    pub fn matmul(&mut self, x: Value, y: Value, options: MatMul) -> Result<Value> {
        let (tx, ty) = (Literal::bool(options.transpose_x), Literal::bool(options.transpose_y));
        let arguments = vec![
            ("transpose_x", Some(tx.into())),
            ("transpose_y", Some(ty.into())),
            ("x", Some(x.into())),
            ("y", Some(y.into())),
        ];
        self.call("matmul", arguments)
    }

    /// `linear`: `[.., K]` with constants `[N, K]` and `[N]` gives `[.., N]`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for other shapes, or what is not constant.
    pub fn linear(&mut self, x: Value, weight: Value, bias: Option<Value>) -> Result<Value> {
        let bias = ("bias", bias.map(Into::into));
        self.call("linear", vec![bias, ("weight", Some(weight.into())), ("x", Some(x.into()))])
    }

    /// `conv`: `[N, I, ..]` with a weight `[O, I / groups, ..]` gives `[N, O, ..]`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for channels, groups or windows that do not
    /// fit.
    pub fn conv(&mut self, x: Value, weight: Value, options: Conv<'_>) -> Result<Value> {
        let arguments = self.sliding(x, weight, options)?;
        self.call("conv", arguments)
    }

    /// `conv_transpose`: `[N, I, ..]` with a weight `[I, O / groups, ..]` gives `[N, O, ..]`.
    ///
    /// # Errors
    ///
    /// As [`Builder::conv`].
    pub fn conv_transpose(&mut self, x: Value, weight: Value, options: Conv<'_>) -> Result<Value> {
        let arguments = self.sliding(x, weight, options)?;
        self.call("conv_transpose", arguments)
    }

    fn sliding(&mut self, x: Value, weight: Value, options: Conv<'_>) -> Result<Arguments> {
        let axes = x.shape().rank().saturating_sub(2);
        let (groups, pad_type) =
            (Literal::int32(options.groups), Literal::string(options.pad_type));
        Ok(vec![
            ("bias", options.bias.map(Into::into)),
            ("dilations", list(options.dilations, axes, 1)?),
            ("groups", Some(groups.into())),
            ("pad", list(options.pad, 2 * axes, 0)?),
            ("pad_type", Some(pad_type.into())),
            ("strides", list(options.strides, axes, 1)?),
            ("weight", Some(weight.into())),
            ("x", Some(x.into())),
        ])
    }

    fn pool(
        &mut self,
        op: &'static str,
        x: Value,
        options: Pool<'_>,
        mut more: Arguments,
    ) -> Result<Value> {
        let axes = x.shape().rank().saturating_sub(2);
        let (ceil, pad_type) =
            (Literal::bool(options.ceil_mode), Literal::string(options.pad_type));
        more.extend([
            ("ceil_mode", Some(ceil.into())),
            ("kernel_sizes", list(options.kernel, axes, 1)?),
            ("pad", list(options.pad, 2 * axes, 0)?),
            ("pad_type", Some(pad_type.into())),
            ("strides", list(options.strides, axes, 1)?),
            ("x", Some(x.into())),
        ]);
        self.call(op, more)
    }

    /// `max_pool`: the greatest of each window.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for windows that do not fit.
    pub fn max_pool(&mut self, x: Value, options: Pool<'_>) -> Result<Value> {
        self.pool("max_pool", x, options, Vec::new())
    }

    /// `l2_pool`: the root of the sum of squares of each window.
    ///
    /// # Errors
    ///
    /// As [`Builder::max_pool`].
    pub fn l2_pool(&mut self, x: Value, options: Pool<'_>) -> Result<Value> {
        self.pool("l2_pool", x, options, Vec::new())
    }

    /// `avg_pool`: the mean of each window, over its whole size or only what lies inside.
    ///
    /// # Errors
    ///
    /// As [`Builder::max_pool`].
    pub fn avg_pool(&mut self, x: Value, options: Pool<'_>, inside_only: bool) -> Result<Value> {
        let flag = Literal::bool(inside_only);
        self.pool("avg_pool", x, options, vec![("exclude_padding_from_average", Some(flag.into()))])
    }

    /// `scaled_dot_product_attention` of iOS 18. Engines ignore the mask (C39).
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for shapes that do not go together.
    pub fn scaled_dot_product_attention(
        &mut self,
        query: Value,
        key: Value,
        value: Value,
        mask: Option<Value>,
    ) -> Result<Value> {
        let arguments = vec![
            ("attn_mask", mask.map(Into::into)),
            ("key", Some(key.into())),
            ("query", Some(query.into())),
            ("value", Some(value.into())),
        ];
        self.call("scaled_dot_product_attention", arguments)
    }
}
