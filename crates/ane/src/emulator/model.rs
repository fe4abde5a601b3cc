//! The framework's in-memory model, step by step: a name from text and weights, a staging folder, a
//! cache of what was compiled, and loading (sections 1.3 to 1.5, 1.16).
//!
//! Nothing is written to a disk: the folder is a table of files. What is in it at the first
//! compilation under a name is what counts; files that change later change nothing (1.16).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::Compiled;
use super::kernel::LoadedKernel;
use super::{Call, Effect, Shared, compile};
use crate::Result;
use crate::engine::{Failure, Identifier, Source, Stage};

/// Where programs name their files from.
const MODEL_PATH: &str = "@model_path/";

/// A program on its way to the engine.
#[derive(Debug)]
pub struct Model {
    shared: Arc<Shared>,
    source: Source,
    identifier: Identifier,
    folder: BTreeMap<String, Arc<[u8]>>,
}

impl Model {
    pub(super) fn new(shared: Arc<Shared>, source: &Source) -> Self {
        let (source, identifier) = (source.clone(), source.identifier());
        Self { shared, source, identifier, folder: BTreeMap::new() }
    }

    /// The name that text and weights give.
    #[must_use]
    pub fn identifier(&self) -> &Identifier {
        &self.identifier
    }

    /// Files of the staging folder, by path within it.
    #[must_use]
    pub fn folder(&self) -> &BTreeMap<String, Arc<[u8]>> {
        &self.folder
    }

    /// Writes a file into the staging folder.
    pub fn write(&mut self, path: &str, bytes: impl Into<Arc<[u8]>>) {
        self.folder.insert(path.to_owned(), bytes.into());
    }

    /// Writes every weight file where the text expects it, as all clients do before compiling:
    /// the framework itself writes none of them there (1.4(4)).
    pub fn stage_weights(&mut self) {
        for (path, bytes) in &self.source.weights {
            let name = path.strip_prefix(MODEL_PATH).unwrap_or(path);
            self.folder.insert(name.to_owned(), Arc::clone(bytes));
        }
    }

    /// Whether something is compiled under this name.
    #[must_use]
    pub fn compiled_exists(&self) -> bool {
        self.shared.state().compiled.contains_key(&self.identifier)
    }

    /// Removes what is compiled under this name.
    pub fn purge(&mut self) {
        self.shared.state().compiled.remove(&self.identifier);
    }

    /// Compiles, unless the cache has this name already.
    ///
    /// # Errors
    ///
    /// A [`Failure`] of [`Stage::Compile`] with a reason for each rule that the program breaks.
    pub fn compile(&mut self) -> Result<()> {
        self.compiled().map(|_| ())
    }

    /// Loads, and compiles before if the cache does not have this name (1.4(5)).
    ///
    /// # Errors
    ///
    /// As [`Model::compile`], and a [`Failure`] of [`Stage::Load`] when too many programs are loaded.
    pub fn load(&mut self) -> Result<LoadedKernel> {
        let compiled = self.compiled()?;
        self.shared.alive(Stage::Load)?;
        match self.shared.called(Call::Load) {
            Some(Effect::Delay(time)) => std::thread::sleep(time),
            Some(Effect::Wedge) => return Err(self.shared.wedge(Stage::Load).into()),
            Some(_) => {
                let text = "Program load failure (0x20004)";
                let failure = Failure::runtime(Stage::Load, Failure::PROGRAM_LOAD, text);
                return Err(failure.into());
            }
            None => {}
        }
        LoadedKernel::load(Arc::clone(&self.shared), compiled)
    }

    /// What is compiled under this name, now if it was not yet.
    fn compiled(&mut self) -> Result<Arc<Compiled>> {
        self.shared.alive(Stage::Compile)?;
        if let Some(known) = self.shared.state().compiled.get(&self.identifier) {
            return Ok(Arc::clone(known));
        }
        match self.shared.called(Call::Compile) {
            Some(Effect::Delay(time)) => std::thread::sleep(time),
            Some(Effect::Wedge) => return Err(self.shared.wedge(Stage::Compile).into()),
            Some(_) => return Err(Failure::compile("CompilationFailure", Vec::new()).into()),
            None => {}
        }
        // The framework saves the text and, of each entry, the data under the name `data` (1.4(2), (3)).
        self.folder.insert("net.plist".to_owned(), self.source.text.as_bytes().into());
        if let Some(last) = self.source.weights.values().next_back() {
            self.folder.insert("data".to_owned(), Arc::clone(last));
        }
        let compiled =
            Arc::new(compile::compile(&self.source, &self.folder, &self.shared.profile)?);
        let mut state = self.shared.state();
        if let Some(costs) = &self.shared.costs {
            state.statistics.predicted_compile_ms += compiled.compile_ms(costs);
        }
        state.compiled.insert(self.identifier.clone(), Arc::clone(&compiled));
        Ok(compiled)
    }
}
