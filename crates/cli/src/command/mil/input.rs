//! A program from disk, and the weight files that it names.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use aneal_mil::blob::Weights;
use aneal_mil::coreml::Package;
use aneal_mil::{BlobRef, Data, Dialect, Literal, Operand, Operation, Program, text};
use anyhow::{Context, bail};

use super::Spelling;

/// Most bytes of a program without its weight files: a hundred times the largest published one.
const MAX_PROGRAM_BYTES: u64 = 256 << 20;

/// A program that holds together.
pub(super) struct Input {
    pub(super) program: Program,
    /// Of a text; packages have none.
    pub(super) dialect: Option<Dialect>,
    /// The folder that `@model_path` stands for.
    folder: PathBuf,
}

/// A constant that is in a weight file.
pub(super) struct Reference<'a> {
    pub(super) function: &'a str,
    /// The name of the value that it is, or that is computed of it.
    pub(super) value: &'a str,
    pub(super) literal: &'a Literal,
    pub(super) blob: &'a BlobRef,
}

impl Input {
    /// Reads text, a package, or a package's model file.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let within = || path.display().to_string();
        let file = match path.is_dir() {
            true => Package::model_path(path).with_context(within)?,
            false => path.to_path_buf(),
        };
        let bytes = read_file(&file, MAX_PROGRAM_BYTES)?;
        let (program, dialect) = if file.extension().is_some_and(|e| e == "mlmodel") {
            (Package::decode_model(&bytes).with_context(within)?, None)
        } else {
            let text = std::str::from_utf8(&bytes).map_err(|e| {
                anyhow::anyhow!(
                    "{} is not UTF-8 at byte {}; expected MIL text, an .mlpackage folder, or an \
                     .mlmodel file",
                    path.display(),
                    e.valid_up_to()
                )
            })?;
            (text::parse(text).with_context(within)?, Dialect::of(text))
        };
        Ok(Self { program, dialect, folder: folder_of(&file) })
    }

    /// The dialect asked for, else the text's own.
    pub(super) fn dialect_or(&self, asked: Option<Spelling>) -> Dialect {
        asked.map(Dialect::from).or(self.dialect).unwrap_or_default()
    }

    /// Every constant that is in a weight file.
    pub(super) fn references(&self) -> Vec<Reference<'_>> {
        let functions = self.program.functions.iter();
        let operations = functions.flat_map(|f| f.operations.iter().map(move |op| (f, op)));
        let all = operations.flat_map(|(function, operation)| {
            literals(operation).filter_map(move |literal| match literal.data() {
                Data::Blob(blob) => {
                    let value = function.label(operation);
                    Some(Reference { function: &function.name, value, literal, blob })
                }
                _ => None,
            })
        });
        all.collect()
    }

    /// The weight files that the program names: those that are there, and for the others why not.
    /// `@model_path` is `stand_in` if given, else the program's own folder.
    pub(super) fn weights(&self, stand_in: Option<&Path>) -> WeightFiles {
        let mut files = WeightFiles::default();
        for reference in self.references() {
            let path = &*reference.blob.path;
            if files.found.contains_key(path) || files.missing.contains_key(path) {
                continue;
            }
            match self.find(path, stand_in) {
                Ok((place, bytes)) => {
                    files.weights.insert(path, bytes);
                    files.found.insert(path.to_owned(), place);
                }
                Err(error) => {
                    files.missing.insert(path.to_owned(), format!("{error:#}"));
                }
            }
        }
        files
    }

    fn find(&self, path: &str, stand_in: Option<&Path>) -> anyhow::Result<(PathBuf, Vec<u8>)> {
        let inside = inside_path(path)?;
        let mut places = vec![stand_in.unwrap_or(&self.folder).join(&inside)];
        // The folder given may be the one that the files themselves are in.
        if let (Some(folder), Some(name)) = (stand_in, inside.file_name()) {
            places.push(folder.join(name));
        }
        match places.iter().find(|place| place.exists()) {
            Some(place) => Ok((place.clone(), read_file(place, u64::MAX)?)),
            None => {
                let places: Vec<_> = places.iter().map(|p| p.display().to_string()).collect();
                let places = places.join(" nor at ");
                bail!("not found at {places}; put it there, or say where it is with --weights DIR")
            }
        }
    }
}

/// Weight files by the path that the program gives them.
#[derive(Default)]
pub(super) struct WeightFiles {
    pub(super) weights: Weights,
    /// Where they were.
    pub(super) found: BTreeMap<String, PathBuf>,
    /// Why they could not be had.
    missing: BTreeMap<String, String>,
}

impl WeightFiles {
    /// What is wrong with a constant's place, if anything: no file, no descriptor there, or one of
    /// another type or length.
    pub(super) fn fault(&self, reference: &Reference<'_>) -> Option<String> {
        if let Some(reason) = self.missing.get(&*reference.blob.path) {
            return Some(format!("the weight file {} is {reason}", reference.blob.path));
        }
        self.weights.resolve(reference.literal).err().map(|error| error.to_string())
    }

    /// Refuses a program any of whose weights are not whole.
    pub(super) fn require(&self, input: &Input) -> anyhow::Result<()> {
        for reference in &input.references() {
            if let Some(fault) = self.fault(reference) {
                bail!("{}/{}: {fault}", reference.function, reference.value);
            }
        }
        Ok(())
    }
}

fn literals(operation: &Operation) -> impl Iterator<Item = &Literal> {
    let written_in_place = operation.operands().filter_map(|operand| match operand {
        Operand::Literal(literal) => Some(literal),
        Operand::Value(_) => None,
    });
    operation.attributes.iter().map(|(_, literal)| literal).chain(written_in_place)
}

/// A weight file's place below the folder that `@model_path` stands for. A foreign program must not
/// lead out of it.
pub(super) fn inside_path(path: &str) -> anyhow::Result<PathBuf> {
    let inside = Path::new(path.strip_prefix("@model_path/").unwrap_or(path));
    let plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
    if !plain || inside.file_name().is_none() {
        bail!(
            "not below the program's folder; expected a path such as {}, without `..`",
            Weights::CORE_ML
        );
    }
    Ok(inside.to_path_buf())
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Reads a regular file of at most `limit` bytes; devices and pipes may never end.
fn read_file(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let metadata = fs::metadata(path).with_context(cannot)?;
    if !metadata.is_file() {
        bail!("{} is no regular file; expected one", path.display());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(cannot)?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).with_context(cannot)?;
    if bytes.len() as u64 > limit {
        bail!("{} has more than {limit} bytes; no program is so long", path.display());
    }
    Ok(bytes)
}
