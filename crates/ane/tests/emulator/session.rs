//! What the tests do with an engine: compile a program, fill surfaces, run, read.

use std::collections::BTreeMap;
use std::sync::Arc;

use aneal_ane::emulator::{Emulator, Mode};
use aneal_ane::engine::{Engine, Kernel, Request, Source, Surface};
use aneal_ane::{Profile, Result};
use aneal_mil::blob::Weights;
use aneal_mil::{Dialect, Function, Program};
use half::f16;

/// An engine with that profile, in exact arithmetic.
pub(crate) fn engine(profile: &str) -> Emulator {
    Emulator::new(Profile::named(profile).unwrap(), Mode::Exact)
}

/// A program of one function, its larger constants in a weight file as trainers have them.
pub(crate) fn source(function: Function) -> Source {
    let mut program = Program::new(vec![function]);
    let weights = Weights::move_out(&mut program, "@model_path/weights/w.bin", 64).unwrap();
    Source::new(&program, Dialect::Modern, &weights)
}

/// A loaded program with surfaces for its first procedure.
pub(crate) struct Session {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) inputs: Vec<Surface>,
    pub(crate) outputs: Vec<Surface>,
}

impl Session {
    pub(crate) fn new(engine: &dyn Engine, source: &Source) -> Result<Self> {
        let kernel = engine.compile(source)?;
        let procedure = &kernel.procedures()[0];
        let surfaces = |symbols: &[aneal_ane::engine::Symbol]| -> Result<Vec<Surface>> {
            symbols.iter().map(|symbol| engine.surface(symbol.layout.bytes())).collect()
        };
        let (inputs, outputs) = (surfaces(&procedure.inputs)?, surfaces(&procedure.outputs)?);
        Ok(Self { kernel, inputs, outputs })
    }

    pub(crate) fn request(&self) -> Request {
        Request::new(&self.kernel.procedures()[0], &self.inputs, &self.outputs)
    }

    /// Runs with inputs by name; outputs by name.
    pub(crate) fn run(
        &self,
        values: &BTreeMap<String, Vec<f16>>,
    ) -> Result<BTreeMap<String, Vec<f16>>> {
        let procedure = &self.kernel.procedures()[0];
        for (symbol, surface) in procedure.inputs.iter().zip(&self.inputs) {
            surface.write_halves(&symbol.layout, &values[&symbol.name])?;
        }
        self.kernel.evaluate(&self.request())?;
        let outputs = procedure.outputs.iter().zip(&self.outputs).map(|(symbol, surface)| {
            let mut out = vec![f16::ZERO; symbol.layout.ty.shape.elements()];
            surface.read_halves(&symbol.layout, &mut out)?;
            Ok((symbol.name.clone(), out))
        });
        outputs.collect()
    }
}

/// Values as fp16.
pub(crate) fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().copied().map(f16::from_f32).collect()
}
