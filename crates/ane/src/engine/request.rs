//! One run of a procedure: which surface is which value.

use std::time::Duration;

use super::{Procedure, Surface};

/// A surface bound to a symbol.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The symbol's index, see [`Symbol::index`](super::Symbol::index).
    pub symbol: u32,
    /// Where its elements are.
    pub surface: Surface,
}

/// What a kernel is asked to run. It can be used again: build one for each set of surfaces.
///
/// A surface may be bound as input and as output of the same request; the output then takes its
/// place when the run ends (C102).
#[derive(Clone, Debug)]
pub struct Request {
    /// What is read.
    pub inputs: Vec<Binding>,
    /// What is written.
    pub outputs: Vec<Binding>,
    /// Taken along and never read: what weights are is part of the program (C35).
    pub weights_buffer: Option<Surface>,
    /// Which procedure; of no effect where there is one only (C35).
    pub procedure: u32,
    /// How long to wait for an engine that does not answer (C41).
    pub timeout: Duration,
}

impl Request {
    /// How long an engine may take, if nobody says otherwise. The slowest dispatch of a published
    /// trainer takes a few tens of milliseconds.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// A run of `procedure` with surfaces in the order of its symbols.
    #[must_use]
    pub fn new(procedure: &Procedure, inputs: &[Surface], outputs: &[Surface]) -> Self {
        let bind = |symbols: &[super::Symbol], surfaces: &[Surface]| {
            let pairs = symbols.iter().zip(surfaces);
            let bound =
                pairs.map(|(s, surface)| Binding { symbol: s.index, surface: surface.clone() });
            bound.collect()
        };
        Self {
            inputs: bind(&procedure.inputs, inputs),
            outputs: bind(&procedure.outputs, outputs),
            weights_buffer: None,
            procedure: 0,
            timeout: Self::TIMEOUT,
        }
    }

    /// The same, of the procedure with that index.
    #[must_use]
    pub fn of(mut self, procedure: u32) -> Self {
        self.procedure = procedure;
        self
    }
}
