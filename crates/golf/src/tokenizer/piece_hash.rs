//! The hash of the piece index. Encoding is mostly looking up strings of a few bytes, where the
//! standard library's keyed hash takes most of the time. This one folds eight bytes at a time with
//! a 64 x 64 -> 128 bit multiplication. It resists no attacker, and needs not: keys come from the
//! model file alone, texts only look them up.

use std::hash::{BuildHasherDefault, Hasher};

/// Builds [`PieceHasher`]s.
pub(super) type PieceHash = BuildHasherDefault<PieceHasher>;

/// The running hash of one key.
#[derive(Default)]
pub(super) struct PieceHasher(u64);

/// Any odd number with mixed bits: here the fraction of the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

impl PieceHasher {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ MULTIPLIER) * u128::from(MULTIPLIER);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
}

impl Hasher for PieceHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.mix(chunk.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::hash::BuildHasher;

    use super::*;

    #[test]
    fn short_strings_spread_over_all_bits() {
        let strings = (0..40_000u32).map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B1)));
        let hashes: Vec<u64> = strings.map(|s| PieceHash::default().hash_one(s)).collect();
        for shift in [0, 24, 48] {
            let buckets: HashSet<u64> = hashes.iter().map(|h| h >> shift & 0xFFFF).collect();
            // 40,000 random values hit 65,536 (1 - e^-0.61) = 29,940 of 65,536 buckets.
            assert!(buckets.len() > 29_000, "{} buckets at bit {shift}", buckets.len());
        }
    }
}
