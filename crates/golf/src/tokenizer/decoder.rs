//! Ids back to text, one at a time, as SentencePiece's `DecodeIds` does it for all at once.

use super::Tokenizer;
use super::normalizer::SPACE;
use super::vocabulary::PieceKind;

/// Turns ids into text as they arrive. What [`push`](Self::push) returns, joined, and
/// [`finish`](Self::finish) after it, is what [`Tokenizer::decode`] makes of all ids together;
/// every part is whole UTF-8.
///
/// Bytes that may still become a character are held back, at most three of them.
#[derive(Debug)]
pub struct StreamDecoder<'t> {
    tokenizer: &'t Tokenizer,
    /// Byte pieces so far that are the start of a character.
    pending: Vec<u8>,
    /// Nothing but control pieces so far: a space that a piece starts with is dropped.
    at_start: bool,
}

impl<'t> StreamDecoder<'t> {
    /// A decoder at the start of a text.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, pending: Vec::new(), at_start: true }
    }

    /// The text that this id completes; often empty for byte pieces, always for control ids and
    /// for ids outside the vocabulary.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        self.append(id, &mut text);
        text
    }

    /// What is left when no more ids come: a replacement character (U+FFFD) for each byte of a
    /// character that was not completed.
    pub fn finish(mut self) -> String {
        let mut text = String::new();
        self.flush(&mut text);
        text
    }

    /// As [`push`](Self::push), into an existing string.
    pub(super) fn append(&mut self, id: u32, text: &mut String) {
        let Some(piece) = self.tokenizer.vocabulary.get(id) else { return };
        if let PieceKind::Byte(byte) = piece.kind {
            self.pending.push(byte);
            self.emit_characters(text);
            return;
        }
        self.flush(text);
        match piece.kind {
            PieceKind::Control => {}
            PieceKind::Unknown => self.emit(&self.tokenizer.unk_surface, text),
            _ => self.emit_piece(&piece.text, text),
        }
    }

    fn emit_piece(&mut self, piece: &str, text: &mut String) {
        let normalizer = &self.tokenizer.normalizer;
        let mut rest = piece;
        if self.at_start
            && normalizer.strips_first_space()
            && let Some(stripped) = piece.strip_prefix(SPACE)
        {
            rest = stripped;
            // The dummy prefix is one space; where extra spaces are removed all go.
            self.at_start = normalizer.remove_extra_whitespaces;
        }
        self.at_start &= rest.is_empty();
        text.extend(rest.chars().map(|c| if c == SPACE { ' ' } else { c }));
    }

    fn emit(&mut self, part: &str, text: &mut String) {
        self.at_start &= part.is_empty();
        text.push_str(part);
    }

    /// Whole characters off the front of the pending bytes. A byte that cannot start a character
    /// with what follows it becomes U+FFFD by itself.
    fn emit_characters(&mut self, text: &mut String) {
        while !self.pending.is_empty() {
            let (valid, broken) = match std::str::from_utf8(&self.pending) {
                Ok(_) => (self.pending.len(), false),
                Err(error) => (error.valid_up_to(), error.error_len().is_some()),
            };
            if valid == 0 && !broken {
                return; // the start of a character
            }
            let used = if valid == 0 { 1 } else { valid };
            let bytes: Vec<u8> = self.pending.drain(..used).collect();
            self.emit(std::str::from_utf8(&bytes).unwrap_or("\u{FFFD}"), text);
        }
    }

    fn flush(&mut self, text: &mut String) {
        for _ in std::mem::take(&mut self.pending) {
            self.emit("\u{FFFD}", text);
        }
    }
}
