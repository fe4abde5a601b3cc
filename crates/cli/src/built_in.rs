//! The corpus and tokenizer that come with the program.

use std::io::Read;

use aneal_train::data::BuiltIn;

static CORPUS: &[u8] = include_bytes!("../../../assets/default-corpus.txt.gz");
static TOKENIZER: &[u8] = include_bytes!("../../../assets/default-tokenizer.model");

/// Both of them.
pub(crate) fn assets() -> BuiltIn<'static> {
    BuiltIn { corpus: &corpus, tokenizer: TOKENIZER }
}

/// The text of the corpus. Its bytes are part of the program, so they are what they were when it
/// was tested.
fn corpus() -> String {
    let mut text = String::new();
    let read = flate2::read::GzDecoder::new(CORPUS).read_to_string(&mut text);
    debug_assert!(read.is_ok(), "the built-in corpus does not unpack");
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_corpus_is_the_one_described() {
        let text = super::corpus();
        assert_eq!(text.len(), 3_797_659);
        assert_eq!(text.lines().filter(|line| *line == "<|doc|>").count(), 437);
    }
}
