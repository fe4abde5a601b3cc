//! Text to token shards: one BOS before each document, the last documents held out.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::documents::held_out_start;
use crate::shard::ShardWriter;
use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// Documents tokenized in parallel before they are written, in order.
const GROUP: usize = 256;

/// What became of a text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ShardReport {
    /// The file written.
    pub path: PathBuf,
    /// Documents in it.
    pub documents: usize,
    /// Their UTF-8 bytes before normalisation.
    pub text_bytes: usize,
    /// Tokens in it, one BOS a document included.
    pub tokens: usize,
}

/// Name of the training shard that [`write_shards`] makes.
pub const TRAIN_SHARD: &str = "fineweb_train_000000.bin";
/// Name of the validation shard that [`write_shards`] makes.
pub const VAL_SHARD: &str = "fineweb_val_000000.bin";

/// Tokenizes `documents` into a training and a validation shard in `folder`; validation is the
/// smallest tail of documents with at least `val_percent` of the bytes. A single document is cut in
/// two at a line or a space.
///
/// Each file appears whole or not at all, the validation shard last.
///
/// # Errors
/// Nothing on one side of the split, a tokenizer without BOS, a folder that cannot be written.
pub fn write_shards(
    documents: &[&str],
    tokenizer: &Tokenizer,
    folder: &Path,
    val_percent: u32,
) -> Result<[ShardReport; 2]> {
    let halves;
    let documents = match documents {
        [document] => {
            halves = cut_in_two(document, val_percent);
            &halves[..]
        }
        _ => documents,
    };
    let split = held_out_start(documents, val_percent);
    if split == 0 || split == documents.len() {
        return Err(Error::TooFewDocuments { found: documents.len(), val_percent });
    }
    let (train, val) = documents.split_at(split);
    Ok([
        write_shard(train, tokenizer, &folder.join(TRAIN_SHARD))?,
        write_shard(val, tokenizer, &folder.join(VAL_SHARD))?,
    ])
}

/// Both parts of a document of which about `val_percent` are held out, cut at the last line break
/// before that point, else at the last space.
fn cut_in_two(document: &str, val_percent: u32) -> Vec<&str> {
    let keep = document.len() - (document.len() * val_percent as usize).div_ceil(100);
    let head = &document[..document.floor_char_boundary(keep)];
    let at = head.rfind('\n').or_else(|| head.rfind(' ')).unwrap_or(head.len());
    let (head, tail) = document.split_at(at);
    [head, tail].into_iter().filter(|part| !part.trim().is_empty()).collect()
}

/// Tokenizes `documents` into the shard `path`.
///
/// # Errors
/// As [`write_shards`].
pub fn write_shard(documents: &[&str], tokenizer: &Tokenizer, path: &Path) -> Result<ShardReport> {
    let Some(bos) = tokenizer.bos_id() else {
        return Err(Error::TokenizerUnsupported { what: "documents to start without BOS".into() });
    };
    let mut writer = ShardWriter::create(path, tokenizer.vocab_size())?;
    for group in documents.chunks(GROUP) {
        let encoded: Vec<Vec<u32>> = group
            .par_iter()
            .map(|document| {
                let mut ids = vec![bos];
                tokenizer.encode_append(document, &mut ids);
                ids
            })
            .collect();
        for ids in encoded {
            writer.write(&ids)?;
        }
    }
    Ok(ShardReport {
        path: path.to_owned(),
        documents: documents.len(),
        text_bytes: documents.iter().map(|document| document.len()).sum(),
        tokens: writer.finish()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_document_is_cut_at_a_line_or_a_space() {
        let lines = "one line\n".repeat(100);
        let parts = cut_in_two(&lines, 5);
        assert_eq!(parts.concat(), lines);
        assert!(parts[1].starts_with("\none") && parts[1].len() >= 45 && parts[1].len() < 60);
        let words = "word ".repeat(100);
        assert!(cut_in_two(&words, 10)[1].starts_with(" word"));
        assert_eq!(cut_in_two("é", 50), ["é"]);
    }
}
