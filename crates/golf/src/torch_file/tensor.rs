//! Tensors as torch files hold them: a type, a shape and little-endian bytes.

use half::{bf16, f16};

/// The element types of the tensors that are read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Dtype {
    /// Every type there is.
    pub const ALL: [Self; 10] = [
        Self::F64,
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::I64,
        Self::I32,
        Self::I16,
        Self::I8,
        Self::U8,
        Self::Bool,
    ];

    /// Torch's name: `torch.<name>`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// The type that torch calls `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes an element.
    #[must_use]
    pub fn size(self) -> usize {
        self.facts().2
    }

    /// The class that stands for the type in a pickle: `torch.<storage>`.
    pub(super) fn storage(self) -> &'static str {
        self.facts().1
    }

    /// The type whose storages are of class `torch.<storage>`.
    pub(super) fn from_storage(storage: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.storage() == storage)
    }

    fn facts(self) -> (&'static str, &'static str, usize) {
        match self {
            Self::F64 => ("float64", "DoubleStorage", 8),
            Self::F32 => ("float32", "FloatStorage", 4),
            Self::F16 => ("float16", "HalfStorage", 2),
            Self::BF16 => ("bfloat16", "BFloat16Storage", 2),
            Self::I64 => ("int64", "LongStorage", 8),
            Self::I32 => ("int32", "IntStorage", 4),
            Self::I16 => ("int16", "ShortStorage", 2),
            Self::I8 => ("int8", "CharStorage", 1),
            Self::U8 => ("uint8", "ByteStorage", 1),
            Self::Bool => ("bool", "BoolStorage", 1),
        }
    }
}

/// A contiguous tensor. `bytes` holds the elements in row-major order, little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TorchTensor {
    /// Element type.
    pub dtype: Dtype,
    /// Sizes, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements.
    pub bytes: Vec<u8>,
}

impl TorchTensor {
    /// A float32 tensor. `data` is of the product of `shape`.
    #[must_use]
    pub fn from_f32(shape: Vec<usize>, data: &[f32]) -> Self {
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape, bytes }
    }

    /// A float16 tensor. `data` is of the product of `shape`.
    #[must_use]
    pub fn from_f16(shape: Vec<usize>, data: &[f16]) -> Self {
        let bytes = data.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F16, shape, bytes }
    }

    /// An int8 tensor. `data` is of the product of `shape`.
    #[must_use]
    pub fn from_i8(shape: Vec<usize>, data: &[i8]) -> Self {
        let bytes = bytemuck::cast_slice(data).to_vec();
        Self { dtype: Dtype::I8, shape, bytes }
    }

    /// The elements of a float tensor, rounded to f32 where they are wider; `None` for integers.
    #[must_use]
    pub fn to_f32(&self) -> Option<Vec<f32>> {
        let elements = |size| self.bytes.chunks_exact(size);
        Some(match self.dtype {
            Dtype::F64 => elements(8).map(|b| f64::from_le_bytes(array(b)) as f32).collect(),
            Dtype::F32 => elements(4).map(|b| f32::from_le_bytes(array(b))).collect(),
            Dtype::F16 => elements(2).map(|b| f16::from_le_bytes(array(b)).to_f32()).collect(),
            Dtype::BF16 => elements(2).map(|b| bf16::from_le_bytes(array(b)).to_f32()).collect(),
            Dtype::I64 | Dtype::I32 | Dtype::I16 | Dtype::I8 | Dtype::U8 | Dtype::Bool => {
                return None;
            }
        })
    }
}

/// A chunk of `chunks_exact(N)` as an array.
fn array<const N: usize>(chunk: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(chunk);
    array
}
