//! Reads a zip of stored entries that lies in memory. Entries are borrowed, never copied, so a
//! broken size costs an error and no memory.

use std::collections::BTreeMap;

use crate::{Error, Result};

const END_RECORD: usize = 22;
const CENTRAL_HEADER: usize = 46;
const LOCAL_HEADER: usize = 30;

/// The entries by name.
///
/// # Errors
///
/// [`Error::TorchZip`] if the zip is cut, damaged, compressed, encrypted, in parts, or large enough
/// to need zip64, and if names repeat or entries overlap.
pub(super) fn read(zip: &[u8]) -> Result<BTreeMap<&str, &[u8]>> {
    let end_at = find_end(zip)?;
    let end = Record { zip, at: end_at };
    let (count, size, start) = (end.u16(10)?, end.u32(12)?, end.u32(16)?);
    if end.u16(4)? != 0 || end.u16(6)? != 0 || end.u16(8)? != count {
        return Err(broken("it is one part of several; join them first"));
    }
    if count == usize::from(u16::MAX) || size == u32::MAX as usize || start == u32::MAX as usize {
        return Err(broken("it needs zip64 (4 GiB or 65535 entries), which is not read"));
    }
    if start + size > end_at {
        return Err(broken("its directory lies outside the file; it is damaged"));
    }

    let mut entries = BTreeMap::new();
    let mut at = start;
    let mut total = 0;
    for _ in 0..count {
        let header = Record { zip: &zip[..start + size], at };
        let (name, data) = entry(&header, start)?;
        // Entries that share bytes would make small files cost much time.
        total += data.len();
        if total > start || entries.insert(name, data).is_some() {
            return Err(broken(&format!("entry `{name}` repeats or overlaps another")));
        }
        at += CENTRAL_HEADER + header.u16(28)? + header.u16(30)? + header.u16(32)?;
    }
    if at != start + size {
        return Err(broken("its directory is not of the size stated; it is damaged"));
    }
    Ok(entries)
}

/// Position of the record that ends the zip; a comment may follow it.
fn find_end(zip: &[u8]) -> Result<usize> {
    let last = zip.len().checked_sub(END_RECORD);
    let last =
        last.ok_or_else(|| broken("it is too short for a zip; it is cut or no torch file"))?;
    let first = last.saturating_sub(usize::from(u16::MAX));
    let is_end = |&at: &usize| {
        zip[at..].starts_with(b"PK\x05\x06")
            && at + END_RECORD + usize::from(u16::from_le_bytes([zip[at + 20], zip[at + 21]]))
                == zip.len()
    };
    (first..=last).rev().find(is_end).ok_or_else(|| {
        broken("it does not end as a zip does; it is cut, or not written by torch 1.6 or later")
    })
}

/// Name and data of the entry that a central header describes. Data ends before `limit`.
fn entry<'a>(header: &Record<'a>, limit: usize) -> Result<(&'a str, &'a [u8])> {
    header.expect(b"PK\x01\x02")?;
    let name_bytes = header.bytes(CENTRAL_HEADER, header.u16(28)?)?;
    let name =
        std::str::from_utf8(name_bytes).map_err(|_| broken("an entry's name is not UTF-8"))?;
    let fail = |reason: &str| broken(&format!("entry `{name}` {reason}"));

    let (flags, method, crc) = (header.u16(8)?, header.u16(10)?, header.u32(16)?);
    let (packed, size, offset) = (header.u32(20)?, header.u32(24)?, header.u32(42)?);
    if flags & 1 != 0 {
        return Err(fail("is encrypted, expected plain"));
    }
    if method != 0 {
        return Err(fail("is compressed, expected stored; save it with torch.save"));
    }
    if [packed, size, offset].contains(&(u32::MAX as usize)) {
        return Err(fail("needs zip64, which is not read"));
    }
    if packed != size {
        return Err(fail("has two different sizes; the file is damaged"));
    }

    let local = Record { zip: &header.zip[..limit], at: offset };
    local.expect(b"PK\x03\x04")?;
    let name_len = local.u16(26)?;
    if local.bytes(LOCAL_HEADER, name_len)? != name_bytes {
        return Err(fail("has two different names; the file is damaged"));
    }
    let data = local.bytes(LOCAL_HEADER + name_len + local.u16(28)?, size)?;
    if crc32fast::hash(data) as usize != crc {
        return Err(fail("does not match its checksum; fetch the file again"));
    }
    Ok((name, data))
}

/// A record of the zip, read by offset.
struct Record<'a> {
    zip: &'a [u8],
    at: usize,
}

impl<'a> Record<'a> {
    fn bytes(&self, offset: usize, len: usize) -> Result<&'a [u8]> {
        let start = self.at + offset;
        self.zip.get(start..start + len).ok_or_else(|| broken("an entry lies outside; it is cut"))
    }

    fn u16(&self, offset: usize) -> Result<usize> {
        Ok(self.bytes(offset, 2)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)))
    }

    fn u32(&self, offset: usize) -> Result<usize> {
        Ok(self.bytes(offset, 4)?.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)))
    }

    fn expect(&self, magic: &[u8; 4]) -> Result<()> {
        match self.bytes(0, 4)? == magic {
            true => Ok(()),
            false => Err(broken("an entry's header is not where it should be; it is damaged")),
        }
    }
}

fn broken(reason: &str) -> Error {
    Error::TorchZip { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_does_not_read() {
        let zip = super::super::zip_writer::write("f", &[("a", b"abcdef"), ("b", b"x")]).unwrap();
        let central = zip.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
        let end = zip.len() - END_RECORD;
        let cases: [(&str, usize, u8, &str); 13] = [
            ("compressed", central + 10, 8, "entry `f/a` is compressed"),
            ("encrypted", central + 8, 1, "entry `f/a` is encrypted"),
            ("sizes", central + 20, 5, "two different sizes"),
            ("checksum", central + 16, zip[central + 16] ^ 1, "does not match its checksum"),
            ("data", 64, b'X', "does not match its checksum"),
            ("local name", 30, b'g', "two different names"),
            ("offset", central + 42, 1, "header is not where it should be"),
            ("far offset", central + 45, 0x7f, "lies outside"),
            ("parts", end + 4, 1, "one part of several"),
            ("count", end + 8, 1, "one part of several"),
            ("directory", end + 12, 1, "it is cut"),
            ("far directory", end + 19, 0x7f, "directory lies outside the file"),
            ("comment", end + 20, 1, "does not end as a zip does"),
        ];
        for (name, at, byte, expected) in cases {
            let mut damaged = zip.clone();
            damaged[at] = byte;
            let message = read(&damaged).unwrap_err().to_string();
            assert!(message.contains(expected), "{name}: {message}");
        }
        let mut zip64 = zip.clone();
        zip64[central + 20..central + 28].fill(0xff);
        assert!(read(&zip64).unwrap_err().to_string().contains("needs zip64"));
        let mut zip64 = zip.clone();
        zip64[end + 8..end + 12].fill(0xff);
        assert!(read(&zip64).unwrap_err().to_string().contains("needs zip64"));
    }

    #[test]
    fn refuses_repeated_and_shared_entries() {
        let twice = super::super::zip_writer::write("f", &[("a", b"1"), ("a", b"2")]).unwrap();
        assert!(read(&twice).unwrap_err().to_string().contains("repeats"));
    }

    #[test]
    fn skips_a_comment() {
        let mut zip = super::super::zip_writer::write("f", &[("a", b"abc")]).unwrap();
        let at = zip.len() - 2;
        zip[at] = 5;
        zip.extend(b"hello");
        assert_eq!(read(&zip).unwrap()["f/a"], b"abc");
    }
}
