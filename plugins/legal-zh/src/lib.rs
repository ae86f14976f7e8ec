//! Chinese law: what stays whole, which branch a provision belongs to or what a contract's clause settles, how an answer is
//! scored.
#![deny(unsafe_code)]

mod rules;
mod spans;
mod terms;

use serde_json::Value;
use wengu_plugin::patterns::{LabelScores, Labelling, Spans};
use wengu_plugin::{
    Descriptor, Document, Error, Evaluator, Host, Labeler, Metric, Plugin, Prediction, Segment, SegmentKind, Segmenter,
    Vote,
};

/// The plugin: rules and spans, compiled.
pub struct LegalZh {
    labelling: Labelling,
    scores: LabelScores,
    spans: Spans,
}

/// Labels that are near each other: the state and its administration; commerce, the economy and labour; crime and procedure.
/// Confusing them is half as bad.
const BRANCH_SCORES: LabelScores = LabelScores {
    labels: rules::LABELS,
    groups: &[
        &["宪法及相关法", "行政法"],
        &["民法商法", "经济法", "社会法"],
        &["刑法", "诉讼与非诉讼程序法"],
    ],
};

/// Breach with its limits and its excuse, silence and loyalty, court and law, what is handed over and how good it is.
/// Confusing them is half as bad.
const CLAUSE_SCORES: LabelScores = LabelScores {
    labels: rules::clauses::LABELS,
    groups: &[
        &["违约责任", "责任限制", "不可抗力"],
        &["保密", "竞业限制"],
        &["争议解决", "法律适用"],
        &["质量与验收", "交付与风险"],
    ],
};

/// Which labels documents get, by the key `labels`, which is taken out of the config: true for those of clauses.
///
/// # Errors
/// Another value than `branches` or `clauses`.
fn wants_clauses(config: &mut Value) -> Result<bool, Error> {
    let labels = config.as_object_mut().and_then(|keys| keys.remove("labels"));
    match labels.as_ref().map(|value| value.as_str()) {
        None | Some(Some("branches")) => Ok(false),
        Some(Some("clauses")) => Ok(true),
        Some(_) => Err(Error::input(format!(
            "labels is {}; it must be \"branches\" or \"clauses\"",
            labels.unwrap_or_default()
        ))),
    }
}

impl Plugin for LegalZh {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.legal-zh",
        name: "Statutes, judgments and contracts, Chinese",
        version: env!("CARGO_PKG_VERSION"),
        domain: "legal",
        languages: &["zh"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut config = config.clone();
        let (scores, rules) = match wants_clauses(&mut config)? {
            true => (CLAUSE_SCORES, rules::clauses::RULES.to_vec()),
            false => (BRANCH_SCORES, rules::all()),
        };
        let mut labelling = Labelling::new(scores.labels, &rules)?.with_spans(spans::RULES)?;
        labelling.configure(&config)?;
        // Of terms that begin alike, the first that matches is taken: the longest must come first.
        let mut terms = terms::TERMS.to_vec();
        terms.sort_by_key(|term| std::cmp::Reverse(term.len()));
        let terms = terms.join("|");
        let patterns: Vec<_> = spans::PATTERNS
            .iter()
            .copied()
            .chain([(SegmentKind::Term, terms.as_str())])
            .collect();
        Ok(LegalZh {
            labelling,
            scores,
            spans: Spans::new(&patterns)?,
        })
    }
}

impl Segmenter for LegalZh {
    fn terms(&self) -> Vec<String> {
        terms::TERMS.iter().map(|term| (*term).to_owned()).collect()
    }

    fn segment(&mut self, _host: &Host, text: &str) -> Result<Vec<Segment>, Error> {
        Ok(self.spans.segment(text))
    }
}

impl Labeler for LegalZh {
    fn labels(&self) -> Vec<String> {
        self.labelling.labels()
    }

    fn functions(&self) -> Vec<String> {
        self.labelling.functions()
    }

    fn label(&mut self, _host: &Host, document: &Document) -> Result<Vec<Vote>, Error> {
        Ok(self.labelling.votes(document))
    }
}

impl Evaluator for LegalZh {
    fn metrics(&self) -> Vec<Metric> {
        self.scores.metrics()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        self.scores.score(item)
    }
}

wengu_plugin::export_plugin!(LegalZh, [segmenter, labeler, evaluator]);
