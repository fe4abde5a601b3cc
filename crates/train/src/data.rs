//! The data of a run: shards as given, or made from text in the run folder.

use std::fs;
use std::path::{Path, PathBuf};

use aneal_golf::corpus::{self, TRAIN_SHARD, VAL_SHARD};
use aneal_golf::documents::{DocumentSeparator, read_text, split_documents};
use aneal_golf::shard::{Split, TokenStream, find_shards};
use aneal_golf::tokenizer::{ByteTable, Tokenizer};

use crate::run_folder::{RunFolder, write_atomically};
use crate::{Error, Result, RunConfig};

/// Share of a text that is held out for validation.
pub const VAL_PERCENT: u32 = 5;

/// What a run uses when it is given neither data nor tokenizer.
#[derive(Clone, Copy)]
pub struct BuiltIn<'a> {
    /// Gives the text of the corpus.
    pub corpus: &'a dyn Fn() -> String,
    /// A SentencePiece model.
    pub tokenizer: &'a [u8],
}

impl std::fmt::Debug for BuiltIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BuiltIn")
    }
}

/// Everything a run reads.
#[derive(Debug)]
pub struct Data {
    /// Training tokens.
    pub train: TokenStream,
    /// Validation tokens.
    pub val: TokenStream,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// Bytes that ids stand for.
    pub bytes: ByteTable,
}

impl Data {
    /// Opens the data of a run. Unless the folder holds the run already, this also makes its shards
    /// and its copy of the tokenizer.
    ///
    /// # Errors
    /// Missing, damaged or unfitting files; shards whose tokenizer is not known.
    pub fn open(config: &RunConfig, folder: &RunFolder, built_in: BuiltIn<'_>) -> Result<Self> {
        let fresh = !folder.holds_run();
        let copy = folder.tokenizer();
        if fresh || !copy.exists() {
            let bytes = match tokenizer_of(config)? {
                Some(path) => {
                    // Read as a tokenizer first: a file that is none is refused by name.
                    Tokenizer::from_file(&path)?;
                    fs::read(&path).map_err(Error::io("read", &path))?
                }
                None => built_in.tokenizer.to_vec(),
            };
            write_atomically(&copy, &bytes)?;
        }
        let tokenizer = Tokenizer::from_file(&copy)?;
        fits(&tokenizer, config.model.vocab_size)?;
        let bytes = ByteTable::new(&tokenizer, config.model.vocab_size)?;

        let path = match &config.data.path {
            Some(path) => path.clone(),
            None => make_shards(config, folder, fresh, &tokenizer, built_in)?,
        };
        let [train_files, val_files] =
            [find_shards(&path, Split::Train)?, find_shards(&path, Split::Val)?];
        if let Some(both) = train_files.iter().find(|file| val_files.contains(file)) {
            return Err(Error::Config(format!(
                "{} would be both training and validation data; give a folder with \
                 fineweb_train_*.bin and fineweb_val_*.bin",
                both.display()
            )));
        }
        let open = |files: &[PathBuf], what| -> Result<TokenStream> {
            let stream = TokenStream::open(files, config.model.vocab_size)?;
            let (found, seq_len) = (stream.len(), config.seq_len());
            if found <= seq_len as u64 {
                return Err(Error::DataTooShort { what, found, seq_len });
            }
            Ok(stream)
        };
        let train = open(&train_files, "training")?;
        let val = open(&val_files, "validation")?;
        Ok(Self { train, val, tokenizer, bytes })
    }
}

/// Name of the tokenizer that lies beside shards, if one does.
pub const TOKENIZER_FILE: &str = "tokenizer.model";

/// The tokenizer of a run, `None` for the built-in one: the one named, else the one beside the
/// shards. Shards do not say which tokenizer made them, so there is no guessing.
fn tokenizer_of(config: &RunConfig) -> Result<Option<PathBuf>> {
    let Some(folder) = &config.data.path else { return Ok(config.data.tokenizer.clone()) };
    let beside = folder.join(TOKENIZER_FILE);
    match &config.data.tokenizer {
        Some(named) => Ok(Some(named.clone())),
        None if beside.exists() => Ok(Some(beside)),
        None => Err(Error::Config(format!(
            "which tokenizer made the shards of {}? Name it with --tokenizer, or put it beside them \
             as {TOKENIZER_FILE}",
            folder.display()
        ))),
    }
}

/// Accepts a tokenizer for a model or says why not.
///
/// # Errors
/// [`Error::Config`] when ids of the tokenizer have no embedding.
pub fn fits(tokenizer: &Tokenizer, vocab_size: usize) -> Result<()> {
    let found = tokenizer.vocab_size();
    if found > vocab_size {
        return Err(Error::Config(format!(
            "the tokenizer has {found} ids but the model's vocabulary ends at {vocab_size}; use the \
             tokenizer that the model was made for, or set model.vocab_size={found}"
        )));
    }
    Ok(())
}

fn make_shards(
    config: &RunConfig,
    folder: &RunFolder,
    fresh: bool,
    tokenizer: &Tokenizer,
    built_in: BuiltIn<'_>,
) -> Result<PathBuf> {
    let target = folder.data();
    let whole = |name: &str| target.join(name).exists();
    if !fresh && whole(TRAIN_SHARD) && whole(VAL_SHARD) {
        return Ok(target);
    }
    fs::create_dir_all(&target).map_err(Error::io("create", &target))?;
    let (texts, separator) = if config.data.text.is_empty() {
        (vec![(built_in.corpus)()], DocumentSeparator::DocLine)
    } else {
        let read = |path: &PathBuf| Ok(read_text(Path::new(path))?);
        (config.data.text.iter().map(read).collect::<Result<_>>()?, config.data.separator)
    };
    let documents: Vec<&str> =
        texts.iter().flat_map(|text| split_documents(text, separator)).collect();
    corpus::write_shards(&documents, tokenizer, &target, VAL_PERCENT)?;
    Ok(target)
}
