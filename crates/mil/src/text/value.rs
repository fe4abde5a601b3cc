//! Types and constants as text.

use super::cursor::Cursor;
use super::number::{self, Number};
use crate::literal::{BlobRef, Packer};
use crate::{DType, Literal, Result, Shape, Type};

/// `tensor<fp16, [1, 64]>`, or a scalar's bare element type.
pub(super) fn read_type(cursor: &mut Cursor<'_>) -> Result<Type> {
    let at = cursor.place();
    let word = cursor.name("a type")?;
    type_from(cursor, at, word)
}

/// As [`read_type`], the first word read already.
pub(super) fn type_from(cursor: &mut Cursor<'_>, at: usize, word: &str) -> Result<Type> {
    if word != "tensor" {
        return match DType::from_name(word) {
            Some(dtype) => Ok(Type::scalar(dtype)),
            None => {
                Err(cursor.error(at, format!("`{word}` is no type; expected tensor or fp16, ...")))
            }
        };
    }
    cursor.expect(b'<')?;
    let at = cursor.place();
    let word = cursor.name("an element type")?;
    let dtype = DType::from_name(word)
        .ok_or_else(|| cursor.error(at, format!("`{word}` is no element type")))?;
    cursor.expect(b',')?;
    cursor.expect(b'[')?;
    let (start, mut dims) = (cursor.place(), Vec::new());
    while cursor.peek() != b']' {
        let at = cursor.place();
        let text = cursor.number();
        let dim = text.parse().map_err(|_| {
            cursor.error(at, "expected a dimension, a whole number: shapes are static (C77)")
        })?;
        dims.push(dim);
        if dims.len() > 16 {
            return Err(cursor.error(at, "more dimensions than any tensor has"));
        }
        if !cursor.take(b',') {
            break;
        }
    }
    cursor.expect(b']')?;
    cursor.expect(b'>')?;
    let shape = Shape::new(&dims).map_err(|e| cursor.error(start, e.to_string()))?;
    Ok(Type::new(dtype, shape))
}

/// A type, then its value in parentheses.
pub(super) fn read_literal(cursor: &mut Cursor<'_>) -> Result<Literal> {
    let at = cursor.place();
    let word = cursor.name("a constant")?;
    literal_from(cursor, at, word)
}

/// As [`read_literal`], the first word read already.
pub(super) fn literal_from(cursor: &mut Cursor<'_>, at: usize, word: &str) -> Result<Literal> {
    let ty = type_from(cursor, at, word)?;
    cursor.expect(b'(')?;
    let mut ahead = *cursor;
    let literal = if ahead.word() == Some("BLOBFILE") {
        *cursor = ahead;
        read_blob(cursor, ty)
    } else {
        let mut elements = Elements::new(ty);
        elements.read(cursor)?;
        elements.finish()
    };
    let literal = literal.map_err(|error| match error {
        error @ crate::Error::Text { .. } => error,
        error => cursor.error(at, error.to_string()),
    })?;
    cursor.expect(b')')?;
    Ok(literal)
}

/// `(path = string("..."), offset = uint64(64))`, in either order.
fn read_blob(cursor: &mut Cursor<'_>, ty: Type) -> Result<Literal> {
    cursor.expect(b'(')?;
    let (mut path, mut offset) = (None, None);
    loop {
        let at = cursor.place();
        let word = cursor.name("`path` or `offset`")?;
        cursor.expect(b'=')?;
        let value = read_literal(cursor)?;
        match word {
            "path" => path = value.strings().and_then(|s| s.first()).map(|s| s.as_str().into()),
            "offset" => {
                // Not through `i64`: a package may name any offset, and it is printed as it is.
                let given = value.bytes().is_some() && value.ty().dtype.is_integer();
                offset = u64::try_from(value.integer_at(0)).ok().filter(|_| given);
            }
            _ => return Err(cursor.error(at, format!("`{word}` is neither `path` nor `offset`"))),
        }
        if !cursor.take(b',') {
            break;
        }
    }
    cursor.expect(b')')?;
    match (path, offset) {
        (Some(path), Some(offset)) => Literal::from_blob(ty, BlobRef { path, offset }),
        _ => {
            let reason = "needs a path, a string, and an offset, a number that is not negative";
            Err(crate::Error::literal(ty, reason))
        }
    }
}

/// The elements of a constant, gathered as they are read.
struct Elements {
    ty: Type,
    count: usize,
    bytes: Vec<u8>,
    packer: Packer,
    strings: Vec<String>,
}

impl Elements {
    fn new(ty: Type) -> Self {
        let (bytes, strings) = (Vec::new(), Vec::new());
        Self { ty, count: 0, bytes, packer: Packer::new(ty.dtype), strings }
    }

    /// A single element, or a list: nested as the shape, or flat.
    fn read(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let at = cursor.place();
        let expected = self.ty.shape.elements();
        if cursor.peek() != b'[' {
            if expected != 1 {
                let reason = format!("{} takes a list of {expected} elements in [ ]", self.ty);
                return Err(cursor.error(at, reason));
            }
            return self.element(cursor);
        }
        if self.ty.shape.rank() == 0 {
            return Err(cursor.error(at, "a scalar takes one value, not a list"));
        }
        let mut ahead = *cursor;
        let nested = ahead.take(b'[') && ahead.peek() == b'[';
        if nested {
            self.nested(cursor, 0)?;
        } else {
            self.list(cursor)?;
        }
        if self.count != expected {
            let found = self.count;
            let reason = format!("{} takes {expected} elements, found {found}", self.ty);
            return Err(cursor.error(at, reason));
        }
        Ok(())
    }

    /// `[[..], [..]]`, one level for each axis: never deeper than the rank.
    fn nested(&mut self, cursor: &mut Cursor<'_>, axis: usize) -> Result<()> {
        if axis + 1 == self.ty.shape.rank() {
            let before = self.count;
            let at = cursor.place();
            self.list(cursor)?;
            let (found, want) = (self.count - before, self.ty.shape.dim(axis));
            if found != want {
                let reason = format!("a row of {} takes {want} elements, found {found}", self.ty);
                return Err(cursor.error(at, reason));
            }
            return Ok(());
        }
        let at = cursor.place();
        cursor.expect(b'[')?;
        let mut rows = 0;
        while cursor.peek() != b']' {
            self.nested(cursor, axis + 1)?;
            rows += 1;
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b']')?;
        let want = self.ty.shape.dim(axis);
        if rows != want {
            let reason = format!("axis {axis} of {} has {want} rows, found {rows}", self.ty);
            return Err(cursor.error(at, reason));
        }
        Ok(())
    }

    fn list(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        cursor.expect(b'[')?;
        while cursor.peek() != b']' {
            self.element(cursor)?;
            if !cursor.take(b',') {
                break;
            }
        }
        cursor.expect(b']')
    }

    fn element(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        self.count += 1;
        let at = cursor.place();
        let dtype = self.ty.dtype;
        match dtype {
            DType::String => self.strings.push(cursor.string()?),
            DType::Bool => {
                let value = match cursor.word() {
                    Some("true") => 1,
                    Some("false") => 0,
                    _ => return Err(cursor.error(at, "expected true or false")),
                };
                self.bytes.push(value);
            }
            _ => {
                let text = cursor.number();
                let number = number::read(text)
                    .ok_or_else(|| cursor.error(at, format!("expected a number for {dtype}")))?;
                let fits = match dtype {
                    DType::Fp16 => {
                        number.fp16().map(|v| self.bytes.extend_from_slice(&v.to_le_bytes()))
                    }
                    DType::Fp32 => {
                        number.fp32().map(|v| self.bytes.extend_from_slice(&v.to_le_bytes()))
                    }
                    _ => self.integer(cursor, at, number)?,
                };
                if fits.is_none() {
                    return Err(cursor.error(at, format!("{text} does not fit {dtype}")));
                }
            }
        }
        Ok(())
    }

    fn integer(&mut self, cursor: &Cursor<'_>, at: usize, n: Number<'_>) -> Result<Option<()>> {
        let Some(value) = n.integer() else { return Ok(None) };
        self.packer.push(value).map_err(|reason| cursor.error(at, reason))?;
        Ok(Some(()))
    }

    fn finish(self) -> Result<Literal> {
        if self.ty.dtype == DType::String {
            return Literal::from_strings(self.ty, self.strings);
        }
        let integer = self.ty.dtype.is_integer();
        Literal::from_bytes(self.ty, if integer { self.packer.finish() } else { self.bytes })
    }
}
