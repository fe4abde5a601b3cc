//! The learning rate over a run, as a share of its peak.

use crate::config::{Decay, ScheduleConfig};

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Share of the run that lies behind, in [0, 1].
    pub done: f64,
    /// Share of the run that the coming update is.
    pub step: f64,
}

impl ScheduleConfig {
    /// The multiplier of the peak learning rate for the update at `position`.
    ///
    /// While less than `warmup` of the run is done, it rises so that the last update of the warm-up
    /// has the full rate; then it falls from 1 towards `final_lr`.
    pub fn multiplier(&self, position: Position) -> f64 {
        if position.done < self.warmup {
            return ((position.done + position.step) / self.warmup).min(1.0);
        }
        let rest = 1.0 - self.warmup;
        let fall = if rest > 0.0 { ((position.done - self.warmup) / rest).min(1.0) } else { 0.0 };
        let height = match self.decay {
            Decay::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * fall).cos()),
            Decay::Linear => 1.0 - fall,
            Decay::Constant => 1.0,
        };
        self.final_lr + (1.0 - self.final_lr) * height
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_recipe_of_pr_801() {
        // 250 updates, warm-up over 25, cosine to 10 %.
        let schedule = ScheduleConfig { warmup: 0.1, decay: Decay::Cosine, final_lr: 0.1 };
        for update in 0..250 {
            let want = if update < 25 {
                f64::from(update + 1) / 25.0
            } else {
                let p = f64::from(update - 25) / 225.0;
                0.1 + 0.45 * (1.0 + (std::f64::consts::PI * p).cos())
            };
            let position = Position { done: f64::from(update) / 250.0, step: 1.0 / 250.0 };
            let got = schedule.multiplier(position);
            assert!((got - want).abs() < 1e-9, "update {update}: got {got}, want {want}");
        }
    }

    #[test]
    fn linear_and_constant_end_where_they_say() {
        let at = |decay, done| {
            let schedule = ScheduleConfig { warmup: 0.0, decay, final_lr: 0.2 };
            schedule.multiplier(Position { done, step: 0.01 })
        };
        assert_eq!(at(Decay::Linear, 0.0), 1.0);
        assert!((at(Decay::Linear, 0.5) - 0.6).abs() < 1e-12);
        assert!((at(Decay::Linear, 1.0) - 0.2).abs() < 1e-12);
        assert_eq!(at(Decay::Constant, 0.9), 1.0);
    }
}
