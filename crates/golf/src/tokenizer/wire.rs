//! The protobuf wire format, as far as a tokenizer model needs it: a message read as a sequence of
//! numbered fields. It borrows from the input and allocates nothing, so no length that a damaged
//! file claims can cost memory.

use crate::{Error, Result};

/// The fields of one message, in file order. Ends after the first error.
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    position: usize,
    /// Where `bytes` begins in the file, so that errors name file offsets.
    base: usize,
}

/// One field of a message.
pub(super) struct Field<'b> {
    pub(super) number: u64,
    /// File offset of the field's value.
    offset: usize,
    value: Value<'b>,
}

enum Value<'b> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64,
    Bytes(&'b [u8]),
}

impl<'b> Fields<'b> {
    /// The fields of a whole file.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0, base: 0 }
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::TokenizerMalformed { offset: self.base + self.position, what }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.position) else {
                return Err(self.malformed("the file ends inside a number"));
            };
            self.position += 1;
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.malformed("a number is longer than ten bytes"))
    }

    fn take(&mut self, length: u64) -> Result<&'b [u8]> {
        let rest = &self.bytes[self.position..];
        let Some(taken) = usize::try_from(length).ok().and_then(|length| rest.get(..length)) else {
            return Err(self.malformed("a field is longer than what is left of the file"));
        };
        self.position += taken.len();
        Ok(taken)
    }

    fn field(&mut self) -> Result<Field<'b>> {
        let key = self.varint()?;
        let mut offset = self.base + self.position;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed64)?,
            2 => {
                let length = self.varint()?;
                offset = self.base + self.position;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                let mut bytes = [0; 4];
                bytes.copy_from_slice(self.take(4)?);
                Value::Fixed32(bytes)
            }
            _ => return Err(self.malformed("a field has an unknown wire type")),
        };
        Ok(Field { number: key >> 3, offset, value })
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<Field<'b>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.position >= self.bytes.len() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.position = self.bytes.len();
        }
        Some(field)
    }
}

impl<'b> Field<'b> {
    fn malformed(&self, what: &'static str) -> Error {
        Error::TokenizerMalformed { offset: self.offset, what }
    }

    /// An integer or enumeration value.
    pub(super) fn integer(&self) -> Result<u64> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.malformed("a field should be an integer")),
        }
    }

    /// A boolean value.
    pub(super) fn boolean(&self) -> Result<bool> {
        Ok(self.integer()? != 0)
    }

    /// A 32-bit floating-point value.
    pub(super) fn float(&self) -> Result<f32> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.malformed("a field should be a 32-bit float")),
        }
    }

    /// A byte string.
    pub(super) fn bytes(&self) -> Result<&'b [u8]> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.malformed("a field should be a byte string")),
        }
    }

    /// A text string.
    pub(super) fn text(&self) -> Result<&'b str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.malformed("a text field is not UTF-8"))
    }

    /// The fields of a nested message.
    pub(super) fn message(&self) -> Result<Fields<'b>> {
        Ok(Fields { bytes: self.bytes()?, position: 0, base: self.offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_every_wire_type_are_read() {
        let bytes = [
            0x08, 0x96, 0x01, // field 1, integer 150
            0x12, 0x02, b'h', b'i', // field 2, "hi"
            0x1D, 0, 0, 0x80, 0x3F, // field 3, 1.0f32
            0x21, 1, 2, 3, 4, 5, 6, 7, 8, // field 4, skipped 64-bit value
        ];
        let fields: Vec<_> = Fields::new(&bytes).collect::<Result<_>>().unwrap();
        assert_eq!(fields.iter().map(|f| f.number).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(fields[0].integer().unwrap(), 150);
        assert_eq!(fields[1].text().unwrap(), "hi");
        assert_eq!(fields[2].float().unwrap(), 1.0);
        assert!(fields[3].integer().is_err());
        assert!(fields[0].bytes().is_err());
    }

    #[test]
    fn damage_is_named_with_its_offset() {
        let cases: [(&[u8], usize, &str); 5] = [
            (&[0x08], 1, "ends inside a number"),
            (&[0x08, 0xFF], 2, "ends inside a number"),
            (&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], 11, "ten bytes"),
            (&[0x12, 0x05, b'h'], 2, "longer than what is left"),
            (&[0x0B], 1, "unknown wire type"),
        ];
        for (bytes, at, words) in cases {
            let Some(Err(error)) = Fields::new(bytes).next() else {
                panic!("{bytes:?} was read");
            };
            assert!(error.to_string().contains(words), "{bytes:?}: {error}");
            assert!(matches!(error, Error::TokenizerMalformed { offset, .. } if offset == at));
        }
    }

    #[test]
    fn nested_messages_report_file_offsets() {
        // Field 1 is a message at offset 2 whose own field claims 9 bytes at offset 4.
        let bytes = [0x0A, 0x02, 0x12, 0x09];
        let outer = Fields::new(&bytes).next().unwrap().unwrap();
        let inner = outer.message().unwrap().next().unwrap();
        assert!(matches!(inner, Err(Error::TokenizerMalformed { offset: 4, .. })));
    }
}
