//! What number type matrix operands have.

use aneal_kernels::simd::Level;
use serde::{Deserialize, Serialize};

/// Type of the operands of matrix multiplies and of kept activations. Weights, gradients, sums, the
/// residual stream and the optimiser are f32 in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 24 bits of precision.
    F32,
    /// 8 bits of precision and the range of f32: mixed precision.
    Bf16,
}

impl Precision {
    /// bf16 where the CPU multiplies it faster than f32, else f32.
    pub fn best() -> Self {
        if Level::best().has_bf16() { Self::Bf16 } else { Self::F32 }
    }

    /// The name shown to users.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}
