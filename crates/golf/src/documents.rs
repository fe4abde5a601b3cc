//! Text files as documents: what one training text is, and which ones are held out.

use std::path::Path;

use crate::{Error, Result};

/// The line that stands between documents.
pub const DOCUMENT_LINE: &str = "<|doc|>";

/// What separates the documents of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentSeparator {
    /// Nothing: the whole text is one document.
    File,
    /// One or more blank lines (empty, or spaces only).
    BlankLine,
    /// Lines that hold only [`DOCUMENT_LINE`].
    DocLine,
    /// [`DocLine`](Self::DocLine) if the text has such a line, else [`File`](Self::File).
    #[default]
    Auto,
}

/// Reads a text file whole.
///
/// # Errors
/// [`Error::Io`] when it cannot be read, [`Error::NotUtf8`] with the offset of the first byte that
/// is no text.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(|source| Error::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    String::from_utf8(bytes).map_err(|error| Error::NotUtf8 {
        path: path.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

/// The documents of a text, in order. Line breaks at either end of a document are not part of it,
/// and documents of nothing but white space are dropped. Lines may end in LF or CR LF.
pub fn split_documents(text: &str, separator: DocumentSeparator) -> Vec<&str> {
    let separates: fn(&str) -> bool = match separator {
        DocumentSeparator::File => |_| false,
        DocumentSeparator::BlankLine => |line| line.trim().is_empty(),
        DocumentSeparator::DocLine | DocumentSeparator::Auto => is_document_line,
    };
    let mut documents = Vec::new();
    let (mut start, mut position) = (0, 0);
    for line in text.split_inclusive('\n') {
        if separates(line) {
            documents.push(&text[start..position]);
            start = position + line.len();
        }
        position += line.len();
    }
    documents.push(&text[start..]);
    documents.retain_mut(|document| {
        *document = document.trim_matches(['\n', '\r']);
        !document.trim().is_empty()
    });
    documents
}

fn is_document_line(line: &str) -> bool {
    line.trim_end_matches(['\n', '\r']) == DOCUMENT_LINE
}

/// The index of the first held-out document: from there on is the smallest tail of documents that
/// has at least `percent` of all documents' bytes.
pub fn held_out_start(documents: &[&str], percent: u32) -> usize {
    let total: u128 = documents.iter().map(|document| document.len() as u128).sum();
    let (mut start, mut tail) = (documents.len(), 0);
    while start > 0 && tail * 100 < total * u128::from(percent) {
        start -= 1;
        tail += documents[start].len() as u128;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_end_where_the_separator_says() {
        use DocumentSeparator::*;
        let marked = "<|doc|>\none\n\nmore\n<|doc|>\n<|doc|>\r\n\n two <|doc|>\n";
        let plain = "\n\na\nb\n \t\n\r\nc\r\n";
        let cases: [(DocumentSeparator, &str, &[&str]); 9] = [
            (Auto, marked, &["one\n\nmore", " two <|doc|>"]),
            (DocLine, marked, &["one\n\nmore", " two <|doc|>"]),
            (File, marked, &[marked.trim_end()]),
            (BlankLine, marked, &["<|doc|>\none", "more\n<|doc|>\n<|doc|>", " two <|doc|>"]),
            (Auto, plain, &["a\nb\n \t\n\r\nc"]),
            (DocLine, plain, &["a\nb\n \t\n\r\nc"]),
            (BlankLine, plain, &["a\nb", "c"]),
            (Auto, "", &[]),
            (File, " \n\t\n", &[]),
        ];
        for (separator, text, expected) in cases {
            assert_eq!(split_documents(text, separator), expected, "{separator:?} of {text:?}");
        }
    }

    #[test]
    fn the_held_out_tail_is_the_smallest_that_is_large_enough() {
        let documents = ["aaaaaaaaaa", "bbbbb", "cccc", "d"]; // 20 bytes
        for (percent, start) in [(0, 4), (5, 3), (6, 2), (25, 2), (26, 1), (50, 1), (51, 0)] {
            assert_eq!(held_out_start(&documents, percent), start, "{percent} %");
        }
        assert_eq!(held_out_start(&[], 5), 0);
    }

    #[test]
    fn a_file_that_is_not_text_is_named_with_the_offset() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"caf\xC3\xA9 caf\xE9").unwrap();
        let error = read_text(file.path()).unwrap_err();
        assert!(matches!(error, Error::NotUtf8 { offset: 9, .. }));
        assert!(error.to_string().contains(&file.path().display().to_string()));
        std::fs::write(file.path(), "café").unwrap();
        assert_eq!(read_text(file.path()).unwrap(), "café");
        assert!(matches!(read_text(Path::new("no/such/file")), Err(Error::Io { .. })));
    }
}
