//! What happens to text before it is cut into pieces: character rules (for `nmt_nfkc`: NFKC, and
//! control characters dropped or turned into spaces), runs of spaces collapsed, spaces at both ends
//! dropped, and what spaces are left written as U+2581. It is SentencePiece's order of doing these,
//! because the order shows.

use super::charsmap::Charsmap;
use super::proto::NormalizerSpec;
use super::vocabulary::UserDefined;
use crate::Result;

/// SentencePiece writes a space inside a piece as this character.
pub(super) const SPACE: char = '\u{2581}';

/// The rules of one model.
#[derive(Debug)]
pub(super) struct Normalizer {
    charsmap: Option<Charsmap>,
    add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
}

impl Normalizer {
    /// Builds the rules that the model names; without character rules text is taken as it is.
    ///
    /// # Errors
    /// [`crate::Error::TokenizerInvalid`] where the table of character rules is damaged.
    pub(super) fn new(spec: &NormalizerSpec<'_>) -> Result<Self> {
        let blob = spec.precompiled_charsmap;
        Ok(Self {
            charsmap: if blob.is_empty() { None } else { Some(Charsmap::parse(blob)?) },
            add_dummy_prefix: spec.add_dummy_prefix,
            remove_extra_whitespaces: spec.remove_extra_whitespaces,
            escape_whitespaces: spec.escape_whitespaces,
        })
    }

    /// The character that stands for a space in normalised text.
    pub(super) fn space(&self) -> char {
        if self.escape_whitespaces { SPACE } else { ' ' }
    }

    /// Whether decoded text loses the space that a first piece begins with.
    pub(super) fn strips_first_space(&self) -> bool {
        self.add_dummy_prefix || self.remove_extra_whitespaces
    }

    /// The text that pieces are made of. User-defined symbols pass through the character rules
    /// unchanged.
    pub(super) fn normalize(&self, text: &str, user_defined: &UserDefined) -> String {
        let mut position = 0;
        if self.remove_extra_whitespaces {
            while let Some((" ", length)) = self.rewrite_at(text, position, user_defined) {
                position += length;
            }
        }
        let mut normalized = String::with_capacity(text.len() + text.len() / 2);
        if self.add_dummy_prefix && position < text.len() {
            normalized.push(self.space());
        }
        let mut after_space = self.remove_extra_whitespaces;
        while let Some((mut part, length)) = self.rewrite_at(text, position, user_defined) {
            position += length;
            if after_space {
                part = part.trim_start_matches(' ');
            }
            if !part.is_empty() {
                self.push_escaped(&mut normalized, part);
                after_space = self.remove_extra_whitespaces && part.ends_with(' ');
            }
        }
        if self.remove_extra_whitespaces {
            let kept = normalized.trim_end_matches(self.space()).len();
            normalized.truncate(kept);
        }
        normalized
    }

    /// What the text at `position` becomes and how many of its bytes that accounts for; `None` at
    /// the end.
    fn rewrite_at<'a>(
        &'a self,
        text: &'a str,
        position: usize,
        user_defined: &UserDefined,
    ) -> Option<(&'a str, usize)> {
        let bytes = text.as_bytes().get(position..).filter(|rest| !rest.is_empty())?;
        // A rule that ends inside a character would leave us there.
        let Some(rest) = text.get(position..) else {
            return Some(("\u{FFFD}", 1));
        };
        if let Some(length) = user_defined.match_start(rest) {
            return Some((&rest[..length], length));
        }
        if let Some((length, replacement)) =
            self.charsmap.as_ref().and_then(|charsmap| charsmap.longest_match(bytes))
        {
            return Some((replacement, length));
        }
        let length = rest.chars().next()?.len_utf8();
        Some((&rest[..length], length))
    }

    fn push_escaped(&self, normalized: &mut String, part: &str) {
        if self.escape_whitespaces && part.contains(' ') {
            normalized.extend(part.chars().map(|c| if c == ' ' { SPACE } else { c }));
        } else {
            normalized.push_str(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: NormalizerSpec<'_>, cases: &[(&str, &str)]) {
        let normalizer = Normalizer::new(&spec).unwrap();
        let user_defined = UserDefined::new(["<a  b>"].into_iter());
        for (text, expected) in cases {
            assert_eq!(normalizer.normalize(text, &user_defined), *expected, "{text:?}");
        }
    }

    #[test]
    fn spaces_collapse_and_ends_are_stripped() {
        let spec = NormalizerSpec { add_dummy_prefix: false, ..NormalizerSpec::default() };
        let cases = [
            ("", ""),
            ("   ", ""),
            ("  a  b ", "a▁b"),
            ("a\tb", "a\tb"),
            ("a▁", "a"), // a written U+2581 at the end is taken for a space
            ("▁a", "▁a"),
            ("x <a  b> y", "x▁<a▁▁b>▁y"),
        ];
        check(spec, &cases);
    }

    #[test]
    fn a_dummy_prefix_is_added_to_text_that_has_any() {
        check(NormalizerSpec::default(), &[("", ""), ("  ", ""), ("a b", "▁a▁b")]);
    }

    #[test]
    fn spaces_stay_where_the_model_keeps_them() {
        let spec = NormalizerSpec {
            add_dummy_prefix: false,
            remove_extra_whitespaces: false,
            ..NormalizerSpec::default()
        };
        check(spec, &[("  a  b ", "▁▁a▁▁b▁"), (" ", "▁")]);
    }

    #[test]
    fn spaces_may_be_left_unescaped() {
        let spec = NormalizerSpec { escape_whitespaces: false, ..NormalizerSpec::default() };
        check(spec, &[(" a  b ", " a b")]);
    }
}
