//! The engine, emulated: the same programs, the same arithmetic, the same refusals, and predicted
//! time and energy.
//!
//! An [`Emulator`] is one process's view of a device that a [`Profile`] describes. It compiles
//! programs of `aneal-mil` (`compile`: what the profile refuses is refused), keeps them under the
//! framework's names ([`Model`]), and runs them on fp16 data (`plan`, `run`) with the profile's
//! arithmetic, exactly or fast ([`Mode`]), and as wrongly as the device is known to (`defect`).
//! Operations that have no fast path run through the reference evaluator with the same arithmetic
//! (`device`), which is the oracle of those that have. What is known of devices, and what is done about
//! it, is listed in [`constraint`](crate::constraint).

mod compile;
mod defect;
mod device;
mod fault;
mod kernel;
mod layout;
mod memory;
mod model;
mod plan;
mod product;
mod run;
mod statistics;
#[cfg(test)]
mod tests;
mod vector;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::{Call, Effect, Fault};
pub use model::Model;
pub use product::Mode;
pub use statistics::Statistics;

use crate::clock::Costs;
use crate::engine::{Engine, Failure, Identifier, Kernel, Source, Stage, Surface};
use crate::{Profile, Result};
use compile::Compiled;
use memory::HostMemory;

/// An emulated engine. Clones are the same engine.
#[derive(Clone, Debug)]
pub struct Emulator {
    shared: Arc<Shared>,
}

/// What kernels and clones share.
#[derive(Debug)]
struct Shared {
    profile: Profile,
    mode: Mode,
    /// Absent for profiles of no documented device.
    costs: Option<Costs>,
    state: Mutex<State>,
}

/// What calls change.
#[derive(Debug, Default)]
struct State {
    /// The daemon's cache: what was compiled is there until it is purged (1.11).
    compiled: HashMap<Identifier, Arc<Compiled>>,
    /// Programs loaded at the moment (C1).
    resident: usize,
    faults: Vec<Fault>,
    statistics: Statistics,
    /// After a call that never answered (C41).
    wedged: bool,
    /// After a program that nothing runs behind (C42).
    poisoned: bool,
}

impl Emulator {
    /// An engine as the profile describes it.
    #[must_use]
    pub fn new(profile: Profile, mode: Mode) -> Self {
        let costs = profile.costs().ok().flatten().map(|(_, costs)| costs);
        Self { shared: Arc::new(Shared { profile, mode, costs, state: Mutex::default() }) }
    }

    /// The device.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// Adds a fault to those that will strike. Calls are counted from the engine's making.
    pub fn inject(&self, fault: Fault) {
        self.shared.state().faults.push(fault);
    }

    /// What has been called so far, and what that would have cost on the device, predicted.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.shared.state().statistics.clone()
    }

    /// A program as the framework's in-memory model, for those who go through its steps one by one.
    #[must_use]
    pub fn model(&self, source: &Source) -> Model {
        Model::new(Arc::clone(&self.shared), source)
    }
}

impl Shared {
    /// The state, whatever happened to a thread that held it: every change is one assignment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, and says what strikes it.
    fn called(&self, call: Call) -> Option<Effect> {
        let mut state = self.state();
        let number = state.statistics.count(call);
        state.faults.iter().find(|fault| fault.strikes(call, number)).map(|fault| fault.effect)
    }

    /// Refuses everything after a call that never answered.
    fn alive(&self, stage: Stage) -> Result<()> {
        if !self.state().wedged {
            return Ok(());
        }
        let text = "the daemon does not answer";
        let failure = Failure::runtime(stage, Failure::TIMEOUT, text);
        let found = "an earlier call never returned";
        Err(failure
            .because("C41", found, "restart the process; the machine if that does not help")
            .into())
    }
}

impl Engine for Emulator {
    fn describe(&self) -> String {
        let Shared { profile, mode, .. } = &*self.shared;
        format!("emulated {} ({}), {} arithmetic", profile.name, profile.chip, mode.name())
    }

    fn surface(&self, bytes: usize) -> Result<Surface> {
        Ok(Surface::new(HostMemory::new(bytes)?))
    }

    fn compile(&self, source: &Source) -> Result<Arc<dyn Kernel>> {
        let mut model = self.model(source);
        model.stage_weights();
        model.compile()?;
        Ok(Arc::new(model.load()?))
    }
}
