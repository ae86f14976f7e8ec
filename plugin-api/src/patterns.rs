//! Labelling functions and spans by regular expression: what most domain plugins are made of.

use crate::{Document, Error, Metric, Prediction, Segment, SegmentKind, Status, Vote};
use regex::{Regex, RegexBuilder};

mod spans;

use spans::SpanLabelling;
pub use spans::SpanRule;

/// A named labelling function: votes for its label where one pattern matches and the other does not. Patterns ignore
/// case, and `.` matches line ends.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Name of the function, unique in the plugin.
    pub function: &'static str,
    /// Its label.
    pub label: &'static str,
    /// How sure a vote is, in (0, 1): near the function's precision on labelled documents.
    pub confidence: f64,
    /// What must match.
    pub when: &'static str,
    /// What must not match; empty for nothing.
    pub unless: &'static str,
}

/// Rules, compiled.
pub struct Labelling {
    labels: Vec<String>,
    rules: Vec<Compiled>,
    spans: SpanLabelling,
    votes_on_spans: bool,
    min_confidence: f64,
}

struct Compiled {
    function: &'static str,
    label: usize,
    confidence: f64,
    when: Regex,
    unless: Option<Regex>,
}

impl Labelling {
    /// Compiles rules for these labels.
    ///
    /// # Errors
    /// A pattern that cannot be compiled or a label that is not in the list: bugs of the plugin.
    pub fn new(labels: &[&str], rules: &[Rule]) -> Result<Labelling, Error> {
        let compile = |rule: &Rule| {
            let label = labels.iter().position(|l| *l == rule.label);
            let label = label.ok_or_else(|| bug(format!("{}: no label {:?}", rule.function, rule.label)))?;
            let unless = (!rule.unless.is_empty())
                .then(|| regex(rule.function, rule.unless, true))
                .transpose()?;
            let when = regex(rule.function, rule.when, true)?;
            Ok(Compiled {
                function: rule.function,
                label,
                confidence: rule.confidence,
                when,
                unless,
            })
        };
        let rules = rules.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Labelling {
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            rules,
            spans: SpanLabelling::default(),
            votes_on_spans: false,
            min_confidence: 0.0,
        })
    }

    /// Adds rules about spans. They are silent, and their labels and functions unnamed, until the operator configures `spans =
    /// true`: who asks what a document is about need not know labels that no document has.
    ///
    /// # Errors
    /// A pattern that cannot be compiled, or a label that documents have: bugs of the plugin.
    pub fn with_spans(mut self, rules: &[SpanRule]) -> Result<Labelling, Error> {
        self.spans = SpanLabelling::new(rules, &self.labels)?;
        Ok(self)
    }

    /// What an operator may configure: `min_confidence` silences the rules below a confidence, `spans` asks for votes on spans
    /// too, where the plugin has rules about them.
    ///
    /// # Errors
    /// A config with another key, or with a value of the wrong kind or outside 0..1.
    pub fn configure(&mut self, config: &serde_json::Value) -> Result<(), Error> {
        let keys = config
            .as_object()
            .ok_or_else(|| Error::input("the config must be a table"))?;
        for (key, value) in keys {
            match (key.as_str(), value.as_f64()) {
                ("min_confidence", Some(min)) if (0.0..=1.0).contains(&min) => self.min_confidence = min,
                ("min_confidence", _) => {
                    return Err(Error::input(format!(
                        "min_confidence is {value}; it must be from 0 to 1"
                    )));
                }
                ("spans", _) if self.spans.labels.is_empty() => {
                    return Err(Error::input("spans: this plugin has no rules about spans"));
                }
                ("spans", _) => {
                    self.votes_on_spans = value
                        .as_bool()
                        .ok_or_else(|| Error::input(format!("spans is {value}; it must be true or false")))?;
                }
                _ => {
                    return Err(Error::input(format!(
                        "unknown key {key:?}; there are min_confidence and spans"
                    )));
                }
            }
        }
        Ok(())
    }

    /// The labels: those of documents, then those of spans if asked for.
    pub fn labels(&self) -> Vec<String> {
        let spans = self.spans.labels.iter().filter(|_| self.votes_on_spans);
        self.labels.iter().chain(spans).cloned().collect()
    }

    /// The names of the rules: those about documents, then those about spans if asked for.
    pub fn functions(&self) -> Vec<String> {
        let spans = self.spans.functions().filter(|_| self.votes_on_spans);
        let documents = self.rules.iter().map(|r| r.function.to_owned());
        documents.chain(spans).collect()
    }

    /// A vote of each rule that matches, about the whole document, then the votes on spans if asked for.
    pub fn votes(&self, document: &Document) -> Vec<Vote> {
        let matches = |r: &Compiled| {
            r.confidence >= self.min_confidence
                && r.when.is_match(document.text)
                && !r.unless.as_ref().is_some_and(|u| u.is_match(document.text))
        };
        let matching = self.rules.iter().enumerate().filter(|(_, r)| matches(r));
        let mut votes: Vec<Vote> = matching.map(|(i, r)| Vote::whole(i, r.label, r.confidence)).collect();
        if self.votes_on_spans {
            let (functions, labels) = (self.rules.len(), self.labels.len());
            votes.extend(self.spans.votes(document.text, functions, labels, self.min_confidence));
        }
        votes
    }
}

/// Patterns of spans, compiled.
pub struct Spans {
    patterns: Vec<(SegmentKind, Regex)>,
}

impl Spans {
    /// Compiles patterns of spans. Where a pattern has a group named `span`, that group is the span, else the match.
    /// Case matters unless the pattern says `(?i)`.
    ///
    /// # Errors
    /// A pattern that cannot be compiled: a bug of the plugin.
    pub fn new(patterns: &[(SegmentKind, &str)]) -> Result<Spans, Error> {
        let compile = |(kind, pattern): &(SegmentKind, &str)| Ok((*kind, regex("spans", pattern, false)?));
        Ok(Spans {
            patterns: patterns.iter().map(compile).collect::<Result<_, Error>>()?,
        })
    }

    /// Segments that tile the text; overlaps are resolved as [`crate::segments::tile`] says.
    pub fn segment(&self, text: &str) -> Vec<Segment> {
        let spans = self.patterns.iter().flat_map(|(kind, pattern)| {
            pattern.captures_iter(text).filter_map(|found| {
                let range = found.name("span").or_else(|| found.get(0))?.range();
                Some(Segment { kind: *kind, range })
            })
        });
        crate::segments::tile(text, spans)
    }
}

/// Scores answers that are labels: `label-exact`, and `label-group` with half credit for a related label.
#[derive(Debug, Clone, Copy)]
pub struct LabelScores {
    /// The labels that can be right.
    pub labels: &'static [&'static str],
    /// Labels that are about the same thing: confusing them is half as bad.
    pub groups: &'static [&'static [&'static str]],
}

impl LabelScores {
    /// What [`LabelScores::score`] gives, in its order.
    pub fn metrics(&self) -> Vec<Metric> {
        ["label-exact", "label-group"]
            .map(|name| Metric {
                name: name.into(),
                higher_is_better: true,
            })
            .into()
    }

    /// The scores of an answer.
    ///
    /// # Errors
    /// A right answer that is none of the labels.
    pub fn score(&self, item: &Prediction) -> Result<Vec<f64>, Error> {
        let expected = item.expected.trim();
        if !self.labels.iter().any(|label| label.eq_ignore_ascii_case(expected)) {
            let count = self.labels.len();
            return Err(Error::input(format!(
                "{:?} is none of the {count} labels",
                item.expected
            )));
        }
        Ok([0.0, 0.5]
            .map(|related| label_credit(item.expected, item.actual, self.groups, related))
            .into())
    }
}

/// The score of a label answer: 1 for the same label, `related` for another label of the same group, else 0. Case and
/// outer white space do not matter.
fn label_credit(expected: &str, actual: &str, groups: &[&[&str]], related: f64) -> f64 {
    let same = |a: &str, b: &str| a.trim().to_lowercase() == b.trim().to_lowercase();
    let within = |group: &[&str], label: &str| group.iter().any(|l| same(l, label));
    match () {
        () if same(expected, actual) => 1.0,
        () if groups.iter().any(|g| within(g, expected) && within(g, actual)) => related,
        () => 0.0,
    }
}

fn regex(function: &str, pattern: &str, ignore_case: bool) -> Result<Regex, Error> {
    let built = RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .dot_matches_new_line(ignore_case)
        .build();
    built.map_err(|e| bug(format!("{function}: {e}")))
}

fn bug(message: String) -> Error {
    Error::new(Status::Internal, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        function: "f",
        label: "b",
        confidence: 0.8,
        when: "yes",
        unless: "but",
    };

    #[test]
    fn a_rule_votes_or_abstains() {
        let labelling = Labelling::new(&["a", "b"], &[RULE]).unwrap();
        let metadata = serde_json::Value::Null;
        let votes = |text| {
            labelling.votes(&Document {
                text,
                metadata: &metadata,
                seed: 0,
            })
        };
        assert_eq!(votes("oh YES"), [Vote::whole(0, 1, 0.8)]);
        assert_eq!(votes("yes, but"), []);
        assert_eq!(votes("no"), []);
    }

    #[test]
    fn the_config_silences_and_is_checked() {
        let mut labelling = Labelling::new(&["a", "b"], &[RULE]).unwrap();
        let metadata = serde_json::Value::Null;
        let document = Document {
            text: "yes",
            metadata: &metadata,
            seed: 0,
        };
        labelling
            .configure(&serde_json::json!({"min_confidence": 0.8}))
            .unwrap();
        assert_eq!(labelling.votes(&document).len(), 1);
        labelling
            .configure(&serde_json::json!({"min_confidence": 0.81}))
            .unwrap();
        assert_eq!(labelling.votes(&document).len(), 0);
        for bad in [
            serde_json::json!({"min_confidence": 2}),
            serde_json::json!({"other": 1}),
            serde_json::json!([]),
        ] {
            assert!(labelling.configure(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bad_rule_is_named() {
        let error = |rule| Labelling::new(&["a", "b"], &[rule]).err().unwrap().message;
        assert!(error(Rule { label: "c", ..RULE }).contains("no label \"c\""));
        assert!(error(Rule { when: "(", ..RULE }).starts_with("f: "));
    }

    #[test]
    fn credit_knows_groups() {
        let groups: &[&[&str]] = &[&["causes", "genetic changes"], &["outlook"]];
        assert_eq!(label_credit("Causes ", "causes", groups, 0.5), 1.0);
        assert_eq!(label_credit("causes", "genetic changes", groups, 0.5), 0.5);
        assert_eq!(label_credit("causes", "outlook", groups, 0.5), 0.0);
        assert_eq!(label_credit("unknown", "other", groups, 0.5), 0.0);
    }

    #[test]
    fn a_named_group_is_the_span() {
        let spans = Spans::new(&[(SegmentKind::Term, r"dose (?<span>\d+ mg)")]).unwrap();
        assert_eq!(
            spans.segment("dose 5 mg")[1],
            Segment {
                kind: SegmentKind::Term,
                range: 5..9
            }
        );
    }
}
