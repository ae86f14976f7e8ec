//! Long texts in pieces: the tokenizer keeps twenty bytes and more for each byte that it is given at once.

use crate::SegmentKind;
use crate::segments::Span;

/// Bytes given to the tokenizer at once.
pub const MAX_BYTES: usize = 64 << 10;

/// Where the piece that begins at `begin` ends: the whole rest if it is short, or else, looking back from the limit,
/// before a space between words, or else at the border of an ideograph, or else anywhere between two characters.
/// A term is not cut unless it is longer than a piece.
pub fn end(text: &str, spans: &[Span], begin: usize, limit: usize) -> usize {
    if text.len() - begin <= limit {
        return text.len();
    }
    let last = char_boundary(text, begin + limit);
    // Half of the piece is enough to look through.
    let first = char_boundary(text, begin + limit / 2);
    let outside_terms = |at: &usize| !in_term(spans, *at);
    let spaces = || text[first..last].rmatch_indices(' ').map(|(at, _)| first + at);
    let between_words = |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + 1..].chars().next();
        before.is_some_and(|c| !c.is_whitespace()) && after.is_some_and(|c| !c.is_whitespace())
    };
    let ideographs = || text[first..last].char_indices().rev().map(|(at, c)| (first + at, c));
    spaces()
        .find(|at| *at > begin && between_words(at) && outside_terms(at))
        .or_else(|| {
            ideographs()
                .find(|(at, c)| *at > begin && is_ideograph(*c) && outside_terms(at))
                .map(|(at, _)| at)
        })
        .or_else(|| term_begin(spans, last).filter(|at| *at > begin))
        .unwrap_or(last)
}

/// The last border of a character that is not after `at`.
fn char_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn term_begin(spans: &[Span], at: usize) -> Option<usize> {
    let span = spans[..spans.partition_point(|span| span.begin < at)].last()?;
    (span.kind == SegmentKind::Term && at < span.end).then_some(span.begin)
}

fn in_term(spans: &[Span], at: usize) -> bool {
    term_begin(spans, at).is_some()
}

/// CJK Unified Ideographs, with the extension that is in common use.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentKind::{Term, Text};

    fn pieces(text: &str, spans: &[Span], limit: usize) -> Vec<String> {
        let mut begin = 0;
        let mut pieces = Vec::new();
        while begin < text.len() {
            let end = end(text, spans, begin, limit);
            pieces.push(text[begin..end].to_owned());
            begin = end;
        }
        pieces
    }

    #[test]
    fn pieces_end_between_words_ideographs_or_characters_in_this_order() {
        assert_eq!(pieces("one two three four", &[], 8), ["one two", " three", " four"]);
        assert_eq!(
            pieces("合同当事人应当", &[], 10),
            ["合同", "当事", "人应当"].map(String::from)
        );
        assert_eq!(pieces("abcdefghij", &[], 4), ["abcd", "efgh", "ij"]);
        assert_eq!(pieces("", &[], 4), Vec::<String>::new());
    }

    #[test]
    fn a_term_is_cut_only_where_it_is_longer_than_a_piece() {
        let spans = [
            Span {
                kind: Text,
                begin: 0,
                end: 4,
            },
            Span {
                kind: Term,
                begin: 4,
                end: 11,
            },
            Span {
                kind: Text,
                begin: 11,
                end: 14,
            },
        ];
        assert_eq!(
            pieces("ab (new york) c", &spans, 9)[..2],
            ["ab (", "new york)"].map(String::from)
        );
        let spans = [Span {
            kind: Term,
            begin: 0,
            end: 10,
        }];
        assert_eq!(pieces("abcdefghij", &spans, 4), ["abcd", "efgh", "ij"]);
    }
}
