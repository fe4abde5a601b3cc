//! Choosing the next token from logits.

use serde::{Deserialize, Serialize};

use crate::philox::{Philox, Stream};
use crate::{Error, Result};

/// How tokens are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the most likely token.
    pub temperature: f32,
    /// Only this many most likely tokens are considered; 0 means all.
    pub top_k: usize,
    /// Only the smallest set of most likely tokens with at least this probability is considered.
    pub top_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 40, top_p: 1.0 }
    }
}

impl Sampling {
    /// Accepts the settings or says what is wrong with them.
    ///
    /// # Errors
    /// [`Error::Sampling`].
    pub fn validate(&self) -> Result<()> {
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            return Err(Error::Sampling {
                field: "temperature",
                found: self.temperature.to_string(),
                expected: "it must be 0 or more",
            });
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::Sampling {
                field: "top_p",
                found: self.top_p.to_string(),
                expected: "it must be above 0 and at most 1",
            });
        }
        Ok(())
    }

    /// Draw number `index` of the seed's sampling stream, from `logits[V]`.
    ///
    /// Ties go to the lower id, so the same logits and seed give the same token everywhere.
    pub fn draw(&self, logits: &[f32], seed: u64, index: u64) -> u32 {
        let mut order: Vec<u32> = (0..logits.len() as u32).collect();
        let logit = |id: u32| f64::from(logits[id as usize]);
        order.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        if self.temperature == 0.0 {
            return order[0];
        }
        if self.top_k > 0 {
            order.truncate(self.top_k);
        }
        let top = logit(order[0]);
        let temperature = f64::from(self.temperature);
        let weights: Vec<f64> =
            order.iter().map(|&id| ((logit(id) - top) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut kept = 0.0;
        let nucleus = weights
            .iter()
            .position(|w| {
                kept += w;
                kept >= f64::from(self.top_p) * total
            })
            .map_or(weights.len(), |last| last + 1);
        let mass: f64 = weights[..nucleus].iter().sum();
        let mut left = Philox::new(seed, Stream::Sample).uniform(index) * mass;
        for (&id, weight) in order.iter().zip(&weights[..nucleus]) {
            left -= weight;
            if left < 0.0 {
                return id;
            }
        }
        order[nucleus - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, 2.0, -3.0];

    fn drawn(sampling: Sampling) -> Vec<usize> {
        let mut counts = vec![0; LOGITS.len()];
        for index in 0..4000 {
            counts[sampling.draw(&LOGITS, 7, index) as usize] += 1;
        }
        counts
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_best() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        assert_eq!(drawn(greedy), [0, 4000, 0, 0, 0]);
    }

    #[test]
    fn frequencies_follow_the_softmax() {
        let counts = drawn(Sampling { temperature: 1.0, top_k: 0, top_p: 1.0 });
        let total: f64 = LOGITS.iter().map(|&x| f64::from(x).exp()).sum();
        for (count, &logit) in counts.iter().zip(&LOGITS) {
            let want = 4000.0 * f64::from(logit).exp() / total;
            assert!((f64::from(*count as u32) - want).abs() < 4.0 * want.sqrt() + 4.0);
        }
    }

    #[test]
    fn top_k_and_top_p_leave_the_tail_out() {
        let two = drawn(Sampling { temperature: 1.0, top_k: 2, top_p: 1.0 });
        assert!(two[1] > 0 && two[3] > 0 && two[0] + two[2] + two[4] == 0, "{two:?}");
        // The two best tokens hold 78 % of the probability, the three best 92 %.
        let nucleus = drawn(Sampling { temperature: 1.0, top_k: 0, top_p: 0.9 });
        assert!(nucleus[2] > 0 && nucleus[0] + nucleus[4] == 0, "{nucleus:?}");
    }

    #[test]
    fn settings_outside_their_range_are_refused() {
        for bad in [
            Sampling { temperature: -1.0, ..Sampling::default() },
            Sampling { temperature: f32::NAN, ..Sampling::default() },
            Sampling { top_p: 0.0, ..Sampling::default() },
            Sampling { top_p: 1.5, ..Sampling::default() },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
        Sampling::default().validate().unwrap();
    }
}
