//! Which vector instructions the row kernels use, decided once at run time.
//!
//! Row kernels are written as plain loops and compiled once per [`Level`]; the compiler vectorises
//! each copy for its instruction set. A kernel takes the level as its first argument, so that tests
//! run every level of the machine.

use std::sync::OnceLock;

/// An instruction set that row kernels are compiled for, from slowest to fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The target's baseline: SSE2 on x86-64, NEON on aarch64.
    Portable,
    /// 256-bit vectors with fused multiply-add (x86-64-v3).
    Avx2,
    /// 512-bit vectors (x86-64-v4).
    Avx512,
}

impl Level {
    /// The levels of this machine, slowest first.
    pub fn supported() -> &'static [Level] {
        static LEVELS: OnceLock<Vec<Level>> = OnceLock::new();
        LEVELS.get_or_init(detect)
    }

    /// The fastest level of this machine.
    pub fn best() -> Level {
        Level::supported().last().copied().unwrap_or(Level::Portable)
    }

    /// The name shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Level::Portable if cfg!(target_arch = "aarch64") => "neon",
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<Level> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    let levels = [(Level::Portable, true), (Level::Avx2, avx2), (Level::Avx512, avx2 && avx512)];
    levels.into_iter().filter(|(_, found)| *found).map(|(level, _)| level).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Vec<Level> {
    vec![Level::Portable]
}

/// Compiles one function body for every [`Level`] and dispatches on its first argument.
///
/// The body must not call anything that is not `#[inline(always)]`, or that part stays at the
/// baseline instruction set.
macro_rules! row_kernel {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($level:ident: Level $(, $arg:ident: $ty:ty)* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($level: $crate::simd::Level $(, $arg: $ty)*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

                #[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512dq,avx512bw")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }

                assert!($crate::simd::Level::supported().contains(&$level));
                match $level {
                    // SAFETY: a level is only passed on after `Level::supported` detected exactly
                    // the features that these functions enable.
                    $crate::simd::Level::Avx2 => return unsafe { avx2($($arg),*) },
                    // SAFETY: as above.
                    $crate::simd::Level::Avx512 => return unsafe { avx512($($arg),*) },
                    $crate::simd::Level::Portable => {}
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = $level;
            body($($arg),*)
        }
    };
}
pub(crate) use row_kernel;
