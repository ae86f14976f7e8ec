//! Chinese clinical text: what stays whole, which kind of criterion a sentence is, how an answer is scored.
#![deny(unsafe_code)]

mod rules;

use serde_json::Value;
use wengu_medical_terms::{Language, SpanVotes, Terms};
use wengu_plugin::patterns::{LabelScores, Labelling, Spans};
use wengu_plugin::segments::tile;
use wengu_plugin::{
    Descriptor, Document, Error, Evaluator, Host, Labeler, Metric, Plugin, Prediction, Segment, SegmentKind, Segmenter,
    Vote,
};

/// The plugin: rules, terms and furniture, compiled.
pub struct MedicalZh {
    labelling: Labelling,
    spans: SpanVotes,
    terms: Terms,
    furniture: Spans,
}

/// Page numbers and rules: not for the model.
const FURNITURE: &[(SegmentKind, &str)] = &[
    (SegmentKind::Drop, r"第\s*\d+\s*页\s*[,，/]?\s*共\s*\d+\s*页"),
    (SegmentKind::Drop, r"(?m)^[-_=*·.…—]{4,}[ \t]*$"),
];

/// A name of fewer characters is one or two tokens anyway.
const TERM_CHARS_MIN: usize = 3;

/// How sure votes about spans are, by [`wengu_medical_terms::votes::LABELS`]. Not measured for each, so none is very sure.
const SPAN_CONFIDENCE: [f64; 6] = [0.8, 0.7, 0.6, 0.7, 0.6, 0.6];

/// Labels that are about the same thing: confusing them is half as bad.
const SCORES: LabelScores = LabelScores {
    labels: rules::LABELS,
    groups: &[
        &[
            "Disease",
            "Symptom",
            "Sign",
            "Neoplasm Status",
            "Non-Neoplasm Disease Stage",
            "Multiple",
        ],
        &["Therapy or Surgery", "Pharmaceutical Substance or Drug", "Device"],
        &[
            "Diagnostic",
            "Laboratory Examinations",
            "Risk Assessment",
            "Organ or Tissue Status",
            "Receptor Status",
        ],
        &[
            "Consent",
            "Compliance with Protocol",
            "Researcher Decision",
            "Enrollment in other studies",
        ],
        &["Addictive Behavior", "Smoking Status", "Diet"],
    ],
};

impl Plugin for MedicalZh {
    const DESCRIPTOR: Descriptor = Descriptor {
        id: "dev.wengu.medical-zh",
        name: "Clinical text and trial criteria, Chinese",
        version: env!("CARGO_PKG_VERSION"),
        domain: "medical",
        languages: &["zh"],
    };

    fn create(_host: &Host, config: &Value) -> Result<Self, Error> {
        let mut config = config.clone();
        let spans = SpanVotes::from_config(Language::Zh, SPAN_CONFIDENCE, &mut config)?;
        let mut labelling = Labelling::new(rules::LABELS, rules::RULES)?;
        labelling.configure(&config)?;
        Ok(MedicalZh {
            labelling,
            spans,
            terms: Terms::new(Language::Zh)?,
            furniture: Spans::new(FURNITURE)?,
        })
    }
}

impl Segmenter for MedicalZh {
    fn terms(&self) -> Vec<String> {
        let names = self.terms.lexicon().names().into_iter();
        names.filter(|name| name.chars().count() >= TERM_CHARS_MIN).collect()
    }

    fn segment(&mut self, _host: &Host, text: &str) -> Result<Vec<Segment>, Error> {
        let found = self.terms.find(text).into_iter();
        let terms = found.map(|found| Segment {
            kind: SegmentKind::Term,
            range: found.range,
        });
        let furniture = self.furniture.segment(text).into_iter();
        let dropped = furniture.filter(|segment| segment.kind == SegmentKind::Drop);
        Ok(tile(text, terms.chain(dropped)))
    }
}

impl Labeler for MedicalZh {
    fn labels(&self) -> Vec<String> {
        self.labelling.labels().into_iter().chain(self.spans.labels()).collect()
    }

    fn functions(&self) -> Vec<String> {
        let functions = self.labelling.functions().into_iter();
        functions.chain(self.spans.functions()).collect()
    }

    fn label(&mut self, _host: &Host, document: &Document) -> Result<Vec<Vote>, Error> {
        let mut votes = self.labelling.votes(document);
        votes.extend(self.spans.votes(document.text, rules::RULES.len(), rules::LABELS.len()));
        Ok(votes)
    }
}

impl Evaluator for MedicalZh {
    fn metrics(&self) -> Vec<Metric> {
        SCORES.metrics()
    }

    fn score(&mut self, _host: &Host, item: &Prediction, _seed: u64) -> Result<Vec<f64>, Error> {
        SCORES.score(item)
    }
}

wengu_plugin::export_plugin!(MedicalZh, [segmenter, labeler, evaluator]);
