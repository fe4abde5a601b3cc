//! A file seen as bytes, read in place by the operating system. The only unsafe code of the crate.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::{Error, Result};

/// The bytes of a file, mapped read-only.
///
/// Shards are opened by the hundred and read a few kilobytes at a time, so they are mapped rather
/// than loaded: only the pages that are touched take memory.
#[derive(Debug)]
pub struct MappedFile {
    // `None` for an empty file: some systems refuse to map zero bytes.
    map: Option<Mmap>,
}

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the file cannot be opened, is not a regular file, or cannot be mapped.
    pub fn open(path: &Path) -> Result<Self> {
        let fail = |action| move |source| Error::Io { action, path: path.to_path_buf(), source };
        let file = File::open(path).map_err(fail("open"))?;
        let metadata = file.metadata().map_err(fail("read the size of"))?;
        if !metadata.is_file() {
            let source = std::io::Error::other("it is not a regular file; name a file");
            return Err(fail("map")(source));
        }
        if metadata.len() == 0 {
            return Ok(Self { map: None });
        }
        // SAFETY: the map is read-only and private to this value, and its bytes are only ever read
        // as `u8`, for which every bit pattern is valid. What the type system cannot rule out is
        // another process that shortens or rewrites the file while it is mapped. Files that this
        // crate writes are never changed in place: they are written beside their path and renamed,
        // which leaves a mapped old file whole. For files of others the same is required of the
        // user, as with every program that maps its data; token ids are range-checked after they
        // are copied out, so a rewritten file gives an error or other tokens, not a wild index.
        let map = unsafe { Mmap::map(&file) }.map_err(fail("map"))?;
        Ok(Self { map: Some(map) })
    }
}

impl Deref for MappedFile {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.map.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        for bytes in [&b""[..], b"x", &[7; 100_000]] {
            let path = dir.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(&*MappedFile::open(&path).unwrap(), bytes);
        }
    }

    #[test]
    fn refuses_folders_and_missing_files() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_path_buf(), dir.path().join("absent")] {
            let message = MappedFile::open(&path).unwrap_err().to_string();
            assert!(message.contains(&path.display().to_string()), "{message}");
        }
    }
}
