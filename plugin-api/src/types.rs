use std::ops::Range;

/// What a plugin is. Must agree with its `manifest.toml`.
#[derive(Debug, Clone, Copy)]
pub struct Descriptor {
    /// Reverse DNS: `org.example.contracts`.
    pub id: &'static str,
    /// For people.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// `legal`, `medical`, ...
    pub domain: &'static str,
    /// BCP 47 tags.
    pub languages: &'static [&'static str],
}

/// What a labeler is shown.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The text.
    pub text: &'a str,
    /// What else is known of the case file: an object; ignore the keys you do not know.
    pub metadata: &'a serde_json::Value,
    /// Every random choice follows from it.
    pub seed: u64,
}

/// A labelling function's opinion.
#[derive(Debug, Clone, PartialEq)]
pub struct Vote {
    /// Index into [`crate::Labeler::functions`].
    pub function: usize,
    /// Index into [`crate::Labeler::labels`].
    pub label: usize,
    /// The span that it is about, in bytes; none for the whole document.
    pub span: Option<Range<usize>>,
    /// In (0, 1]; 1 only where a person has said so.
    pub confidence: f64,
}

impl Vote {
    /// A vote about the whole document.
    pub fn whole(function: usize, label: usize, confidence: f64) -> Vote {
        Vote {
            function,
            label,
            span: None,
            confidence,
        }
    }
}

/// A way to score an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// At most 55 bytes.
    pub name: String,
    /// Whether a larger value is a better answer.
    pub higher_is_better: bool,
}

/// An answer to be scored.
#[derive(Debug, Clone, Copy)]
pub struct Prediction<'a> {
    /// What was asked.
    pub input: &'a str,
    /// The right answer.
    pub expected: &'a str,
    /// The model's answer.
    pub actual: &'a str,
}
