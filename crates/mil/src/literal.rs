//! Constants: a type and its elements, in memory or in a weight file.

use std::sync::Arc;

use half::f16;

use crate::blob::HEADER;
use crate::{DType, Error, Result, Shape, Type};

/// A typed constant.
///
/// Two literals are equal when their types and bits are; every NaN is the same NaN, because text
/// has only one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Literal {
    ty: Type,
    data: Data,
}

/// Where a constant's elements are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// Little-endian elements, row-major, packed from the lowest bit up where they have less than
    /// 8 bits; a boolean is a byte.
    Bytes(Arc<[u8]>),
    /// Of a constant of type `string`.
    Strings(Arc<[String]>),
    /// In a weight file.
    Blob(BlobRef),
}

/// A place in a weight file, as programs name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlobRef {
    /// `@model_path/weights/weight.bin`, say.
    pub path: Arc<str>,
    /// Of the blob's descriptor, in bytes from the start of the file; not of its data.
    pub offset: u64,
}

impl Literal {
    /// Packed little-endian elements.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when `bytes` is not exactly what the type takes, or a boolean is neither
    /// 0 nor 1.
    pub fn from_bytes(ty: Type, mut bytes: Vec<u8>) -> Result<Self> {
        if ty.dtype == DType::String {
            return Err(Error::literal(ty, "strings have no bytes; give them as strings"));
        }
        if bytes.len() != ty.bytes() {
            let (want, found) = (ty.bytes(), bytes.len());
            return Err(Error::literal(ty, format!("it takes {want} bytes, found {found}")));
        }
        match ty.dtype {
            DType::Bool if bytes.iter().any(|&b| b > 1) => {
                return Err(Error::literal(ty, "a boolean is neither 0 nor 1"));
            }
            DType::Fp16 => one_nan(&mut bytes, |b: [u8; 2]| f16::from_le_bytes(b).is_nan(), {
                f16::NAN.to_le_bytes()
            }),
            DType::Fp32 => one_nan(&mut bytes, |b: [u8; 4]| f32::from_le_bytes(b).is_nan(), {
                f32::NAN.to_le_bytes()
            }),
            _ => {}
        }
        Ok(Self { ty, data: Data::Bytes(bytes.into()) })
    }

    /// Elements of a float type, rounded to it (to nearest, ties to even).
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when the type is no float, or the number of elements is another.
    pub fn from_floats(ty: Type, values: &[f32]) -> Result<Self> {
        let bytes = match ty.dtype {
            DType::Fp16 => values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect(),
            DType::Fp32 => values.iter().flat_map(|&v| v.to_le_bytes()).collect(),
            _ => return Err(Error::literal(ty, "expected a float type for these values")),
        };
        Self::from_bytes(ty, bytes)
    }

    /// Elements of an integer type.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when the type is no integer, a value does not fit it, or the number of
    /// elements is another.
    pub fn from_integers(ty: Type, values: &[i64]) -> Result<Self> {
        if !ty.dtype.is_integer() {
            return Err(Error::literal(ty, "expected an integer type for these values"));
        }
        let mut packer = Packer::new(ty.dtype);
        for &value in values {
            packer.push(value.into()).map_err(|reason| Error::literal(ty, reason))?;
        }
        if values.len() != ty.shape.elements() {
            let (want, found) = (ty.shape.elements(), values.len());
            return Err(Error::literal(ty, format!("expected {want} values, found {found}")));
        }
        Self::from_bytes(ty, packer.finish())
    }

    /// A list of 32-bit integers, which is what shapes, axes and paddings are.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when a value does not fit, [`Error::Shape`] when there are none.
    pub fn int32_list(values: &[i64]) -> Result<Self> {
        Self::from_integers(Type::new(DType::Int32, Shape::new(&[values.len()])?), values)
    }

    /// A single 32-bit integer.
    #[must_use]
    pub fn int32(value: i32) -> Self {
        let data = Data::Bytes(Arc::new(value.to_le_bytes()));
        Self { ty: Type::scalar(DType::Int32), data }
    }

    /// A single boolean.
    #[must_use]
    pub fn bool(value: bool) -> Self {
        Self { ty: Type::scalar(DType::Bool), data: Data::Bytes(Arc::new([value.into()])) }
    }

    /// A single string.
    #[must_use]
    pub fn string(value: &str) -> Self {
        Self { ty: Type::scalar(DType::String), data: Data::Strings(Arc::new([value.to_owned()])) }
    }

    /// Elements of type `string`.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] when the type is another, or the number of elements is.
    pub fn from_strings(ty: Type, values: Vec<String>) -> Result<Self> {
        if ty.dtype != DType::String || ty.shape.elements() != values.len() {
            let found = values.len();
            return Err(Error::literal(
                ty,
                format!("found {found} strings, expected its elements"),
            ));
        }
        Ok(Self { ty, data: Data::Strings(values.into()) })
    }

    /// Elements in a weight file.
    ///
    /// # Errors
    ///
    /// [`Error::Literal`] for a type that weight files do not hold, or an offset inside the file's
    /// header, which engines read all the same.
    pub fn from_blob(ty: Type, blob: BlobRef) -> Result<Self> {
        if ty.dtype.blob().is_none() {
            return Err(Error::literal(ty, "weight files do not hold this type; write it out"));
        }
        if blob.offset < HEADER as u64 {
            let BlobRef { path, offset } = blob;
            let reason = format!("offset {offset} lies in the header of `{path}`");
            let hint = format!("a descriptor starts from {HEADER} on");
            return Err(Error::literal(ty, format!("{reason}; {hint}")));
        }
        Ok(Self { ty, data: Data::Blob(blob) })
    }

    /// Its type.
    #[must_use]
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Where its elements are.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Its packed bytes, if they are in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.data {
            Data::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Its elements as floats, if it is of a float type and in memory.
    #[must_use]
    pub fn floats(&self) -> Option<Vec<f32>> {
        let bytes = self.bytes()?;
        match self.ty.dtype {
            DType::Fp16 => {
                let (values, _) = bytes.as_chunks::<2>();
                Some(values.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect())
            }
            DType::Fp32 => {
                let (values, _) = bytes.as_chunks::<4>();
                Some(values.iter().map(|&b| f32::from_le_bytes(b)).collect())
            }
            _ => None,
        }
    }

    /// Its elements as integers, if it is of an integer or boolean type and in memory; `None` also
    /// where one exceeds `i64`.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        let bytes = self.bytes()?;
        if self.ty.dtype == DType::Bool {
            return Some(bytes.iter().map(|&b| b.into()).collect());
        }
        if !self.ty.dtype.is_integer() {
            return None;
        }
        (0..self.ty.shape.elements())
            .map(|index| i64::try_from(self.integer_at(index)).ok())
            .collect()
    }

    /// One element of an integer type in memory; 0 where there is none.
    pub(crate) fn integer_at(&self, index: usize) -> i128 {
        let Some(bytes) = self.bytes() else { return 0 };
        let bits = self.ty.dtype.bits();
        let raw = i128::from(read_bits(bytes, index * bits, bits));
        // The sign bit counts negative.
        let (least, greatest) = self.ty.dtype.range();
        if raw > greatest { raw + 2 * least } else { raw }
    }

    /// Its elements as booleans, if it is of that type.
    #[must_use]
    pub fn booleans(&self) -> Option<Vec<bool>> {
        let bytes = self.bytes().filter(|_| self.ty.dtype == DType::Bool)?;
        Some(bytes.iter().map(|&b| b != 0).collect())
    }

    /// Its elements as strings, if it is of that type.
    #[must_use]
    pub fn strings(&self) -> Option<&[String]> {
        match &self.data {
            Data::Strings(strings) => Some(strings),
            _ => None,
        }
    }
}

/// `bits` bits from bit `start` on, the lowest first. At most 64.
fn read_bits(bytes: &[u8], start: usize, bits: usize) -> u64 {
    if bits.is_multiple_of(8) {
        let at = start / 8;
        return bytes[at..at + bits / 8].iter().rev().fold(0, |acc, &b| acc << 8 | u64::from(b));
    }
    (0..bits).fold(0, |acc, bit| {
        let at = start + bit;
        acc | u64::from(bytes[at / 8] >> (at % 8) & 1) << bit
    })
}

/// Replaces every NaN by `nan`.
fn one_nan<const N: usize>(bytes: &mut [u8], is_nan: impl Fn([u8; N]) -> bool, nan: [u8; N]) {
    let (values, _) = bytes.as_chunks_mut::<N>();
    for value in values.iter_mut().filter(|value| is_nan(**value)) {
        *value = nan;
    }
}

/// Packs integers of one type.
pub(crate) struct Packer {
    dtype: DType,
    bytes: Vec<u8>,
    used_bits: usize,
}

impl Packer {
    pub(crate) fn new(dtype: DType) -> Self {
        Self { dtype, bytes: Vec::new(), used_bits: 0 }
    }

    /// Appends a value; says so if it does not fit the type.
    pub(crate) fn push(&mut self, value: i128) -> Result<(), String> {
        let (least, greatest) = self.dtype.range();
        if value < least || value > greatest {
            return Err(format!("{value} is not from {least} to {greatest}"));
        }
        let bits = self.dtype.bits();
        if bits.is_multiple_of(8) {
            self.bytes.extend_from_slice(&value.to_le_bytes()[..bits / 8]);
            return Ok(());
        }
        for bit in 0..bits {
            if self.used_bits.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> bit & 1) as u8) << (self.used_bits % 8);
            self.used_bits += 1;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_every_width_come_back() {
        for dtype in DType::all().filter(|dtype| dtype.is_integer()) {
            let (least, greatest) = dtype.range();
            let greatest = greatest.min(i64::MAX.into());
            let values = [least, 0, 1, greatest, least].map(|v| v as i64);
            let ty = Type::new(dtype, Shape::new(&[values.len()]).unwrap());
            let literal = Literal::from_integers(ty, &values).unwrap();
            assert_eq!(literal.integers().unwrap(), values, "{dtype}");
            if greatest < i64::MAX.into() {
                let over = [greatest as i64 + 1];
                assert!(Literal::from_integers(Type::scalar(dtype), &over).is_err(), "{dtype}");
            }
        }
    }

    #[test]
    fn four_bit_values_pack_low_half_first() {
        let ty = Type::new(DType::Uint4, Shape::new(&[3]).unwrap());
        let literal = Literal::from_integers(ty, &[1, 2, 3]).unwrap();
        assert_eq!(literal.bytes().unwrap(), [0x21, 0x03]);
    }

    #[test]
    fn data_that_does_not_fit_its_type_is_refused() {
        let two = Type::fp16(&[2]).unwrap();
        assert!(Literal::from_floats(two, &[1.0]).is_err());
        assert!(Literal::from_integers(two, &[1, 2]).is_err());
        assert!(Literal::from_bytes(Type::scalar(DType::Bool), vec![2]).is_err());
        let quiet = Literal::from_bytes(Type::scalar(DType::Fp16), vec![0x01, 0xfe]).unwrap();
        assert_eq!(quiet, Literal::from_floats(Type::scalar(DType::Fp16), &[f32::NAN]).unwrap());
    }
}
