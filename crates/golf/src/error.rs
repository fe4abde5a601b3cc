//! What can go wrong with the challenge's files, said so that the reader can act on it.

use std::path::PathBuf;

/// Every failure of this crate. Messages say what was expected, what was found, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done: "open", "map", "write".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },

    // Tokenizer and text.
    /// The bytes are not a SentencePiece model.
    #[error(
        "not a SentencePiece model: at byte {offset} {what}; expected the `.model` file that the \
         SentencePiece trainer writes, whole"
    )]
    TokenizerMalformed {
        /// Where in the file.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
    /// The model contradicts itself.
    #[error("the SentencePiece model is damaged: {what}; fetch or train it again")]
    TokenizerInvalid {
        /// What does not fit.
        what: String,
    },
    /// The model is sound but asks for something that is not done here.
    #[error("the SentencePiece model needs {what}, which is not supported; use a plain BPE model")]
    TokenizerUnsupported {
        /// What it asks for.
        what: String,
    },
    /// A tokenizer file with one of the faults above.
    #[error("cannot use the tokenizer {}: {source}", path.display())]
    TokenizerFile {
        /// The file.
        path: PathBuf,
        /// The fault.
        source: Box<Error>,
    },
    /// Bytes per token cannot be counted with this tokenizer.
    #[error(
        "the tokenizer has no piece for a single space (U+2581), so a space becomes several ids \
         and bytes per token come out wrong; train it with U+2581 among its characters"
    )]
    NoSpacePiece,
    /// A text file is not UTF-8.
    #[error(
        "{} is not UTF-8 text: the byte at offset {offset} fits no character; convert it to UTF-8",
        path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Offset of the first bad byte.
        offset: usize,
    },
}
