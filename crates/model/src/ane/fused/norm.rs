//! RMSNorm over channels, forward and backward: `y = x / sqrt(mean(x^2) + epsilon) gain`.

use aneal_mil::Value;

use super::draft::{Draft, PLAIN, TRANSPOSE_Y};
use crate::Result;

/// A norm that was computed, with what its backward needs.
pub(super) struct Norm {
    /// `[D, 1]`
    gain: Value,
    /// `[1, T]`: 1 / sqrt(mean(x^2) + epsilon).
    inv_rms: Value,
    /// `[D, T]`: x inv_rms.
    unit: Value,
    /// `[D, T]`: the norm.
    pub(super) y: Value,
}

impl Norm {
    /// Of `x[D, T]` with a gain `[1, D]`.
    ///
    /// Squares are summed as they are and divided later: an accumulator with 16 fraction bits (C64)
    /// would lose most of their means. Its range of 2^15 is that of a root mean square of 8 at 512
    /// channels. The epsilon joins the sum, where it is not subnormal (C59).
    pub(super) fn of(draft: &mut Draft, x: Value, gain: Value) -> Result<Self> {
        let d = draft.n.d as f32;
        let squares = draft.b.mul(x, x)?;
        let sum = channel_sums(draft, squares)?;
        let sum = draft.b.add(sum, d * draft.n.norm_eps)?;
        let mean = draft.b.mul(sum, 1.0 / d)?;
        // Not `rsqrt`, which fails behind a fold (C12).
        let inv_rms = draft.b.pow(mean, -0.5)?;
        let unit = draft.b.mul(x, inv_rms)?;
        let gain = draft.b.transpose(gain, &[0, 1, 3, 2])?;
        let y = draft.b.mul(unit, gain)?;
        Ok(Self { gain, inv_rms, unit, y })
    }

    /// From the gradient `[D, T]` of `y` to those of `x`, `[D, T]`, and of the gain, `[1, D]`.
    pub(super) fn backward(&self, draft: &mut Draft, dy: Value) -> Result<(Value, Value)> {
        let of_gain = draft.b.mul(dy, self.unit)?;
        // A product, whose sums over all tokens are wide (C60).
        let ones = draft.ones(draft.n.tokens())?;
        let of_gain = draft.b.matmul(ones, of_gain, TRANSPOSE_Y)?;
        let of_unit = draft.b.mul(dy, self.gain)?;
        let along = draft.b.mul(of_unit, self.unit)?;
        let along = channel_sums(draft, along)?;
        let along = draft.b.mul(along, 1.0 / draft.n.d as f32)?;
        let along = draft.b.mul(self.unit, along)?;
        let across = draft.b.sub(of_unit, along)?;
        Ok((draft.b.mul(across, self.inv_rms)?, of_gain))
    }
}

/// `[1, T]` of `x[D, T]`.
fn channel_sums(draft: &mut Draft, x: Value) -> Result<Value> {
    let (d, t) = (draft.n.d, draft.n.tokens());
    if !draft.form.folds {
        let ones = draft.ones(d)?;
        return Ok(draft.b.matmul(ones, x, PLAIN)?);
    }
    // Channels where the engine has them; the sums are `[1, 1, 1, T]`.
    let channels = draft.reshape(x, [1, d, 1, t])?;
    Ok(draft.b.reduce_sum(channels, &[1])?)
}
