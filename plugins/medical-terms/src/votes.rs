//! Votes about spans: off unless the config says `spans: true`, so that a labeller's labels of documents stay what they
//! are.

use crate::{Assertion, Kind, Language, Sentences, Terms};
use serde_json::Value;
use wengu_plugin::{Error, Vote};

/// The labels of spans; each has a function of the name `span-` and the label's.
pub const LABELS: [&str; 6] = [
    "disease",
    "disease-negated",
    "disease-uncertain",
    "drug",
    "dose",
    "icd10",
];

/// Votes about spans, if the operator wants them.
pub struct SpanVotes {
    inner: Option<(Terms, Sentences)>,
    confidence: [f64; 6],
    min_confidence: f64,
}

impl SpanVotes {
    /// Takes `spans` (true or false) out of a config and leaves the rest to the caller. `confidence` goes with
    /// [`LABELS`].
    ///
    /// # Errors
    /// `spans` that is neither true nor false.
    pub fn from_config(language: Language, confidence: [f64; 6], config: &mut Value) -> Result<SpanVotes, Error> {
        let spans = config.as_object_mut().and_then(|c| c.remove("spans"));
        let wanted = match spans {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(other) => return Err(Error::input(format!("spans is {other}; it must be true or false"))),
        };
        let make = || Ok::<_, Error>((Terms::new(language)?, Sentences::new(language)?));
        Ok(SpanVotes {
            inner: wanted.then(make).transpose()?,
            confidence,
            min_confidence: config["min_confidence"].as_f64().unwrap_or(0.0),
        })
    }

    /// The labels of spans, to follow those of documents; none if they are off.
    pub fn labels(&self) -> impl Iterator<Item = String> {
        LABELS.iter().filter(|_| self.inner.is_some()).map(|l| (*l).to_owned())
    }

    /// The functions of spans, to follow those of documents; none if they are off.
    pub fn functions(&self) -> impl Iterator<Item = String> {
        self.labels().map(|label| format!("span-{label}"))
    }

    /// A vote for each term of the text. The functions and labels of documents come first: so many there are.
    pub fn votes(&self, text: &str, functions: usize, labels: usize) -> Vec<Vote> {
        let Some((terms, sentences)) = &self.inner else {
            return Vec::new();
        };
        let reading = sentences.read(text);
        let vote = |found: crate::Found| {
            let index = match found.kind {
                Kind::Disease => match reading.assertion(&found.range) {
                    Assertion::Affirmed => 0,
                    Assertion::Negated => 1,
                    Assertion::Uncertain => 2,
                },
                Kind::Drug => 3,
                Kind::Dose => 4,
                Kind::Icd10 => 5,
            };
            Vote {
                function: functions + index,
                label: labels + index,
                span: Some(found.range),
                confidence: self.confidence[index],
            }
        };
        let votes = terms.find(text).into_iter().map(vote);
        votes.filter(|v| v.confidence >= self.min_confidence).collect()
    }
}
