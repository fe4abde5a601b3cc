//! Which vector instructions the kernels use, decided once at run time.
//!
//! Row kernels are written as plain loops and compiled once per [`Level`]; the compiler vectorises
//! each copy for its instruction set. A kernel takes the level as its first argument, so that tests
//! run every level of the machine. Matrix multiplies choose their micro-kernel by the same level.
//! [`run`] does the same for [`Work`] of other crates.

use std::sync::OnceLock;

pub use crate::arch::Arch;
pub use crate::vector::Vector;

/// The environment variable that forbids levels above the one it names.
pub const LEVEL_VARIABLE: &str = "ANEAL_SIMD";

/// An instruction set that kernels are compiled for, from slowest to fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What every CPU of the target has, without intrinsics.
    Portable,
    /// 128-bit vectors of aarch64 with fused multiply-add.
    Neon,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    Avx2,
    /// 512-bit vectors (x86-64-v4).
    Avx512,
    /// 512-bit vectors and dot products of bf16 pairs.
    Avx512Bf16,
}

impl Level {
    /// All levels of all machines, slowest first.
    const ALL: [Level; 5] =
        [Level::Portable, Level::Neon, Level::Avx2, Level::Avx512, Level::Avx512Bf16];

    /// The levels of this machine, slowest first, up to the one that [`LEVEL_VARIABLE`] names.
    pub fn supported() -> &'static [Level] {
        static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
        LEVELS.get_or_init(|| {
            let limit = Level::requested().ok().flatten().unwrap_or(Level::Avx512Bf16);
            Level::ALL.into_iter().filter(|&level| level <= limit && level.detected()).collect()
        })
    }

    /// What [`LEVEL_VARIABLE`] names, if it is set.
    ///
    /// # Errors
    /// A sentence for the user, when it names no level.
    pub fn requested() -> Result<Option<Level>, String> {
        let Ok(name) = std::env::var(LEVEL_VARIABLE) else { return Ok(None) };
        Level::from_name(&name).map(Some).ok_or_else(|| {
            let known = Level::ALL.map(Level::name).join(", ");
            format!("{LEVEL_VARIABLE}={name} is no instruction set that kernels exist for: {known}")
        })
    }

    /// The fastest level of this machine.
    pub fn best() -> Level {
        Level::supported().last().copied().unwrap_or(Level::Portable)
    }

    /// The level called `name`, in any case.
    pub fn from_name(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name))
    }

    /// The name shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable => "portable",
            Level::Neon => "neon",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
            Level::Avx512Bf16 => "avx512-bf16",
        }
    }

    /// Whether products of bf16 pairs are single instructions, so that bf16 is worth its rounding.
    pub fn has_bf16(self) -> bool {
        self == Level::Avx512Bf16
    }

    #[cfg(target_arch = "x86_64")]
    fn detected(self) -> bool {
        let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let avx512 = avx2
            && is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512bw");
        match self {
            Level::Portable => true,
            Level::Neon => false,
            Level::Avx2 => avx2,
            Level::Avx512 => avx512,
            Level::Avx512Bf16 => avx512 && is_x86_feature_detected!("avx512bf16"),
        }
    }

    #[cfg(target_arch = "aarch64")]
    fn detected(self) -> bool {
        matches!(self, Level::Portable | Level::Neon)
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn detected(self) -> bool {
        self == Level::Portable
    }
}

/// Compiles one function body for every [`Level`] and dispatches on its first argument.
///
/// The body must not call anything that is not `#[inline(always)]`, or that part stays at the
/// baseline instruction set. Type parameters may follow the name; inside the body, `A` is the
/// [`Arch`] that it is compiled for.
macro_rules! row_kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($t:ident: $bound:ident),+>)? ($level:ident: Level $(, $arg:ident: $ty:ty)* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($t: $bound),+>)? ($level: $crate::simd::Level $(, $arg: $ty)*) $(-> $ret)? {
            #[allow(unused_imports)]
            use $crate::arch::{Arch, Baseline};
            #[allow(unused_imports)]
            use $crate::simd::Level;

            #[inline(always)]
            #[allow(clippy::too_many_arguments, clippy::extra_unused_type_parameters)]
            fn body<A: Arch $($(, $t: $bound)+)?>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                use $crate::arch::{Fused, FusedBf16};
                use $crate::vector::x86::{Ymm, Zmm};

                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2 $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body::<Fused<Ymm> $($(, $t)+)?>($($arg),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
                #[allow(clippy::too_many_arguments)]
                fn avx512 $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body::<Fused<Zmm> $($(, $t)+)?>($($arg),*)
                }

                #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")]
                #[allow(clippy::too_many_arguments)]
                fn avx512_bf16 $(<$($t: $bound),+>)? ($($arg: $ty),*) $(-> $ret)? {
                    body::<FusedBf16 $($(, $t)+)?>($($arg),*)
                }

                assert!(Level::supported().contains(&$level));
                match $level {
                    // SAFETY: a level is only passed on after `Level::supported` detected exactly
                    // the features that these functions enable.
                    Level::Avx2 => return unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx512 => return unsafe { avx512($($arg),*) },
                    // SAFETY: as above.
                    Level::Avx512Bf16 => return unsafe { avx512_bf16($($arg),*) },
                    Level::Portable | Level::Neon => {}
                }
            }
            match $level {
                #[cfg(target_arch = "aarch64")]
                Level::Neon => {
                    body::<$crate::arch::Fused<$crate::vector::neon::Neon> $($(, $t)+)?>($($arg),*)
                }
                _ => body::<Baseline $($(, $t)+)?>($($arg),*),
            }
        }
    };
}
pub(crate) use row_kernel;

/// A piece of work to be compiled for every [`Level`].
pub trait Work {
    /// What it gives.
    type Output;

    /// Does it, in plain loops or registers of `A::Vector`. This, and everything that it calls, must be `#[inline(always)]`, or
    /// that part stays at the baseline instruction set.
    fn run<A: Arch>(self) -> Self::Output;
}

row_kernel! {
    /// Does `work` with the instructions of a level.
    ///
    /// # Panics
    /// If this machine does not have that level.
    pub fn run<W: Work>(level: Level, work: W) -> W::Output {
        work.run::<A>()
    }
}

#[cfg(test)]
mod tests {
    use super::{Arch, Level, Work, run};

    #[test]
    fn every_level_is_found_by_its_name() {
        for level in Level::ALL {
            assert_eq!(Level::from_name(&level.name().to_uppercase()), Some(level));
        }
        assert_eq!(Level::from_name("sse9"), None);
        assert!(Level::supported().contains(&Level::Portable));
    }

    #[test]
    fn work_is_done_with_the_instructions_of_its_level() {
        struct Ask;
        impl Work for Ask {
            type Output = (bool, usize);

            #[inline(always)]
            fn run<A: Arch>(self) -> (bool, usize) {
                (A::FMA, A::LANES)
            }
        }
        for &level in Level::supported() {
            let want = match level {
                Level::Portable => (false, 4),
                Level::Neon => (true, 4),
                Level::Avx2 => (true, 8),
                Level::Avx512 | Level::Avx512Bf16 => (true, 16),
            };
            assert_eq!(run(level, Ask), want, "{level:?}");
        }
    }
}
