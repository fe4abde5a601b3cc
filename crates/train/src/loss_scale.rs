//! Loss scaling: gradients are computed a power of two too large, so that small ones survive fp16.
//!
//! An update whose gradients are not finite is skipped and the scale halved; after many in a row that
//! were finite it is doubled, where that is asked for. On a backend that computes in f32 the scale
//! changes nothing but the exponents.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Updates skipped in a row before a run is given up.
const MOST_SKIPPED: u32 = 20;
/// Growth ends here: far above what fp16 gradients need, far below what f32 sums hold.
const LARGEST: f32 = 16_777_216.0;

/// The current scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScaler {
    scale: f32,
    /// Updates skipped since the last one that was not.
    skipped: u32,
    /// Updates made since the scale changed last.
    #[serde(default)]
    steady: u64,
}

impl LossScaler {
    /// Starts at `scale`.
    pub fn new(scale: f32) -> Self {
        Self { scale, skipped: 0, steady: 0 }
    }

    /// What the next gradients are multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Whether the update may be made, given the gradients' norm. After `growth` updates in a row that
    /// might, the scale is doubled; 0 means never.
    ///
    /// # Errors
    /// [`Error::Diverged`] after too many in a row that may not.
    pub fn accept(&mut self, norm: f64, step: u64, growth: u64) -> Result<bool> {
        if norm.is_finite() {
            self.skipped = 0;
            self.steady += 1;
            if growth > 0 && self.steady >= growth && self.scale < LARGEST {
                self.scale *= 2.0;
                self.steady = 0;
            }
            return Ok(true);
        }
        self.scale *= 0.5;
        self.steady = 0;
        self.skipped += 1;
        if self.skipped >= MOST_SKIPPED {
            return Err(Error::Diverged { step, skipped: self.skipped, scale: self.scale });
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_on_overflow_and_gives_up_in_the_end() {
        let mut scaler = LossScaler::new(256.0);
        assert!(scaler.accept(1.0, 1, 0).unwrap());
        assert!(!scaler.accept(f64::INFINITY, 2, 0).unwrap());
        assert_eq!(scaler.scale(), 128.0);
        assert!(scaler.accept(3.0, 3, 0).unwrap());
        for step in 4..23 {
            assert!(!scaler.accept(f64::NAN, step, 0).unwrap());
        }
        let error = scaler.accept(f64::NAN, 23, 0).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 23, skipped: 20, .. }), "{error}");
    }

    #[test]
    fn grows_while_all_is_well_up_to_an_end() {
        let mut scaler = LossScaler::new(4_194_304.0);
        let mut after = |norm: f64, updates: u64| {
            for step in 0..updates {
                scaler.accept(norm, step, 10).unwrap();
            }
            scaler.scale()
        };
        assert_eq!(after(1.0, 9), 4_194_304.0);
        assert_eq!(after(f64::NAN, 1), 2_097_152.0);
        assert_eq!(after(1.0, 9), 2_097_152.0);
        assert_eq!(after(1.0, 1), 4_194_304.0);
        assert_eq!(after(1.0, 1000), LARGEST);
    }
}
