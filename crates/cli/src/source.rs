//! Where a command finds its model: a run folder, a checkpoint, or an artifact; and what comes with
//! it.

use std::path::{Path, PathBuf};

use aneal_golf::artifact::Artifact;
use aneal_golf::tokenizer::Tokenizer;
use aneal_model::{ModelConfig, Params};
use aneal_train::run_folder::RunFolder;
use aneal_train::{RunConfig, checkpoint, data};
use anyhow::Context;
use clap::Args;

use crate::built_in;
use crate::output::{note, usage};

/// Flags of every command that reads a model.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// A run folder (its newest checkpoint), a checkpoint folder, or a .safetensors file of one
    #[arg(long, value_name = "DIR", required_unless_present = "artifact")]
    checkpoint: Option<PathBuf>,
    /// A packed artifact
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    artifact: Option<PathBuf>,
    /// Shape of an artifact that another program wrote: a preset's name, or a TOML file
    #[arg(long, value_name = "NAME|FILE", requires = "artifact")]
    model: Option<String>,
}

/// A model with its surroundings.
pub(crate) struct Source {
    pub(crate) config: ModelConfig,
    pub(crate) params: Params,
    /// The file or folder the model was read from.
    pub(crate) path: PathBuf,
    /// The run it belongs to, if it lies in a run folder.
    pub(crate) run: Option<(RunFolder, RunConfig)>,
}

impl ModelArgs {
    pub(crate) fn read(&self) -> anyhow::Result<Source> {
        match (&self.checkpoint, &self.artifact) {
            (Some(path), _) => Source::checkpoint(path),
            (None, Some(path)) => {
                let config = self.model.as_deref().map(model_config).transpose()?;
                let (config, params) = Artifact::read(path)?
                    .unpack(config.as_ref())
                    .with_context(|| path.display().to_string())?;
                Ok(Source { config, params, path: path.clone(), run: run_of(path)? })
            }
            (None, None) => Err(usage("name a model: --checkpoint DIR or --artifact FILE")),
        }
    }
}

impl Source {
    /// Reads a run folder's newest checkpoint, a checkpoint folder, or a file.
    pub(crate) fn checkpoint(path: &Path) -> anyhow::Result<Self> {
        let listed = checkpoint::list(&path.join("checkpoints"))?.pop();
        let found = listed.map_or_else(|| path.to_owned(), |(_, newest)| newest);
        if path.join("config.toml").exists() && found == path {
            anyhow::bail!("{}: the run has no checkpoint yet", path.display());
        }
        let (config, params) = checkpoint::read_model(&found)?;
        Ok(Self { config, params, run: run_of(&found)?, path: found })
    }

    /// The tokenizer named, else the run's, else the built-in one; it must fit the model.
    pub(crate) fn tokenizer(&self, named: Option<&Path>) -> anyhow::Result<Tokenizer> {
        let tokenizer = match (named, &self.run) {
            (Some(path), _) => Tokenizer::from_file(path)?,
            (None, Some((folder, _))) => Tokenizer::from_file(&folder.tokenizer())?,
            (None, None) => {
                note("tokenizer: the built-in one (name another with --tokenizer)");
                Tokenizer::from_bytes(built_in::assets().tokenizer)?
            }
        };
        data::fits(&tokenizer, self.config.vocab_size)?;
        Ok(tokenizer)
    }
}

/// The run that an artifact (in the run folder), a checkpoint (two floors down) or a file of one
/// (three) lies in. A run that is there but damaged is an error, not a reason to fall back.
fn run_of(path: &Path) -> anyhow::Result<Option<(RunFolder, RunConfig)>> {
    let path = std::path::absolute(path)?;
    let mut above = path.ancestors().skip(1).take(3);
    let root = above.find(|folder| folder.join("config.toml").exists());
    Ok(root.map(RunFolder::open).transpose()?)
}

/// A model's shape by preset or from a file, whose keys are those of `[model]`.
fn model_config(name: &str) -> anyhow::Result<ModelConfig> {
    let path = Path::new(name);
    if !path.exists() {
        return Ok(ModelConfig::preset(name)?);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    toml::from_str(&text).map_err(|e| usage(format!("{name}: {e}")))
}
