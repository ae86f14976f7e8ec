//! Spans of a text that have a kind, and the tags of tokens that stand for them.
//!
//! The right answer to a text is kept as one line of JSON, `[[begin, end, "kind"], …]` in characters, in order: the same
//! spans are the same line.

use crate::metrics::{Tag, spans};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;
use wengu_protocol::script::is_cjk;

/// A span of a text, in characters (Unicode scalar values, as Python counts them).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Marked(pub usize, pub usize, pub String);

/// Why spans cannot be labels of a text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkedError {
    /// It is empty, ends before it begins, or beyond the text.
    #[error("the span {0}..{1} of {2:?} is empty or leaves the text's {3} characters")]
    Outside(usize, usize, String, usize),
    /// Two spans share characters: a token has one tag.
    #[error("the spans {0}..{1} and {2}..{3} share characters, which tags cannot say")]
    Overlap(usize, usize, usize, usize),
    /// The line was not written by [`line`].
    #[error("{0:?} is no list of spans")]
    NotALine(String),
}

/// Sorted and checked: inside the text's `chars`, none empty, none sharing a character with another.
pub fn checked(mut marked: Vec<Marked>, chars: usize) -> Result<Vec<Marked>, MarkedError> {
    marked.sort();
    marked.dedup();
    for Marked(begin, end, kind) in &marked {
        if begin >= end || *end > chars || kind.trim().is_empty() {
            return Err(MarkedError::Outside(*begin, *end, kind.clone(), chars));
        }
    }
    for pair in marked.windows(2) {
        if pair[1].0 < pair[0].1 {
            return Err(MarkedError::Overlap(pair[0].0, pair[0].1, pair[1].0, pair[1].1));
        }
    }
    Ok(marked)
}

/// The one line that stands for the spans.
pub fn line(marked: &[Marked]) -> String {
    serde_json::to_string(marked).unwrap_or_default()
}

/// The spans of a line.
pub fn parse(line: &str) -> Result<Vec<Marked>, MarkedError> {
    serde_json::from_str(line).map_err(|_| MarkedError::NotALine(line.to_owned()))
}

/// The kinds in a line, each once.
pub fn kinds(line: &str) -> BTreeSet<String> {
    let marked = parse(line).unwrap_or_default();
    marked.into_iter().map(|Marked(_, _, kind)| kind).collect()
}

/// The tags of a model with these kinds: "O", then "B-" and "I-" of each.
pub fn tags(kinds: impl IntoIterator<Item = String>) -> Vec<String> {
    kinds
        .into_iter()
        .flat_map(|kind| [format!("B-{kind}"), format!("I-{kind}")])
        .collect()
}

/// The tag that says "in no span".
pub const OUTSIDE: &str = "O";

/// The tag of each token, given the characters that it stands for, in order: of a span, the first token that touches it begins
/// it.
pub fn tags_of(marked: &[Marked], tokens: &[Range<usize>]) -> Vec<String> {
    let mut begun = vec![false; marked.len()];
    let tag = |token: &Range<usize>| {
        let touched = marked.iter().position(|m| m.0 < token.end && token.start < m.1);
        let Some(index) = touched else {
            return OUTSIDE.to_owned();
        };
        let kind = &marked[index].2;
        let prefix = if begun[index] { "I" } else { "B" };
        begun[index] = true;
        format!("{prefix}-{kind}")
    };
    tokens.iter().map(tag).collect()
}

/// The spans that the tags of tokens say.
pub fn of_tags(tags: &[Tag], tokens: &[Range<usize>]) -> Vec<Marked> {
    spans(tags)
        .into_iter()
        .map(|(kind, range)| Marked(tokens[range.start].start, tokens[range.end - 1].end, kind.to_owned()))
        .collect()
}

/// A text and its spans from words and their BIO tags (BIOES is read too). Words are joined by a space, or by nothing where
/// every word is one character or where Chinese or Japanese characters meet.
pub fn of_words(words: &[String], tags: &[String]) -> Result<(String, Vec<Marked>), String> {
    if words.len() != tags.len() {
        return Err(format!("it has {} tokens and {} tags", words.len(), tags.len()));
    }
    if let Some(at) = words.iter().position(|word| word.trim().is_empty()) {
        return Err(format!("its token {at} is empty"));
    }
    let read = |tag: &String| match tag.split_once('-') {
        Some(("S", kind)) => format!("B-{kind}").parse(),
        Some(("E", kind)) => format!("I-{kind}").parse(),
        _ => tag.parse::<Tag>(),
    };
    let tags: Vec<Tag> = tags
        .iter()
        .map(read)
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    let characters = words.iter().all(|word| word.chars().count() == 1);
    let mut text = String::new();
    let mut chars = 0;
    let mut places = Vec::with_capacity(words.len());
    for word in words {
        let joined = text.chars().last().is_none_or(is_cjk) || word.chars().next().is_none_or(is_cjk);
        if !text.is_empty() && !characters && !joined {
            text.push(' ');
            chars += 1;
        }
        let length = word.chars().count();
        places.push(chars..chars + length);
        text.push_str(word);
        chars += length;
    }
    let marked = of_tags(&tags, &places);
    Ok((text, marked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn words_are_joined_as_they_are_written() {
        let of = |words: &[&str], tags: &[&str]| of_words(&strings(words), &strings(tags)).unwrap();
        let (text, marked) = of(&["late", "MLD", "."], &["O", "B-Disease", "O"]);
        assert_eq!(
            (text.as_str(), line(&marked).as_str()),
            ("late MLD .", r#"[[5,8,"Disease"]]"#)
        );
        let (text, marked) = of(&["2", "0", "年", "白", "某"], &["B-时", "I-时", "I-时", "S-人", "O"]);
        assert_eq!(text, "20年白某");
        assert_eq!(line(&marked), r#"[[0,3,"时"],[3,4,"人"]]"#);
        assert_eq!(
            of(&["服用", "aspirin", "two", "片"], &["O", "B-药", "O", "O"]).0,
            "服用aspirin two片"
        );
        assert!(of_words(&strings(&["a"]), &strings(&["X"])).unwrap_err().contains("X"));
        assert!(
            of_words(&strings(&["a", "b"]), &strings(&["O"]))
                .unwrap_err()
                .contains("2 tokens")
        );
    }

    #[test]
    fn spans_that_tags_cannot_say_are_refused() {
        let refused = |marked: &[(usize, usize)]| {
            let marked = marked.iter().map(|(b, e)| Marked(*b, *e, "k".into())).collect();
            checked(marked, 10).unwrap_err()
        };
        assert!(matches!(refused(&[(3, 3)]), MarkedError::Outside(3, 3, _, 10)));
        assert!(matches!(refused(&[(8, 11)]), MarkedError::Outside(..)));
        assert_eq!(refused(&[(4, 6), (1, 5)]), MarkedError::Overlap(1, 5, 4, 6));
        assert!(parse("a label").is_err());
    }

    proptest! {
        #[test]
        fn tags_of_single_characters_lose_nothing(cuts in prop::collection::btree_set(0usize..40, 0..12), kinds in prop::collection::vec(0u8..3, 6)) {
            let ends: Vec<usize> = cuts.into_iter().collect();
            let marked: Vec<Marked> = ends
                .chunks_exact(2)
                .zip(&kinds)
                .map(|(pair, kind)| Marked(pair[0], pair[1], format!("k{kind}")))
                .collect();
            let tokens: Vec<Range<usize>> = (0..40).map(|at| at..at + 1).collect();
            let tags: Vec<Tag> = tags_of(&marked, &tokens).iter().map(|tag| tag.parse().unwrap()).collect();
            prop_assert_eq!(of_tags(&tags, &tokens), marked.clone());
            prop_assert_eq!(parse(&line(&marked)).unwrap(), checked(marked, 40).unwrap());
        }
    }
}
