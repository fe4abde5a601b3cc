//! Element types, with their spelling in MIL text and their codes in the two binary formats.

use std::fmt;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names say it; the table below says the rest
pub enum DType {
    Bool,
    String,
    Fp16,
    Fp32,
    Int4,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint1,
    Uint2,
    Uint3,
    Uint4,
    Uint6,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// What an element type is called elsewhere.
struct Row {
    dtype: DType,
    /// In MIL text.
    name: &'static str,
    /// In Core ML's protobuf: `MIL.proto`, `DataType`.
    proto: i32,
    /// In weight files, as coremltools' writer numbers them. `None`: never stored there.
    blob: Option<u32>,
    /// Bits of one stored element; below 8, elements are packed from the lowest bit up.
    bits: usize,
}

const fn row(dtype: DType, name: &'static str, proto: i32, blob: Option<u32>, bits: usize) -> Row {
    Row { dtype, name, proto, blob, bits }
}

/// In the order of the enum, which indexes it.
const TABLE: [Row; 18] = [
    row(DType::Bool, "bool", 1, None, 8),
    row(DType::String, "string", 2, None, 0),
    row(DType::Fp16, "fp16", 10, Some(1), 16),
    row(DType::Fp32, "fp32", 11, Some(2), 32),
    row(DType::Int4, "int4", 25, Some(8), 4),
    row(DType::Int8, "int8", 21, Some(4), 8),
    row(DType::Int16, "int16", 22, Some(6), 16),
    row(DType::Int32, "int32", 23, Some(14), 32),
    row(DType::Int64, "int64", 24, None, 64),
    row(DType::Uint1, "uint1", 37, Some(9), 1),
    row(DType::Uint2, "uint2", 36, Some(10), 2),
    row(DType::Uint3, "uint3", 39, Some(12), 3),
    row(DType::Uint4, "uint4", 35, Some(11), 4),
    row(DType::Uint6, "uint6", 38, Some(13), 6),
    row(DType::Uint8, "uint8", 31, Some(3), 8),
    row(DType::Uint16, "uint16", 32, Some(7), 16),
    row(DType::Uint32, "uint32", 33, Some(15), 32),
    row(DType::Uint64, "uint64", 34, None, 64),
];

impl DType {
    /// Every element type.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.dtype)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// As MIL text spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The type that MIL text spells so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.dtype)
    }

    /// Bits of one stored element; 0 for strings.
    #[must_use]
    pub fn bits(self) -> usize {
        self.row().bits
    }

    /// Bytes that `elements` of this type take, packed.
    #[must_use]
    pub fn bytes(self, elements: usize) -> usize {
        (elements * self.bits()).div_ceil(8)
    }

    /// Whether it is `fp16` or `fp32`.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32)
    }

    /// Whether it is a signed or unsigned integer of any width.
    #[must_use]
    pub fn is_integer(self) -> bool {
        !matches!(self, Self::Bool | Self::String) && !self.is_float()
    }

    /// Whether it is an integer of 8 or 16 bits, which operations took later than the others.
    pub(crate) fn is_small(self) -> bool {
        matches!(self, Self::Int8 | Self::Uint8 | Self::Int16 | Self::Uint16)
    }

    /// Least and greatest value of an integer type; both 0 for the others.
    #[must_use]
    pub fn range(self) -> (i128, i128) {
        let bits = self.bits() as u32;
        match self {
            Self::Int4 | Self::Int8 | Self::Int16 | Self::Int32 | Self::Int64 => {
                (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1)
            }
            _ if self.is_integer() => (0, (1_i128 << bits) - 1),
            _ => (0, 0),
        }
    }

    pub(crate) fn proto(self) -> i32 {
        self.row().proto
    }

    pub(crate) fn from_proto(code: i32) -> Option<Self> {
        TABLE.iter().find(|row| row.proto == code).map(|row| row.dtype)
    }

    pub(crate) fn blob(self) -> Option<u32> {
        self.row().blob
    }

    pub(crate) fn from_blob(code: u32) -> Option<Self> {
        TABLE.iter().find(|row| row.blob == Some(code)).map(|row| row.dtype)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.dtype as usize, index, "{}", row.name);
            assert_eq!(DType::from_name(row.name), Some(row.dtype));
            assert_eq!(DType::from_proto(row.proto), Some(row.dtype));
            if let Some(code) = row.blob {
                assert_eq!(DType::from_blob(code), Some(row.dtype));
            }
        }
    }

    #[test]
    fn packed_types_share_bytes() {
        for (dtype, elements, bytes) in [
            (DType::Fp16, 5, 10),
            (DType::Uint4, 5, 3),
            (DType::Uint1, 9, 2),
            (DType::Uint3, 8, 3),
            (DType::Uint6, 5, 4),
        ] {
            assert_eq!(dtype.bytes(elements), bytes, "{dtype}");
        }
        assert_eq!(DType::Int4.range(), (-8, 7));
        assert_eq!(DType::Uint64.range(), (0, u64::MAX.into()));
    }
}
