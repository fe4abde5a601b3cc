//! What becomes of the elements of a value that a device gets wrong.

use half::f16;

/// How elements are spoiled: by their places and values alone, so that a run gives the same bits as
/// the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::emulator) enum Spoil {
    /// All are 0.
    Zeros,
    /// None is a number (C17).
    NotANumber,
    /// Those whose size is greater are infinite, with their sign (C18, C38).
    Overflow(f32),
    /// Each is off by up to 3 %, by 1.75 % in the root mean square (C37: "1.5-2 %").
    Noise,
    /// Those of axis 1 past its first place are 0: what is repeated along it is not (C29: "wrong").
    FirstChannelOnly,
    /// Those past so many are the ones from the start again (C30: "garbage").
    Repeated(usize),
}

/// Greatest relative error of [`Spoil::Noise`], evenly drawn: the square root of 3 times its root mean
/// square.
const NOISE: f32 = 0.030_31;

impl Spoil {
    /// Spoils the elements of a tensor of those dimensions, row-major.
    pub(in crate::emulator) fn apply(self, dims: &[usize], values: &mut [f16]) {
        match self {
            Self::Zeros => values.fill(f16::ZERO),
            Self::NotANumber => values.fill(f16::NAN),
            Self::Overflow(limit) => {
                for v in values.iter_mut().filter(|v| v.to_f32().abs() > limit) {
                    *v = if v.is_sign_negative() { f16::NEG_INFINITY } else { f16::INFINITY };
                }
            }
            Self::Noise => {
                for (at, v) in values.iter_mut().enumerate() {
                    *v = f16::from_f32(v.to_f32() * (1.0 + NOISE * drawn(at)));
                }
            }
            Self::FirstChannelOnly => {
                let area: usize = dims.iter().skip(2).product();
                let channels = dims.get(1).copied().unwrap_or(1);
                for (row, values) in values.chunks_exact_mut(area.max(1)).enumerate() {
                    if row % channels > 0 {
                        values.fill(f16::ZERO);
                    }
                }
            }
            Self::Repeated(count) => {
                for at in count..values.len() {
                    values[at] = values[at - count];
                }
            }
        }
    }
}

/// A number from -1 to 1 that looks drawn: a multiplicative hash of the place (Knuth, 6.4).
fn drawn(at: usize) -> f32 {
    let hash = (at as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 40) as f32 / (1 << 23) as f32 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoiled(how: Spoil, dims: &[usize], values: &[f32]) -> Vec<f32> {
        let mut halves: Vec<f16> = values.iter().copied().map(f16::from_f32).collect();
        how.apply(dims, &mut halves);
        halves.iter().map(|v| v.to_f32()).collect()
    }

    #[test]
    fn elements_are_spoiled_by_place_and_value() {
        let values: Vec<f32> = (0..8).map(|v| v as f32 - 3.0).collect();
        let inf = f32::INFINITY;
        for (how, dims, want) in [
            (Spoil::Zeros, &[8][..], [0.0; 8]),
            (Spoil::Overflow(2.0), &[8], [-inf, -2.0, -1.0, 0.0, 1.0, 2.0, inf, inf]),
            (Spoil::FirstChannelOnly, &[2, 2, 2], [-3.0, -2.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0]),
            (Spoil::FirstChannelOnly, &[1, 8], [-3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
            (Spoil::Repeated(3), &[8], [-3.0, -2.0, -1.0, -3.0, -2.0, -1.0, -3.0, -2.0]),
            (Spoil::Repeated(8), &[8], [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0]),
        ] {
            assert_eq!(spoiled(how, dims, &values), want, "{how:?}");
        }
        assert!(spoiled(Spoil::NotANumber, &[8], &values).iter().all(|v| v.is_nan()));
    }

    #[test]
    fn noise_is_as_large_as_measured() {
        for count in [64, 1_000, 10_000] {
            let found = spoiled(Spoil::Noise, &[count], &vec![1.0; count]);
            let squares: f32 = found.iter().map(|v| (v - 1.0).powi(2)).sum();
            let error = (squares / count as f32).sqrt();
            assert!((0.015..=0.02).contains(&error), "{count}: {error}");
        }
    }
}
