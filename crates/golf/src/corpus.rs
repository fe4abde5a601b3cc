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
/// smallest tail of documents with at least `val_percent` of the bytes. A document that would make
/// it more than twice as much is cut in two.
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
    let (train, val) = hold_out(documents, val_percent);
    if train.is_empty() || val.is_empty() {
        return Err(Error::TooFewDocuments { found: documents.len(), val_percent });
    }
    Ok([
        write_shard(&train, tokenizer, &folder.join(TRAIN_SHARD))?,
        write_shard(&val, tokenizer, &folder.join(VAL_SHARD))?,
    ])
}

/// Training and validation documents.
fn hold_out<'t>(documents: &[&'t str], val_percent: u32) -> (Vec<&'t str>, Vec<&'t str>) {
    let bytes = |documents: &[&str]| documents.iter().map(|d| d.len()).sum::<usize>();
    let split = held_out_start(documents, val_percent);
    let (train, val) = documents.split_at(split);
    let (mut train, mut val) = (train.to_vec(), val.to_vec());
    let wanted = bytes(documents) * val_percent as usize / 100;
    let surplus = bytes(&val).saturating_sub(wanted);
    if let Some(first) = val.first_mut()
        && surplus > wanted
    {
        let (head, tail) = first.split_at(break_before(first, surplus));
        *first = tail;
        train.push(head);
    }
    for side in [&mut train, &mut val] {
        side.retain(|document| !document.trim().is_empty());
    }
    (train, val)
}

/// A place at or shortly before byte `at` where text may be cut: a line's end, else a space, else
/// between two characters.
fn break_before(text: &str, at: usize) -> usize {
    /// Bytes looked through for a better place.
    const NEAR: usize = 1000;
    let at = text.floor_char_boundary(at);
    let near = &text[text.floor_char_boundary(at.saturating_sub(NEAR))..at];
    let found = near.rfind('\n').or_else(|| near.rfind(' '));
    found.map_or(at, |i| at - near.len() + i)
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

    /// Checks that nothing is lost and says what share is held out, in percent.
    fn held_out(documents: &[&str]) -> usize {
        let (train, val) = hold_out(documents, 5);
        assert_eq!([train, val.clone()].concat().concat(), documents.concat());
        let bytes = |documents: &[&str]| documents.concat().len();
        100 * bytes(&val) / bytes(documents)
    }

    #[test]
    fn about_five_percent_is_held_out_whatever_the_documents() {
        let lines = "one line\n".repeat(1000);
        let words = "word ".repeat(1000);
        let titled = format!("Title\n{}", "word ".repeat(1000));
        let solid = "é".repeat(5000);
        for text in [&lines, &words, &titled, &solid] {
            assert!((4..=8).contains(&held_out(&[text])), "{}", &text[..8]);
            assert!((4..=8).contains(&held_out(&["short", text])), "{}", &text[..8]);
        }
        let many = vec!["a document"; 200];
        assert_eq!(held_out(&many), 5);
        assert!(hold_out(&lines.lines().collect::<Vec<_>>(), 5).1.iter().all(|d| *d == "one line"));
    }

    #[test]
    fn cuts_prefer_lines_then_spaces_then_characters() {
        assert_eq!(break_before("ab\ncd ef", 7), 2);
        assert_eq!(break_before("ab cd ef", 7), 5);
        assert_eq!(break_before("ééé", 3), 2);
    }
}
