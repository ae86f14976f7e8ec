//! Patient leaflets and questions, English: what stays whole, what a passage is about, how an answer is scored.
#![deny(unsafe_code)]

mod rules;
mod spans;

use serde_json::Value;
use wengu_medical_terms::{Language, SpanVotes};
use wengu_plugin::patterns::{LabelScores, Labelling, Spans};
use wengu_plugin::{
    Descriptor, Document, Error, Evaluator, Host, Labeler, Metric, Plugin, Prediction, Segment, Segmenter, Vote,
};

/// The plugin: rules and spans, compiled.
pub struct MedicalEn {
    labelling: Labelling,
    spans: Spans,
    span_votes: SpanVotes,
}

/// How sure votes about spans are, by [`wengu_medical_terms::votes::LABELS`]. Not measured for each, so none is very sure.
const SPAN_CONFIDENCE: [f64; 6] = [0.7, 0.6, 0.6, 0.6, 0.6, 0.6];

/// Labels that are about the same thing: confusing them is half as bad.
const SCORES: LabelScores = LabelScores {
    labels: rules::LABELS,
    groups: &[
        &["causes", "genetic changes", "inheritance"],
        &["susceptibility", "frequency"],
        &["information", "symptoms"],
        &["treatment", "outlook", "research"],
    ],
};

impl Plugin for MedicalEn {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.medical-en",
        name: "Patient leaflets and questions, English",
        version: env!("CARGO_PKG_VERSION"),
        domain: "medical",
        languages: &["en"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut config = config.clone();
        let span_votes = SpanVotes::from_config(Language::En, SPAN_CONFIDENCE, &mut config)?;
        let mut labelling = Labelling::new(rules::LABELS, rules::RULES)?;
        labelling.configure(&config)?;
        Ok(MedicalEn {
            labelling,
            span_votes,
            spans: Spans::new(spans::PATTERNS)?,
        })
    }
}

impl Segmenter for MedicalEn {
    fn terms(&self) -> Vec<String> {
        spans::TERMS.iter().map(|term| (*term).to_owned()).collect()
    }

    fn segment(&mut self, _host: &Host, text: &str) -> Result<Vec<Segment>, Error> {
        Ok(self.spans.segment(text))
    }
}

impl Labeler for MedicalEn {
    fn labels(&self) -> Vec<String> {
        let labels = self.labelling.labels().into_iter();
        labels.chain(self.span_votes.labels()).collect()
    }

    fn functions(&self) -> Vec<String> {
        let functions = self.labelling.functions().into_iter();
        functions.chain(self.span_votes.functions()).collect()
    }

    fn label(&mut self, _host: &Host, document: &Document) -> Result<Vec<Vote>, Error> {
        let mut votes = self.labelling.votes(document);
        let (functions, labels) = (rules::RULES.len(), rules::LABELS.len());
        votes.extend(self.span_votes.votes(document.text, functions, labels));
        Ok(votes)
    }
}

impl Evaluator for MedicalEn {
    fn metrics(&self) -> Vec<Metric> {
        SCORES.metrics()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        SCORES.score(item)
    }
}

wengu_plugin::export_plugin!(MedicalEn, [segmenter, labeler, evaluator]);
