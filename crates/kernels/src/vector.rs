//! Registers of 32-bit lanes, for loops that the compiler does not vectorise by itself: tiles whose
//! sums must stay in registers.

#[cfg(target_arch = "aarch64")]
pub(crate) mod neon;
pub(crate) mod plain;
#[cfg(target_arch = "x86_64")]
pub(crate) mod x86;

/// Lanes that hold f32 values, or their bits as integers.
///
/// The methods of an implementation are only called where its instructions are: the type of a level
/// is reached through the [`Arch`](crate::arch::Arch) that
/// [`simd::run`](crate::simd::run) gives after it detected that level, and is named nowhere else.
pub trait Vector: Copy {
    /// Number of lanes.
    const LANES: usize;

    /// All lanes the same value.
    fn splat(x: f32) -> Self;

    /// The first [`LANES`](Self::LANES) values.
    ///
    /// # Panics
    /// If there are fewer.
    fn load(from: &[f32]) -> Self;

    /// Sets the first [`LANES`](Self::LANES) values.
    ///
    /// # Panics
    /// If there are fewer.
    fn store(self, to: &mut [f32]);

    /// `self + x`
    fn plus(self, x: Self) -> Self;

    /// `self - x`
    fn minus(self, x: Self) -> Self;

    /// `self * x`
    fn times(self, x: Self) -> Self;

    /// `self * x + y`, in one rounding if [`Arch::FMA`](crate::arch::Arch::FMA) says so.
    fn times_plus(self, x: Self, y: Self) -> Self;

    /// The sum of the bits as integers, wrapping.
    fn plus_bits(self, x: Self) -> Self;

    /// The bits that are also set in `mask`.
    fn and_bits(self, mask: u32) -> Self;

    /// The bits, `COUNT` places up.
    fn up<const COUNT: u32>(self) -> Self;

    /// The bits, `COUNT` places down, zeros above.
    fn down<const COUNT: u32>(self) -> Self;

    /// `then` where `self < limit`, else `other`.
    fn if_less(self, limit: Self, then: Self, other: Self) -> Self;

    /// 0 where `size < limit`, else `self`. Both must have no sign, and may be compared by their bits.
    fn unless_less(self, size: Self, limit: Self) -> Self;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::simd::{Level, Work, run};

    /// Every method on registers of `x`, `y` and `z`; one value a lane and method.
    struct All<'a>([&'a [f32]; 3]);

    impl Work for All<'_> {
        type Output = Vec<Vec<u32>>;

        #[inline(always)]
        fn run<A: Arch>(self) -> Vec<Vec<u32>> {
            assert_eq!(A::LANES, A::Vector::LANES);
            let [x, y, z] = self.0.map(A::Vector::load);
            let found = [
                A::Vector::splat(self.0[0][0]),
                x.plus(y),
                x.minus(y),
                x.times(y),
                x.times_plus(y, z),
                x.plus_bits(y),
                x.and_bits(0x7FFF_FFFC),
                x.up::<9>(),
                x.down::<13>(),
                x.if_less(y, y, z),
                z.unless_less(x.and_bits(0x7FFF_FFFF), y.and_bits(0x7FFF_FFFF)),
            ];
            let lanes = |register: A::Vector| {
                let mut out = vec![0.0; A::LANES];
                register.store(&mut out);
                out.into_iter().map(f32::to_bits).collect()
            };
            found.map(lanes).to_vec()
        }
    }

    #[test]
    fn every_level_computes_the_same() {
        // Products and sums of these are exact, so that fusing changes nothing.
        let x: Vec<f32> = (0..16).map(|i| (i as f32 - 7.5) * 1.25).collect();
        let y: Vec<f32> = (0..16).map(|i| (i as f32 * 3.0) % 11.0 - 5.0).collect();
        let z: Vec<f32> = (0..16).map(|i| 0.5 - i as f32).collect();
        for &level in Level::supported() {
            for (method, lanes) in run(level, All([&x, &y, &z])).iter().enumerate() {
                for (i, found) in lanes.iter().enumerate() {
                    let (x0, x, y, z) = (x[0], x[i], y[i], z[i]);
                    let want = match method {
                        0 => x0.to_bits(),
                        1 => (x + y).to_bits(),
                        2 => (x - y).to_bits(),
                        3 => (x * y).to_bits(),
                        4 => (x * y + z).to_bits(),
                        5 => x.to_bits().wrapping_add(y.to_bits()),
                        6 => x.to_bits() & 0x7FFF_FFFC,
                        7 => x.to_bits() << 9,
                        8 => x.to_bits() >> 13,
                        9 => if x < y { y } else { z }.to_bits(),
                        _ => if x.abs() < y.abs() { 0.0 } else { z }.to_bits(),
                    };
                    assert_eq!(*found, want, "method {method}, lane {i}, {level:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_less() {
        struct Less;
        impl Work for Less {
            type Output = f32;

            #[inline(always)]
            fn run<A: Arch>(self) -> f32 {
                let [one, nan] = [1.0, f32::NAN].map(A::Vector::splat);
                let mut out = [0.0; 16];
                one.if_less(nan, nan, one).store(&mut out);
                out[0]
            }
        }
        for &level in Level::supported() {
            assert_eq!(run(level, Less), 1.0, "{level:?}");
        }
    }
}
