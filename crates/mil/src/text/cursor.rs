//! A place in a text, and what can be read there.

use crate::{Error, Result};

/// Reads words and signs, skipping blanks and `//` comments before each.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

/// Most characters of a line that an error shows.
const EXCERPT: usize = 100;

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The place, for errors told later.
    pub(super) fn place(&mut self) -> usize {
        self.skip();
        self.at
    }

    fn skip(&mut self) {
        let bytes = self.text.as_bytes();
        loop {
            while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
                self.at += 1;
            }
            if !self.text[self.at..].starts_with("//") {
                return;
            }
            let rest = &bytes[self.at..];
            self.at += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        }
    }

    /// The next byte that is no blank; 0 at the end.
    pub(super) fn peek(&mut self) -> u8 {
        self.skip();
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// Whether everything was read.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip();
        self.at == self.text.len()
    }

    /// Reads a sign if it is next.
    pub(super) fn take(&mut self, sign: u8) -> bool {
        let found = self.peek() == sign && !self.is_at_end();
        self.at += usize::from(found);
        found
    }

    /// Reads a sign that must be next.
    pub(super) fn expect(&mut self, sign: u8) -> Result<()> {
        if self.take(sign) {
            return Ok(());
        }
        let at = self.at;
        Err(self.error(at, format!("expected `{}`, found {}", char::from(sign), self.next_word())))
    }

    /// Reads a name or keyword if one is next.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        self.skip();
        let rest = &self.text[self.at..];
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let length = rest.bytes().position(|b| !is_word(b)).unwrap_or(rest.len());
        if length == 0 || rest.as_bytes()[0].is_ascii_digit() {
            return None;
        }
        self.at += length;
        Some(&rest[..length])
    }

    /// Reads a name that must be next; `what` says what it names.
    pub(super) fn name(&mut self, what: &str) -> Result<&'a str> {
        let at = self.place();
        match self.word() {
            Some(word) => Ok(word),
            None => Err(self.error(at, format!("expected {what}, found {}", self.next_word()))),
        }
    }

    /// Reads a keyword that must be next.
    pub(super) fn keyword(&mut self, keyword: &str) -> Result<()> {
        let at = self.place();
        let mut ahead = *self;
        if ahead.word() == Some(keyword) {
            *self = ahead;
            return Ok(());
        }
        Err(self.error(at, format!("expected `{keyword}`, found {}", self.next_word())))
    }

    /// Reads the characters that a number may have.
    pub(super) fn number(&mut self) -> &'a str {
        self.skip();
        let rest = &self.text[self.at..];
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
        let length = rest.bytes().position(|b| !is_part(b)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Reads a string in double quotes, with `\"`, `\\`, `\n`, `\t` and `\r`.
    pub(super) fn string(&mut self) -> Result<String> {
        self.expect(b'"')?;
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.text[start..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + at + 1;
                    return Ok(out);
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some(c @ ('"' | '\\')) => out.push(c),
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    _ => {
                        let reason = "expected \\\", \\\\, \\n, \\r or \\t in a string";
                        return Err(self.error(start + at, reason));
                    }
                },
                _ => out.push(c),
            }
        }
        Err(self.error(start - 1, "the string has no end; close it with `\"`"))
    }

    /// What stands here, for messages.
    fn next_word(&self) -> String {
        let mut ahead = *self;
        ahead.skip();
        match ahead.text[ahead.at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some('"') => "a string".to_owned(),
            Some(c) if c.is_ascii_alphanumeric() || c == '_' => {
                let word: String = ahead.number().chars().take(40).collect();
                if word.is_empty() { format!("`{c}`") } else { format!("`{word}`") }
            }
            Some(c) => format!("`{c}`"),
        }
    }

    /// An error at a place, with its line and a caret.
    pub(super) fn error(&self, at: usize, reason: impl Into<String>) -> Error {
        let before = &self.text[..at];
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let whole: Vec<char> = self.text[start..].chars().take_while(|&c| c != '\n').collect();
        let column = self.text[start..at].chars().count();
        // Long lines are cut so that the caret stays in sight.
        let from = column.saturating_sub(EXCERPT / 2);
        let shown: String = whole.iter().skip(from).take(EXCERPT).collect();
        let shown = shown.replace(['\t', '\r'], " ");
        let excerpt = format!("    {shown}\n    {}^", " ".repeat(column - from));
        Error::Text { line, column: column + 1, reason: reason.into(), excerpt }
    }
}
