//! One label for each item: accuracy, recall, F1 and calibration.

/// Why predictions could not be counted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MetricsError {
    /// The two lists do not belong together.
    #[error("{expected} expected labels but {predicted} predictions: each item needs one of each")]
    Lengths {
        /// Number of expected labels.
        expected: usize,
        /// Number of predictions.
        predicted: usize,
    },
    /// A label index that no label has.
    #[error("item {item} has label {label}, but there are only {labels} labels")]
    UnknownLabel {
        /// Index of the item.
        item: usize,
        /// The label's index.
        label: u32,
        /// Number of labels.
        labels: usize,
    },
    /// The logits are not a table with this many columns.
    #[error("{values} logits do not make rows of {columns} columns")]
    Shape {
        /// Number of values.
        values: usize,
        /// Expected columns.
        columns: usize,
    },
    /// A confidence that is none.
    #[error("the confidence of item {item} is {confidence}, not in 0 to 1")]
    Confidence {
        /// Index of the item.
        item: usize,
        /// What it is.
        confidence: f64,
    },
    /// A model that answers with NaN or infinity has no answer.
    #[error("the logits of item {item} are not finite: the model is broken")]
    NotFinite {
        /// Index of the item.
        item: usize,
    },
}

/// How often an item of one class was taken for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    labels: usize,
    /// Row: expected; column: predicted.
    counts: Vec<u64>,
}

impl Confusion {
    /// Counts predictions. Label indexes must be below `labels`.
    pub fn new(labels: usize, expected: &[u32], predicted: &[u32]) -> Result<Confusion, MetricsError> {
        if expected.len() != predicted.len() {
            return Err(MetricsError::Lengths {
                expected: expected.len(),
                predicted: predicted.len(),
            });
        }
        let mut counts = vec![0; labels * labels];
        for (item, (&e, &p)) in expected.iter().zip(predicted).enumerate() {
            if let Some(label) = [e, p].into_iter().find(|&l| l as usize >= labels) {
                return Err(MetricsError::UnknownLabel { item, label, labels });
            }
            counts[e as usize * labels + p as usize] += 1;
        }
        Ok(Confusion { labels, counts })
    }

    /// Items of class `expected` that were answered with class `predicted`.
    pub fn count(&self, expected: usize, predicted: usize) -> u64 {
        self.counts[expected * self.labels + predicted]
    }

    /// Number of items.
    pub fn items(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Items of the class.
    pub fn support(&self, class: usize) -> u64 {
        (0..self.labels).map(|p| self.count(class, p)).sum()
    }

    /// Share of items that were answered right. None without items.
    pub fn accuracy(&self) -> Option<f64> {
        let right: u64 = (0..self.labels).map(|c| self.count(c, c)).sum();
        ratio(right, self.items())
    }

    /// Share of the class's items that were answered right. None without items of the class.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.count(class, class), self.support(class))
    }

    /// Harmonic mean of the class's precision and recall. None if the class neither occurs nor is ever answered.
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(2 * self.count(class, class), self.support(class) + self.answered(class))
    }

    /// Unweighted mean of the F1 of all classes that occur or are answered, as scikit-learn's `f1_score(average=
    /// "macro")` takes it. None without items.
    pub fn macro_f1(&self) -> Option<f64> {
        let scores: Vec<f64> = (0..self.labels).filter_map(|class| self.f1(class)).collect();
        (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
    }

    /// F1 over all decisions together. With one label for each item it is the accuracy.
    pub fn micro_f1(&self) -> Option<f64> {
        self.accuracy()
    }

    /// The share of the largest class: what answering always the same would reach. None without items.
    pub fn majority_accuracy(&self) -> Option<f64> {
        ratio(
            (0..self.labels).map(|c| self.support(c)).max().unwrap_or(0),
            self.items(),
        )
    }

    fn answered(&self, class: usize) -> u64 {
        (0..self.labels).map(|e| self.count(e, class)).sum()
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The label with the largest logit in every row; the smaller index where two are equal. One value that is not finite
/// makes the whole evaluation fail, since a comparison with NaN would quietly favour some label.
pub fn argmax_rows(logits: &[f32], columns: usize) -> Result<Vec<u32>, MetricsError> {
    if columns == 0 || !logits.len().is_multiple_of(columns) {
        return Err(MetricsError::Shape {
            values: logits.len(),
            columns,
        });
    }
    logits
        .chunks_exact(columns)
        .enumerate()
        .map(|(item, row)| {
            if row.iter().any(|v| !v.is_finite()) {
                return Err(MetricsError::NotFinite { item });
            }
            let best = (1..columns).fold(0, |best, i| if row[i] > row[best] { i } else { best });
            Ok(best as u32)
        })
        .collect()
}
