//! Reading weight files.

use super::{ALIGNMENT, SENTINEL, VERSION};
use crate::{DType, Error, Literal, Result, Type};

/// How much of a descriptor must be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Everything: header, element type, length, place. What the compilers of M1 to M3 seem to
    /// want (facts section 3.1).
    Strict,
    /// Only what is needed to find the data: the compilers of M4 and M5 take files whose count,
    /// element type or length is another.
    Lenient,
}

/// A weight file in memory.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    check: Check,
}

/// What a descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Descriptor {
    code: u32,
    bytes: u64,
    data: u64,
}

impl<'a> Reader<'a> {
    /// Looks at the header.
    ///
    /// # Errors
    ///
    /// [`Error::Blob`] for a file that is too short or of another version.
    pub fn new(bytes: &'a [u8], check: Check) -> Result<Self> {
        if bytes.len() < ALIGNMENT {
            let found = bytes.len();
            let reason = format!("the file has {found} bytes, a header alone has {ALIGNMENT}");
            return Err(Error::blob(0, reason));
        }
        let reader = Self { bytes, check };
        let version = u32::from_le_bytes(reader.array(4)?);
        if version != VERSION {
            let reason = format!("the file has version {version}, expected {VERSION}");
            return Err(Error::blob(0, reason));
        }
        Ok(reader)
    }

    /// Blobs that the header counts.
    ///
    /// # Errors
    ///
    /// None after [`Reader::new`].
    pub fn count(&self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(0)?))
    }

    /// The constant of type `ty` behind the descriptor at `offset`.
    ///
    /// # Errors
    ///
    /// [`Error::Blob`] where there is no descriptor, where it does not go with `ty` (if strict),
    /// or where the data is not inside of the file.
    pub fn read(&self, offset: u64, ty: Type) -> Result<Literal> {
        let found = self.descriptor(offset)?;
        let expected = ty.bytes() as u64;
        if self.check == Check::Strict {
            self.strict(offset, found, ty)?;
        }
        let range = found.data.checked_add(expected).filter(|&end| end <= self.bytes.len() as u64);
        let Some(end) = range else {
            return Err(Error::blob(
                offset,
                format!(
                    "{expected} bytes of data at {} do not lie in a file of {} bytes; write it whole",
                    found.data,
                    self.bytes.len()
                ),
            ));
        };
        // Both fit `usize`: they are at most the file's length.
        Literal::from_bytes(ty, self.bytes[found.data as usize..end as usize].to_vec())
    }

    fn strict(&self, offset: u64, found: Descriptor, ty: Type) -> Result<()> {
        let refuse = |reason: String| Err(Error::blob(offset, reason));
        if Some(found.code) != ty.dtype.blob() {
            let name = DType::from_blob(found.code).map_or("unknown", DType::name);
            return refuse(format!(
                "it says element type {} ({name}), the program {}",
                found.code, ty.dtype
            ));
        }
        if found.bytes != ty.bytes() as u64 {
            return refuse(format!("it says {} bytes, {ty} takes {}", found.bytes, ty.bytes()));
        }
        if !found.data.is_multiple_of(ALIGNMENT as u64) || found.data < offset + ALIGNMENT as u64 {
            return refuse(format!(
                "it says its data is at {}, expected a multiple of {ALIGNMENT} behind it",
                found.data
            ));
        }
        match self.count()? {
            0 => refuse("the header counts no blobs".into()),
            _ => Ok(()),
        }
    }

    fn descriptor(&self, offset: u64) -> Result<Descriptor> {
        let at = usize::try_from(offset).ok().filter(|at| at.checked_add(ALIGNMENT).is_some());
        let refuse = |reason: &str| Error::blob(offset, reason.to_owned());
        let at = at.ok_or_else(|| refuse("the offset is past any file"))?;
        if at % ALIGNMENT != 0 && self.check == Check::Strict {
            return Err(refuse("the offset is no multiple of 64"));
        }
        let sentinel = u32::from_le_bytes(self.array(at)?);
        if sentinel != SENTINEL {
            return Err(refuse(&format!(
                "found {sentinel:#010x} instead of {SENTINEL:#010x}; name the descriptor, not its \
                 data (the first is at 64)"
            )));
        }
        Ok(Descriptor {
            code: u32::from_le_bytes(self.array(at + 4)?),
            bytes: u64::from_le_bytes(self.array(at + 8)?),
            data: u64::from_le_bytes(self.array(at + 16)?),
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N]> {
        let bytes = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
        bytes.copied().ok_or_else(|| {
            Error::blob(at as u64, format!("the file ends at {}; write it whole", self.bytes.len()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Writer;
    use super::*;

    fn file() -> (Vec<u8>, Type) {
        let ty = Type::fp16(&[3]).unwrap();
        let mut writer = Writer::new();
        assert_eq!(writer.push(&Literal::from_floats(ty, &[1.0, 2.0, 3.0]).unwrap()).unwrap(), 64);
        let more = Literal::from_integers(
            Type::new(DType::Uint4, crate::Shape::new(&[3]).unwrap()),
            &[1, 2, 3],
        );
        assert_eq!(writer.push(&more.unwrap()).unwrap(), 192);
        (writer.finish(), ty)
    }

    #[test]
    fn what_was_written_is_read() {
        let (bytes, ty) = file();
        for check in [Check::Strict, Check::Lenient] {
            let reader = Reader::new(&bytes, check).unwrap();
            assert_eq!(reader.count().unwrap(), 2);
            assert_eq!(reader.read(64, ty).unwrap().floats().unwrap(), [1.0, 2.0, 3.0]);
        }
    }

    /// The known shapes of broken files: which of them each check refuses.
    #[test]
    fn broken_descriptors() {
        type Break = fn(&mut Vec<u8>);
        let cases: [(&str, u64, Break, bool, bool); 9] = [
            ("data instead of descriptor", 128, |_| (), true, true),
            ("file start", 0, |_| (), true, true),
            ("past the end", 1 << 40, |_| (), true, true),
            ("sentinel", 64, |b| b[64] = 0, true, true),
            ("element type", 64, |b| b[68] = 4, true, false),
            ("length of another shape", 64, |b| b[74] = 8, true, false),
            ("data past the end", 64, |b| b[82] = 1, true, true),
            ("version", 64, |b| b[4] = 1, true, true),
            ("cut short", 64, |b| b.truncate(130), true, true),
        ];
        for (what, offset, damage, strict, lenient) in cases {
            let (mut bytes, ty) = file();
            damage(&mut bytes);
            for (check, refused) in [(Check::Strict, strict), (Check::Lenient, lenient)] {
                let read = Reader::new(&bytes, check).and_then(|r| r.read(offset, ty));
                assert_eq!(read.is_err(), refused, "{what}, {check:?}: {read:?}");
            }
        }
    }
}
