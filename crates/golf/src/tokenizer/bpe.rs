//! Byte-pair encoding: normalised text to piece ids, by merging neighbours.
//!
//! Of all neighbours whose joined text is a piece, those with the highest score merge first, the
//! leftmost of equals; this repeats until nothing merges. A heap of candidates makes it
//! O(n log n) in the length of a word. What then is no piece becomes its UTF-8 bytes, or the
//! unknown piece where the model has no byte pieces.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::vocabulary::Vocabulary;

/// No neighbour on this side.
const END: usize = usize::MAX;

/// A stretch of the word that is one piece so far; empty once it was merged into its left
/// neighbour.
struct Symbol {
    start: usize,
    end: usize,
    previous: usize,
    next: usize,
    /// Known once it was merged; looked up at the end for what was not.
    id: Option<u32>,
    /// A user-defined symbol: merges with nothing.
    frozen: bool,
}

impl Symbol {
    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// Two neighbours that may merge. It is out of date once either of them has changed, which shows
/// in their joined length.
struct Candidate {
    score: f32,
    left: usize,
    right: usize,
    length: usize,
    id: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then_with(|| other.left.cmp(&self.left))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// Encodes words one after another, keeping its buffers between them.
pub(super) struct Encoder<'v> {
    vocabulary: &'v Vocabulary,
    symbols: Vec<Symbol>,
    agenda: BinaryHeap<Candidate>,
    /// The id before was the unknown one; a run of unknown characters is one id.
    after_unknown: bool,
}

impl<'v> Encoder<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        Self { vocabulary, symbols: Vec::new(), agenda: BinaryHeap::new(), after_unknown: false }
    }

    /// Appends the ids of one word, a stretch of text that no piece reaches out of.
    pub(super) fn encode_word(&mut self, word: &str, ids: &mut Vec<u32>) {
        self.split(word);
        for right in 1..self.symbols.len() {
            self.propose(word, right - 1, right);
        }
        while let Some(candidate) = self.agenda.pop() {
            self.merge(word, &candidate);
        }
        let mut index = if self.symbols.is_empty() { END } else { 0 };
        while let Some(symbol) = self.symbols.get(index) {
            index = symbol.next;
            let text = &word[symbol.start..symbol.end];
            let id = symbol.id.or_else(|| self.vocabulary.id(text));
            self.emit(text, id, ids);
        }
    }

    /// One symbol a character, and one for each user-defined symbol.
    fn split(&mut self, word: &str) {
        self.symbols.clear();
        let mut start = 0;
        while let Some(first) = word[start..].chars().next() {
            let user_defined = self.vocabulary.user_defined.match_start(&word[start..]);
            let end = start + user_defined.unwrap_or(first.len_utf8());
            let index = self.symbols.len();
            self.symbols.push(Symbol {
                start,
                end,
                previous: index.checked_sub(1).unwrap_or(END),
                next: if end == word.len() { END } else { index + 1 },
                id: None,
                frozen: user_defined.is_some(),
            });
            start = end;
        }
    }

    fn propose(&mut self, word: &str, left: usize, right: usize) {
        let (Some(first), Some(second)) = (self.symbols.get(left), self.symbols.get(right)) else {
            return;
        };
        if first.frozen || second.frozen {
            return;
        }
        if let Some((id, score)) = self.vocabulary.merged(&word[first.start..second.end]) {
            let length = second.end - first.start;
            self.agenda.push(Candidate { score, left, right, length, id });
        }
    }

    fn merge(&mut self, word: &str, candidate: &Candidate) {
        let &Candidate { left, right, length, id, .. } = candidate;
        let (first, second) = (&self.symbols[left], &self.symbols[right]);
        if first.is_empty() || second.is_empty() || second.end - first.start != length {
            return;
        }
        let (previous, next, end) = (first.previous, second.next, second.end);
        self.symbols[left].end = end;
        self.symbols[left].next = next;
        self.symbols[left].id = Some(id);
        let second = &mut self.symbols[right];
        second.start = second.end;
        if let Some(after) = self.symbols.get_mut(next) {
            after.previous = left;
        }
        self.propose(word, previous, left);
        self.propose(word, left, next);
    }

    fn emit(&mut self, text: &str, id: Option<u32>, ids: &mut Vec<u32>) {
        let unknown = self.vocabulary.unknown;
        let id = id.unwrap_or(unknown);
        match &self.vocabulary.byte_ids {
            Some(byte_ids) if id == unknown => {
                ids.extend(text.bytes().map(|byte| byte_ids[usize::from(byte)]));
            }
            None if id == unknown && self.after_unknown => {}
            _ => ids.push(id),
        }
        self.after_unknown = id == unknown;
    }
}
