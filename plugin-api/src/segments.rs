//! Segments, and how to make a tiling from spans.

use std::ops::Range;

/// What a segment is to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum SegmentKind {
    /// The base tokenizer splits it as usual.
    Text = 0,
    /// No token may cross its borders.
    Term = 1,
    /// Not shown to the model.
    Drop = 2,
}

/// A piece of a text, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// What it is to the model.
    pub kind: SegmentKind,
    /// Where it is: not empty, on character borders.
    pub range: Range<usize>,
}

/// Makes segments that tile `text` from spans that may overlap and lie in any order; what no span covers is
/// [`SegmentKind::Text`]. Where spans overlap, a dropped one wins, then the one that begins first, then the longer one;
/// the loser goes whole, since half a term is no term. Empty spans, spans beyond the text and spans that cut a character
/// are left out.
pub fn tile(text: &str, spans: impl IntoIterator<Item = Segment>) -> Vec<Segment> {
    let mut spans: Vec<Segment> = spans
        .into_iter()
        .filter(|s| s.kind != SegmentKind::Text && text.get(s.range.clone()).is_some_and(|t| !t.is_empty()))
        .collect();
    spans.sort_by_key(|s| (s.range.start, std::cmp::Reverse(s.range.end)));
    let (dropped, terms): (Vec<_>, Vec<_>) = spans.into_iter().partition(|s| s.kind == SegmentKind::Drop);
    // Dropped spans are joined where they overlap: each byte in any of them is unwanted.
    let mut kept: Vec<Segment> = Vec::new();
    for span in dropped {
        match kept.last_mut() {
            Some(last) if span.range.start < last.range.end => last.range.end = last.range.end.max(span.range.end),
            _ => kept.push(span),
        }
    }
    let dropped = kept.len();
    let mut term_end = 0;
    for span in terms {
        let next = kept[..dropped].partition_point(|d| d.range.end <= span.range.start);
        let hits_dropped = next < dropped && kept[next].range.start < span.range.end;
        if span.range.start >= term_end && !hits_dropped {
            term_end = span.range.end;
            kept.push(span);
        }
    }
    kept.sort_by_key(|s| s.range.start);

    let mut tiles = Vec::with_capacity(kept.len() * 2 + 1);
    let mut end = 0;
    for span in kept {
        if end < span.range.start {
            tiles.push(Segment {
                kind: SegmentKind::Text,
                range: end..span.range.start,
            });
        }
        end = span.range.end;
        tiles.push(span);
    }
    if end < text.len() {
        tiles.push(Segment {
            kind: SegmentKind::Text,
            range: end..text.len(),
        });
    }
    tiles
}

/// What is wrong with segments that should tile `text`; nothing if they do.
///
/// # Errors
/// The first segment that breaks the rule, in words.
pub fn check_tiling(text: &str, segments: &[Segment]) -> Result<(), String> {
    let mut end = 0;
    for (i, segment) in segments.iter().enumerate() {
        let Range { start, end: stop } = segment.range;
        if start != end {
            return Err(format!(
                "segment {i} begins at byte {start}, the one before it ends at {end}"
            ));
        }
        if stop <= start || stop > text.len() {
            return Err(format!(
                "segment {i} is {start}..{stop} in a text of {} bytes",
                text.len()
            ));
        }
        if !text.is_char_boundary(stop) {
            return Err(format!("segment {i} ends at byte {stop}, inside a character"));
        }
        end = stop;
    }
    if end != text.len() {
        return Err(format!("the segments end at byte {end} of {}", text.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use SegmentKind::{Drop, Term, Text};
    use proptest::prelude::*;

    fn segment(kind: SegmentKind, range: Range<usize>) -> Segment {
        Segment { kind, range }
    }

    #[test]
    fn dropped_wins_then_first_then_longest() {
        let text = "0123456789";
        let spans = [
            segment(Term, 2..5),
            segment(Term, 2..4),
            segment(Term, 4..7),
            segment(Drop, 8..9),
        ];
        let want = [
            segment(Text, 0..2),
            segment(Term, 2..5),
            segment(Text, 5..8),
            segment(Drop, 8..9),
        ];
        assert_eq!(tile(text, spans.clone())[..4], want);
        let over = [segment(Term, 2..5), segment(Drop, 4..6), segment(Drop, 5..7)];
        assert_eq!(
            tile(text, over),
            [segment(Text, 0..4), segment(Drop, 4..7), segment(Text, 7..10)]
        );
    }

    #[test]
    fn spans_that_cut_a_character_are_left_out() {
        assert_eq!(tile("合同法", [segment(Term, 1..3)]), [segment(Text, 0..9)]);
        assert_eq!(tile("", [segment(Term, 0..0)]), []);
    }

    #[test]
    fn a_broken_tiling_is_named() {
        let gap = check_tiling("abcd", &[segment(Text, 0..1), segment(Text, 2..4)]).unwrap_err();
        assert_eq!(gap, "segment 1 begins at byte 2, the one before it ends at 1");
        assert!(
            check_tiling("合", &[segment(Text, 0..2)])
                .unwrap_err()
                .contains("inside a character")
        );
        assert!(
            check_tiling("ab", &[segment(Text, 0..9)])
                .unwrap_err()
                .contains("in a text of 2 bytes")
        );
        assert!(check_tiling("ab", &[]).unwrap_err().contains("end at byte 0 of 2"));
    }

    proptest! {
        #[test]
        fn any_spans_tile(text in "\\PC{0,40}", spans in prop::collection::vec((0usize..60, 0usize..60, 0u32..3), 0..12)) {
            let spans = spans.into_iter().map(|(a, b, k)| segment([Text, Term, Drop][k as usize], a..b.max(a)));
            prop_assert_eq!(check_tiling(&text, &tile(&text, spans)), Ok(()));
        }
    }
}
