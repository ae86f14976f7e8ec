//! Labelling functions about spans of a document, by regular expression.

use super::{bug, regex};
use crate::{Error, Vote};
use regex::Regex;

/// A named labelling function that votes for its label on every span that its pattern finds. Where the pattern has a group
/// named `span`, that group is the span, else the match. Case matters unless the pattern says `(?i)`.
#[derive(Debug, Clone, Copy)]
pub struct SpanRule {
    /// Name of the function, unique in the plugin.
    pub function: &'static str,
    /// Its label: none of the labels of whole documents.
    pub label: &'static str,
    /// How sure a vote is, in (0, 1).
    pub confidence: f64,
    /// What must match.
    pub pattern: &'static str,
}

/// Rules about spans, compiled.
#[derive(Default)]
pub(super) struct SpanLabelling {
    pub(super) labels: Vec<String>,
    rules: Vec<Compiled>,
}

struct Compiled {
    function: &'static str,
    label: usize,
    confidence: f64,
    pattern: Regex,
}

impl SpanLabelling {
    /// The labels are those of the rules, in the order in which the rules name them first.
    pub(super) fn new(rules: &[SpanRule], document_labels: &[String]) -> Result<SpanLabelling, Error> {
        let mut spans = SpanLabelling::default();
        for rule in rules {
            if document_labels.iter().any(|l| l == rule.label) {
                let SpanRule { function, label, .. } = rule;
                return Err(bug(format!("{function}: {label:?} is a label of whole documents")));
            }
            let known = spans.labels.iter().position(|l| l == rule.label);
            let label = known.unwrap_or_else(|| {
                spans.labels.push(rule.label.to_owned());
                spans.labels.len() - 1
            });
            spans.rules.push(Compiled {
                function: rule.function,
                label,
                confidence: rule.confidence,
                pattern: regex(rule.function, rule.pattern, false)?,
            });
        }
        Ok(spans)
    }

    pub(super) fn functions(&self) -> impl Iterator<Item = String> {
        self.rules.iter().map(|r| r.function.to_owned())
    }

    /// The votes, with functions and labels counted from these. An empty span is none: it would mean the whole document.
    pub(super) fn votes(&self, text: &str, function: usize, label: usize, min_confidence: f64) -> Vec<Vote> {
        let mut votes = Vec::new();
        for (i, rule) in self.rules.iter().enumerate() {
            if rule.confidence < min_confidence {
                continue;
            }
            let spans = rule.pattern.captures_iter(text).filter_map(|found| {
                let range = found.name("span").or_else(|| found.get(0))?.range();
                (!range.is_empty()).then_some(range)
            });
            votes.extend(spans.map(|span| Vote {
                function: function + i,
                label: label + rule.label,
                span: Some(span),
                confidence: rule.confidence,
            }));
        }
        votes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Labelling, Rule};
    use super::*;
    use crate::Document;
    use serde_json::{Value, json};

    const RULE: Rule = Rule {
        function: "f",
        label: "a",
        confidence: 0.8,
        when: "dose",
        unless: "",
    };
    const AMOUNT: SpanRule = SpanRule {
        function: "milligrams",
        label: "amount",
        confidence: 0.9,
        pattern: r"dose (?<span>\d*)",
    };

    fn labelling(config: Value) -> Labelling {
        let mut labelling = Labelling::new(&["a"], &[RULE]).unwrap().with_spans(&[AMOUNT]).unwrap();
        labelling.configure(&config).unwrap();
        labelling
    }

    fn votes(labelling: &Labelling, text: &str) -> Vec<Vote> {
        let metadata = &Value::Null;
        labelling.votes(&Document {
            text,
            metadata,
            seed: 0,
        })
    }

    #[test]
    fn spans_are_silent_and_unnamed_until_asked_for() {
        let off = labelling(json!({}));
        assert_eq!((off.labels(), off.functions()), (vec!["a".into()], vec!["f".into()]));
        assert_eq!(votes(&off, "dose 5"), [Vote::whole(0, 0, 0.8)]);

        let on = labelling(json!({"spans": true}));
        assert_eq!(on.labels(), ["a", "amount"]);
        assert_eq!(on.functions(), ["f", "milligrams"]);
        let span = Vote {
            function: 1,
            label: 1,
            span: Some(5..6),
            confidence: 0.9,
        };
        assert_eq!(votes(&on, "dose 5"), [Vote::whole(0, 0, 0.8), span.clone()]);
        let sure = labelling(json!({"spans": true, "min_confidence": 0.85}));
        assert_eq!(votes(&sure, "dose 5"), [span]);
    }

    #[test]
    fn an_empty_span_is_no_vote_on_the_whole_document() {
        assert_eq!(
            votes(&labelling(json!({"spans": true})), "dose "),
            [Vote::whole(0, 0, 0.8)]
        );
    }

    #[test]
    fn a_label_is_of_documents_or_of_spans() {
        let rule = SpanRule { label: "a", ..AMOUNT };
        let labelling = Labelling::new(&["a"], &[RULE]).unwrap().with_spans(&[rule]);
        assert!(labelling.err().unwrap().message.contains("whole documents"));
    }

    #[test]
    fn without_rules_about_spans_there_is_no_such_key() {
        let mut labelling = Labelling::new(&["a"], &[RULE]).unwrap();
        assert!(labelling.configure(&json!({"spans": true})).is_err());
    }
}
