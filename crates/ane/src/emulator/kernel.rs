//! A loaded program: looks at requests as the framework does, and runs them.

use std::sync::{Arc, Mutex, PoisonError};

use super::compile::Compiled;
use super::defect::Defects;
use super::memory::{DEVICE_WINDOW, HostMemory};
use super::run::{Buffers, Input};
use super::{Call, Effect, Shared};
use crate::clock::State as Clock;
use crate::engine::{Binding, Failure, Kernel, Procedure, Request, Stage, Symbol};
use crate::{Error, Result};

/// Surfaces of inputs, or of outputs, and indices that a request may have (1.8).
const MOST_SURFACES: usize = 255;
/// Surfaces of one mapping: inputs, outputs and the weights buffer together (1.8).
const MOST_MAPPED: usize = 128;
/// Greatest procedure index (1.8).
const MOST_PROCEDURE: u32 = 128;
/// Status of an inference whose surfaces do not fit (1.9).
const MISFIT: u32 = 0x1d;

/// A kernel of the emulator. Dropping it unloads the program.
#[derive(Debug)]
pub struct LoadedKernel {
    shared: Arc<Shared>,
    compiled: Arc<Compiled>,
    /// Working memory that no run uses at the moment.
    idle: Mutex<Vec<Buffers>>,
}

impl LoadedKernel {
    /// Takes a place among the loaded programs (C1), if the program fits at all.
    pub(super) fn load(shared: Arc<Shared>, compiled: Arc<Compiled>) -> Result<Self> {
        if let Some(plan) = compiled.plans.iter().find(|plan| plan.bytes() > DEVICE_WINDOW) {
            let text = "Program load failure (0x20004)";
            let failure = Failure::runtime(Stage::Load, Failure::PROGRAM_LOAD, text);
            let found = format!("`{}` works on {} bytes", plan.function.name, plan.bytes());
            let fix = format!("a device's window is {DEVICE_WINDOW}; cut the program");
            return Err(failure.because("1.15", found, fix).into());
        }
        let limit = shared.profile.limits.resident_programs;
        let mut state = shared.state();
        if state.resident >= limit {
            let text = "Program load failure (0x50004)";
            let failure = Failure::runtime(Stage::Load, Failure::PROGRAM_LOAD, text);
            let found = format!("{limit} programs are loaded");
            let fix = "drop kernels first, or make them procedures of one program";
            return Err(failure.because("C1", found, fix).into());
        }
        state.resident += 1;
        drop(state);
        Ok(Self { shared, compiled, idle: Mutex::default() })
    }

    /// Runs a request that has been looked at.
    fn run(&self, place: usize, request: &Request) -> Result<()> {
        let procedure = &self.compiled.procedures[place];
        let inputs = bound(&procedure.inputs, &request.inputs)?;
        let outputs = bound(&procedure.outputs, &request.outputs)?;
        let mut buffers = self.take();
        // Inputs are let go before outputs are written: a surface may be both (C102).
        let result = inputs
            .iter()
            .zip(&procedure.inputs)
            .map(|(memory, symbol)| {
                let guard = memory.try_read().ok_or_else(|| locked(symbol))?;
                Ok(Input { bytes: guard, layout: symbol.layout })
            })
            .collect::<Result<Vec<_>>>()
            .and_then(|inputs| {
                self.compiled.plans[place].run(&inputs, &mut buffers, self.shared.mode)
            });
        let result = result.and_then(|()| {
            for (at, (memory, symbol)) in outputs.iter().zip(&procedure.outputs).enumerate() {
                let mut bytes = memory.try_write().ok_or_else(|| locked(symbol))?;
                self.compiled.plans[place].write(at, &buffers, &mut bytes, &symbol.layout)?;
            }
            Ok(())
        });
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(buffers);
        result
    }

    /// Refuses what the device is known to refuse, however a request is made.
    fn fits(&self, defects: &Defects) -> Result<()> {
        let refuse = |constraint, found, fix| {
            Err(Failure::status(MISFIT).because(constraint, found, fix).into())
        };
        if self.shared.state().poisoned {
            let found = "a program with `tile` ran before";
            return refuse(
                "C42",
                found,
                "restart the process, and compose `tile` of other operations",
            );
        }
        if defects.misfit() {
            let found = "more inputs than are bound right, the last unlike all others";
            return refuse("C25", found, "pack inputs, or cut the program");
        }
        Ok(())
    }

    fn take(&self) -> Buffers {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Flips a bit of the first output.
    fn corrupt(&self, place: usize, request: &Request, seed: u64) -> Result<()> {
        let procedure = &self.compiled.procedures[place];
        let Some((symbol, memory)) = procedure
            .outputs
            .first()
            .zip(bound(&procedure.outputs, &request.outputs)?.first().copied())
        else {
            return Ok(());
        };
        let mut bytes = memory.try_write().ok_or_else(|| locked(symbol))?;
        let layout = symbol.layout;
        let bits = (layout.rows * layout.used_bytes * 8) as u64;
        let bit = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % bits;
        let (byte, bit) = ((bit / 8) as usize, bit % 8);
        let (row, column) = (byte / layout.used_bytes, byte % layout.used_bytes);
        bytes[row * layout.row_bytes + column] ^= 1 << bit;
        Ok(())
    }
}

impl Drop for LoadedKernel {
    fn drop(&mut self) {
        self.shared.state().resident -= 1;
    }
}

impl Kernel for LoadedKernel {
    fn procedures(&self) -> &[Procedure] {
        &self.compiled.procedures
    }

    fn evaluate(&self, request: &Request) -> Result<()> {
        let place = validate(&self.compiled.procedures, request)?;
        self.shared.alive(Stage::Evaluate)?;
        self.fits(&self.compiled.plans[place].defects)?;
        let effect = self.shared.called(Call::Evaluate);
        match effect {
            Some(Effect::Fail) => return Err(Failure::status(MISFIT).into()),
            Some(Effect::Status(status)) => return Err(Failure::status(status).into()),
            Some(Effect::Delay(time)) => std::thread::sleep(time),
            Some(Effect::Wedge) => {
                std::thread::sleep(request.timeout);
                return Err(self.shared.wedge(Stage::Evaluate).into());
            }
            Some(Effect::Corrupt { .. }) | None => {}
        }
        self.run(place, request)?;
        if self.compiled.plans[place].defects.poison() {
            self.shared.state().poisoned = true;
        }
        if let Some(Effect::Corrupt { seed }) = effect {
            self.corrupt(place, request, seed)?;
        }
        if let Some(costs) = &self.shared.costs {
            let work = &self.compiled.work[place];
            let price = costs.dispatch(work, &Clock::default());
            let mut state = self.shared.state();
            state.statistics.predicted_evaluate_ms += price.total_ms();
            state.statistics.flops += work.flops();
        }
        Ok(())
    }
}

impl Shared {
    /// A call that never answered, as its caller's time-out sees it.
    pub(super) fn wedge(&self, stage: Stage) -> Failure {
        self.state().wedged = true;
        Failure::runtime(stage, Failure::TIMEOUT, "the call did not return in time")
    }
}

/// The framework's own look at a request (1.8), and whether surfaces are as large as the program
/// needs (C21). The place of the procedure that it names.
fn validate(procedures: &[Procedure], request: &Request) -> Result<usize> {
    let refuse = |found: String, fix: &str| {
        let text = "the request is not valid";
        let failure = Failure::runtime(Stage::Request, Failure::BAD_ARGUMENT, text);
        Err(Error::from(failure.because("1.8", found, fix)))
    };
    let (inputs, outputs) = (request.inputs.len(), request.outputs.len());
    for (what, count) in [("inputs", inputs), ("outputs", outputs)] {
        if count == 0 || count > MOST_SURFACES {
            return refuse(format!("{count} {what}"), "give 1 to 255");
        }
    }
    let mapped = inputs + outputs + usize::from(request.weights_buffer.is_some());
    if mapped > MOST_MAPPED {
        return refuse(format!("{mapped} surfaces"), "a request maps at most 128");
    }
    if request.procedure > MOST_PROCEDURE {
        return refuse(format!("procedure {}", request.procedure), "indices end at 128");
    }
    // A program with one procedure does not look at the index (C35).
    let place = if procedures.len() == 1 { 0 } else { request.procedure as usize };
    let Some(procedure) = procedures.get(place) else {
        let found = format!("procedure {place} of {}", procedures.len());
        return refuse(found, "count from 0");
    };
    for (symbols, bindings, what) in [
        (&procedure.inputs, &request.inputs, "input"),
        (&procedure.outputs, &request.outputs, "output"),
    ] {
        for (at, binding) in bindings.iter().enumerate() {
            let symbol = binding.symbol;
            let Some(known) = symbols.iter().find(|known| known.index == symbol) else {
                let indices: Vec<_> = symbols.iter().map(|known| known.index.to_string()).collect();
                let fix = format!("`{}` has {}", procedure.name, indices.join(", "));
                return refuse(format!("{what} symbol {symbol}"), &fix);
            };
            if bindings[..at].iter().any(|other| other.symbol == symbol) {
                return refuse(format!("{what} symbol {symbol} twice"), "bind each once");
            }
            let (need, have) = (known.layout.bytes(), binding.surface.bytes());
            if have < need {
                let Symbol { name, layout, .. } = known;
                let found = format!(
                    "{what} `{name}` {} takes {need} bytes, {} a row; its surface has {have}",
                    layout.ty, layout.row_bytes
                );
                let fix = "rows start at multiples of 64 bytes; symbols are in the order of names";
                return Err(Failure::status(MISFIT).because("C21", found, fix).into());
            }
        }
        if let Some(missing) = symbols.iter().find(|s| bindings.iter().all(|b| b.symbol != s.index))
        {
            return refuse(format!("{what} `{}` is not bound", missing.name), "bind every symbol");
        }
    }
    Ok(place)
}

/// The memory of each symbol.
fn bound<'a>(symbols: &[Symbol], bindings: &'a [Binding]) -> Result<Vec<&'a HostMemory>> {
    let memory = |symbol: &Symbol| {
        let binding = bindings.iter().find(|binding| binding.symbol == symbol.index);
        let memory = binding.map(|binding| binding.surface.memory().as_any());
        memory.and_then(|any| any.downcast_ref()).ok_or_else(|| {
            let text = "IOSurfaces could not be mapped";
            let failure = Failure::runtime(Stage::Request, Failure::SURFACE_MAP, text);
            let found = format!("the surface of `{}` is another engine's", symbol.name);
            Error::from(failure.because(
                "2.1",
                found,
                "make surfaces with the engine that reads them",
            ))
        })
    };
    symbols.iter().map(memory).collect()
}

/// The client broke the discipline of locks.
fn locked(symbol: &Symbol) -> Error {
    let found = format!("the surface of `{}` is locked by the client", symbol.name);
    let fix = "unlock surfaces before evaluating, and bind no surface to two outputs";
    Failure::status(MISFIT).because("2.3", found, fix).into()
}
