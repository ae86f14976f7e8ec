//! Patient leaflets and questions, English: what stays whole, what a passage is about, how an answer is scored.
#![deny(unsafe_code)]

mod rules;
mod spans;

use serde_json::Value;
use wengu_plugin::patterns::{Labelling, Spans, label_credit};
use wengu_plugin::{
    Descriptor, Document, Error, Evaluator, Host, Labeler, Metric, Plugin, Prediction, Segment, Segmenter, Vote,
};

/// The plugin: rules and spans, compiled.
pub struct MedicalEn {
    labelling: Labelling,
    spans: Spans,
}

/// Labels that are about the same thing: confusing them is half as bad.
const GROUPS: &[&[&str]] = &[
    &["causes", "genetic changes", "inheritance"],
    &["susceptibility", "frequency"],
    &["information", "symptoms"],
    &["treatment", "outlook", "research"],
];

impl Plugin for MedicalEn {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.medical-en",
        name: "Patient leaflets and questions, English",
        version: env!("CARGO_PKG_VERSION"),
        domain: "medical",
        languages: &["en"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut labelling = Labelling::new(rules::LABELS, rules::RULES)?;
        labelling.configure(config)?;
        Ok(MedicalEn {
            labelling,
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
        self.labelling.labels()
    }

    fn functions(&self) -> Vec<String> {
        self.labelling.functions()
    }

    fn label(&mut self, _host: &Host, document: &Document) -> Result<Vec<Vote>, Error> {
        Ok(self.labelling.votes(document))
    }
}

impl Evaluator for MedicalEn {
    fn metrics(&self) -> Vec<Metric> {
        ["label-exact", "label-group"]
            .map(|name| Metric {
                name: name.into(),
                higher_is_better: true,
            })
            .into()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        if !rules::LABELS
            .iter()
            .any(|l| l.eq_ignore_ascii_case(item.expected.trim()))
        {
            return Err(Error::input(format!(
                "{:?} is none of the {} labels",
                item.expected,
                rules::LABELS.len()
            )));
        }
        Ok([0.0, 0.5]
            .map(|related| label_credit(item.expected, item.actual, GROUPS, related))
            .into())
    }
}

wengu_plugin::export_plugin!(MedicalEn, [segmenter, labeler, evaluator]);
