//! Checkpoints: folders that hold everything a run needs to go on as if it had never stopped.
//!
//! `step-000100/` holds `model.safetensors` (weights by name, the model's configuration in the
//! metadata), `optimizer.safetensors` (moments as `{moment}.{weight}`) and `state.json`. A folder is
//! written under a temporary name, synced, and renamed, so one that has its name is whole.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aneal_model::{Arena, Layout, ModelConfig, Params};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::loss_scale::LossScaler;
use crate::optimizer::Optimizer;
use crate::run_folder::LogPosition;
use crate::sampler::Sampler;
use crate::{Error, Result};

const MODEL_FILE: &str = "model.safetensors";
const OPTIMIZER_FILE: &str = "optimizer.safetensors";
const STATE_FILE: &str = "state.json";
/// What a folder is called until it is a checkpoint.
const PARTIAL: &str = ".partial-";
/// What stands before the name of a checkpoint that is being replaced or removed.
const OLD: &str = ".old-";
/// Metadata key of the model's configuration, as JSON.
const CONFIG_KEY: &str = "aneal.model";
/// Raised when `state.json` changes in a way that older readers would get wrong.
const VERSION: u32 = 1;

/// Everything of a run that is not an arena.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Format of this file.
    pub version: u32,
    /// Updates behind, skipped ones included.
    pub step: u64,
    /// Training tokens behind.
    pub tokens: u64,
    /// Milliseconds spent in updates.
    pub train_ms: f64,
    /// Updates that the optimiser made.
    pub optimizer_updates: u64,
    /// Place in the training data.
    pub sampler: Sampler,
    /// Length of the training data, to notice that it changed.
    pub train_tokens: u64,
    /// Loss scale.
    pub loss_scale: LossScaler,
    /// Bits per byte at this step, if it was validated.
    pub val_bpb: Option<f64>,
    /// Best bits per byte so far.
    pub best_val_bpb: Option<f64>,
    /// Bits per byte before training.
    pub untrained_val_bpb: Option<f64>,
    /// How much of the logs belongs to the steps behind.
    pub log: LogPosition,
}

impl State {
    /// The beginning of a run.
    pub fn new(sampler: Sampler, train_tokens: u64, loss_scale: LossScaler) -> Self {
        Self {
            version: VERSION,
            step: 0,
            tokens: 0,
            train_ms: 0.0,
            optimizer_updates: 0,
            sampler,
            train_tokens,
            loss_scale,
            val_bpb: None,
            best_val_bpb: None,
            untrained_val_bpb: None,
            log: LogPosition::default(),
        }
    }
}

/// Writes `folder/step-NNNNNN` and returns its path. A checkpoint of the same step is replaced.
///
/// # Errors
/// A folder that cannot be written, a full disk. Nothing is left that looks like a checkpoint.
pub fn save(
    folder: &Path,
    config: &ModelConfig,
    params: &Params,
    optimizer: &dyn Optimizer,
    state: &State,
) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let partial = tempfile::Builder::new()
        .prefix(PARTIAL)
        .tempdir_in(folder)
        .map_err(Error::io("create a folder in", folder))?;
    let config = serde_json::to_string(config).map_err(|e| Error::Config(e.to_string()))?;
    // One key only: the order of several is random, and equal checkpoints should be equal files.
    let metadata = HashMap::from([(CONFIG_KEY.to_owned(), config)]);
    write_arenas(&partial.path().join(MODEL_FILE), &[("", params)], metadata)?;
    let moments = optimizer.moments();
    write_arenas(&partial.path().join(OPTIMIZER_FILE), &moments, HashMap::new())?;
    let state_path = partial.path().join(STATE_FILE);
    let text = serde_json::to_string_pretty(state).map_err(|e| Error::Config(e.to_string()))?;
    fs::write(&state_path, text).map_err(Error::io("write", &state_path))?;
    sync(&state_path)?;
    sync(partial.path())?;

    let target = folder.join(format!("step-{:06}", state.step));
    let replaced = target.exists().then(|| set_aside(&target)).transpose()?;
    fs::rename(partial.path(), &target).map_err(Error::io("rename to", &target))?;
    // The folder has another name now; there is nothing left to clean up.
    let _ = partial.keep();
    sync(folder)?;
    if let Some(old) = replaced {
        fs::remove_dir_all(&old).map_err(Error::io("remove", &old))?;
    }
    Ok(target)
}

/// Gives a checkpoint its name back that was set aside for one that never came.
///
/// # Errors
/// A folder that cannot be read or changed.
pub fn recover(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let old = entry.map_err(Error::io("read", folder))?.path();
        let name = old.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(name) = name.strip_prefix(OLD) {
            let target = folder.join(name);
            if !target.exists() && old.join(STATE_FILE).exists() {
                fs::rename(&old, &target).map_err(Error::io("rename to", &target))?;
            }
        }
    }
    Ok(())
}

/// Checkpoints below `folder` by step, oldest first. Remains of interrupted writes are not listed.
///
/// # Errors
/// A folder that cannot be read; one that does not exist has no checkpoints.
pub fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(Error::io("read", folder)(e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let step = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("step-").and_then(|digits| digits.parse().ok()));
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what interrupted writes left, and all but the `keep` newest checkpoints and the best.
///
/// # Errors
/// A folder that cannot be read or changed.
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let checkpoints = list(folder)?;
    let scores: Vec<Option<f64>> =
        checkpoints.iter().map(|(_, path)| Ok(read_state(path)?.val_bpb)).collect::<Result<_>>()?;
    let best = (0..scores.len())
        .filter(|&i| scores[i].is_some_and(f64::is_finite))
        .min_by(|&a, &b| scores[a].partial_cmp(&scores[b]).unwrap_or(std::cmp::Ordering::Equal));
    for (i, (_, path)) in checkpoints.iter().enumerate() {
        if i + keep < checkpoints.len() && Some(i) != best {
            remove(path)?;
        }
    }
    let entries = fs::read_dir(folder).map_err(Error::io("read", folder))?;
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with(PARTIAL) || name.starts_with(OLD)) {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a checkpoint so that half of one is never read: first its name, then what [`recover`]
/// would know it by, then the rest.
fn remove(path: &Path) -> Result<()> {
    let old = set_aside(path)?;
    let state = old.join(STATE_FILE);
    fs::remove_file(&state).map_err(Error::io("remove", &state))?;
    fs::remove_dir_all(&old).map_err(Error::io("remove", &old))
}

/// Takes a checkpoint's name away.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let old = path.with_file_name(format!("{OLD}{name}"));
    if old.exists() {
        fs::remove_dir_all(&old).map_err(Error::io("remove", &old))?;
    }
    fs::rename(path, &old).map_err(Error::io("rename", path))?;
    Ok(old)
}

/// The state of a checkpoint.
///
/// # Errors
/// A missing or damaged file, or one of another version.
pub fn read_state(checkpoint: &Path) -> Result<State> {
    let path = checkpoint.join(STATE_FILE);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let refuse = |reason: String| Error::Checkpoint { path: path.clone(), reason };
    let state: State = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    if state.version != VERSION {
        let found = state.version;
        return Err(refuse(format!("it has version {found}, this program reads {VERSION}")));
    }
    Ok(state)
}

/// The model of a checkpoint folder, or of a `.safetensors` file that aneal wrote.
///
/// # Errors
/// A missing, damaged or foreign file.
pub fn read_model(path: &Path) -> Result<(ModelConfig, Params)> {
    let path = if path.is_dir() { path.join(MODEL_FILE) } else { path.to_owned() };
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let refuse = |reason: String| Error::Checkpoint { path: path.clone(), reason };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| refuse(e.to_string()))?;
    let config = header.metadata().as_ref().and_then(|metadata| metadata.get(CONFIG_KEY));
    let Some(config) = config else {
        return Err(refuse(format!("its metadata has no {CONFIG_KEY}, so aneal did not write it")));
    };
    let config: ModelConfig = serde_json::from_str(config).map_err(|e| refuse(e.to_string()))?;
    config.validate()?;
    let found: usize = header.tensors().values().map(|t| t.shape.iter().product::<usize>()).sum();
    if found != config.parameters() {
        let expected = config.parameters();
        return Err(refuse(format!("it holds {found} values where the model has {expected}")));
    }
    let mut params = Params::zeros(&Layout::new(&config));
    fill(&path, &bytes, &mut [("", &mut params)])?;
    Ok((config, params))
}

/// Reads the moments of a checkpoint into `optimizer`.
///
/// # Errors
/// A missing, damaged or foreign file.
pub fn read_optimizer(checkpoint: &Path, optimizer: &mut dyn Optimizer) -> Result<()> {
    let path = checkpoint.join(OPTIMIZER_FILE);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    fill(&path, &bytes, &mut optimizer.moments_mut())
}

fn full_name(prefix: &str, name: &str) -> String {
    if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") }
}

fn write_arenas(
    path: &Path,
    arenas: &[(&str, &Arena)],
    metadata: HashMap<String, String>,
) -> Result<()> {
    let refuse = |e: safetensors::SafeTensorError| match e {
        safetensors::SafeTensorError::IoError(source) => Error::io("write", path)(source),
        other => Error::Checkpoint { path: path.to_owned(), reason: other.to_string() },
    };
    let mut views = Vec::new();
    for (prefix, arena) in arenas {
        for (spec, values) in arena.tensors() {
            let bytes = bytemuck::cast_slice(values);
            let view = TensorView::new(Dtype::F32, spec.shape.clone(), bytes).map_err(refuse)?;
            views.push((full_name(prefix, &spec.name), view));
        }
    }
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(refuse)?;
    sync(path)
}

/// Fills arenas from the tensors of a file, which must be exactly theirs.
fn fill(path: &Path, bytes: &[u8], arenas: &mut [(&str, &mut Arena)]) -> Result<()> {
    let refuse = |reason: String| Error::Checkpoint { path: path.to_owned(), reason };
    let file = SafeTensors::deserialize(bytes).map_err(|e| refuse(e.to_string()))?;
    let expected: usize = arenas.iter().map(|(_, arena)| arena.layout().tensors.len()).sum();
    if file.len() != expected {
        return Err(refuse(format!("it holds {} tensors where {expected} belong", file.len())));
    }
    for (prefix, arena) in arenas {
        let mut tensors = Vec::new();
        for spec in &arena.layout().tensors {
            let name = full_name(prefix, &spec.name);
            let tensor = file.tensor(&name).map_err(|e| refuse(e.to_string()))?;
            if tensor.dtype() != Dtype::F32 {
                return Err(refuse(format!("{name} is {:?}, expected F32", tensor.dtype())));
            }
            let values: Vec<f32> = bytemuck::allocation::pod_collect_to_vec(tensor.data());
            tensors.push((spec.name.clone(), tensor.shape().to_vec(), values));
        }
        arena
            .load(tensors.iter().map(|(n, s, v)| (n.as_str(), s.as_slice(), v.as_slice())))
            .map_err(|e| refuse(e.to_string()))?;
    }
    Ok(())
}

/// Makes a file's content, or a folder's names, survive a power cut.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(Error::io("sync", path))
}
