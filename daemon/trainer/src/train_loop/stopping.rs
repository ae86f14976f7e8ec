//! When training has gone on for long enough: the validation score after each epoch.

use super::Inputs;
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::Model;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};
use wengu_decide::metrics::{Confusion, LabelSetScores, argmax_rows, labels_above};
use wengu_protocol::job::{JobEnd, Task};

/// The best epoch so far, and how many came after it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stopping {
    /// Bits of the best score: a JSON number may come back with another last bit.
    best: Option<u64>,
    /// The epoch that it was reached in, from 1.
    best_epoch: u32,
    /// Epochs since that did no better.
    falls: u32,
}

impl Stopping {
    /// Takes in the score after an epoch. True where it is the best so far.
    pub fn take(&mut self, epoch: u32, score: f64) -> bool {
        if self.best.is_some_and(|best| score <= f64::from_bits(best)) {
            self.falls += 1;
            return false;
        }
        *self = Stopping {
            best: Some(score.to_bits()),
            best_epoch: epoch,
            falls: 0,
        };
        true
    }

    /// The best epoch, from 1, and its score; None before the first.
    pub fn best(&self) -> Option<(u32, f64)> {
        self.best.map(|score| (self.best_epoch, f64::from_bits(score)))
    }

    /// Whether so many epochs in a row did no better than the best.
    pub fn is_over(&self, patience: u32) -> bool {
        self.falls >= patience
    }
}

/// Macro F1 over labels, or, of a causal model, the mean log-probability of the answers' tokens.
pub fn validation_score(
    model: &Model,
    set: &Inputs,
    threshold: f64,
    progress: &mut ProgressLog,
) -> Result<f64, TrainerError> {
    // A stop waits for the end of the set: the epoch's steps are worth a checkpoint.
    let answers = set.answers(model, progress, &super::Cancel::default())?;
    if model.task() == Task::CausalLm {
        return Ok(answers.f_select(1, 0)?.f_mean(Kind::Double)?.f_double_value(&[])?);
    }
    let internal = |error: wengu_decide::metrics::MetricsError| TrainerError::new(JobEnd::Internal, error.to_string());
    let labels = answers.size()[1] as usize;
    let mut logits = vec![0f32; answers.numel()];
    answers.f_copy_data(&mut logits, answers.numel())?;
    if let Some(probabilities) = set
        .set()
        .probabilities
        .as_ref()
        .filter(|_| model.task() == Task::MultiLabelClassification)
    {
        return label_set_score(&logits, probabilities, threshold);
    }
    let said = argmax_rows(&logits, labels).map_err(internal)?;
    let rows: Vec<usize> = (0..set.set().len()).collect();
    let expected: Vec<u32> = set.set().answer_labels(&rows).iter().map(|&l| l as u32).collect();
    let confusion = Confusion::new(labels, &expected, &said).map_err(internal)?;
    Ok(confusion.macro_f1().unwrap_or(0.0))
}

/// Macro F1 of labels that each apply or do not.
fn label_set_score(logits: &[f32], probabilities: &Tensor, threshold: f64) -> Result<f64, TrainerError> {
    let labels = probabilities.size()[1] as usize;
    let mut wanted = vec![0f32; probabilities.numel()];
    probabilities.f_copy_data(&mut wanted, probabilities.numel())?;
    let internal = |error: wengu_decide::metrics::MetricsError| TrainerError::new(JobEnd::Internal, error.to_string());
    let named = |labels: &[usize]| labels.iter().map(usize::to_string).collect();
    let mut scores = LabelSetScores::default();
    for (row, said) in labels_above(logits, labels, threshold)
        .map_err(internal)?
        .iter()
        .enumerate()
    {
        let wanted = &wanted[row * labels..][..labels];
        let wanted: Vec<usize> = (0..labels).filter(|&label| wanted[label] >= 0.5).collect();
        scores.add(&named(&wanted), &named(said));
    }
    Ok(scores.macro_f1().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_is_over_after_as_many_epochs_without_a_better_one() {
        let mut stopping = Stopping::default();
        let scores = [0.5, 0.7, 0.6, 0.7, 0.65, 0.71, 0.2];
        let better: Vec<bool> = scores
            .iter()
            .zip(1..)
            .map(|(&score, epoch)| stopping.take(epoch, score))
            .collect();
        assert_eq!(better, [true, true, false, false, false, true, false]);
        assert_eq!(stopping.best(), Some((6, 0.71)));
        assert!(stopping.is_over(1) && !stopping.is_over(2));
    }
}
