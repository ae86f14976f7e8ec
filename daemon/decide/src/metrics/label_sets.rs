//! Any number of labels for each item: exact sets, and the F1 of labels that each apply or do not.

use super::MetricsError;
use std::collections::{BTreeMap, BTreeSet};

/// How often a label applied, was answered, and both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelCounts {
    /// Items that it applies to.
    pub expected: u64,
    /// Items that were answered with it.
    pub answered: u64,
    /// Items where both hold.
    pub right: u64,
}

impl LabelCounts {
    /// Share of the answers that are right. None where it was never answered.
    pub fn precision(self) -> Option<f64> {
        (self.answered > 0).then(|| self.right as f64 / self.answered as f64)
    }

    /// Share of its items that were answered with it. None where it applies to none.
    pub fn recall(self) -> Option<f64> {
        (self.expected > 0).then(|| self.right as f64 / self.expected as f64)
    }

    /// Harmonic mean of both. None where it neither applies nor is answered.
    pub fn f1(self) -> Option<f64> {
        let both = self.expected + self.answered;
        (both > 0).then(|| 2.0 * self.right as f64 / both as f64)
    }
}

/// Counts over items, label by label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSetScores {
    labels: BTreeMap<String, LabelCounts>,
    items: u64,
    exact: u64,
}

impl LabelSetScores {
    /// Counts one item.
    pub fn add(&mut self, expected: &BTreeSet<String>, answered: &BTreeSet<String>) {
        self.items += 1;
        self.exact += u64::from(expected == answered);
        for label in expected.union(answered) {
            let counts = self.labels.entry(label.clone()).or_default();
            let (applies, said) = (expected.contains(label), answered.contains(label));
            counts.expected += u64::from(applies);
            counts.answered += u64::from(said);
            counts.right += u64::from(applies && said);
        }
    }

    /// Share of the items whose set is exactly right, scikit-learn's `accuracy_score` of indicator matrices. None without items.
    pub fn subset_accuracy(&self) -> Option<f64> {
        (self.items > 0).then(|| self.exact as f64 / self.items as f64)
    }

    /// F1 over all decisions together. None where no label applies or is answered.
    pub fn micro_f1(&self) -> Option<f64> {
        let sum = self.labels.values().fold(LabelCounts::default(), |a, b| LabelCounts {
            expected: a.expected + b.expected,
            answered: a.answered + b.answered,
            right: a.right + b.right,
        });
        sum.f1()
    }

    /// Unweighted mean of the F1 of the labels that apply or are answered somewhere. None where there is none.
    pub fn macro_f1(&self) -> Option<f64> {
        let scores: Vec<f64> = self.labels.values().filter_map(|counts| counts.f1()).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// The labels that apply or are answered somewhere.
    pub fn labels(&self) -> &BTreeMap<String, LabelCounts> {
        &self.labels
    }
}

/// For each row of logits the columns whose probability, `1 / (1 + exp(-logit))`, is `threshold` or more. One value that is not
/// finite makes the whole evaluation fail.
pub fn labels_above(logits: &[f32], columns: usize, threshold: f64) -> Result<Vec<Vec<usize>>, MetricsError> {
    if columns == 0 || !logits.len().is_multiple_of(columns) {
        let values = logits.len();
        return Err(MetricsError::Shape { values, columns });
    }
    let rows = logits.chunks_exact(columns).enumerate();
    rows.map(|(item, row)| {
        if row.iter().any(|logit| !logit.is_finite()) {
            return Err(MetricsError::NotFinite { item });
        }
        let probability = |logit: f32| 1.0 / (1.0 + (-f64::from(logit)).exp());
        Ok((0..columns).filter(|&at| probability(row[at]) >= threshold).collect())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_applies_from_its_threshold_on() {
        let logits = [0.0, -0.01, 2.0, f32::ln(0.25 / 0.75), 3.0, -3.0];
        assert_eq!(labels_above(&logits, 3, 0.5), Ok(vec![vec![0, 2], vec![1]]));
        assert_eq!(labels_above(&logits, 3, 0.2), Ok(vec![vec![0, 1, 2], vec![0, 1]]));
        let broken = labels_above(&[0.0, 1.0, f32::NAN, 0.0], 2, 0.5);
        assert_eq!(broken, Err(MetricsError::NotFinite { item: 1 }));
        assert!(labels_above(&[0.0; 3], 2, 0.5).is_err() && labels_above(&[], 0, 0.5).is_err());
    }

    #[test]
    fn a_text_without_labels_is_right_where_none_is_answered() {
        let set = |labels: &[&str]| -> BTreeSet<String> { labels.iter().map(|l| (*l).to_owned()).collect() };
        let mut scores = LabelSetScores::default();
        assert_eq!(
            (scores.subset_accuracy(), scores.micro_f1(), scores.macro_f1()),
            (None, None, None)
        );
        scores.add(&set(&[]), &set(&[]));
        assert_eq!((scores.subset_accuracy(), scores.micro_f1()), (Some(1.0), None));
        scores.add(&set(&["a", "b"]), &set(&["a"]));
        scores.add(&set(&["a"]), &set(&["a", "c"]));
        assert_eq!(scores.subset_accuracy(), Some(1.0 / 3.0));
        // Of a, b and c: F1 1, 0 and 0; together 2 right of 3 that apply and 3 that were answered.
        assert_eq!(
            (scores.macro_f1(), scores.micro_f1()),
            (Some(1.0 / 3.0), Some(2.0 / 3.0))
        );
        let b = scores.labels()["b"];
        assert_eq!((b.precision(), b.recall(), b.f1()), (None, Some(0.0), Some(0.0)));
    }
}
