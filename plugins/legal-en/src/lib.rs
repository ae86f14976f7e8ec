//! Contract clauses, English: what stays whole, what a clause is about, how an answer is scored.
#![deny(unsafe_code)]

mod rules;
mod spans;

use serde_json::Value;
use wengu_plugin::patterns::{LabelScores, Labelling, Spans};
use wengu_plugin::{
    Descriptor, Document, Error, Evaluator, Host, Labeler, Metric, Plugin, Prediction, Segment, Segmenter, Vote,
};

/// The plugin: rules and spans, compiled.
pub struct LegalEn {
    labelling: Labelling,
    spans: Spans,
}

/// Labels that are about the same thing: confusing them is half as bad.
const SCORES: LabelScores = LabelScores {
    labels: rules::LABELS,
    groups: &[
        &["Cap On Liability", "Uncapped Liability", "Liquidated Damages"],
        &["Ip Ownership Assignment", "Joint Ip Ownership"],
        &["License Grant", "Non-Transferable License"],
        &[
            "Non-Compete",
            "Exclusivity",
            "Competitive Restriction Exception",
            "No-Solicit Of Employees",
        ],
        &[
            "Expiration Date",
            "Renewal Term",
            "Termination For Convenience",
            "Post-Termination Services",
        ],
        &["Anti-Assignment", "Change Of Control"],
        &["Minimum Commitment", "Volume Restriction"],
    ],
};

impl Plugin for LegalEn {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.legal-en",
        name: "Contract clauses, English",
        version: env!("CARGO_PKG_VERSION"),
        domain: "legal",
        languages: &["en"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut labelling = Labelling::new(rules::LABELS, rules::RULES)?.with_spans(spans::RULES)?;
        labelling.configure(config)?;
        Ok(LegalEn {
            labelling,
            spans: Spans::new(spans::PATTERNS)?,
        })
    }
}

impl Segmenter for LegalEn {
    fn terms(&self) -> Vec<String> {
        spans::TERMS.iter().map(|term| (*term).to_owned()).collect()
    }

    fn segment(&mut self, _host: &Host, text: &str) -> Result<Vec<Segment>, Error> {
        Ok(self.spans.segment(text))
    }
}

impl Labeler for LegalEn {
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

impl Evaluator for LegalEn {
    fn metrics(&self) -> Vec<Metric> {
        SCORES.metrics()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        SCORES.score(item)
    }
}

wengu_plugin::export_plugin!(LegalEn, [segmenter, labeler, evaluator]);
