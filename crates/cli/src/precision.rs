//! `--precision`

use aneal_model::Precision;
use clap::ValueEnum;

/// What the flag accepts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// bf16 where the CPU multiplies it faster than f32, else f32
    #[default]
    Auto,
    /// Operands of matrix multiplies in bf16, everything else in f32
    Bf16,
    /// Everything in f32
    F32,
}

impl PrecisionArg {
    /// The precision meant on this machine.
    pub(crate) fn resolve(self) -> Precision {
        match self {
            Self::Auto => Precision::best(),
            Self::Bf16 => Precision::Bf16,
            Self::F32 => Precision::F32,
        }
    }
}
