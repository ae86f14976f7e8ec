//! Token ids with the words that they begin: what a model that labels tokens is asked.

use crate::guarded::guarded;
use crate::{TokenizeError, Tokenizer};
use std::ops::Range;

/// A text as a model that labels tokens reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordTokens {
    /// Token ids with the special tokens around them.
    pub ids: Vec<u32>,
    /// The tokens that begin a word, by their place in `ids`, and the characters of the text that each stands for: from its
    /// word to the next asked one, without the white space between.
    pub asked: Vec<(usize, Range<usize>)>,
}

impl Tokenizer {
    /// Token ids of the text, at most `max_length` in all, and which of them begin a word. A word is a run of letters and
    /// digits, one character of a script that has no spaces, or one sign. Tokens that go on with a word are not asked:
    /// the first one answers for it.
    pub fn encode_words(&self, text: &str, max_length: usize) -> Result<WordTokens, TokenizeError> {
        let (room, before, after) = self.room(max_length)?;
        let encoding = guarded(|| self.inner.encode_char_offsets(text, false)).map_err(TokenizeError::Encode)?;
        let kept = encoding.get_ids().len().min(room);
        let chars: Vec<char> = text.chars().collect();
        let mut asked: Vec<(usize, Range<usize>)> = Vec::new();
        let mut seen_to = 0;
        for (place, &(begin, end)) in encoding.get_offsets()[..kept].iter().enumerate() {
            seen_to = seen_to.max(end);
            // A token may begin with the space before its word, and be the middle of it.
            let first = (begin.max(asked.last().map_or(0, |(_, word)| word.start + 1))..end)
                .find(|&at| begins_word(&chars, at));
            if let Some(first) = first {
                if let Some((_, last)) = asked.last_mut() {
                    last.end = trimmed(&chars, last.start, first);
                }
                asked.push((before.len() + place, first..end));
            }
        }
        if let Some((_, last)) = asked.last_mut() {
            last.end = trimmed(&chars, last.start, seen_to);
        }
        let ids = [before, &encoding.get_ids()[..kept], after].concat();
        Ok(WordTokens { ids, asked })
    }
}

/// The end of `begin..end` without white space.
fn trimmed(chars: &[char], begin: usize, end: usize) -> usize {
    let shown = chars[begin..end].iter().rposition(|c| !c.is_whitespace());
    begin + shown.map_or(1, |last| last + 1)
}

fn begins_word(chars: &[char], at: usize) -> bool {
    let c = chars[at];
    if c.is_whitespace() {
        return false;
    }
    match at.checked_sub(1).map(|before| chars[before]) {
        Some(before) => !(in_word(before) && in_word(c)),
        None => true,
    }
}

/// Whether the character can be one of several in a word.
fn in_word(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !wengu_protocol::script::is_cjk(c)
}
