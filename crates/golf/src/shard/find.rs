//! Which files of a folder are the shards of a split.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What is trained on.
    Train,
    /// What is scored.
    Val,
}

impl Split {
    /// As in file names: "train" or "val".
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// Finds the shards of `split`, sorted by path.
///
/// A file is taken as it is. In a folder these are the challenge's `fineweb_train_*.bin` or
/// `fineweb_val_*.bin`; where there are none, `*train*.bin` or `*val*.bin`.
///
/// # Errors
///
/// [`Error::NoShards`] naming the patterns if nothing matches, [`Error::Io`] if the path does not
/// exist or the folder cannot be listed.
pub fn find_shards(path: &Path, split: Split) -> Result<Vec<PathBuf>> {
    let fail = |action| move |source| Error::Io { action, path: path.to_path_buf(), source };
    if !std::fs::metadata(path).map_err(fail("open"))?.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail("list"))? {
        let file = entry.map_err(fail("list"))?.path();
        // Follows links: download caches link to their blobs.
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();

    let name = split.name();
    let matching = |accept: &dyn Fn(&str) -> bool| -> Vec<PathBuf> {
        let stem =
            |file: &PathBuf| Some(file.file_name()?.to_str()?.strip_suffix(".bin")?.to_owned());
        files.iter().filter(|file| stem(file).is_some_and(|stem| accept(&stem))).cloned().collect()
    };
    let mut found = matching(&|stem| stem.starts_with(&format!("fineweb_{name}_")));
    if found.is_empty() {
        found = matching(&|stem| stem.contains(name));
    }
    if found.is_empty() {
        let path = path.display();
        let searched = format!("{path} has neither fineweb_{name}_*.bin nor *{name}*.bin");
        return Err(Error::NoShards { searched });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], split: Split) -> Result<Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::create_dir(dir.path().join("fineweb_train_folder.bin")).unwrap();
        let paths = find_shards(dir.path(), split)?;
        Ok(paths.iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn prefers_the_challenges_names() {
        let files = [
            "fineweb_train_000010.bin",
            "fineweb_train_000002.bin",
            "fineweb_val_000000.bin",
            "fineweb_train_000003.bin.partial",
            "train.bin",
        ];
        let train = found(&files, Split::Train).unwrap();
        assert_eq!(train, ["fineweb_train_000002.bin", "fineweb_train_000010.bin"]);
        assert_eq!(found(&files, Split::Val).unwrap(), ["fineweb_val_000000.bin"]);
    }

    #[test]
    fn takes_plain_names_else() {
        let files = ["train.bin", "my_train_1.bin", "val.bin", "train.txt", ".bin"];
        assert_eq!(found(&files, Split::Train).unwrap(), ["my_train_1.bin", "train.bin"]);
        assert_eq!(found(&files, Split::Val).unwrap(), ["val.bin"]);
    }

    #[test]
    fn says_what_it_looked_for() {
        let message = found(&["train.bin"], Split::Val).unwrap_err().to_string();
        assert!(message.contains("neither fineweb_val_*.bin nor *val*.bin"), "{message}");
        assert!(matches!(find_shards(Path::new("absent"), Split::Val), Err(Error::Io { .. })));
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.dat");
        std::fs::write(&path, "").unwrap();
        assert_eq!(find_shards(&path, Split::Train).unwrap(), [path]);
    }
}
