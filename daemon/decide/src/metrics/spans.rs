//! Spans from BIO tags, and their F1, as seqeval counts them by default: like conlleval, an `I-` that follows nothing of
//! its type begins a span.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A token's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// `O`.
    Outside,
    /// `B-TYPE`.
    Begin(String),
    /// `I-TYPE`.
    Inside(String),
}

/// A tag that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no tag: write O, B-TYPE or I-TYPE")]
pub struct TagError(String);

impl std::str::FromStr for Tag {
    type Err = TagError;
    fn from_str(text: &str) -> Result<Tag, TagError> {
        match text.split_once('-') {
            None if text == "O" => Ok(Tag::Outside),
            Some(("B", kind)) if !kind.is_empty() => Ok(Tag::Begin(kind.into())),
            Some(("I", kind)) if !kind.is_empty() => Ok(Tag::Inside(kind.into())),
            _ => Err(TagError(text.into())),
        }
    }
}

/// The spans of one text: type and tokens.
pub fn spans(tags: &[Tag]) -> Vec<(&str, Range<usize>)> {
    let mut spans: Vec<(&str, Range<usize>)> = Vec::new();
    let mut open = false;
    for (at, tag) in tags.iter().enumerate() {
        match (tag, spans.last_mut()) {
            (Tag::Outside, _) => open = false,
            (Tag::Inside(kind), Some((last, range))) if open && kind == last => range.end = at + 1,
            (Tag::Begin(kind) | Tag::Inside(kind), _) => {
                spans.push((kind, at..at + 1));
                open = true;
            }
        }
    }
    spans
}

/// How many spans were found, of how many, by type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpanScores {
    types: BTreeMap<String, Counts>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    expected: u64,
    answered: u64,
    right: u64,
}

impl Counts {
    fn f1(self) -> f64 {
        match self.expected + self.answered {
            0 => 0.0,
            both => 2.0 * self.right as f64 / both as f64,
        }
    }
}

impl SpanScores {
    /// Counts one text. A span is right where type, begin and end are.
    pub fn add(&mut self, expected: &[Tag], answered: &[Tag]) {
        let of = |tags| -> BTreeSet<(&str, usize, usize)> {
            let spans = spans(tags).into_iter();
            spans.map(|(kind, range)| (kind, range.start, range.end)).collect()
        };
        self.add_spans(&of(expected), &of(answered));
    }

    /// Counts one text whose spans are known by type, begin and end.
    pub fn add_spans(&mut self, expected: &BTreeSet<(&str, usize, usize)>, answered: &BTreeSet<(&str, usize, usize)>) {
        for span in expected {
            self.of(span.0).expected += 1;
        }
        for span in answered {
            let right = u64::from(expected.contains(span));
            let counts = self.of(span.0);
            counts.answered += 1;
            counts.right += right;
        }
    }

    fn of(&mut self, kind: &str) -> &mut Counts {
        self.types.entry(kind.to_owned()).or_default()
    }

    /// F1 over all spans together. None where no span was expected or answered.
    pub fn micro_f1(&self) -> Option<f64> {
        let sum = self.types.values().fold(Counts::default(), |a, b| Counts {
            expected: a.expected + b.expected,
            answered: a.answered + b.answered,
            right: a.right + b.right,
        });
        (!self.types.is_empty()).then(|| sum.f1())
    }

    /// Unweighted mean of the types' F1. None where no span was expected or answered.
    pub fn macro_f1(&self) -> Option<f64> {
        let sum: f64 = self.types.values().map(|counts| counts.f1()).sum();
        (!self.types.is_empty()).then(|| sum / self.types.len() as f64)
    }

    /// F1 of one type. None where it was neither expected nor answered.
    pub fn f1(&self, kind: &str) -> Option<f64> {
        self.types.get(kind).map(|counts| counts.f1())
    }
}
