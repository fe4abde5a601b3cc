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

    // Token shards.
    /// A file starts with the shard magic and ends before its header does.
    #[error(
        "{}: the shard header is cut short: expected 1024 bytes, found {found}; \
         fetch or write the file again", path.display()
    )]
    ShardHeader {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        found: usize,
    },
    /// A shard header names a version that is not 1.
    #[error(
        "{}: shard version {found}, expected 1; tokenize the text again with this program",
        path.display()
    )]
    ShardVersion {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: i32,
    },
    /// A shard header holds a negative token count.
    #[error(
        "{}: the shard header says {found} tokens, expected a positive count; \
         fetch or write the file again", path.display()
    )]
    ShardCount {
        /// The file.
        path: PathBuf,
        /// The count found.
        found: i32,
    },
    /// A shard has no tokens.
    #[error("{}: the shard holds no tokens; remove it or write it again", path.display())]
    ShardEmpty {
        /// The file.
        path: PathBuf,
    },
    /// A shard is longer or shorter than its header says.
    #[error(
        "{}: the shard is {}: its header says {tokens} tokens, so expected {expected} bytes, \
         found {found}; fetch or write the file again",
        path.display(), if found < expected { "truncated" } else { "too long" }
    )]
    ShardSize {
        /// The file.
        path: PathBuf,
        /// The header's token count.
        tokens: usize,
        /// The size that goes with it, in bytes.
        expected: usize,
        /// The size of the file, in bytes.
        found: usize,
    },
    /// A file starts with the shard magic in another byte order.
    #[error(
        "{}: starts with {found:02x?}, the shard magic in another byte order \
         (expected [88, d8, 34, 01]); write the shard as little-endian", path.display()
    )]
    ShardByteOrder {
        /// The file.
        path: PathBuf,
        /// Its first bytes.
        found: [u8; 4],
    },
    /// A file is a shard of 32-bit tokens.
    #[error(
        "{}: starts with 20240801, the magic of shards with 32-bit tokens, expected 20240520 and \
         16-bit tokens; tokenize with a vocabulary of at most 65536", path.display()
    )]
    ShardTokenWidth {
        /// The file.
        path: PathBuf,
    },
    /// A file without a header cannot be a stream of 16-bit tokens.
    #[error(
        "{}: {found} bytes without a shard header cannot be 16-bit tokens, expected an even size; \
         check that this is a token file", path.display()
    )]
    ShardOddSize {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        found: usize,
    },
    /// A token id that the vocabulary does not have.
    #[error(
        "{}: token {token} (byte {byte}) is id {id}, expected less than the vocabulary of \
         {vocab_size}; use the tokenizer and vocabulary that this data was made with",
        path.display()
    )]
    ShardToken {
        /// The file.
        path: PathBuf,
        /// Index of the token in the file.
        token: usize,
        /// Byte offset of the token in the file.
        byte: usize,
        /// The id found.
        id: u32,
        /// Ids in the vocabulary.
        vocab_size: usize,
    },
    /// A read past the end of the tokens.
    #[error("cannot read {wanted} tokens at {start}: there are {len}; use more data or read less")]
    TokenRange {
        /// First token wanted.
        start: u64,
        /// Tokens wanted.
        wanted: usize,
        /// Tokens there are.
        len: u64,
    },
    /// No token files where some were expected.
    #[error("no token shards: {searched}; name a shard file or a folder that holds them")]
    NoShards {
        /// Where was looked, and for what.
        searched: String,
    },
    /// A token id that a shard of this vocabulary cannot hold.
    #[error(
        "cannot write token {index}: id {id}, expected less than {limit}; tokenize with the \
         tokenizer that belongs to the vocabulary"
    )]
    TokenUnwritable {
        /// Index of the token in the shard.
        index: usize,
        /// The id.
        id: u32,
        /// The vocabulary, or 65536 where that is less.
        limit: usize,
    },
    /// More tokens than a shard header can count.
    #[error("a shard holds at most {limit} tokens; start another shard")]
    ShardFull {
        /// The limit.
        limit: usize,
    },

    // Quantised artifacts.
    /// A tensor's shape does not go with its data.
    #[error("tensor `{name}`: shape {shape:?} does not hold {elements} values; check its source")]
    TensorShape {
        /// The tensor.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Values in its data.
        elements: usize,
    },
    /// Two tensors of one name.
    #[error("tensor `{name}` is there twice; names must differ")]
    TensorTwice {
        /// The name.
        name: String,
    },
    /// A weight that the artifact cannot hold.
    #[error(
        "tensor `{name}`: element {index} is {value}, which {format} cannot hold; \
         the training diverged, pack an earlier checkpoint"
    )]
    WeightRange {
        /// The tensor.
        name: String,
        /// Flat index of the element.
        index: usize,
        /// Its value.
        value: f32,
        /// Where it should have gone: "int8", "fp16".
        format: &'static str,
    },
    /// A tensor of an artifact that cannot become weights.
    #[error("artifact tensor `{name}`: {reason}")]
    ArtifactTensor {
        /// The tensor.
        name: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The bytes are not a quantised artifact.
    #[error("not a quantised artifact: {reason}")]
    Artifact {
        /// What was expected and what was found.
        reason: String,
    },
    /// An artifact would unpack to more than this program is willing to hold.
    #[error(
        "the artifact holds more than {limit} bytes, the most that is read; \
         if the file is from a trusted source, split the model"
    )]
    ArtifactTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The zip container of a torch file is broken or of a kind that is not read.
    #[error("not a readable torch file: {reason}")]
    TorchZip {
        /// What was expected and what was found.
        reason: String,
    },
    /// The pickle of a torch file is broken or asks for what is not allowed.
    #[error("torch file, data.pkl at byte {at}: {reason}")]
    TorchPickle {
        /// Offset in the pickle.
        at: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// One of the above, in a file.
    #[error("{}: {source}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },

    // Scoring and corpora.
    /// Windows that cover nothing or skip targets.
    #[error("stride {stride} cannot be: it must be from 1 to the window's {seq_len} tokens")]
    Windows {
        /// Tokens in a window.
        seq_len: usize,
        /// Distance between windows.
        stride: usize,
    },
    /// A stream too short to score.
    #[error(
        "{found} tokens are too few to score: at least {needed} are needed; give more data or a \
         shorter window"
    )]
    TooFewTokens {
        /// Tokens there are.
        found: u64,
        /// Tokens needed.
        needed: usize,
    },
    /// Targets that stand for no bytes at all.
    #[error(
        "the {tokens} scored targets stand for no bytes, so there are no bits per byte; use the \
         tokenizer that the data was made with"
    )]
    NoBytes {
        /// Targets scored.
        tokens: u64,
    },
    /// A text that cannot be split in training and validation documents.
    #[error(
        "{found} documents cannot be split so that {val_percent} % of the text is held out; \
         separate documents by lines that hold only <|doc|>, or by blank lines"
    )]
    TooFewDocuments {
        /// Documents there are.
        found: usize,
        /// Share that was to be held out.
        val_percent: u32,
    },
    /// From the model or its backend.
    #[error(transparent)]
    Model(#[from] aneal_model::Error),
}
