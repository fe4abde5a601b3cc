//! Operations element by element, and folds of axes.

use super::{Arguments, Builder, Input, Value};
use crate::{DType, Literal, Result, Type};

/// A method for each operation of one operand.
macro_rules! unary {
    ($($op:ident $doc:literal)*) => { impl Builder { $(
        #[doc = concat!("`", stringify!($op), "`: ", $doc, ". The type of `x`.")]
        ///
        /// # Errors
        ///
        /// [`Error::Operation`](crate::Error::Operation) for an element type that it does not take.
        pub fn $op(&mut self, x: Value) -> Result<Value> {
            self.call(stringify!($op), vec![("x", Some(x.into()))])
        }
    )* } };
}

unary! {
    abs "the magnitude"
    acos "the inverse cosine"
    asin "the inverse sine"
    atan "the inverse tangent"
    ceil "the next whole number up"
    cos "the cosine"
    cosh "the hyperbolic cosine"
    erf "the error function"
    exp "e to the power `x`"
    exp2 "2 to the power `x`"
    floor "the next whole number down"
    identity "`x` itself, under another name"
    logical_not "true where `x` is false"
    relu "`max(x, 0)`"
    relu6 "`x` within 0 and 6"
    round "the nearest whole number, ties to even"
    sigmoid "`1 / (1 + exp(-x))`"
    sign "-1, 0 or 1"
    silu "`x * sigmoid(x)`; 1 to 4 % off on engines (C70), so prefer a composition"
    sin "the sine"
    sinh "the hyperbolic sine"
    softplus "`log(1 + exp(x))`"
    softsign "`x / (1 + |x|)`"
    sqrt "the square root"
    square "`x * x`"
    tan "the tangent"
    tanh "the hyperbolic tangent"
}

/// A method for each operation of two operands that broadcast.
macro_rules! binary {
    ($($op:ident $doc:literal)*) => { impl Builder { $(
        #[doc = concat!("`", stringify!($op), "`: ", $doc, ".")]
        /// Shapes broadcast; a number takes the element type of the other operand.
        ///
        /// # Errors
        ///
        /// [`Error::Operation`](crate::Error::Operation) for shapes that do not broadcast, or
        /// different element types.
        pub fn $op(&mut self, x: impl Into<Input>, y: impl Into<Input>) -> Result<Value> {
            self.pair(stringify!($op), x.into(), y.into())
        }
    )* } };
}

binary! {
    add "`x + y`"
    equal "whether `x = y`"
    floor_div "`x / y` rounded down"
    greater "whether `x > y`"
    greater_equal "whether `x >= y`"
    less "whether `x < y`"
    less_equal "whether `x <= y`"
    logical_and "whether both hold"
    logical_or "whether one holds"
    logical_xor "whether exactly one holds"
    maximum "the greater"
    minimum "the smaller"
    modulo "`mod`: the remainder of `floor_div`, with the sign of `y`"
    mul "`x * y`"
    not_equal "whether `x` and `y` differ"
    pow "`x` to the power `y`; `pow(x, -0.5)` is the reciprocal root that compiles everywhere (C12)"
    real_div "`x / y`"
    sub "`x - y`"
}

/// A method for each fold.
macro_rules! reduce {
    ($($op:ident $doc:literal)*) => { impl Builder { $(
        #[doc = concat!("`", stringify!($op), "`: ", $doc, " over `axes`, which become 1.")]
        ///
        /// # Errors
        ///
        /// [`Error::Operation`](crate::Error::Operation) for axes that `x` does not have.
        pub fn $op(&mut self, x: Value, axes: &[i64]) -> Result<Value> {
            let (axes, keep) = (Literal::int32_list(axes)?, Literal::bool(true));
            let keep = ("keep_dims", Some(keep.into()));
            self.call(stringify!($op), vec![("axes", Some(axes.into())), keep, ("x", Some(x.into()))])
        }
    )* } };
}

reduce! {
    reduce_l1_norm "the sum of magnitudes"
    reduce_l2_norm "the root of the sum of squares"
    reduce_log_sum "the logarithm of the sum"
    reduce_log_sum_exp "the logarithm of the sum of exponentials"
    reduce_max "the greatest"
    reduce_mean "the mean"
    reduce_min "the least"
    reduce_prod "the product"
    reduce_sum "the sum"
    reduce_sum_square "the sum of squares"
}

/// A method for each operation of one operand with constants alpha and maybe beta.
macro_rules! shaped {
    ($($op:ident($($p:ident),+) $doc:literal)*) => { impl Builder { $(
        #[doc = concat!("`", stringify!($op), "`: ", $doc, ". The type of `x`.")]
        ///
        /// # Errors
        ///
        /// [`Error::Operation`](crate::Error::Operation) for an element type that is no float.
        pub fn $op(&mut self, x: Value, $($p: f32),+) -> Result<Value> {
            let arguments = vec![$(self.number(stringify!($p), $p, x.ty().dtype)?,)+ ("x", Some(x.into()))];
            self.call(stringify!($op), arguments)
        }
    )* } };
}

shaped! {
    clamped_relu(alpha, beta) "`alpha * x` below 0, at most `beta`"
    clip(alpha, beta) "`x` within `alpha` and `beta`"
    elu(alpha) "`alpha * (exp(x) - 1)` below 0"
    inverse(epsilon) "`1 / (x + epsilon)`"
    leaky_relu(alpha) "`alpha * x` below 0"
    linear_activation(alpha, beta) "`alpha * x + beta`"
    log(epsilon) "`log(x + epsilon)`; give epsilon even where it is 0 (facts section 6.2)"
    rsqrt(epsilon) "`1 / sqrt(x + epsilon)`; refused by some engines after a fold (C12)"
    scaled_tanh(alpha, beta) "`alpha * tanh(beta * x)`"
    sigmoid_hard(alpha, beta) "`alpha * x + beta` within 0 and 1"
    threshold(alpha) "`max(x, alpha)`"
    thresholded_relu(alpha) "`x` from `alpha` on, else 0"
}

impl Builder {
    fn pair(&mut self, op: &'static str, x: Input, y: Input) -> Result<Value> {
        let dtype = match (x, y) {
            (Input::Value(value), _) | (_, Input::Value(value)) => value.ty().dtype,
            _ => DType::Fp16,
        };
        let (x, y) = (self.value(x, dtype)?, self.value(y, dtype)?);
        // `mod` is a word of Rust.
        let op = if op == "modulo" { "mod" } else { op };
        self.call(op, vec![("x", Some(x.into())), ("y", Some(y.into()))])
    }

    /// A parameter given as a number of an element type.
    pub(super) fn number(
        &mut self,
        parameter: &'static str,
        value: f32,
        dtype: DType,
    ) -> Result<(&'static str, Option<super::Given>)> {
        let literal = Literal::from_floats(Type::scalar(dtype), &[value])?;
        Ok((parameter, Some(literal.into())))
    }

    /// `gelu`, by `mode`: `EXACT`, `TANH_APPROXIMATION` or `SIGMOID_APPROXIMATION`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for another mode.
    pub fn gelu(&mut self, x: Value, mode: &str) -> Result<Value> {
        let mode = Literal::string(mode);
        self.call("gelu", vec![("mode", Some(mode.into())), ("x", Some(x.into()))])
    }

    /// `softmax` along an axis.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for an axis that `x` does not have.
    pub fn softmax(&mut self, x: Value, axis: i32) -> Result<Value> {
        let axis = Literal::int32(axis);
        self.call("softmax", vec![("axis", Some(axis.into())), ("x", Some(x.into()))])
    }

    /// `cumsum`: running sums along an axis.
    ///
    /// # Errors
    ///
    /// As [`Builder::softmax`].
    pub fn cumsum(&mut self, x: Value, axis: i32, exclusive: bool, reverse: bool) -> Result<Value> {
        let (axis, exclusive, reverse) =
            (Literal::int32(axis), Literal::bool(exclusive), Literal::bool(reverse));
        let arguments = vec![
            ("axis", Some(axis.into())),
            ("exclusive", Some(exclusive.into())),
            ("reverse", Some(reverse.into())),
            ("x", Some(x.into())),
        ];
        self.call("cumsum", arguments)
    }

    /// `reduce_argmax`: the place of the greatest along an axis, which becomes 1.
    ///
    /// # Errors
    ///
    /// As [`Builder::softmax`].
    pub fn reduce_argmax(&mut self, x: Value, axis: i32) -> Result<Value> {
        let (axis, keep) = (Literal::int32(axis), Literal::bool(true));
        let keep = ("keep_dims", Some(keep.into()));
        self.call("reduce_argmax", vec![("axis", Some(axis.into())), keep, ("x", Some(x.into()))])
    }

    /// `select`: `a` where `cond` holds, else `b`.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for shapes that do not broadcast.
    pub fn select(&mut self, cond: Value, a: Value, b: Value) -> Result<Value> {
        let arguments = [("a", a), ("b", b), ("cond", cond)];
        self.call("select", arguments.map(|(name, v)| (name, Some(v.into()))).into())
    }

    /// `cast` to an element type.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for a type that is not cast to.
    pub fn cast(&mut self, x: Value, dtype: DType) -> Result<Value> {
        let dtype = Literal::string(dtype.name());
        self.call("cast", vec![("dtype", Some(dtype.into())), ("x", Some(x.into()))])
    }

    /// `layer_norm` over `axes`, gain and shift as constants of those axes' dimensions.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for other shapes, or what is not constant.
    pub fn layer_norm(
        &mut self,
        x: Value,
        axes: &[i64],
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f32,
    ) -> Result<Value> {
        let axes = Literal::int32_list(axes)?;
        let mut arguments = self.affine(x, gamma, beta, epsilon)?;
        arguments.insert(0, ("axes", Some(axes.into())));
        self.call("layer_norm", arguments)
    }

    /// `instance_norm` over the axes after the channel.
    ///
    /// # Errors
    ///
    /// As [`Builder::layer_norm`].
    pub fn instance_norm(
        &mut self,
        x: Value,
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f32,
    ) -> Result<Value> {
        let arguments = self.affine(x, gamma, beta, epsilon)?;
        self.call("instance_norm", arguments)
    }

    /// `batch_norm` by constant mean and variance `[C]`.
    ///
    /// # Errors
    ///
    /// As [`Builder::layer_norm`].
    pub fn batch_norm(
        &mut self,
        x: Value,
        [mean, variance]: [Value; 2],
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f32,
    ) -> Result<Value> {
        let mut arguments = self.affine(x, gamma, beta, epsilon)?;
        arguments.push(("mean", Some(mean.into())));
        arguments.push(("variance", Some(variance.into())));
        self.call("batch_norm", arguments)
    }

    /// `l2_norm`: divided by the length over the last three axes.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) below rank 3.
    pub fn l2_norm(&mut self, x: Value, epsilon: f32) -> Result<Value> {
        let epsilon = self.number("epsilon", epsilon, x.ty().dtype)?;
        self.call("l2_norm", vec![epsilon, ("x", Some(x.into()))])
    }

    fn affine(
        &mut self,
        x: Value,
        gamma: Option<Value>,
        beta: Option<Value>,
        epsilon: f32,
    ) -> Result<Arguments> {
        Ok(vec![
            ("beta", beta.map(Into::into)),
            self.number("epsilon", epsilon, x.ty().dtype)?,
            ("gamma", gamma.map(Into::into)),
            ("x", Some(x.into())),
        ])
    }
}
