//! `.mlpackage` folders: model, weights and manifest.

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use serde_json::json;

use super::{decode, encode, message};
use crate::blob::Weights;
use crate::{Error, Program, Result};

/// Constants of at least so many elements go into the weight file, as coremltools does it.
const MIN_WEIGHT_ELEMENTS: usize = 10;

/// Places inside of a package.
const MANIFEST: &str = "Manifest.json";
const DATA: &str = "Data";
const MODEL: &str = "com.apple.CoreML/model.mlmodel";
const WEIGHTS: &str = "com.apple.CoreML/weights";
/// Names of the two items in the manifest: any two different ones do.
const MODEL_ID: &str = "6d0be6b2-6c0b-4f0f-9b1d-3d2f6a0c5a01";
const WEIGHTS_ID: &str = "6d0be6b2-6c0b-4f0f-9b1d-3d2f6a0c5a02";

/// A program with its weights, as Core ML takes it.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its larger constants are in `weights`.
    pub program: Program,
    /// At most one file, [`Weights::CORE_ML`].
    pub weights: Weights,
}

impl Package {
    /// Gathers a program's constants, from memory and from `weights`, into one weight file.
    ///
    /// # Errors
    ///
    /// [`Error::MissingWeights`] and [`Error::Blob`] for constants that are not in `weights`.
    pub fn new(mut program: Program, weights: &Weights) -> Result<Self> {
        weights.load_into(&mut program)?;
        let weights = Weights::move_out(&mut program, Weights::CORE_ML, MIN_WEIGHT_ELEMENTS)?;
        Ok(Self { program, weights })
    }

    /// The model file, `.mlmodel`.
    ///
    /// # Errors
    ///
    /// [`Error::Function`] for an interface that Core ML does not take.
    pub fn model(&self) -> Result<Vec<u8>> {
        Ok(encode::model(&self.program)?.encode_to_vec())
    }

    /// A program from a model file.
    ///
    /// # Errors
    ///
    /// [`Error::Protobuf`] for bytes that are no ML program or one that uses what this crate does
    /// not know, and everything that [`check`](crate::check()) finds.
    pub fn decode_model(bytes: &[u8]) -> Result<Program> {
        let model = message::Model::decode(bytes).map_err(|e| Error::Protobuf(e.to_string()))?;
        decode::program(&model)
    }

    /// Writes the folder, whole or not at all; an older package at `path` is replaced.
    ///
    /// # Errors
    ///
    /// [`Error::Io`], and those of [`Package::model`].
    pub fn write(&self, path: &Path) -> Result<()> {
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let fail = |action, path: &Path| {
            let path = path.to_path_buf();
            move |source| Error::Io { action, path, source }
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mlpackage-");
        // Temporary folders are private by default; a finished one follows the user's umask.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o777));
        }
        let staged = builder.tempdir_in(parent).map_err(fail("write in", parent))?;
        let data = staged.path().join(DATA);
        let weights = data.join(WEIGHTS);
        fs::create_dir_all(&weights).map_err(fail("write", path))?;
        write(&data.join(MODEL), &self.model()?)?;
        for (name, bytes) in self.weights.iter() {
            let file = name.rsplit('/').next().unwrap_or(name);
            write(&weights.join(file), bytes)?;
        }
        write(&staged.path().join(MANIFEST), manifest().as_bytes())?;
        // What is replaced waits in a folder of its own, to be put back should the renaming fail.
        let aside = builder.tempdir_in(parent).map_err(fail("write in", parent))?;
        let old = aside.path().join("old");
        if path.exists() {
            if !path.join(MANIFEST).exists() {
                let source = std::io::Error::other("it exists and is no package; move it away");
                return Err(Error::Io { action: "replace", path: path.to_path_buf(), source });
            }
            fs::rename(path, &old).map_err(fail("replace", path))?;
        }
        if let Err(source) = fs::rename(staged.path(), path) {
            if old.exists() && fs::rename(&old, path).is_err() {
                // Kept beside its place rather than lost.
                let _ = aside.keep();
            }
            return Err(fail("write", path)(source));
        }
        Ok(())
    }

    /// The model file of the package at `path`; weights are named from its folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Protobuf`] for a manifest that does not say where the model is.
    pub fn model_path(path: &Path) -> Result<PathBuf> {
        Ok(path.join(DATA).join(model_place(path)?))
    }

    /// Reads a folder.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for files that are not there, and those of [`Package::decode_model`].
    pub fn read(path: &Path) -> Result<Self> {
        let program = Self::decode_model(&read(&Self::model_path(path)?)?)?;
        let data = path.join(DATA);
        let mut weights = Weights::new();
        let folder = data.join(WEIGHTS);
        if folder.is_dir() {
            let fail = |source| Error::Io { action: "read", path: folder.clone(), source };
            for entry in fs::read_dir(&folder).map_err(fail)? {
                let file = entry.map_err(fail)?.path();
                if let Some(name) = file.file_name().and_then(|name| name.to_str()) {
                    weights.insert(format!("@model_path/weights/{name}"), read(&file)?);
                }
            }
        }
        Ok(Self { program, weights })
    }
}

fn manifest() -> String {
    let item = |path: &str, description: &str| {
        let name = path.rsplit('/').next();
        json!({ "author": "com.apple.CoreML", "description": description, "name": name,
                "path": path })
    };
    let manifest = json!({
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            MODEL_ID: item(MODEL, "CoreML Model Specification"),
            WEIGHTS_ID: item(WEIGHTS, "CoreML Model Weights"),
        },
        "rootModelIdentifier": MODEL_ID,
    });
    format!("{manifest:#}\n")
}

/// Where the manifest says that the model is, below `Data`.
fn model_place(path: &Path) -> Result<PathBuf> {
    let bytes = read(&path.join(MANIFEST))?;
    let refuse = |reason: &str| Error::Protobuf(format!("its manifest {reason}"));
    let manifest: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| refuse("is no JSON"))?;
    let root = manifest["rootModelIdentifier"].as_str().ok_or_else(|| refuse("names no model"))?;
    let place = manifest["itemInfoEntries"][root]["path"].as_str();
    let place = PathBuf::from(place.ok_or_else(|| refuse("does not say where the model is"))?);
    // A manifest does not lead out of its package.
    let inside = place.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    inside.then_some(place).ok_or_else(|| refuse("leads out of the package"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let fail = |source| Error::Io { action: "read", path: path.to_path_buf(), source };
    // A link in a foreign package may lead to a device that never ends.
    if !fs::metadata(path).map_err(fail)?.is_file() {
        return Err(fail(std::io::Error::other("it is no regular file")));
    }
    fs::read(path).map_err(fail)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).map_err(|source| Error::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    })
}
