//! Segments: checked, and what they mean for a part of the text.

use crate::{Segment, SegmentKind, TokenizeError};

/// A run of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub kind: SegmentKind,
    pub begin: usize,
    pub end: usize,
}

/// Spans that tile the text: all of it without segments, and neighbours that are both plain text joined.
pub fn checked(text: &str, segments: &[Segment]) -> Result<Vec<Span>, TokenizeError> {
    let mut spans: Vec<Span> = Vec::with_capacity(segments.len().max(1));
    if segments.is_empty() && !text.is_empty() {
        spans.push(Span {
            kind: SegmentKind::Text,
            begin: 0,
            end: text.len(),
        });
    }
    let mut covered = 0;
    for (index, segment) in segments.iter().enumerate() {
        let (begin, end) = (segment.begin as usize, segment.end as usize);
        let last = index + 1 == segments.len();
        let reason = if begin != covered {
            Some("it does not begin where the one before ends")
        } else if end <= begin {
            Some("it is empty")
        } else if end > text.len() {
            Some("it ends beyond the text")
        } else if !text.is_char_boundary(begin) || !text.is_char_boundary(end) {
            Some("it cuts a character")
        } else if last && end != text.len() {
            Some("the text goes on after it")
        } else {
            None
        };
        if let Some(reason) = reason {
            let (begin, end, bytes) = (segment.begin, segment.end, text.len());
            return Err(TokenizeError::Segments {
                index,
                begin,
                end,
                reason,
                bytes,
            });
        }
        covered = end;
        match spans.last_mut() {
            Some(before) if before.kind == SegmentKind::Text && segment.kind == SegmentKind::Text => before.end = end,
            _ => spans.push(Span {
                kind: segment.kind,
                begin,
                end,
            }),
        }
    }
    Ok(spans)
}

/// Gives the space before a term to the term: in vocabularies that write a space into the token after it, the term
/// is there with its space.
pub fn lend_spaces(text: &str, spans: &mut Vec<Span>) {
    for index in 1..spans.len() {
        let (before, term) = (spans[index - 1], spans[index]);
        let lends = before.kind == SegmentKind::Text && text[before.begin..before.end].ends_with(' ');
        if term.kind == SegmentKind::Term && lends {
            spans[index - 1].end -= 1;
            spans[index].begin -= 1;
        }
    }
    spans.retain(|span| span.begin < span.end);
}

/// The parts of the spans that lie in `begin..end`, counted from `begin`.
pub fn within(spans: &[Span], begin: usize, end: usize) -> Vec<Span> {
    let first = spans.partition_point(|span| span.end <= begin);
    let cut = spans[first..].iter().take_while(|span| span.begin < end);
    let shift = |at: usize| at.clamp(begin, end) - begin;
    cut.map(|span| Span {
        kind: span.kind,
        begin: shift(span.begin),
        end: shift(span.end),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use SegmentKind::{Drop, Term, Text};

    fn segment(kind: SegmentKind, begin: u32, end: u32) -> Segment {
        Segment { kind, begin, end }
    }

    #[test]
    fn segments_that_do_not_tile_are_refused() {
        let text = "依照民法典";
        let refused = [
            vec![segment(Text, 0, 6)],
            vec![segment(Text, 0, 18)],
            vec![segment(Text, 0, 5), segment(Term, 5, 15)],
            vec![segment(Text, 3, 15)],
            vec![segment(Text, 0, 9), segment(Term, 6, 15)],
            vec![segment(Text, 0, 6), segment(Term, 9, 15)],
            vec![segment(Text, 0, 0), segment(Text, 0, 15)],
            vec![segment(Text, 0, u32::MAX)],
        ];
        for segments in refused {
            assert!(
                matches!(checked(text, &segments), Err(TokenizeError::Segments { .. })),
                "{segments:?}"
            );
        }
        assert!(checked("", &[segment(Text, 0, 1)]).is_err());
        assert!(checked("", &[]).unwrap().is_empty());
    }

    #[test]
    fn neighbouring_text_is_one_run() {
        let spans = checked(
            "abcdef",
            &[
                segment(Text, 0, 1),
                segment(Text, 1, 3),
                segment(Term, 3, 4),
                segment(Term, 4, 5),
                segment(Drop, 5, 6),
            ],
        );
        let kinds: Vec<_> = spans
            .unwrap()
            .iter()
            .map(|span| (span.kind, span.begin, span.end))
            .collect();
        assert_eq!(kinds, [(Text, 0, 3), (Term, 3, 4), (Term, 4, 5), (Drop, 5, 6)]);
    }

    #[test]
    fn a_window_sees_its_part() {
        let spans = checked("abcdef", &[segment(Text, 0, 3), segment(Term, 3, 6)]).unwrap();
        let seen: Vec<_> = within(&spans, 2, 5)
            .iter()
            .map(|span| (span.kind, span.begin, span.end))
            .collect();
        assert_eq!(seen, [(Text, 0, 1), (Term, 1, 3)]);
        assert_eq!(within(&spans, 3, 6).len(), 1);
    }
}
