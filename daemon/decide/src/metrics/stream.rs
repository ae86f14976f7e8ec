//! What a stream of updates did to old and new work, from the matrix R of scores: row i is after update i, column j is the era
//! that update j brought; `None` where a model was not asked.

use serde::{Deserialize, Serialize};
use wengu_protocol::job::Task;

/// Scores of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamScores {
    /// Mean of the last row: `1/T sum_j R[T-1][j]` (Lopez-Paz and Ranzato 2017, eq. 2).
    pub average_accuracy: f64,
    /// Mean over the updates of the mean over the eras so far (Rebuffi et al. 2017, section 4).
    pub average_incremental_accuracy: f64,
    /// `1/(T-1) sum_{j<T-1} (R[T-1][j] - R[j][j])` (Lopez-Paz and Ranzato 2017, eq. 3). None for one update.
    pub backward_transfer: Option<f64>,
    /// `1/(T-1) sum_{j>0} (R[j-1][j] - b_j)` (eq. 4), b the score before any training ([`chance_score`]). None where eras were not asked in advance.
    pub forward_transfer: Option<f64>,
    /// Mean over the old eras of [`StreamScores::forgetting_by_era`].
    pub forgetting: Option<f64>,
    /// `max_{j<=l<=T-2} R[l][j] - R[T-1][j]` for each era but the last (Chaudhry et al. 2018, eq. 3). Negative where an era gained.
    pub forgetting_by_era: Vec<f64>,
    /// `R[T-1][j] / R[j][j]` for each era but the last: the share of what was learned that is still there. None where nothing was.
    pub retention_by_era: Vec<Option<f64>>,
    /// Mean over the old eras of the least score after the era was learned (De Lange et al. 2023, "Continual evaluation for
    /// lifelong learning", eq. 4, at the end of each update). None for one update.
    pub minimum_accuracy: Option<f64>,
}

impl StreamScores {
    /// From R and the scores before any training, where they are known.
    ///
    /// None where R is empty, not square, or lacks a score on or below its diagonal.
    pub fn of(matrix: &[Vec<Option<f64>>], before: Option<&[f64]>) -> Option<StreamScores> {
        let updates = matrix.len();
        let score = |update: usize, era: usize| matrix.get(update)?.get(era).copied()?;
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(updates);
        for update in 0..updates {
            rows.push((0..=update).map(|era| score(update, era)).collect::<Option<_>>()?);
        }
        let last = rows.last()?;
        let old = 0..updates - 1;
        let learned = |era: usize| rows[era][era];
        let later = |era: usize| rows[era..].iter().map(move |row| row[era]);
        let forgetting_by_era: Vec<f64> = old
            .clone()
            .map(|era| later(era).take(updates - 1 - era).fold(f64::MIN, f64::max) - last[era])
            .collect();
        let transfers = before.and_then(|before| {
            (1..updates)
                .map(|era| Some(score(era - 1, era)? - before.get(era)?))
                .collect::<Option<Vec<f64>>>()
        });
        let lows: Vec<f64> = old
            .clone()
            .map(|era| later(era).skip(1).fold(f64::MAX, f64::min))
            .collect();
        let changes: Vec<f64> = old.clone().map(|era| last[era] - learned(era)).collect();
        Some(StreamScores {
            average_accuracy: mean(last)?,
            average_incremental_accuracy: mean(&rows.iter().map(|row| mean(row)).collect::<Option<Vec<f64>>>()?)?,
            backward_transfer: mean(&changes),
            forward_transfer: transfers.and_then(|transfers| mean(&transfers)),
            forgetting: mean(&forgetting_by_era),
            retention_by_era: old
                .map(|era| (learned(era) > 0.0).then(|| last[era] / learned(era)))
                .collect(),
            forgetting_by_era,
            minimum_accuracy: mean(&lows),
        })
    }

    /// From R, what the model before each update answered to the era that the update brought, and what guessing scores on it
    /// ([`chance_score`]).
    pub fn with_answers_in_advance(
        matrix: &[Vec<Option<f64>>],
        in_advance: &[Option<f64>],
        chance: &[f64],
    ) -> Option<StreamScores> {
        let mut matrix = matrix.to_vec();
        for (era, score) in in_advance.iter().enumerate().skip(1) {
            *matrix.get_mut(era - 1)?.get_mut(era)? = *score;
        }
        StreamScores::of(&matrix, Some(chance))
    }
}

/// What guessing is expected to score, b of [`StreamScores::forward_transfer`]: `1 / labels` where a text has one of so many; 0 where a guess hardly ever
/// hits, of spans, sets of labels and answers in words.
pub fn chance_score(task: Task, labels: usize) -> f64 {
    match task {
        Task::SequenceClassification => 1.0 / labels.max(1) as f64,
        Task::MultiLabelClassification | Task::TokenClassification | Task::CausalLm => 0.0,
    }
}

/// Share of the items that the model before answered right and the model after answers wrong (Yan et al. 2021, "Positive-congruent
/// training", section 3). None without items.
pub fn negative_flip_rate(before: &[bool], after: &[bool]) -> Option<f64> {
    let flips = before.iter().zip(after).filter(|(before, after)| **before && !**after);
    let flipped = flips.count() as f64;
    (!before.is_empty()).then(|| flipped / before.len() as f64)
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
