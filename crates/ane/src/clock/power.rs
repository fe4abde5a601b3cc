//! Watts and joules of a stretch of time.

use super::{Costs, Timeline};

/// What happened in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// How long it was.
    pub wall_ms: f64,
    /// Arithmetic operations on the engine.
    pub flops: f64,
    /// Bytes that the engine streamed.
    pub bytes: f64,
    /// The engine's clock, as share of the full one.
    pub clock: f64,
    /// Share of the time in which the CPU worked; 2 for two cores all the time.
    pub cpu_share: f64,
}

/// Watts, averaged. Predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Power {
    /// The engine's rail, which on several chips also feeds a part of the CPU.
    pub ane_w: f64,
    /// The CPU.
    pub cpu_w: f64,
}

impl Power {
    /// Both.
    #[must_use]
    pub fn total_w(&self) -> f64 {
        self.ane_w + self.cpu_w
    }

    /// Energy of a stretch of time.
    #[must_use]
    pub fn joules(&self, wall_ms: f64) -> f64 {
        self.total_w() * wall_ms / 1e3
    }
}

impl Usage {
    /// A timeline in which the engine did so much.
    #[must_use]
    pub fn of(timeline: &Timeline, flops: f64, bytes: f64) -> Self {
        let cpu_share = timeline.cpu_share();
        Self { wall_ms: timeline.total_ms(), flops, bytes, clock: 1.0, cpu_share }
    }
}

impl Costs {
    /// Average power. The engine stays powered between dispatches, and each operation and byte costs
    /// its energy; at a slower clock, and so a lower voltage, an operation costs less.
    #[must_use]
    pub fn power(&self, usage: &Usage) -> Power {
        let p = &self.power;
        let cpu_w = p.cpu_idle_w + p.cpu_busy_w * usage.cpu_share;
        if usage.wall_ms <= 0.0 || usage.flops <= 0.0 && usage.bytes <= 0.0 {
            return Power { ane_w: 0.0, cpu_w };
        }
        let floor = self.governor.floor();
        let fast = if floor < 1.0 { ((usage.clock - floor) / (1.0 - floor)).max(0.0) } else { 1.0 };
        let pj_per_flop = p.pj_per_flop * (p.slow_share + (1.0 - p.slow_share) * fast.min(1.0));
        // 10^-12 joules a millisecond are 10^-9 watts.
        let picojoules = usage.flops * pj_per_flop + usage.bytes * p.pj_per_byte;
        Power { ane_w: p.powered_w + picojoules / usage.wall_ms / 1e9, cpu_w }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_does_nothing_draws_nothing() {
        let costs = Costs::of("m4").unwrap();
        let idle = Usage { wall_ms: 10.0, flops: 0.0, bytes: 0.0, clock: 1.0, cpu_share: 0.0 };
        assert_eq!(costs.power(&idle).ane_w, 0.0);
        assert_eq!(costs.power(&idle).cpu_w, costs.power.cpu_idle_w);
        let nothing = Usage { wall_ms: 0.0, flops: 1.0, ..idle };
        assert!(costs.power(&nothing).total_w().is_finite());
    }

    #[test]
    fn a_slow_clock_saves_energy() {
        let costs = Costs::of("m6").unwrap();
        let usage = Usage { wall_ms: 1.0, flops: 20e9, bytes: 0.0, clock: 1.0, cpu_share: 0.0 };
        let full = costs.power(&usage).ane_w;
        let slow = costs.power(&Usage { clock: costs.governor.floor(), ..usage }).ane_w;
        assert!((slow / full - costs.power.slow_share).abs() < 1e-9, "{slow} {full}");
        assert_eq!(costs.power(&usage).joules(500.0), costs.power(&usage).total_w() / 2.0);
    }
}
