//! What runs when: three lanes, in order within each, waiting for one another.

use super::{Costs, HostWork, Price};

/// Who works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The Neural Engine.
    Ane,
    /// The CPU thread that feeds it.
    Cpu,
    /// The CPU beside that thread: gradients of weights, staging.
    Worker,
}

impl Lane {
    /// All, from top to bottom.
    pub const ALL: [Self; 3] = [Self::Ane, Self::Cpu, Self::Worker];

    /// As drawn.
    #[must_use]
    pub fn name(self) -> &'static str {
        ["ANE", "CPU", "CPU 2"][self as usize]
    }
}

/// A piece of work in a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(usize);

/// From when to when, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Who.
    pub lane: Lane,
    /// What.
    pub label: String,
    /// Milliseconds from the start.
    pub start_ms: f64,
    /// Milliseconds from the start.
    pub end_ms: f64,
}

impl Span {
    /// How long it takes.
    #[must_use]
    pub fn ms(&self) -> f64 {
        self.end_ms - self.start_ms
    }
}

/// Work laid out in time, each piece as early as its lane and what it waits for allow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    spans: Vec<Span>,
    free_ms: [f64; 3],
}

impl Timeline {
    /// Appends `ms` of work to a lane. It starts when the lane is free and all of `after` have ended.
    /// Times that are negative or not finite count as none.
    pub fn push(&mut self, lane: Lane, label: &str, ms: f64, after: &[SpanId]) -> SpanId {
        let ms = if ms.is_finite() { ms.max(0.0) } else { 0.0 };
        let ends = after.iter().filter_map(|id| self.spans.get(id.0)).map(|span| span.end_ms);
        let start_ms = ends.fold(self.free_ms[lane as usize], f64::max);
        let end_ms = start_ms + ms;
        self.free_ms[lane as usize] = end_ms;
        self.spans.push(Span { lane, label: label.to_owned(), start_ms, end_ms });
        SpanId(self.spans.len() - 1)
    }

    /// Appends a dispatch.
    pub fn push_dispatch(&mut self, label: &str, price: &Price, after: &[SpanId]) -> SpanId {
        self.push(Lane::Ane, label, price.total_ms(), after)
    }

    /// Appends work of the CPU.
    pub fn push_host(
        &mut self,
        costs: &Costs,
        lane: Lane,
        label: &str,
        work: HostWork,
        after: &[SpanId],
    ) -> SpanId {
        self.push(lane, label, costs.host(work), after)
    }

    /// All pieces, in the order pushed.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// When the last piece ends.
    #[must_use]
    pub fn total_ms(&self) -> f64 {
        self.free_ms.iter().fold(0.0, |a, b| a.max(*b))
    }

    /// How long a lane works.
    #[must_use]
    pub fn busy_ms(&self, lane: Lane) -> f64 {
        self.spans.iter().filter(|span| span.lane == lane).map(Span::ms).sum()
    }

    /// Share of the time in which a lane works.
    #[must_use]
    pub fn busy_share(&self, lane: Lane) -> f64 {
        let total = self.total_ms();
        if total > 0.0 { self.busy_ms(lane) / total } else { 0.0 }
    }

    /// Cores of the CPU at work, on average.
    #[must_use]
    pub fn cpu_share(&self) -> f64 {
        self.busy_share(Lane::Cpu) + self.busy_share(Lane::Worker)
    }

    /// Milliseconds by label, of one lane, in the order first pushed.
    #[must_use]
    pub fn by_label(&self, lane: Lane) -> Vec<(&str, f64)> {
        let mut sums: Vec<(&str, f64)> = Vec::new();
        for span in self.spans.iter().filter(|span| span.lane == lane) {
            match sums.iter_mut().find(|(label, _)| *label == span.label) {
                Some((_, ms)) => *ms += span.ms(),
                None => sums.push((&span.label, span.ms())),
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_wait_overlaps() {
        let mut timeline = Timeline::default();
        let a = timeline.push(Lane::Ane, "a", 2.0, &[]);
        let b = timeline.push(Lane::Cpu, "b", 1.0, &[a]);
        timeline.push(Lane::Ane, "a", 3.0, &[]);
        let last = timeline.push(Lane::Ane, "c", 1.0, &[b]);
        timeline.push(Lane::Worker, "w", 0.5, &[last, a]);
        assert_eq!(timeline.total_ms(), 6.5);
        assert_eq!(timeline.busy_ms(Lane::Ane), 6.0);
        assert_eq!(timeline.busy_share(Lane::Cpu), 1.0 / 6.5);
        assert_eq!(timeline.by_label(Lane::Ane), [("a", 5.0), ("c", 1.0)]);
        assert_eq!(timeline.cpu_share(), 1.5 / 6.5);
    }

    #[test]
    fn times_that_are_none_take_none() {
        let mut timeline = Timeline::default();
        for ms in [-1.0, f64::NAN, f64::INFINITY] {
            timeline.push(Lane::Cpu, "x", ms, &[SpanId(99)]);
        }
        assert_eq!(timeline.total_ms(), 0.0);
        assert_eq!(timeline.busy_share(Lane::Cpu), 0.0);
    }
}
