//! What the gate's items say of a model beyond accuracy: told, never used to decide.

use super::outcome::{Answer, Answers};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use wengu_decide::gate::{ItemLabelSets, label_sets_worse_p};
use wengu_decide::label_set;
use wengu_decide::marked::{self, Marked};
use wengu_decide::metrics::{Confusion, LabelCounts, LabelSetScores, SpanScores, expected_calibration_error};
use wengu_protocol::job::Task;

/// As torchmetrics and Guo et al. 2017 have it.
const BINS: usize = 15;

/// An answer of a model, and how sure it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// The label with the largest logit, the line of the labels that apply or of the spans, or words about an answer that only has a score.
    pub label: String,
    /// The label's softmax probability, where there is one.
    pub confidence: Option<f64>,
    /// What the answer is worth, in [0, 1], where it is not just right or wrong.
    pub score: Option<f64>,
}

/// One model's scores over all gate items of all eras.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean F1 of the labels, or kinds of spans, that occur or are answered.
    pub macro_f1: f64,
    /// Expected calibration error, 15 bins: how far confidence is from accuracy. None of spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calibration_error: Option<f64>,
    /// F1 over all spans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_f1: Option<f64>,
    /// Of texts with any number of labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_sets: Option<LabelSets>,
}

/// Scores of texts with any number of labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSets {
    /// F1 over all decisions together.
    pub micro_f1: f64,
    /// Share of the texts whose labels are exactly the right ones.
    pub subset_accuracy: f64,
    /// Label by label.
    pub labels: BTreeMap<String, LabelScores>,
}

/// Scores of one label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LabelScores {
    /// Texts that it applies to.
    pub texts: u64,
    /// Share of the answers with it that are right; none where it was never answered.
    pub precision: Option<f64>,
    /// Share of its texts that were answered with it; none where it applies to none.
    pub recall: Option<f64>,
    /// Harmonic mean of both.
    pub f1: f64,
}

/// The scores of both models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BothScores {
    /// The new version's.
    pub challenger: Scores,
    /// Those of the version in service; none for a first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub champion: Option<Scores>,
    /// Of texts with any number of labels: chances that differences of F1 at least as bad for the new version came about by
    /// chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse_p: Option<F1WorseP>,
}

/// P-values of paired approximate randomisation over whole cases (Noreen 1989).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct F1WorseP {
    /// Of macro F1.
    pub macro_f1: f64,
    /// Of micro F1.
    pub micro_f1: f64,
}

/// Scores answers to items whose right answers are `expected`. None without items, and where answers have scores of their own.
pub fn scores(task: Task, expected: &[&str], said: &[Said]) -> Result<Option<Scores>> {
    match task {
        Task::SequenceClassification => label_scores(expected, said),
        Task::MultiLabelClassification => label_set_scores(expected, said),
        Task::TokenClassification => span_scores(expected, said),
        Task::CausalLm => Ok(None),
    }
}

fn label_set_scores(expected: &[&str], said: &[Said]) -> Result<Option<Scores>> {
    let mut counted = LabelSetScores::default();
    for (expected, said) in expected.iter().zip(said) {
        counted.add(&label_set::parse(expected)?, &label_set::parse(&said.label)?);
    }
    let Some(subset_accuracy) = counted.subset_accuracy() else {
        return Ok(None);
    };
    let of_label = |(label, counts): (&String, &LabelCounts)| {
        let scores = LabelScores {
            texts: counts.expected,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1().unwrap_or_default(),
        };
        (label.clone(), scores)
    };
    Ok(Some(Scores {
        macro_f1: counted.macro_f1().unwrap_or_default(),
        label_sets: Some(LabelSets {
            micro_f1: counted.micro_f1().unwrap_or_default(),
            subset_accuracy,
            labels: counted.labels().iter().map(of_label).collect(),
        }),
        ..Scores::default()
    }))
}

/// How likely differences of F1 as bad for the new version are, for texts with any number of labels that both versions answered.
pub fn worse_p(task: Task, answers: &[Answers]) -> Option<F1WorseP> {
    if task != Task::MultiLabelClassification {
        return None;
    }
    let item = |answer: &Answer| {
        let set = |line: &str| label_set::parse(line).ok();
        Some(ItemLabelSets {
            expected: set(&answer.label)?,
            champion: set(answer.champion.as_deref()?)?,
            challenger: set(&answer.challenger)?,
            case_file: answer.case.clone(),
        })
    };
    let items = answers.iter().flat_map(|era| &era.items).map(item);
    let (macro_f1, micro_f1) = label_sets_worse_p(&items.collect::<Option<Vec<_>>>()?);
    Some(F1WorseP { macro_f1, micro_f1 })
}

/// The answer of a model that holds that these of its labels apply.
pub fn said_set(applies: &[usize], labels: &[String]) -> Said {
    let set = applies.iter().map(|&index| labels[index].clone()).collect();
    Said {
        label: label_set::line(&set),
        confidence: None,
        score: None,
    }
}

fn span_scores(expected: &[&str], said: &[Said]) -> Result<Option<Scores>> {
    let mut counted = SpanScores::default();
    for (expected, said) in expected.iter().zip(said) {
        let (expected, said) = (marked::parse(expected)?, marked::parse(&said.label)?);
        counted.add_spans(&places(&expected), &places(&said));
    }
    Ok(counted.macro_f1().map(|macro_f1| Scores {
        macro_f1,
        span_f1: counted.micro_f1(),
        ..Scores::default()
    }))
}

fn places(spans: &[Marked]) -> BTreeSet<(&str, usize, usize)> {
    spans
        .iter()
        .map(|Marked(begin, end, kind)| (kind.as_str(), *begin, *end))
        .collect()
}

fn label_scores(expected: &[&str], said: &[Said]) -> Result<Option<Scores>> {
    let mut index: BTreeMap<&str, u32> = BTreeMap::new();
    let names = expected.iter().copied().chain(said.iter().map(|s| s.label.as_str()));
    for name in names {
        let next = index.len() as u32;
        index.entry(name).or_insert(next);
    }
    let right: Vec<u32> = expected.iter().map(|label| index[label]).collect();
    let answered: Vec<u32> = said.iter().map(|s| index[s.label.as_str()]).collect();
    let confusion = Confusion::new(index.len(), &right, &answered)?;
    let hits: Vec<bool> = right.iter().zip(&answered).map(|(r, a)| r == a).collect();
    let confidences: Vec<f64> = said.iter().filter_map(|s| s.confidence).collect();
    let calibration_error = expected_calibration_error(&confidences, &hits, BINS)?;
    Ok(confusion
        .macro_f1()
        .zip(calibration_error)
        .map(|(macro_f1, calibration_error)| Scores {
            macro_f1,
            calibration_error: Some(calibration_error),
            ..Scores::default()
        }))
}

/// Pairs every row of logits with its answer.
pub fn said(logits: &[f32], best: &[u32], labels: &[String]) -> Result<Vec<Said>> {
    let rows = logits.chunks_exact(labels.len().max(1));
    rows.zip(best)
        .map(|(row, &best)| {
            let top = f64::from(row[best as usize]);
            let sum: f64 = row.iter().map(|&logit| (f64::from(logit) - top).exp()).sum();
            Ok(Said {
                label: labels
                    .get(best as usize)
                    .context("an answer beyond the labels")?
                    .clone(),
                confidence: Some(1.0 / sum),
                score: None,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_only_one_side_knows_count_against_the_model() {
        let labels = ["a", "b"].map(String::from).to_vec();
        let logits = [0.0, f32::ln(3.0), 2.0, 2.0];
        let answers = said(&logits, &[1, 0], &labels).unwrap();
        assert!((answers[0].confidence.unwrap() - 0.75).abs() < 1e-6 && answers[1].confidence == Some(0.5));
        // One right at 0.75; one wrong at 0.5, whose right label the model has never heard of.
        let found = scores(Task::SequenceClassification, &["b", "c"], &answers)
            .unwrap()
            .unwrap();
        assert!((found.macro_f1 - 1.0 / 3.0).abs() < 1e-9, "F1 of a, b, c is 0, 1, 0");
        assert!((found.calibration_error.unwrap() - (0.25 + 0.5) / 2.0).abs() < 1e-6);
        assert_eq!(scores(Task::SequenceClassification, &[], &[]).unwrap(), None);
    }
}
