//! Philox4x32-10 (Salmon et al., 2011): random numbers as a pure function of a counter.
//!
//! A number is named by seed, stream and index, so there is no state to lose: a run that resumes at
//! index n draws what the uninterrupted run would have drawn.

/// What a stream of numbers is for. Streams of one seed are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Initial weights.
    Init,
    /// Places in the training data.
    Data,
    /// Sampled text.
    Sample,
    /// Inputs of a program that is tried out.
    Trial,
}

/// One stream of one seed.
#[derive(Clone, Copy, Debug)]
pub struct Philox {
    key: [u32; 2],
    stream: u32,
}

impl Philox {
    /// The stream's generator.
    pub fn new(seed: u64, stream: Stream) -> Self {
        Self { key: [seed as u32, (seed >> 32) as u32], stream: stream as u32 }
    }

    /// The four words of block `index`.
    pub fn block(&self, index: u64) -> [u32; 4] {
        philox4x32_10([index as u32, (index >> 32) as u32, self.stream, 0], self.key)
    }

    /// A uniform number in [0, 1) with 53 random bits.
    pub fn uniform(&self, index: u64) -> f64 {
        let [a, b, ..] = self.block(index);
        let bits = (u64::from(a) << 32 | u64::from(b)) >> 11;
        bits as f64 / (1_u64 << 53) as f64
    }

    /// A uniform integer below `n` (Lemire's multiplication; the bias is below n / 2^64).
    pub fn below(&self, index: u64, n: u64) -> u64 {
        let [a, b, ..] = self.block(index);
        let bits = u64::from(a) << 32 | u64::from(b);
        ((u128::from(bits) * u128::from(n)) >> 64) as u64
    }

    /// Fills `out` with numbers in [-1, 1), four to a block from block `first` on; returns the next
    /// free block.
    pub fn fill_symmetric(&self, first: u64, out: &mut [f32]) -> u64 {
        let mut index = first;
        for values in out.chunks_mut(4) {
            for (value, word) in values.iter_mut().zip(self.block(index)) {
                *value = (word >> 8) as f32 / (1 << 23) as f32 - 1.0;
            }
            index += 1;
        }
        index
    }
}

fn philox4x32_10(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    // Multipliers and key increments of Random123.
    const MULTIPLIER: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
    const INCREMENT: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
    for _ in 0..10 {
        let a = MULTIPLIER[0] * u64::from(counter[0]);
        let b = MULTIPLIER[1] * u64::from(counter[2]);
        counter = [
            (b >> 32) as u32 ^ counter[1] ^ key[0],
            b as u32,
            (a >> 32) as u32 ^ counter[3] ^ key[1],
            a as u32,
        ];
        key = [key[0].wrapping_add(INCREMENT[0]), key[1].wrapping_add(INCREMENT[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_known_answers_of_random123() {
        let ones = u32::MAX;
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([ones; 4], [ones; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, want) in cases {
            assert_eq!(philox4x32_10(counter, key), want);
        }
    }

    #[test]
    fn streams_and_seeds_differ_and_ranges_hold() {
        let data = Philox::new(1337, Stream::Data);
        assert_ne!(data.block(0), Philox::new(1337, Stream::Init).block(0));
        assert_ne!(data.block(0), Philox::new(1338, Stream::Data).block(0));
        let mut mean = 0.0;
        for i in 0..10_000 {
            assert!(data.below(i, 17) < 17);
            let u = data.uniform(i);
            assert!((0.0..1.0).contains(&u));
            mean += u / 10_000.0;
        }
        assert!((mean - 0.5_f64).abs() < 0.01, "mean {mean}");
        let mut values = [0.0; 1000];
        assert_eq!(data.fill_symmetric(5, &mut values), 255);
        assert!(values.iter().all(|v| (-1.0..1.0).contains(v)));
        assert!(values.iter().any(|v| *v < -0.9) && values.iter().any(|v| *v > 0.9));
    }
}
