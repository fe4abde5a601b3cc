//! Files that appear whole or not at all: written beside their place, synced, then renamed.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// How a file is named until it is finished.
const PREFIX: &str = ".";
const SUFFIX: &str = ".partial";

/// A file being written. Dropping it before [`AtomicFile::commit`] removes what was written and
/// leaves an older file at the path untouched.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will stand at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).suffix(SUFFIX);
        // Temporary files are private by default; a finished one follows the user's umask.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder_of(path)).map_err(|source| Error::Io {
            action: "create",
            path: path.to_path_buf(),
            source,
        })?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 16, file), path: path.to_path_buf() })
    }

    /// Where the file will stand.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a path is named like a file that was never finished.
    pub fn is_partial(path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX))
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|source| self.error("write", source))
    }

    /// Replaces the bytes at `offset`, then returns to the end.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let patch = |writer: &mut BufWriter<NamedTempFile>| {
            writer.seek(SeekFrom::Start(offset))?;
            writer.write_all(bytes)?;
            writer.seek(SeekFrom::End(0))
        };
        patch(&mut self.writer).map(drop).map_err(|source| self.error("write", source))
    }

    /// Makes the file durable and gives it its name.
    pub fn commit(self) -> Result<()> {
        let Self { writer, path } = self;
        let fail = |action| {
            let path = path.clone();
            move |source| Error::Io { action, path, source }
        };
        let file = writer.into_inner().map_err(|e| fail("write")(e.into_error()))?;
        file.as_file().sync_all().map_err(fail("sync"))?;
        file.persist(&path).map_err(|e| fail("rename a finished file to")(e.error))?;
        // The name is durable only once its folder is. Windows cannot open folders.
        #[cfg(unix)]
        std::fs::File::open(folder_of(&path))
            .and_then(|folder| folder.sync_all())
            .map_err(fail("sync the folder of"))?;
        Ok(())
    }

    fn error(&self, action: &'static str, source: std::io::Error) -> Error {
        Error::Io { action, path: self.path.clone(), source }
    }
}

/// The folder that holds `path`: `.` for a bare file name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn commit_replaces_and_drop_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (old, new) in [("", "one"), ("one", "two, and longer")] {
            let mut dropped = AtomicFile::create(&path).unwrap();
            dropped.write(b"lost").unwrap();
            drop(dropped);
            assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), old);

            let mut file = AtomicFile::create(&path).unwrap();
            file.write(b"___").unwrap();
            file.write(&new.as_bytes()[3..]).unwrap();
            file.patch(0, &new.as_bytes()[..3]).unwrap();
            file.commit().unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), new);
            assert_eq!(names(dir.path()), ["file"]);
        }
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("absent/file");
        let message = AtomicFile::create(&path).unwrap_err().to_string();
        assert!(message.contains("absent/file"), "{message}");
    }
}
