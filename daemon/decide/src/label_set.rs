//! The labels of a text that may have any number of them.
//!
//! The right answer to a text is kept as one line of JSON, `["label", …]` in order, each label once: the same labels are the same
//! line. A text to which none applies has `[]`, which is an answer too.

use std::collections::{BTreeMap, BTreeSet};

/// Why a line is no set of labels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no list of labels")]
pub struct LabelSetError(String);

/// The one line that stands for the labels.
pub fn line(labels: &BTreeSet<String>) -> String {
    serde_json::to_string(labels).unwrap_or_default()
}

/// The labels of a line.
pub fn parse(line: &str) -> Result<BTreeSet<String>, LabelSetError> {
    serde_json::from_str(line).map_err(|_| LabelSetError(line.to_owned()))
}

/// For each text the label that it counts for where all are to be kept alike: of its own the one that the fewest texts have, or
/// none where no label applies. A frequent label is kept beside the rare ones anyway.
pub fn rarest(sets: &[BTreeSet<String>]) -> Vec<&str> {
    let mut texts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in sets.iter().flatten() {
        *texts.entry(label).or_default() += 1;
    }
    sets.iter()
        .map(|set| {
            let labels = set.iter().map(String::as_str);
            labels.min_by_key(|label| (texts[label], *label)).unwrap_or_default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[&str]) -> BTreeSet<String> {
        labels.iter().map(|label| (*label).to_owned()).collect()
    }

    #[test]
    fn the_same_labels_are_the_same_line() {
        assert_eq!(line(&set(&["b", "甲", "a"])), r#"["a","b","甲"]"#);
        assert_eq!(parse(r#"["b", "a", "b"]"#), Ok(set(&["a", "b"])));
        assert_eq!((line(&set(&[])), parse("[]")), ("[]".to_owned(), Ok(set(&[]))));
        assert!(parse("a").is_err() && parse(r#"{"a": 1}"#).is_err());
    }

    #[test]
    fn a_text_counts_for_its_rarest_label() {
        let sets = [
            set(&["a", "b"]),
            set(&["a"]),
            set(&[]),
            set(&["a", "b", "c"]),
            set(&["b", "a"]),
        ];
        assert_eq!(rarest(&sets), ["b", "a", "", "c", "b"]);
    }
}
