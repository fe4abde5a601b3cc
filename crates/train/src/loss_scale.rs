//! Loss scaling: gradients are computed a power of two too large, so that small ones survive fp16.
//!
//! An update whose gradients are not finite is skipped and the scale halved. On a backend that
//! computes in f32 the scale changes nothing but the exponents.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Updates skipped in a row before a run is given up.
const MOST_SKIPPED: u32 = 20;

/// The current scale.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossScaler {
    scale: f32,
    /// Updates skipped since the last one that was not.
    skipped: u32,
}

impl LossScaler {
    /// Starts at `scale`.
    pub fn new(scale: f32) -> Self {
        Self { scale, skipped: 0 }
    }

    /// What the next gradients are multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// Whether the update may be made, given the gradients' norm.
    ///
    /// # Errors
    /// [`Error::Diverged`] after too many in a row that may not.
    pub fn accept(&mut self, norm: f64, step: u64) -> Result<bool> {
        if norm.is_finite() {
            self.skipped = 0;
            return Ok(true);
        }
        self.scale *= 0.5;
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
        assert!(scaler.accept(1.0, 1).unwrap());
        assert!(!scaler.accept(f64::INFINITY, 2).unwrap());
        assert_eq!(scaler.scale(), 128.0);
        assert!(scaler.accept(3.0, 3).unwrap());
        for step in 4..23 {
            assert!(!scaler.accept(f64::NAN, step).unwrap());
        }
        let error = scaler.accept(f64::NAN, 23).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 23, skipped: 20, .. }), "{error}");
    }
}
