//! Weights in fewer bits, and activations in 8.

use super::{Builder, Value};
use crate::{DType, Literal, Result};

impl Builder {
    /// `constexpr_affine_dequantize`: `(data - zero_point) * scale` while compiling, both one number
    /// or one for each place along `axis` (C45).
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for other shapes or types.
    pub fn constexpr_affine_dequantize(
        &mut self,
        data: Literal,
        zero_point: Literal,
        scale: Literal,
        axis: i32,
    ) -> Result<Value> {
        let axis = Literal::int32(axis);
        let arguments = [
            ("axis", axis),
            ("quantized_data", data),
            ("scale", scale),
            ("zero_point", zero_point),
        ];
        self.unpack("constexpr_affine_dequantize", arguments.into())
    }

    /// `constexpr_blockwise_shift_scale` of iOS 18: `(data - offset) * scale`, a scale a block.
    ///
    /// # Errors
    ///
    /// As [`Builder::constexpr_affine_dequantize`].
    pub fn constexpr_blockwise_shift_scale(
        &mut self,
        data: Literal,
        scale: Literal,
        offset: Option<Literal>,
    ) -> Result<Value> {
        let mut arguments = vec![("data", data)];
        arguments.extend(offset.map(|offset| ("offset", offset)));
        arguments.push(("scale", scale));
        self.unpack("constexpr_blockwise_shift_scale", arguments)
    }

    /// `constexpr_lut_to_dense` of iOS 18: entries of palettes `[blocks.., entries, 1]`.
    ///
    /// # Errors
    ///
    /// As [`Builder::constexpr_affine_dequantize`].
    pub fn constexpr_lut_to_dense(&mut self, indices: Literal, lut: Literal) -> Result<Value> {
        self.unpack("constexpr_lut_to_dense", vec![("indices", indices), ("lut", lut)])
    }

    /// `constexpr_sparse_to_dense` of iOS 18: values where the mask of single bits is 1.
    ///
    /// # Errors
    ///
    /// As [`Builder::constexpr_affine_dequantize`].
    pub fn constexpr_sparse_to_dense(&mut self, values: Literal, mask: Literal) -> Result<Value> {
        self.unpack("constexpr_sparse_to_dense", vec![("mask", mask), ("nonzero_data", values)])
    }

    /// `constexpr_cast`: a constant of `fp16` as `fp32`.
    ///
    /// # Errors
    ///
    /// As [`Builder::constexpr_affine_dequantize`].
    pub fn constexpr_cast(&mut self, source: Literal) -> Result<Value> {
        let dtype = Literal::string(DType::Fp32.name());
        self.unpack("constexpr_cast", vec![("output_dtype", dtype), ("source_val", source)])
    }

    fn unpack(
        &mut self,
        op: &'static str,
        arguments: Vec<(&'static str, Literal)>,
    ) -> Result<Value> {
        self.call(op, arguments.into_iter().map(|(name, l)| (name, Some(l.into()))).collect())
    }

    /// `quantize`: `round(input / scale) + zero_point` in 8 bits.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) for a scale or zero point of another shape.
    pub fn quantize(
        &mut self,
        input: Value,
        scale: Literal,
        zero_point: Option<Literal>,
        axis: Option<i32>,
        dtype: DType,
    ) -> Result<Value> {
        let dtype = Literal::string(dtype.name());
        let arguments = vec![
            ("axis", axis.map(|axis| Literal::int32(axis).into())),
            ("input", Some(input.into())),
            ("output_dtype", Some(dtype.into())),
            ("scale", Some(scale.into())),
            ("zero_point", zero_point.map(Into::into)),
        ];
        self.call("quantize", arguments)
    }

    /// `dequantize`: `(input - zero_point) * scale`.
    ///
    /// # Errors
    ///
    /// As [`Builder::quantize`].
    pub fn dequantize(
        &mut self,
        input: Value,
        scale: Literal,
        zero_point: Option<Literal>,
        axis: Option<i32>,
    ) -> Result<Value> {
        let arguments = vec![
            ("axis", axis.map(|axis| Literal::int32(axis).into())),
            ("input", Some(input.into())),
            ("scale", Some(scale.into())),
            ("zero_point", zero_point.map(Into::into)),
        ];
        self.call("dequantize", arguments)
    }
}
