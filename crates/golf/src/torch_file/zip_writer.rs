//! A zip of stored entries, each one's data on a 64-byte border as torch lays them out.

use crate::{Error, Result};

/// Data alignment of torch's own writer; lets readers map tensors in place.
const ALIGNMENT: usize = 64;
const LOCAL_HEADER: usize = 30;
/// Zip 2.0, what plain stored entries need.
const VERSION: u16 = 20;
/// 1 January 1980, the first date that zip knows: files do not differ by when they were made.
const DATE: u16 = 0x21;

/// Writes `entries` (name, data) under `folder/`.
///
/// # Errors
///
/// [`Error::TorchZip`] past 4 GiB or 65,534 entries, where plain zip ends.
pub(super) fn write(folder: &str, entries: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let too_large = || Error::TorchZip {
        reason: "the file would pass 4 GiB or 65534 tensors; split the model".into(),
    };
    let small = |n: usize| u16::try_from(n).ok().filter(|&n| n < u16::MAX).ok_or_else(too_large);
    let large = |n: usize| u32::try_from(n).ok().filter(|&n| n < u32::MAX).ok_or_else(too_large);

    let data: usize = entries.iter().map(|(_, data)| data.len()).sum();
    let mut zip = Vec::with_capacity(data + entries.len() * 256);
    let mut directory = Vec::new();
    for (name, data) in entries {
        let name = format!("{folder}/{name}");
        let offset = large(zip.len())?;
        let size = large(data.len())?;
        let crc = crc32fast::hash(data);
        let padding = padding(zip.len() + LOCAL_HEADER + name.len());

        // The fields that the local and the central header share.
        let mut common = Vec::new();
        common.extend(VERSION.to_le_bytes());
        common.extend([0; 2]); // flags
        common.extend([0; 2]); // stored
        common.extend([0; 2]); // time
        common.extend(DATE.to_le_bytes());
        common.extend(crc.to_le_bytes());
        common.extend(size.to_le_bytes()); // packed
        common.extend(size.to_le_bytes()); // unpacked
        common.extend(small(name.len())?.to_le_bytes());

        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(small(padding.len())?.to_le_bytes());
        zip.extend(name.as_bytes());
        zip.extend(padding);
        zip.extend(*data);

        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes()); // made by
        directory.extend(&common);
        directory.extend([0; 12]); // no extra field, no comment, disk 0, no attributes
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let start = large(zip.len())?;
    let count = small(entries.len())?;
    zip.extend(&directory);
    zip.extend(b"PK\x05\x06");
    zip.extend([0; 4]); // disk 0 of 0
    zip.extend(count.to_le_bytes());
    zip.extend(count.to_le_bytes());
    zip.extend(large(directory.len())?.to_le_bytes());
    zip.extend(start.to_le_bytes());
    zip.extend([0; 2]); // no comment
    Ok(zip)
}

/// The extra field that moves data which would begin at `start` to the next border: the id `FB`,
/// the length of what follows, and filler.
fn padding(start: usize) -> Vec<u8> {
    let filler = (start + 4).next_multiple_of(ALIGNMENT) - (start + 4);
    // Fits: it is less than the alignment.
    let mut field = [b'F', b'B', filler as u8, 0].to_vec();
    field.resize(4 + filler, b'Z');
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_aligned() {
        let data: Vec<Vec<u8>> = (0..70).map(|n| vec![n as u8; n]).collect();
        let names: Vec<String> = (0..70).map(|n| "n".repeat(n + 1)).collect();
        let entries: Vec<(&str, &[u8])> =
            names.iter().map(String::as_str).zip(data.iter().map(Vec::as_slice)).collect();
        let zip = write("archive", &entries).unwrap();
        let read = super::super::zip_reader::read(&zip).unwrap();
        assert_eq!(read.len(), 70);
        for (name, data) in entries {
            let found = read[format!("archive/{name}").as_str()];
            assert_eq!(found, data);
            let offset = found.as_ptr() as usize - zip.as_ptr() as usize;
            assert!(data.is_empty() || offset.is_multiple_of(ALIGNMENT), "{name} at {offset}");
        }
    }
}
