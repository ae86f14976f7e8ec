//! Old examples that are watched while new ones are learned: their loss moves the share of new examples in a step, and their accuracy
//! tells what old work goes through. A look takes no random number and no gradient.

use super::as_written::as_written;
use super::{Cancel, Inputs, Training};
use crate::checkpoint::LoopState;
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::objective::{binary_cross_entropy_sum, cross_entropy_sum, soft_cross_entropy_sum};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use tch::{Kind, Tensor};
use wengu_decide::metrics::{labels_above, stability};
use wengu_decide::mixing::{Mixing, limit};
use wengu_protocol::job::{self, Job, JobEnd, MixingPoint, OldSample, Phase, Stability, Task};

/// Looks at the loss in an epoch: at its half and at its end.
const LOOKS: u64 = 2;

/// What a step takes from the memory.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mix {
    /// Draws, counted from the first step on.
    pub draws: Range<usize>,
    /// Of the terms of new and of replayed examples.
    pub weights: [f64; 2],
}

/// What was seen so far. A JSON number may come back with another last bit: losses are the bits of their float64 values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OldState {
    /// Draws from the memory.
    pub drawn: u64,
    /// How many are drawn; None where that does not change.
    mixing: Option<Mixing>,
    /// The parent's loss and right answers; None before the first look.
    parent: Option<(u64, Vec<u64>)>,
    /// Looks at the loss: steps, what those before it were made of, loss.
    losses: Vec<(u64, Mixing, u64)>,
    /// Looks at the accuracy: steps and right answers of each era.
    right: Vec<(u64, Vec<u64>)>,
    /// Right answers with the weights that came out.
    after: Option<Vec<u64>>,
}

/// Examples of earlier updates that are not trained on.
#[derive(Debug)]
pub struct Old<'a> {
    inputs: &'a Inputs,
    /// Run and answers of each.
    eras: Vec<(u64, u64)>,
    /// Labels of the parent.
    known: i64,
}

struct Seen {
    loss: f64,
    right: Vec<u64>,
}

impl<'a> Old<'a> {
    /// The `inputs` of a job's sample, of which the parent knows `known` labels. None where the job asks for nothing about them.
    pub fn new(job: &Job, inputs: &'a Inputs, known: usize) -> Result<Option<Old<'a>>, TrainerError> {
        let asked = job.learning.old_loss_tolerance.is_some() || job.learning.stability_steps > 0;
        let Some(OldSample { path, eras }) = job.data.old_sample.as_ref().filter(|_| asked) else {
            return Ok(None);
        };
        let bad = |text: String| Err(TrainerError::at(JobEnd::BadData, path, text));
        let set = inputs.set();
        let rows: u64 = eras.iter().map(|(_, rows)| rows).sum();
        if rows != set.len() as u64 || eras.iter().any(|(_, rows)| *rows == 0) {
            let text = format!(
                "it has {} rows, and `data.old_sample.eras` says {rows}, or an era without any",
                set.len()
            );
            return bad(text);
        }
        let all: Vec<usize> = (0..set.len()).collect();
        let unknown = set.answer_labels(&all).into_iter().find(|&label| label >= known as i64);
        if let Some(label) = unknown.filter(|_| job.task != Task::CausalLm) {
            return bad(format!(
                "an old example has label {label}, and the parent knows {known} labels"
            ));
        }
        let mut first = 0;
        let answers = eras.iter().map(|&(run, rows)| {
            let of_era: Vec<usize> = (first..first + rows as usize).collect();
            first += rows as usize;
            (run, set.answers_of(&of_era).len() as u64)
        });
        Ok(Some(Old {
            inputs,
            eras: answers.collect(),
            known: known as i64,
        }))
    }

    /// Before the first step: what the parent says, which the model is until then.
    pub(super) fn begin(
        &self,
        training: &Training,
        state: &mut LoopState,
        progress: &mut ProgressLog,
    ) -> Result<(), TrainerError> {
        if state.old.parent.is_some() {
            return Ok(());
        }
        let learning = &training.job.learning;
        let seen = self.ask(training, true, progress)?;
        state.old.parent = Some((seen.loss.to_bits(), seen.right));
        let follows = learning.old_loss_tolerance.is_some() && training.replay.is_some();
        state.old.mixing = follows.then(|| Mixing::new(learning.replay_ratio));
        Ok(())
    }

    /// After a step: looks where it is time to. True where the share of new examples may have changed.
    pub(super) fn look(
        &self,
        training: &Training,
        per_epoch: u64,
        state: &mut LoopState,
        progress: &mut ProgressLog,
    ) -> Result<bool, TrainerError> {
        let (step, learning) = (state.step, &training.job.learning);
        let often = u64::from(learning.stability_steps);
        let of_loss = (step % per_epoch).is_multiple_of(per_epoch.div_ceil(LOOKS));
        let of_accuracy = often > 0 && step.is_multiple_of(often);
        let mixing = state.old.mixing.filter(|_| of_loss);
        if mixing.is_none() && !of_accuracy {
            return Ok(false);
        }
        progress.end()?;
        let seen = self.ask(training, false, progress)?;
        if of_accuracy {
            state.old.right.push((step, seen.right));
        }
        if let Some(mixing) = mixing {
            state.old.losses.push((step, mixing, seen.loss.to_bits()));
            let mut moved = mixing;
            moved.take(seen.loss, self.limit(training.job, &state.old));
            state.old.mixing = Some(moved);
        }
        progress.begin(Phase::Train, step, per_epoch * u64::from(learning.epochs))?;
        Ok(mixing.is_some())
    }

    /// After the last step.
    pub(super) fn end(
        &self,
        training: &Training,
        state: &mut LoopState,
        progress: &mut ProgressLog,
    ) -> Result<(), TrainerError> {
        if training.job.learning.stability_steps > 0 {
            state.old.after = Some(self.ask(training, false, progress)?.right);
        }
        Ok(())
    }

    /// For the result.
    pub fn told(&self, job: &Job, state: &OldState) -> (Option<job::Mixing>, Option<Stability>) {
        let parent = state.parent.as_ref();
        let mixing = parent.filter(|_| state.mixing.is_some()).map(|(loss, _)| {
            let point = |(step, mixing, loss): &(u64, Mixing, u64)| MixingPoint {
                step: *step,
                new_share: mixing.new_share(),
                old_loss: f64::from_bits(*loss),
            };
            job::Mixing {
                reference_loss: f64::from_bits(*loss),
                limit: self.limit(job, state),
                points: state.losses.iter().map(point).collect(),
            }
        });
        let whole = parent.zip(state.after.as_ref());
        let stability = whole.and_then(|((_, before), after)| stability(&self.eras, before, &state.right, after));
        (mixing, stability)
    }

    fn limit(&self, job: &Job, state: &OldState) -> f64 {
        let reference = state
            .parent
            .as_ref()
            .map_or(f64::NAN, |(loss, _)| f64::from_bits(*loss));
        limit(reference, job.learning.old_loss_tolerance.unwrap_or(0.0))
    }

    /// Mean loss and right answers, without the correction of logits. The parent is asked about its own labels.
    fn ask(&self, training: &Training, parent: bool, progress: &mut ProgressLog) -> Result<Seen, TrainerError> {
        let set = self.inputs.set();
        progress.begin(Phase::Validate, 0, Inputs::answer_steps(set))?;
        // A stop waits for the end of the set, as with the validation set.
        let answers = as_written(training.model, || {
            self.inputs.answers(training.model, progress, &Cancel::default())
        })?;
        progress.end()?;
        let (loss, right) = match training.job.task {
            Task::CausalLm => {
                let loss = answers.f_select(1, 0)?.f_sum(Kind::Double)?.f_neg()?;
                (loss, answers.f_select(1, 1)?.f_gt(0.5)?)
            }
            // Whether one of the newer labels applies to an old text, nobody has said.
            Task::MultiLabelClassification => self.label_sets(training, &answers.f_narrow(1, 0, self.known)?)?,
            _ if parent => self.labels(&answers.f_narrow(1, 0, self.known)?)?,
            _ => self.labels(&answers)?,
        };
        let mut first = 0;
        let counted = self.eras.iter().map(|(_, answers)| {
            let of_era = right.f_narrow(0, first, *answers as i64)?;
            first += *answers as i64;
            Ok(of_era.f_sum(Kind::Int64)?.f_int64_value(&[])? as u64)
        });
        Ok(Seen {
            loss: loss.f_double_value(&[])? / set.answers().max(1) as f64,
            right: counted.collect::<Result<_, TrainerError>>()?,
        })
    }

    /// Sum of the losses, and which answers are right.
    fn labels(&self, logits: &Tensor) -> Result<(Tensor, Tensor), TrainerError> {
        let set = self.inputs.set();
        let rows: Vec<usize> = (0..set.len()).collect();
        let weights = Tensor::f_from_slice(&set.answer_weights(&rows))?;
        let expected = Tensor::f_from_slice(&set.answer_labels(&rows))?;
        let loss = match &set.probabilities {
            Some(probabilities) => {
                let probabilities = probabilities.f_narrow(1, 0, logits.size()[1])?;
                soft_cross_entropy_sum(logits, &probabilities, &weights)?
            }
            None => cross_entropy_sum(logits, &expected, &weights)?,
        };
        Ok((loss, logits.f_argmax(1, false)?.f_eq_tensor(&expected)?))
    }

    /// The same of labels that each apply or do not: right are those texts that get exactly theirs.
    fn label_sets(&self, training: &Training, logits: &Tensor) -> Result<(Tensor, Tensor), TrainerError> {
        let set = self.inputs.set();
        let rows: Vec<usize> = (0..set.len()).collect();
        let weights = Tensor::f_from_slice(&set.answer_weights(&rows))?;
        let internal = |text: String| TrainerError::new(JobEnd::Internal, text);
        let wanted = set.probabilities.as_ref();
        let wanted = wanted.ok_or_else(|| internal("old examples without label probabilities".into()))?;
        let wanted = wanted.f_narrow(1, 0, self.known)?.f_contiguous()?;
        let loss = binary_cross_entropy_sum(logits, &wanted, &weights)?;
        let numbers = |tensor: &Tensor| -> Result<Vec<f32>, TrainerError> {
            let mut values = vec![0f32; tensor.numel()];
            tensor.f_contiguous()?.f_copy_data(&mut values, tensor.numel())?;
            Ok(values)
        };
        let known = self.known as usize;
        let said = labels_above(&numbers(logits)?, known, training.job.label_threshold());
        let said = said.map_err(|error| internal(error.to_string()))?;
        let wanted = numbers(&wanted)?;
        let right = said.iter().zip(wanted.chunks(known)).map(|(said, wanted)| {
            let wanted: Vec<usize> = (0..known).filter(|&label| wanted[label] >= 0.5).collect();
            *said == wanted
        });
        Ok((loss, Tensor::f_from_slice(&right.collect::<Vec<bool>>())?))
    }
}

impl Training<'_> {
    /// What the next step takes from the memory.
    pub(super) fn mix(&self, state: &LoopState) -> Mix {
        let learning = &self.job.learning;
        let draws = |ratio: f64| (f64::from(learning.batch_size) * ratio).round() as usize;
        match &state.old.mixing {
            Some(mixing) => {
                let first = state.old.drawn as usize;
                Mix {
                    draws: first..first + draws(mixing.replay_ratio()).max(1),
                    weights: mixing.weights(&Mixing::new(learning.replay_ratio)),
                }
            }
            None => {
                let each = draws(learning.replay_ratio);
                let first = state.step as usize * each;
                Mix {
                    draws: first..first + each,
                    weights: [1.0; 2],
                }
            }
        }
    }
}
