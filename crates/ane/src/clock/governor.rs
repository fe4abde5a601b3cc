//! The engine's clock follows its load: gaps between dispatches slow it down (C82).

use serde::Deserialize;

use super::{Costs, Error, costs::expect};

/// How fast the engine is clocked for the share of time it is busy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Governor {
    /// Pairs of the share that the engine would be busy at full clock, and its clock as share of the
    /// full one; by ascending share. None: always full.
    #[serde(default)]
    pub steps: Vec<[f64; 2]>,
}

impl Governor {
    /// The clock, as share of the full one, of an engine that would be busy this share of the time
    /// at full clock; in steady state, which takes about 0.2 s to set in.
    #[must_use]
    pub fn ratio(&self, busy_share: f64) -> f64 {
        let above = self.steps.iter().position(|[share, _]| *share >= busy_share);
        match above {
            None => self.steps.last().map_or(1.0, |[_, ratio]| *ratio),
            Some(0) => self.steps[0][1],
            Some(i) => {
                let ([x0, y0], [x1, y1]) = (self.steps[i - 1], self.steps[i]);
                y0 + (y1 - y0) * (busy_share - x0) / (x1 - x0)
            }
        }
    }

    /// The slowest clock.
    #[must_use]
    pub fn floor(&self) -> f64 {
        self.steps.first().map_or(1.0, |[_, ratio]| *ratio)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let mut last = f64::NEG_INFINITY;
        for [share, ratio] in &self.steps {
            let key = "governor.steps";
            expect(key, *share, *share > last && *share <= 1.0, "ascending shares up to 1")?;
            expect(key, *ratio, *ratio > 0.0 && *ratio <= 1.0, "ratios in (0, 1]")?;
            last = *share;
        }
        Ok(())
    }
}

impl Costs {
    /// The clock of a loop in which the engine works `busy_ms` at full clock and waits `gap_ms`.
    #[must_use]
    pub fn clock_ratio(&self, busy_ms: f64, gap_ms: f64) -> f64 {
        let period = busy_ms + gap_ms;
        if period > 0.0 { self.governor.ratio(busy_ms / period) } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_follows_the_busy_share() {
        let governor = Governor { steps: vec![[0.6, 0.3], [0.7, 0.5], [0.8, 1.0]] };
        for (share, want) in
            [(0.0, 0.3), (0.6, 0.3), (0.65, 0.4), (0.7, 0.5), (0.75, 0.75), (0.9, 1.0)]
        {
            assert!((governor.ratio(share) - want).abs() < 1e-12, "{share}");
        }
        assert_eq!(Governor::default().ratio(0.1), 1.0);
        assert_eq!(governor.floor(), 0.3);
    }

    #[test]
    fn steps_out_of_order_are_refused() {
        for steps in [vec![[0.7, 0.5], [0.6, 1.0]], vec![[0.5, 0.0]], vec![[f64::NAN, 1.0]]] {
            assert!(Governor { steps }.check().is_err());
        }
    }
}
