//! The pieces of a model: id to text and kind, text to id, and which of them stand for bytes.

use std::collections::{HashMap, HashSet};

use super::piece_hash::PieceHash;
use super::proto::{ModelProto, PieceProto, piece_type};
use crate::{Error, Result};

/// What a piece is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceKind {
    /// A part of text.
    Normal,
    /// Stands for text that no piece covers.
    Unknown,
    /// Never comes from text: start, end, padding.
    Control,
    /// A part of text that is found before all others and never split.
    UserDefined,
    /// One byte of a character that no piece covers.
    Byte(u8),
}

/// One vocabulary entry.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) text: Box<str>,
    pub(super) score: f32,
    pub(super) kind: PieceKind,
}

/// All pieces, by id and by text.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pieces: Vec<Piece>,
    ids: HashMap<Box<str>, u32, PieceHash>,
    /// Bytes of the longest piece: longer texts need no look-up.
    longest: usize,
    /// Ids of the 256 byte pieces, where the model falls back to bytes.
    pub(super) byte_ids: Option<Box<[u32; 256]>>,
    pub(super) unknown: u32,
    pub(super) user_defined: UserDefined,
}

impl Vocabulary {
    /// Checks and indexes a model's pieces.
    ///
    /// # Errors
    /// [`Error::TokenizerInvalid`] where pieces contradict each other, and
    /// [`Error::TokenizerUnsupported`] for piece types that are not executed here.
    pub(super) fn new(model: &ModelProto<'_>) -> Result<Self> {
        let mut pieces = Vec::with_capacity(model.pieces.len());
        let mut ids = HashMap::with_capacity_and_hasher(model.pieces.len(), PieceHash::default());
        let mut unknown = None;
        for (id, piece) in (0u32..).zip(&model.pieces) {
            let piece = Piece::new(id, piece)?;
            if ids.insert(piece.text.clone(), id).is_some() {
                return Err(invalid(format!("piece {:?} (id {id}) occurs twice", piece.text)));
            }
            if piece.kind == PieceKind::Unknown && unknown.replace(id).is_some() {
                return Err(invalid(format!("id {id} is a second unknown piece")));
            }
            pieces.push(piece);
        }
        let unknown = unknown.ok_or_else(|| invalid("there is no unknown piece".to_owned()))?;
        let user_defined = UserDefined::new(
            pieces.iter().filter(|p| p.kind == PieceKind::UserDefined).map(|p| &*p.text),
        );
        let byte_ids = byte_ids(&pieces, model.trainer.byte_fallback)?;
        let longest = pieces.iter().map(|piece| piece.text.len()).max().unwrap_or(0);
        Ok(Self { pieces, ids, longest, byte_ids, unknown, user_defined })
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    /// The piece with this id.
    pub(super) fn get(&self, id: u32) -> Option<&Piece> {
        self.pieces.get(id as usize)
    }

    /// All pieces in the order of their ids.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.pieces.iter()
    }

    /// The id of the piece with exactly this text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }

    /// Id and score of the piece that two neighbours with this text together merge into.
    pub(super) fn merged(&self, text: &str) -> Option<(u32, f32)> {
        if text.len() > self.longest {
            return None;
        }
        let id = self.id(text)?;
        let piece = self.get(id)?;
        let is_text = matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined);
        is_text.then_some((id, piece.score))
    }

    /// The id of a control piece with this text.
    pub(super) fn control(&self, text: &str) -> Option<u32> {
        let id = self.id(text)?;
        (self.get(id)?.kind == PieceKind::Control).then_some(id)
    }
}

impl Piece {
    fn new(id: u32, piece: &PieceProto<'_>) -> Result<Self> {
        let PieceProto { text, score, kind } = *piece;
        if text.is_empty() {
            return Err(invalid(format!("piece {id} is empty")));
        }
        if !score.is_finite() {
            return Err(invalid(format!("piece {text:?} (id {id}) has the score {score}")));
        }
        let kind = match kind {
            piece_type::NORMAL => PieceKind::Normal,
            piece_type::UNKNOWN => PieceKind::Unknown,
            piece_type::CONTROL => PieceKind::Control,
            piece_type::USER_DEFINED => PieceKind::UserDefined,
            piece_type::BYTE => PieceKind::Byte(byte_of(text).ok_or_else(|| {
                invalid(format!("byte piece {text:?} (id {id}) is not one of <0x00> to <0xFF>"))
            })?),
            other => {
                let what = format!("piece {text:?} (id {id}) of type {other}");
                return Err(Error::TokenizerUnsupported { what });
            }
        };
        // Adding zero turns -0.0 into 0.0, so that equal scores also order equally.
        Ok(Self { text: text.into(), score: score + 0.0, kind })
    }
}

/// The byte that `<0xNN>` names.
fn byte_of(text: &str) -> Option<u8> {
    (0..=255).find(|byte| text == format!("<0x{byte:02X}>"))
}

fn byte_ids(pieces: &[Piece], byte_fallback: bool) -> Result<Option<Box<[u32; 256]>>> {
    let mut ids = [None; 256];
    for (id, piece) in (0u32..).zip(pieces) {
        if let PieceKind::Byte(byte) = piece.kind {
            ids[usize::from(byte)] = Some(id);
        }
    }
    let found = ids.iter().flatten().count();
    match (byte_fallback, found) {
        (false, 0) => Ok(None),
        (true, 256) => Ok(Some(Box::new(ids.map(Option::unwrap_or_default)))),
        (true, _) => Err(invalid(format!("byte fallback is on, with {found} of 256 byte pieces"))),
        (false, _) => Err(invalid(format!("byte fallback is off, with {found} byte pieces"))),
    }
}

fn invalid(what: String) -> Error {
    Error::TokenizerInvalid { what }
}

/// The symbols that are found in text before anything else.
#[derive(Debug)]
pub(super) struct UserDefined {
    texts: HashSet<Box<str>>,
    /// The distinct byte lengths of `texts`, longest first.
    lengths: Vec<usize>,
}

impl UserDefined {
    pub(super) fn new<'p>(texts: impl Iterator<Item = &'p str>) -> Self {
        let texts: HashSet<Box<str>> = texts.map(Box::from).collect();
        let mut lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { texts, lengths }
    }

    /// The length of the longest symbol that `text` starts with.
    pub(super) fn match_start(&self, text: &str) -> Option<usize> {
        let starts = |length: usize| text.get(..length).is_some_and(|t| self.texts.contains(t));
        self.lengths.iter().copied().find(|&length| starts(length))
    }
}
