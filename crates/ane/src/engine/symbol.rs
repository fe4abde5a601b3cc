//! What a loaded program says of its inputs and outputs: names, indices, and how their elements lie
//! in a surface.

use aneal_mil::{DType, Shape, Type};

/// Bytes that every row of a surface starts at a multiple of (section 2.2).
const ROW_ALIGNMENT: usize = 64;

/// A function of a loaded program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procedure {
    /// As the program spells it.
    pub name: String,
    /// By symbol index, which is their names' order (C24).
    pub inputs: Vec<Symbol>,
    /// By symbol index, which is the order of their names with `@output` behind them (C24).
    pub outputs: Vec<Symbol>,
}

/// An input or output of a procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// As the program spells it, without `@output`.
    pub name: String,
    /// What a request binds it by. Indices of a program's first procedure start at 0; those of others
    /// are to be read, not guessed.
    pub index: u32,
    /// Type and rows.
    pub layout: RowLayout,
}

/// How a tensor lies in a surface: rows along its last axis, each starting at a multiple of 64 bytes,
/// row after row without further gaps (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowLayout {
    /// Element type and shape.
    pub ty: Type,
    /// Rows: all axes but the last.
    pub rows: usize,
    /// Bytes of a row that hold elements.
    pub used_bytes: usize,
    /// Bytes from one row to the next.
    pub row_bytes: usize,
}

impl RowLayout {
    /// The layout of a type.
    #[must_use]
    pub fn of(ty: Type) -> Self {
        let width = ty.shape.width();
        let used_bytes = (width * ty.dtype.bits()).div_ceil(8);
        let row_bytes = used_bytes.next_multiple_of(ROW_ALIGNMENT);
        Self { ty, rows: ty.shape.elements() / width, used_bytes, row_bytes }
    }

    /// The layout of fp16 elements `[1, channels, 1, width]`.
    ///
    /// # Errors
    ///
    /// [`aneal_mil::Error::Shape`] for dimensions that no tensor has.
    pub fn channels(channels: usize, width: usize) -> aneal_mil::Result<Self> {
        let shape = Shape::new(&[1, channels, 1, width])?;
        Ok(Self::of(Type::new(DType::Fp16, shape)))
    }

    /// Bytes that a surface must have at least (C21).
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rows * self.row_bytes
    }

    /// Whether rows follow each other without padding.
    #[must_use]
    pub fn is_dense(&self) -> bool {
        self.used_bytes == self.row_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_padded_to_64_bytes() {
        // Widths and sizes that were tested on an M3 Ultra (section 2.2), and the one of the worked
        // example (4.5c).
        for (channels, width, row_bytes) in [
            (4, 1, 64),
            (4, 17, 64),
            (4, 31, 64),
            (4, 32, 64),
            (4, 33, 128),
            (4, 65, 192),
            (64, 96, 192),
        ] {
            let layout = RowLayout::channels(channels, width).unwrap();
            assert_eq!(layout.row_bytes, row_bytes, "width {width}");
            assert_eq!(layout.bytes(), channels * row_bytes);
            assert_eq!(layout.is_dense(), width % 32 == 0);
        }
        // "Minimum 49 KB for [768, 16]" in fp32 (ORI): 768 rows of 64 bytes.
        let ty = Type::new(DType::Fp32, Shape::new(&[1, 768, 1, 16]).unwrap());
        assert_eq!(RowLayout::of(ty).bytes(), 49_152);
        assert_eq!(RowLayout::of(Type::scalar(DType::Fp16)).bytes(), 64);
    }
}
