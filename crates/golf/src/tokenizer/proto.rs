//! The part of SentencePiece's model file that encoding and decoding depend on. Field numbers and
//! defaults are those of the library's `sentencepiece_model.proto` (proto2).

use super::wire::Fields;
use crate::{Error, Result};

/// A model file as it stands, nothing checked yet but its shape.
#[derive(Debug, Default)]
pub(super) struct ModelProto<'b> {
    pub(super) pieces: Vec<PieceProto<'b>>,
    pub(super) trainer: TrainerSpec,
    pub(super) normalizer: NormalizerSpec<'b>,
    /// Rules that the library would run over decoded text.
    pub(super) denormalizer_charsmap: &'b [u8],
}

/// One vocabulary entry; its position in the file is its id.
#[derive(Debug)]
pub(super) struct PieceProto<'b> {
    pub(super) text: &'b str,
    pub(super) score: f32,
    pub(super) kind: u64,
}

/// How the model was trained, as far as it says how to encode.
#[derive(Debug)]
pub(super) struct TrainerSpec {
    pub(super) model_type: u64,
    pub(super) treat_whitespace_as_suffix: bool,
    pub(super) byte_fallback: bool,
    pub(super) unk_surface: String,
    pub(super) bos_piece: String,
    pub(super) eos_piece: String,
}

impl Default for TrainerSpec {
    fn default() -> Self {
        Self {
            model_type: model_type::UNIGRAM,
            treat_whitespace_as_suffix: false,
            byte_fallback: false,
            unk_surface: " \u{2047} ".to_owned(),
            bos_piece: "<s>".to_owned(),
            eos_piece: "</s>".to_owned(),
        }
    }
}

/// How text is rewritten before encoding.
#[derive(Debug)]
pub(super) struct NormalizerSpec<'b> {
    pub(super) precompiled_charsmap: &'b [u8],
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    pub(super) escape_whitespaces: bool,
}

impl Default for NormalizerSpec<'_> {
    fn default() -> Self {
        Self {
            precompiled_charsmap: &[],
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
        }
    }
}

/// Values of `TrainerSpec.model_type`.
pub(super) mod model_type {
    pub(in super::super) const UNIGRAM: u64 = 1;
    pub(in super::super) const BPE: u64 = 2;
    pub(in super::super) const WORD: u64 = 3;
    pub(in super::super) const CHAR: u64 = 4;
}

/// Values of `SentencePiece.type`.
pub(super) mod piece_type {
    pub(in super::super) const NORMAL: u64 = 1;
    pub(in super::super) const UNKNOWN: u64 = 2;
    pub(in super::super) const CONTROL: u64 = 3;
    pub(in super::super) const USER_DEFINED: u64 = 4;
    pub(in super::super) const BYTE: u64 = 6;
}

impl<'b> ModelProto<'b> {
    /// Reads a whole `.model` file.
    ///
    /// # Errors
    /// [`Error::TokenizerMalformed`] where the bytes are not such a file.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self> {
        let mut model = Self::default();
        let mut is_whole = false;
        for field in Fields::new(bytes) {
            let field = field?;
            match field.number {
                1 => model.pieces.push(PieceProto::parse(field.message()?)?),
                2 => model.trainer.merge(field.message()?)?,
                3 => {
                    model.normalizer.merge(field.message()?)?;
                    is_whole = true;
                }
                5 => {
                    let mut denormalizer = NormalizerSpec::default();
                    denormalizer.merge(field.message()?)?;
                    model.denormalizer_charsmap = denormalizer.precompiled_charsmap;
                }
                _ => {}
            }
        }
        if model.pieces.is_empty() {
            return Err(Error::TokenizerMalformed { offset: 0, what: "there are no pieces" });
        }
        // The library writes it last of what is needed here, so a file cut between two fields, which
        // still reads as a message, is found out.
        if !is_whole {
            let what = "the file ends without a normalizer specification";
            return Err(Error::TokenizerMalformed { offset: bytes.len(), what });
        }
        Ok(model)
    }
}

impl<'b> PieceProto<'b> {
    fn parse(fields: Fields<'b>) -> Result<Self> {
        let mut piece = Self { text: "", score: 0.0, kind: piece_type::NORMAL };
        for field in fields {
            let field = field?;
            match field.number {
                1 => piece.text = field.text()?,
                2 => piece.score = field.float()?,
                3 => piece.kind = field.integer()?,
                _ => {}
            }
        }
        Ok(piece)
    }
}

impl TrainerSpec {
    fn merge(&mut self, fields: Fields<'_>) -> Result<()> {
        for field in fields {
            let field = field?;
            match field.number {
                3 => self.model_type = field.integer()?,
                24 => self.treat_whitespace_as_suffix = field.boolean()?,
                35 => self.byte_fallback = field.boolean()?,
                44 => self.unk_surface = field.text()?.to_owned(),
                46 => self.bos_piece = field.text()?.to_owned(),
                47 => self.eos_piece = field.text()?.to_owned(),
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'b> NormalizerSpec<'b> {
    fn merge(&mut self, fields: Fields<'b>) -> Result<()> {
        for field in fields {
            let field = field?;
            match field.number {
                2 => self.precompiled_charsmap = field.bytes()?,
                3 => self.add_dummy_prefix = field.boolean()?,
                4 => self.remove_extra_whitespaces = field.boolean()?,
                5 => self.escape_whitespaces = field.boolean()?,
                _ => {}
            }
        }
        Ok(())
    }
}
