//! The folder of a run, which alone reproduces it.
//!
//! ```text
//! config.toml        the resolved configuration
//! tokenizer.model    the tokenizer, so that samples and scores need nothing else
//! data/              shards made from text, when the run was given text
//! train.log          the challenge's line shapes
//! metrics.jsonl      one record an event, with the same names
//! checkpoints/       step-NNNNNN/
//! samples/           step-NNNNNN.txt
//! artifact.bin       the packed model
//! lock               held by the process that is running here
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use aneal_golf::atomic_file::AtomicFile;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, RunConfig};

/// How much of the logs belongs to a checkpoint; what follows is cut off on resume, so that no step
/// is recorded twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// Bytes of `train.log`.
    pub train_log: u64,
    /// Bytes of `metrics.jsonl`.
    pub metrics: u64,
}

/// A run folder.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// The right to write into a run folder, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl RunFolder {
    /// Makes the folder. It holds a run once its configuration is saved.
    ///
    /// # Errors
    /// A folder that holds a run already, or cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        let folder = Self { root: root.to_owned() };
        if folder.holds_run() {
            return Err(Error::RunFolder {
                path: root.to_owned(),
                reason: format!(
                    "a run is there already; continue it with --resume {}, or choose another --out",
                    root.display()
                ),
            });
        }
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        Ok(folder)
    }

    /// Saves the configuration, which makes the folder a run that can be continued.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save_config(&self, config: &RunConfig) -> Result<()> {
        let text = toml::to_string(config).map_err(|e| Error::Config(e.to_string()))?;
        write_atomically(&self.config_path(), text.as_bytes())
    }

    /// Whether the folder has the configuration of a run.
    pub fn holds_run(&self) -> bool {
        self.config_path().exists()
    }

    /// Opens the folder of an earlier run and reads its configuration.
    ///
    /// # Errors
    /// A folder without a run, or with a configuration that is not valid.
    pub fn open(root: &Path) -> Result<(Self, RunConfig)> {
        let folder = Self { root: root.to_owned() };
        let path = folder.config_path();
        let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::RunFolder {
                path: root.to_owned(),
                reason: "no run is there: config.toml is missing".to_owned(),
            },
            _ => Error::io("read", &path)(e),
        })?;
        let config: RunConfig =
            toml::from_str(&text).map_err(|e| Error::Config(format!("{}: {e}", path.display())))?;
        config.validate()?;
        Ok((folder, config))
    }

    /// Claims the folder for this process, and removes what killed ones left half-written.
    ///
    /// # Errors
    /// [`Error::RunFolder`] while another process has it.
    pub fn lock(&self) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Ok(()) => {
                for folder in [&self.root, &self.data(), &self.samples()] {
                    remove_partial_files(folder)?;
                }
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => Err(Error::RunFolder {
                path: self.root.clone(),
                reason: "another process is running here; wait for it to end".to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", &path)(source)),
        }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn config_path(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The run's copy of its tokenizer.
    pub fn tokenizer(&self) -> PathBuf {
        self.root.join("tokenizer.model")
    }

    /// Shards made from text.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// The packed model.
    pub fn artifact(&self) -> PathBuf {
        self.root.join("artifact.bin")
    }

    fn samples(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// Keeps a sample of text.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn write_sample(&self, step: u64, text: &str) -> Result<()> {
        let folder = self.samples();
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        write_atomically(&folder.join(format!("step-{step:06}.txt")), text.as_bytes())
    }

    /// Opens both logs for appending, cut back to `position`.
    ///
    /// # Errors
    /// Files that cannot be written, or that are shorter than they were.
    pub fn logs(&self, position: LogPosition) -> Result<Logs> {
        let open = |name: &str, length: u64| {
            let path = self.root.join(name);
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(Error::io("open", &path))?;
            let found = file.metadata().map_err(Error::io("read", &path))?.len();
            if found < length {
                let reason = format!(
                    "{name} has {found} bytes but had {length} at the last checkpoint; put it back, \
                     or start anew in another folder"
                );
                return Err(Error::RunFolder { path: self.root.clone(), reason });
            }
            file.set_len(length).map_err(Error::io("cut", &path))?;
            Ok::<_, Error>((file, path))
        };
        Ok(Logs {
            train_log: open("train.log", position.train_log)?,
            metrics: open("metrics.jsonl", position.metrics)?,
        })
    }
}

fn remove_partial_files(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if AtomicFile::is_partial(&path) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Writes a file so that it is there whole or not at all.
///
/// # Errors
/// A folder that cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    Ok(file.commit()?)
}

/// The two logs of a run.
#[derive(Debug)]
pub struct Logs {
    train_log: (File, PathBuf),
    metrics: (File, PathBuf),
}

impl Logs {
    /// Appends a line to `train.log`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn line(&mut self, line: &str) -> Result<()> {
        append(&mut self.train_log, line)
    }

    /// Appends a record to `metrics.jsonl`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn record(&mut self, record: &serde_json::Value) -> Result<()> {
        append(&mut self.metrics, &record.to_string())
    }

    /// Makes everything so far durable and says how much it is.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn sync(&mut self) -> Result<LogPosition> {
        let length = |(file, path): &(File, PathBuf)| {
            file.sync_all().map_err(Error::io("sync", path))?;
            Ok::<_, Error>(file.metadata().map_err(Error::io("read", path))?.len())
        };
        Ok(LogPosition { train_log: length(&self.train_log)?, metrics: length(&self.metrics)? })
    }
}

fn append((file, path): &mut (File, PathBuf), line: &str) -> Result<()> {
    file.write_all(format!("{line}\n").as_bytes()).map_err(Error::io("write", path))
}
