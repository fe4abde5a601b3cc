//! Writes small model files for tests of single rules.

use super::proto::piece_type;

/// A `.model` file in the making: the pieces, and the options that differ from a plain BPE model
/// without a dummy prefix.
pub(super) struct ModelBuilder {
    pub(super) pieces: Vec<u8>,
    pub(super) model_type: u8,
    pub(super) byte_fallback: bool,
    /// Raw fields added to the trainer spec.
    pub(super) trainer: Vec<u8>,
    /// Raw fields added to the normaliser spec.
    pub(super) normalizer: Vec<u8>,
    /// Raw fields added to the file.
    pub(super) rest: Vec<u8>,
}

impl Default for ModelBuilder {
    /// One unknown piece, id 0.
    fn default() -> Self {
        Self::empty().piece("<unk>", 0.0, piece_type::UNKNOWN)
    }
}

/// The layout of the challenge's tokenizer: pad, start, end, unknown, 256 bytes (ids 4 to 259),
/// then these pieces with falling scores.
pub(super) fn with_byte_fallback(pieces: &[&str]) -> ModelBuilder {
    let mut builder = ModelBuilder::empty()
        .piece("<pad>", 0.0, piece_type::CONTROL)
        .piece("<s>", 0.0, piece_type::CONTROL)
        .piece("</s>", 0.0, piece_type::CONTROL)
        .piece("<unk>", 0.0, piece_type::UNKNOWN);
    builder.byte_fallback = true;
    for byte in 0..=255u8 {
        builder = builder.piece(&format!("<0x{byte:02X}>"), 0.0, piece_type::BYTE);
    }
    for (rank, piece) in pieces.iter().enumerate() {
        builder = builder.normal(piece, -(rank as f32));
    }
    builder
}

impl ModelBuilder {
    pub(super) fn empty() -> Self {
        Self {
            pieces: Vec::new(),
            model_type: 2,
            byte_fallback: false,
            trainer: Vec::new(),
            normalizer: vec![3 << 3, 0],
            rest: Vec::new(),
        }
    }

    pub(super) fn piece(mut self, text: &str, score: f32, kind: u64) -> Self {
        let mut piece = bytes_field(1, text.as_bytes());
        piece.push(2 << 3 | 5);
        piece.extend(score.to_le_bytes());
        piece.extend([3 << 3, kind as u8]);
        self.pieces.extend(bytes_field(1, &piece));
        self
    }

    pub(super) fn normal(self, text: &str, score: f32) -> Self {
        self.piece(text, score, piece_type::NORMAL)
    }

    pub(super) fn user_defined(self, text: &str) -> Self {
        self.piece(text, 0.0, piece_type::USER_DEFINED)
    }

    pub(super) fn build(&self) -> Vec<u8> {
        // Field 35 takes a two-byte key.
        let mut trainer = vec![3 << 3, self.model_type, 0x98, 0x02, self.byte_fallback.into()];
        trainer.extend(&self.trainer);
        let mut file = self.pieces.clone();
        file.extend(bytes_field(2, &trainer));
        file.extend(bytes_field(3, &self.normalizer));
        file.extend(&self.rest);
        file
    }
}

/// A length-delimited field with a number below 16.
pub(super) fn bytes_field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}
