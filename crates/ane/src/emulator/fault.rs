//! Faults on demand, for whoever must get along with an engine that fails.

use std::time::Duration;

/// A call of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// Turning text into a program. Programs compiled before do not count.
    Compile,
    /// Bringing a program to the engine.
    Load,
    /// Running one.
    Evaluate,
}

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails as such calls do: the compiler without a reason, a load with a status, an evaluation
    /// with 0x1d.
    Fail,
    /// An evaluation fails with this status.
    Status(u32),
    /// It takes longer.
    Delay(Duration),
    /// An evaluation succeeds, and one bit of one element of its first output is flipped: which is
    /// drawn from the seed.
    Corrupt {
        /// Chooses element and bit.
        seed: u64,
    },
    /// It never answers; the caller's time-out ends it. Every later call of the engine then fails at
    /// once, as after a wedged driver (C41).
    Wedge,
}

/// An effect at the `nth` call of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which call.
    pub call: Call,
    /// The first is 1.
    pub nth: u64,
    /// How many calls in a row from there on.
    pub times: u64,
    /// What happens.
    pub effect: Effect,
}

impl Fault {
    /// An effect at one call.
    #[must_use]
    pub fn at(call: Call, nth: u64, effect: Effect) -> Self {
        Self { call, nth, times: 1, effect }
    }

    /// From there on, at every call of the kind.
    #[must_use]
    pub fn forever(self) -> Self {
        Self { times: u64::MAX, ..self }
    }

    /// Whether it strikes at the call of that number.
    pub(super) fn strikes(&self, call: Call, number: u64) -> bool {
        self.call == call && number >= self.nth && number - self.nth < self.times
    }
}
