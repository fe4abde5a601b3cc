//! Going on where a checkpoint left off.

use std::path::PathBuf;

use aneal_model::Params;

use super::Trainer;
use crate::checkpoint::{self, State};
use crate::data::Data;
use crate::run_folder::RunFolder;
use crate::{Error, Result, RunConfig};

/// A checkpoint on its way into a trainer.
pub(super) struct Resumed {
    pub(super) state: State,
    params: Params,
    path: PathBuf,
}

/// The newest checkpoint of a folder, if it has any.
pub(super) fn latest(
    folder: &RunFolder,
    config: &RunConfig,
    data: &Data,
) -> Result<Option<Resumed>> {
    checkpoint::recover(&folder.checkpoints())?;
    let Some((_, path)) = checkpoint::list(&folder.checkpoints())?.pop() else { return Ok(None) };
    let state = checkpoint::read_state(&path)?;
    let (model, params) = checkpoint::read_model(&path)?;
    let refuse = |reason: String| Error::Checkpoint { path: path.clone(), reason };
    if model != config.model {
        return Err(refuse("its model is not the one of config.toml".to_owned()));
    }
    if state.train_tokens != data.train.len() {
        let (then, now) = (state.train_tokens, data.train.len());
        return Err(refuse(format!(
            "the training data had {then} tokens then and has {now} now; resuming needs the same \
             files"
        )));
    }
    Ok(Some(Resumed { state, params, path }))
}

impl Trainer<'_> {
    /// Takes over weights, moments and counters.
    pub(super) fn restore(&mut self, resumed: Resumed) -> Result<()> {
        let optimizer = self.learner.optimizer.as_mut();
        checkpoint::read_optimizer(&resumed.path, optimizer)?;
        optimizer.set_updates(resumed.state.optimizer_updates);
        self.learner.params = resumed.params;
        self.state = resumed.state;
        self.note(&format!("resumed: step:{} from {}", self.state.step, resumed.path.display()))
    }
}
