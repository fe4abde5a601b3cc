//! A model's character rules: a trie from byte strings to replacements, stored as a Darts-clone
//! double array and executed where it stands.
//!
//! Layout of the blob: byte length of the array (u32, little endian), the array of u32 units, then
//! the replacement strings, each ended by NUL. A unit of the array is either
//! - a node: bits 0-7 its label, bit 8 "a value hangs here", bits 10-30 the offset (bit 9: shifted
//!   left by another 8) which, xor-ed with the node's own index, is where its children start; the
//!   child for byte `b` sits at that start xor `b`, the value at the start itself; or
//! - a value: bit 31 set, the rest a position among the replacement strings.

use crate::{Error, Result};

const VALUE: u32 = 1 << 31;

/// The longest replacement that is accepted, in bytes. The longest one of `nmt_nfkc` has 33; the
/// limit keeps a damaged model from turning a short text into gigabytes.
const LONGEST_REPLACEMENT: usize = 1024;

/// Rewriting rules, checked when they were read: no text makes them run out of bounds.
#[derive(Debug)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    replacements: String,
}

impl Charsmap {
    /// Reads the blob of a model's normaliser.
    ///
    /// # Errors
    /// [`Error::TokenizerInvalid`] where the blob contradicts its own layout.
    pub(super) fn parse(blob: &[u8]) -> Result<Self> {
        let (size, rest) = blob.split_first_chunk().ok_or_else(|| invalid("has no size"))?;
        let size = u32::from_le_bytes(*size) as usize;
        if size == 0 || !size.is_multiple_of(4) {
            return Err(invalid("has an array size that is no multiple of four"));
        }
        let (array, replacements) =
            rest.split_at_checked(size).ok_or_else(|| invalid("is shorter than its array"))?;
        let (units, _) = array.as_chunks();
        let charsmap = Self {
            units: units.iter().map(|unit| u32::from_le_bytes(*unit)).collect(),
            replacements: std::str::from_utf8(replacements)
                .map_err(|_| invalid("has replacements that are not UTF-8"))?
                .to_owned(),
        };
        charsmap.check()?;
        Ok(charsmap)
    }

    /// Every value that a match can end in is a replacement string.
    fn check(&self) -> Result<()> {
        for (index, &unit) in self.units.iter().enumerate() {
            if unit & VALUE != 0 {
                if self.replacement(unit).is_none() {
                    return Err(invalid("points outside its replacement strings"));
                }
            } else if has_value(unit) {
                let value = self.units.get(index ^ offset(unit)).copied().unwrap_or(0);
                if value & VALUE == 0 {
                    return Err(invalid("ends a rule without a replacement"));
                }
            }
        }
        Ok(())
    }

    /// The string that a value unit stands for.
    fn replacement(&self, unit: u32) -> Option<&str> {
        let rest = self.replacements.get((unit & !VALUE) as usize..)?;
        let length = rest.bytes().take(LONGEST_REPLACEMENT + 1).position(|byte| byte == 0)?;
        Some(&rest[..length])
    }

    /// The longest rule that `text` starts with: how many bytes it consumes and what it puts in
    /// their place.
    pub(super) fn longest_match(&self, text: &[u8]) -> Option<(usize, &str)> {
        let mut longest = None;
        let mut children = offset(self.units[0]);
        for (index, &byte) in text.iter().enumerate() {
            let node = children ^ usize::from(byte);
            let Some(&unit) = self.units.get(node) else { break };
            // A value unit is no child: its label, like the reference's, includes bit 31.
            if unit & (VALUE | 0xFF) != u32::from(byte) {
                break;
            }
            children = node ^ offset(unit);
            if has_value(unit) {
                longest = Some((index + 1, self.units[children]));
            }
        }
        let (length, unit) = longest?;
        Some((length, self.replacement(unit)?))
    }
}

fn has_value(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

fn invalid(what: &str) -> Error {
    Error::TokenizerInvalid { what: format!("the table of character rules {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One rule, `"a" -> "xy"`: the root at 0 has its children at 256, the node for `a` has its own
    /// at 512, and the value stands there.
    fn blob(value: u32, replacements: &[u8]) -> Vec<u8> {
        let mut units = vec![0u32; 768];
        let node = 256 ^ usize::from(b'a');
        units[0] = 256 << 10;
        units[node] = ((512 ^ node as u32) << 10) | 1 << 8 | u32::from(b'a');
        units[512] = value;
        let mut blob = (units.len() as u32 * 4).to_le_bytes().to_vec();
        blob.extend(units.iter().flat_map(|unit| unit.to_le_bytes()));
        blob.extend(replacements);
        blob
    }

    #[test]
    fn the_longest_rule_wins_and_other_text_is_left() {
        let charsmap = Charsmap::parse(&blob(VALUE, b"xy\0")).unwrap();
        assert_eq!(charsmap.longest_match(b"abc"), Some((1, "xy")));
        assert_eq!(charsmap.longest_match(b"b"), None);
        assert_eq!(charsmap.longest_match(b"\0"), None);
        assert_eq!(charsmap.longest_match(b""), None);
    }

    #[test]
    fn damaged_tables_are_refused() {
        let whole = blob(VALUE, b"xy\0");
        let cases = [
            (vec![1, 0], "no size"),
            (vec![3, 0, 0, 0, 1, 1, 1], "multiple of four"),
            (whole[..100].to_vec(), "shorter than its array"),
            (blob(VALUE | 3, b"xy\0"), "outside its replacement"),
            (blob(VALUE, b"xy"), "outside its replacement"),
            (blob(VALUE, &[b'x'; 5000]), "outside its replacement"),
            (blob(VALUE | 1, "é\0".as_bytes()), "outside its replacement"),
            (blob(VALUE, &[0xFF, 0]), "not UTF-8"),
            (blob(0, b"xy\0"), "without a replacement"),
        ];
        for (bytes, words) in cases {
            let error = Charsmap::parse(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
