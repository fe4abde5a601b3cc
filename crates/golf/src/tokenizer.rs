//! SentencePiece BPE tokenizers: text to ids and back, exactly as the official library (0.2.3)
//! does it, from the same `.model` files. Training one, sampling, and the other model types
//! (Unigram, word, char) are not here.
//!
//! The parts: `wire` and `proto` read the file, `normalizer` (with `charsmap`) rewrites text,
//! `vocabulary` knows the pieces, `bpe` merges, `decoder` goes back, and [`ByteTable`] says how
//! many bytes of text each id stands for, which is what bits per byte divide by.

mod bpe;
mod byte_table;
mod charsmap;
mod decoder;
#[cfg(test)]
mod model_builder;
mod normalizer;
mod piece_hash;
mod proto;
mod vocabulary;
mod wire;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

pub use byte_table::ByteTable;
pub use decoder::StreamDecoder;

use crate::{Error, Result};
use bpe::Encoder;
use normalizer::{Normalizer, SPACE};
use proto::{ModelProto, model_type};
use vocabulary::{Piece, Vocabulary};

/// Model files larger than this are refused unread. The largest known ones, with a million pieces,
/// are about a quarter of it.
const LARGEST_FILE_BYTES: u64 = 128 << 20;

/// A SentencePiece BPE model, ready to encode and decode. Immutable, and shared freely between
/// threads.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    normalizer: Normalizer,
    /// What the unknown id decodes to.
    unk_surface: String,
    bos_id: Option<u32>,
    eos_id: Option<u32>,
    /// No piece has a space after its first character, so words can be encoded one by one.
    splits_words: bool,
    fingerprint: String,
}

impl Tokenizer {
    /// Reads a `.model` file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::TokenizerFile`] around what
    /// [`from_bytes`](Self::from_bytes) says about its content.
    pub fn from_file(path: &Path) -> Result<Self> {
        let io = |action| move |source| Error::Io { action, path: path.to_owned(), source };
        let file = File::open(path).map_err(io("open"))?;
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io("read"))?;
        Self::from_bytes(&bytes)
            .map_err(|source| Error::TokenizerFile { path: path.to_owned(), source: source.into() })
    }

    /// Reads the content of a `.model` file.
    ///
    /// # Errors
    /// [`Error::TokenizerMalformed`] when it is no such file, [`Error::TokenizerInvalid`] when it
    /// contradicts itself, [`Error::TokenizerUnsupported`] when it asks for something that is not
    /// done here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > LARGEST_FILE_BYTES {
            let what = format!("the file is larger than {LARGEST_FILE_BYTES} bytes");
            return Err(Error::TokenizerInvalid { what });
        }
        let model = ModelProto::parse(bytes)?;
        refuse_unsupported(&model)?;
        let vocabulary = Vocabulary::new(&model)?;
        let normalizer = Normalizer::new(&model.normalizer)?;
        let space = normalizer.space();
        let splits_words = !vocabulary.iter().any(|piece| piece.text.rfind(space) > Some(0));
        Ok(Self {
            bos_id: vocabulary.control(&model.trainer.bos_piece),
            eos_id: vocabulary.control(&model.trainer.eos_piece),
            splits_words,
            unk_surface: model.trainer.unk_surface,
            vocabulary,
            normalizer,
            fingerprint: format!("{:08x}-{:x}", crc32fast::hash(bytes), bytes.len()),
        })
    }

    /// Number of pieces; ids run from 0 to one less.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The id that starts a text, if the model has one.
    pub fn bos_id(&self) -> Option<u32> {
        self.bos_id
    }

    /// The id that ends a text, if the model has one.
    pub fn eos_id(&self) -> Option<u32> {
        self.eos_id
    }

    /// The id of text that no piece covers. With byte fallback no text ever gets it.
    pub fn unk_id(&self) -> Option<u32> {
        Some(self.vocabulary.unknown)
    }

    /// The piece as it stands in the model, spaces as U+2581; `None` outside the vocabulary.
    pub fn piece(&self, id: u32) -> Option<&str> {
        self.vocabulary.get(id).map(|piece| &*piece.text)
    }

    /// The ids of a text, without start or end id. Strings that look like control pieces (`<s>`)
    /// are text like any other.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 2);
        self.encode_append(text, &mut ids);
        ids
    }

    /// As [`encode`](Self::encode), added to the end of `ids`.
    pub fn encode_append(&self, text: &str, ids: &mut Vec<u32>) {
        let normalized = self.normalizer.normalize(text, &self.vocabulary.user_defined);
        let mut encoder = Encoder::new(&self.vocabulary);
        let mut start = 0;
        if self.splits_words {
            for (end, _) in normalized.match_indices(self.normalizer.space()) {
                encoder.encode_word(&normalized[start..end], ids);
                start = end;
            }
        }
        encoder.encode_word(&normalized[start..], ids);
    }

    /// The text that encoding really encodes: character rules applied, extra spaces removed. With
    /// byte fallback and no dummy prefix, decoding [`encode`](Self::encode)'s ids gives this.
    pub fn normalize(&self, text: &str) -> String {
        let normalized = self.normalizer.normalize(text, &self.vocabulary.user_defined);
        normalized.chars().map(|c| if c == SPACE { ' ' } else { c }).collect()
    }

    /// The text of ids, as the official library's `DecodeIds`: byte pieces are joined into
    /// characters, each byte that is part of none becomes U+FFFD, control ids give nothing, and the
    /// space that a first piece begins with is dropped. Ids outside the vocabulary, which the
    /// library refuses, give nothing: a model may have more rows than its tokenizer has pieces.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        let mut decoder = StreamDecoder::new(self);
        for &id in ids {
            decoder.append(id, &mut text);
        }
        text.push_str(&decoder.finish());
        text
    }

    /// Tells models apart: CRC-32 and length in bytes of the model file, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }

    /// Whether a single space is one id.
    fn has_space_piece(&self) -> bool {
        self.vocabulary.merged(&self.normalizer.space().to_string()).is_some()
    }

    fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.vocabulary.iter()
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

fn refuse_unsupported(model: &ModelProto<'_>) -> Result<()> {
    let trainer = &model.trainer;
    let what = match trainer.model_type {
        model_type::BPE if trainer.treat_whitespace_as_suffix => "spaces as suffixes".to_owned(),
        model_type::BPE if !model.denormalizer_charsmap.is_empty() => {
            "rewriting of decoded text (denormalizer)".to_owned()
        }
        model_type::BPE => return Ok(()),
        model_type::UNIGRAM => "model type unigram".to_owned(),
        model_type::WORD => "model type word".to_owned(),
        model_type::CHAR => "model type char".to_owned(),
        other => format!("model type {other}"),
    };
    Err(Error::TokenizerUnsupported { what })
}

#[cfg(test)]
mod tests {
    use super::model_builder::{ModelBuilder, bytes_field, with_byte_fallback};
    use super::proto::piece_type;
    use super::*;

    fn refusal(builder: &ModelBuilder) -> Error {
        Tokenizer::from_bytes(&builder.build()).unwrap_err()
    }

    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        let plain = || ModelBuilder::default().normal("a", -1.0);
        let denormalizer = bytes_field(5, &bytes_field(2, b"rules"));
        let cases = [
            (ModelBuilder { model_type: 1, ..plain() }, "model type unigram"),
            (ModelBuilder { model_type: 3, ..plain() }, "model type word"),
            (ModelBuilder { model_type: 4, ..plain() }, "model type char"),
            (ModelBuilder { model_type: 9, ..plain() }, "model type 9"),
            (ModelBuilder { trainer: vec![0xC0, 0x01, 1], ..plain() }, "spaces as suffixes"),
            (ModelBuilder { rest: denormalizer, ..plain() }, "denormalizer"),
            (plain().piece("x", 0.0, 5), "\"x\" (id 2) of type 5"),
        ];
        for (builder, words) in cases {
            let error = refusal(&builder);
            assert!(matches!(error, Error::TokenizerUnsupported { .. }), "{words}: {error}");
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn models_that_contradict_themselves_are_refused() {
        let cases = [
            (ModelBuilder::empty().normal("a", 0.0), "no unknown piece"),
            (ModelBuilder::default().normal("a", 0.0).normal("a", 0.0), "occurs twice"),
            (ModelBuilder::default().normal("", 0.0), "piece 1 is empty"),
            (ModelBuilder::default().normal("a", f32::NAN), "score NaN"),
            (ModelBuilder::default().piece("x", 0.0, piece_type::UNKNOWN), "second unknown"),
            (ModelBuilder::default().piece("<0x0a>", 0.0, piece_type::BYTE), "not one of <0x00>"),
            (ModelBuilder::default().piece("<0x0A>", 0.0, piece_type::BYTE), "off, with 1 byte"),
            (ModelBuilder { byte_fallback: true, ..ModelBuilder::default() }, "with 0 of 256"),
            (
                ModelBuilder { normalizer: bytes_field(2, b"abc"), ..ModelBuilder::default() },
                "table of character rules",
            ),
        ];
        for (builder, words) in cases {
            let error = refusal(&builder);
            assert!(matches!(error, Error::TokenizerInvalid { .. }), "{words}: {error}");
            assert!(error.to_string().contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn the_best_pair_merges_first_and_the_leftmost_of_equals() {
        let check = |pieces: &[(&str, f32)], text: &str, expected: &[&str]| {
            let plain = ModelBuilder::default();
            let builder = pieces.iter().fold(plain, |b, (piece, score)| b.normal(piece, *score));
            let tokenizer = Tokenizer::from_bytes(&builder.build()).unwrap();
            let ids = tokenizer.encode(text);
            let found: Vec<_> = ids.iter().filter_map(|&id| tokenizer.piece(id)).collect();
            assert_eq!(found, expected, "{text}");
        };
        let letters = [("a", -9.0), ("b", -9.0), ("c", -9.0)];
        let with = |extra: &[(&'static str, f32)]| [&letters[..], extra].concat();
        check(&with(&[("ab", -1.0), ("bc", -2.0)]), "abc", &["ab", "c"]);
        check(&with(&[("ab", -2.0), ("bc", -1.0)]), "abc", &["a", "bc"]);
        check(&with(&[("ab", -1.0), ("bc", -1.0)]), "abc", &["ab", "c"]);
        check(&with(&[("ab", -0.0), ("bc", 0.0)]), "abc", &["ab", "c"]);
        check(&with(&[("aa", -1.0)]), "aaaaa", &["aa", "aa", "a"]);
        check(&with(&[("abc", -1.0)]), "abc", &["a", "b", "c"]);
        check(&with(&[("xy", -1.0)]), "axyzb", &["a", "xy", "<unk>", "b"]);
        check(&with(&[]), "xyzaxx", &["<unk>", "a", "<unk>"]);
    }

    #[test]
    fn long_words_encode_in_little_time() {
        let tokenizer =
            Tokenizer::from_bytes(&with_byte_fallback(&["a", "aa", "aaaa"]).build()).unwrap();
        let ids = tokenizer.encode(&"a".repeat(1 << 20));
        assert_eq!(ids, vec![262; 1 << 18]); // a quadratic merge would take hours
    }
}
