//! Chinese law: what stays whole, which branch a provision belongs to, how an answer is scored.
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
    spans: Spans,
}

/// Labels that are near each other: the state and its administration; commerce, the economy and labour; crime and procedure.
/// Confusing them is half as bad.
const SCORES: LabelScores = LabelScores {
    labels: rules::LABELS,
    groups: &[
        &["宪法及相关法", "行政法"],
        &["民法商法", "经济法", "社会法"],
        &["刑法", "诉讼与非诉讼程序法"],
    ],
};

impl Plugin for LegalZh {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.legal-zh",
        name: "Statutes, judgments and contracts, Chinese",
        version: env!("CARGO_PKG_VERSION"),
        domain: "legal",
        languages: &["zh"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut labelling = Labelling::new(rules::LABELS, &rules::all())?.with_spans(spans::RULES)?;
        labelling.configure(config)?;
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
        SCORES.metrics()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        SCORES.score(item)
    }
}

wengu_plugin::export_plugin!(LegalZh, [segmenter, labeler, evaluator]);
