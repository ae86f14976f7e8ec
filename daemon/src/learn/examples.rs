//! The examples of one case file, as one object of the store.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use wengu_decide::split::Side;
use wengu_protocol::CaseText;
use wengu_protocol::plugin::Vote;
use wengu_store::records::Counts;
use wengu_store::{Hash, Store};

/// Version of [`Examples`]. 2 keeps the votes of the labelling functions; objects of version 1 read as without.
pub const EXAMPLES_SCHEMA: u32 = 2;

/// What was read from one revision of one case file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Examples {
    /// [`EXAMPLES_SCHEMA`].
    pub schema: u32,
    /// The bytes it was read from.
    pub content: Hash,
    /// `txt`, `jsonl`, …
    pub format: String,
    /// As detected or configured.
    pub encoding: String,
    /// Id, version and digest of the plugin that segmented and labelled.
    pub plugin: Option<String>,
    /// Names for the numbers in the votes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voting: Option<Voting>,
    /// Terms of the plugin's list that stand in the texts: those that may get a token of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<String>,
    /// In the order of the file.
    pub examples: Vec<Example>,
    /// Broken records.
    pub rejected: Vec<Rejected>,
}

/// One text with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Position in the file.
    pub ordinal: u32,
    /// Line it starts at, from 1.
    pub line: u32,
    /// The unit of every split.
    pub case: String,
    /// Which set the case belongs to, for ever.
    pub side: Side,
    /// Where it stands in a file that holds several documents, or pages; none: it is the file, or a line of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The text.
    pub text: CaseText,
    /// Its label, if any.
    pub label: Option<String>,
    /// Where the label comes from.
    pub source: LabelSource,
    /// What the plugin's labelling functions say of it, gold label or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub votes: Vec<Vote>,
    /// The plugin's segments, tiling the text; empty: no plugin.
    pub segments: Vec<wengu_tokenize::Segment>,
    /// What it is counted under in a verdict, each as `kind=value`: fields and labelling functions that the configuration names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<String>,
}

/// Where an example stands in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path of its document inside the file; none: the document is the file.
    pub member: Option<String>,
    /// Where each page begins in the text, in characters; empty: there are no pages.
    pub pages: Vec<u32>,
}

impl Place {
    /// For people.
    pub fn in_words(&self) -> String {
        let pages = match self.pages.len() {
            0 => None,
            1 => Some("1 page".to_owned()),
            many => Some(format!("{many} pages")),
        };
        let parts: Vec<String> = self.member.clone().into_iter().chain(pages).collect();
        parts.join(", ")
    }

    /// The page, from 1, on which a character of the text stands; none: there are no pages.
    pub fn page(&self, character: u32) -> Option<usize> {
        let page = self.pages.partition_point(|&begin| begin <= character);
        (!self.pages.is_empty()).then_some(page.max(1))
    }
}

/// What a plugin's votes are about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voting {
    /// Names of the labelling functions.
    pub functions: Vec<String>,
    /// Names of the labels.
    pub labels: Vec<String>,
}

/// Where a label comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum LabelSource {
    /// A field of the record or a sidecar.
    Gold,
    /// The plugin's labelling functions.
    Weak {
        /// Of the label: when the file is read that of the votes together, when it is learned the label model's.
        confidence: f64,
        /// What the label model holds of each label, summing to 1; empty until an update is planned.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        probabilities: Vec<(String, f64)>,
    },
    /// Nobody.
    None,
}

/// A broken record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// Line, from 1.
    pub line: u32,
    /// For people.
    pub reason: String,
}

impl Examples {
    /// Those in an object.
    pub fn read(store: &Store, hash: &Hash) -> Result<Examples> {
        serde_json::from_slice(&store.objects().get(hash)?).with_context(|| format!("examples {hash}"))
    }

    /// How many of what.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            rejected: self.rejected.len() as u64,
            ..Counts::default()
        };
        for example in &self.examples {
            match (&example.label, example.side) {
                (None, _) => counts.unlabelled += 1,
                (Some(_), Side::Train) => counts.train += 1,
                (Some(_), Side::Gate) => counts.gate += 1,
                (Some(_), Side::Reserve) => counts.reserve += 1,
                (Some(_), Side::Audit) => counts.audit += 1,
                (Some(_), Side::Checklist) => counts.checklist += 1,
            }
        }
        counts
    }
}

/// Identity of a text for the purpose of "the same text must not stand on both sides": white space is folded and case
/// ignored, so that a reflowed copy counts as the same.
pub fn text_id(text: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    for (i, word) in text.split_whitespace().enumerate() {
        if i > 0 {
            hasher.update(b" ");
        }
        hasher.update(word.to_lowercase().as_bytes());
    }
    hasher.finalize().to_hex()[..32].to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_character() {
        let place = Place {
            member: Some("a.pdf".into()),
            pages: vec![0, 10, 10, 25],
        };
        let pages = [0, 9, 10, 24, 25, 99].map(|character| place.page(character).unwrap());
        assert_eq!(pages, [1, 1, 3, 3, 4, 4], "an empty page holds nothing");
        assert_eq!(place.in_words(), "a.pdf, 4 pages");
    }

    #[test]
    fn an_example_is_written_as_ever_and_prints_nothing_of_its_text() {
        let written = r#"{"ordinal":0,"line":1,"case":"c","side":"train","text":"主诉\n胸痛","label":null,"source":{"name":"none"},"segments":[]}"#;
        let example: Example = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&example).unwrap(), written);
        let printed = format!("{example:?}");
        assert!(
            printed.contains("<13 bytes of case text>") && !printed.contains("胸痛"),
            "{printed}"
        );
    }

    #[test]
    fn reflowed_text_is_the_same_text() {
        assert_eq!(
            text_id("Governing  Law:\nDelaware"),
            text_id(" governing law: delaware ")
        );
        assert_ne!(text_id("Governing Law: Delaware"), text_id("Governing Law: New York"));
        assert_eq!(
            text_id("本合同适用中华人民共和国法律。"),
            text_id("本合同适用中华人民共和国法律。\n")
        );
    }
}
