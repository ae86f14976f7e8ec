//! The gradient of one optimizer step: the terms of the objective over its examples.

use super::Training;
use super::inputs::{self, Inputs};
use super::old::Mix;
use crate::checkpoint::TERMS;
use crate::data::batch::{micro_batches, replay_rows};
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use crate::model::Recompute;
use crate::objective::{
    binary_cross_entropy_sum, binary_distillation_sum, cross_entropy_sum, distillation_sum, logit_distance_sum,
    orthogonal_penalty, prior_correction, soft_cross_entropy_sum,
};
use tch::Tensor;
use wengu_protocol::job::{DistillLoss, Task};

/// Examples of a step that are learned from in the same way.
struct Part<'a> {
    inputs: &'a Inputs,
    rows: &'a [usize],
    /// By their labels.
    labelled: bool,
    /// By their teacher's logits.
    distilled: Option<Distilled>,
    /// Of all its terms.
    weight: f64,
}

#[derive(Clone, Copy)]
struct Distilled {
    weight: f64,
    loss: DistillLoss,
}

impl Training<'_> {
    /// Adds the gradient of the objective without the penalty to the parameters. Gives the terms, each with its factor.
    pub(super) fn gradients(
        &self,
        rows: &[usize],
        step: u64,
        mix: &Mix,
        correction: Option<&Tensor>,
    ) -> Result<([f64; TERMS], u64), TrainerError> {
        let learning = &self.job.learning;
        let mut terms = [0.0; TERMS];
        let mut tokens = self.train.token_count(rows);
        let distilled = Distilled {
            weight: learning.distill_new_alpha,
            loss: DistillLoss::Kl,
        };
        let of_new = Part {
            inputs: self.train,
            rows,
            labelled: true,
            distilled: Some(distilled).filter(|distilled| distilled.weight > 0.0),
            weight: mix.weights[0],
        };
        self.part(&of_new, (step, 0), correction, &mut terms)?;
        if let Some(replay) = self.replay {
            for (stream, part) in self.replayed(replay, &self.drawn(replay, mix), mix).iter().enumerate() {
                tokens += replay.token_count(part.rows);
                self.part(part, (step, 1 + stream as u64), correction, &mut terms)?;
            }
        }
        if learning.orthogonal_lambda > 0.0
            && let Some(penalty) = orthogonal_penalty(learning.orthogonal_lambda, self.model.adapters())?
        {
            terms[4] = penalty.f_double_value(&[])?;
            penalty.f_backward()?;
        }
        Ok((terms, tokens))
    }

    /// Adds the penalty's gradient to the parameters. Gives its term.
    pub(super) fn penalty(&self) -> Result<f64, TrainerError> {
        let ewc = self.ewc.map(|ewc| ewc.penalty(&self.model.held()?));
        let Some(penalty) = ewc.transpose()?.flatten() else {
            return Ok(0.0);
        };
        let term = penalty.f_double_value(&[])?;
        penalty.f_backward()?;
        Ok(term)
    }

    /// The replay rows of a step: with DER++ twice as many, for its two terms.
    fn drawn(&self, replay: &Inputs, mix: &Mix) -> Vec<usize> {
        let learning = &self.job.learning;
        let twice = learning.distill_alpha > 0.0 && learning.distill_loss == DistillLoss::Logits;
        let times = if twice { 2 } else { 1 };
        let draws = times * mix.draws.start..times * mix.draws.end;
        replay_rows(replay.set().len(), draws, self.job.seed)
    }

    /// What a step learns from its replay rows.
    fn replayed<'s>(&self, replay: &'s Inputs, rows: &'s [usize], mix: &Mix) -> Vec<Part<'s>> {
        let learning = &self.job.learning;
        let distilled = Distilled {
            weight: learning.distill_alpha,
            loss: learning.distill_loss,
        };
        let part = |rows, labelled, distilled| Part {
            inputs: replay,
            rows,
            labelled,
            distilled,
            weight: mix.weights[1],
        };
        match distilled {
            Distilled { weight: 0.0, .. } => vec![part(rows, true, None)],
            Distilled {
                loss: DistillLoss::Kl, ..
            } => vec![part(rows, true, Some(distilled))],
            Distilled {
                loss: DistillLoss::Logits,
                ..
            } => {
                let (labelled, matched) = rows.split_at(rows.len() / 2);
                vec![part(labelled, true, None), part(matched, false, Some(distilled))]
            }
        }
    }

    /// Adds the gradient of one part of a step. `place` is the step and the part's number in it, for the dropout masks.
    fn part(
        &self,
        part: &Part,
        (step, stream): (u64, u64),
        correction: Option<&Tensor>,
        terms: &mut [f64; TERMS],
    ) -> Result<(), TrainerError> {
        let (inputs, set) = (part.inputs, part.inputs.set());
        // Each answer weighs one over their number in the step, whichever micro-batch it is in.
        let answers = set.answers_of(part.rows).len().max(1) as f64 / part.weight;
        let accumulation = self.job.learning.accumulation as usize;
        for (index, rows) in micro_batches(part.rows, accumulation).into_iter().enumerate() {
            let taught = self.taught(part, rows)?;
            let (logits, kept) = self.answers(inputs, rows, self.dropout_seed(step, index, stream))?;
            let mut losses = Vec::new();
            if part.labelled {
                let loss = labelled_loss(self.job.task, inputs, rows, &logits, correction)?.f_div_scalar(answers)?;
                terms[stream.min(1) as usize] += loss.f_double_value(&[])?;
                losses.push(loss);
            }
            if let Some((Distilled { weight, loss }, teacher)) = taught {
                let temperature = self.job.learning.distill_temperature;
                let distance = match loss {
                    DistillLoss::Kl if self.job.task == Task::MultiLabelClassification => {
                        binary_distillation_sum(&logits, &teacher, temperature)?
                    }
                    DistillLoss::Kl => distillation_sum(&logits, &teacher, temperature)?,
                    DistillLoss::Logits => logit_distance_sum(&logits, &teacher)?,
                };
                let loss = distance.f_mul_scalar(weight / answers)?;
                terms[2] += loss.f_double_value(&[])?;
                losses.push(loss);
            }
            Tensor::f_stack(&losses, 0)?.f_sum(None::<tch::Kind>)?.f_backward()?;
            kept.map_or(Ok(()), Recompute::backward)?;
        }
        Ok(())
    }

    /// The teacher's logits of rows of a part, kept or computed, where the part is distilled from them.
    fn taught(&self, part: &Part, rows: &[usize]) -> Result<Option<(Distilled, Tensor)>, TrainerError> {
        let Some(distilled) = part.distilled else {
            return Ok(None);
        };
        let set = part.inputs.set();
        let logits = match (&set.teacher, self.teacher) {
            (Some(kept), _) => kept.f_index_select(0, &inputs::index(&set.answers_of(rows))?)?,
            (None, Some(teacher)) => teacher.logits(self.model, part.inputs, rows)?,
            (None, None) => return Ok(None),
        };
        Ok(Some((distilled, logits)))
    }

    /// What is added to logits before the cross entropy, F32 [labels]. None where nothing is: without replay nothing of the old
    /// labels would be shown, and the correction would take all that speaks against them away.
    pub(super) fn correction(&self, mix: &Mix) -> Result<Option<Tensor>, TrainerError> {
        let (tau, learned) = (self.job.learning.prior_correction, &self.job.data.learned);
        let Some(replay) = self.replay.filter(|_| tau > 0.0 && !learned.is_empty()) else {
            return Ok(None);
        };
        let counts = |inputs: &Inputs| inputs.set().label_counts(self.job.labels.len());
        let correction = prior_correction(tau, &counts(self.train)?, &counts(replay)?, mix.weights, learned);
        Ok(Some(Tensor::f_from_slice(&correction)?))
    }

    /// Logits of a micro-batch, and what is still to be gone back through after the loss.
    fn answers(
        &self,
        inputs: &Inputs,
        rows: &[usize],
        dropout: u64,
    ) -> Result<(Tensor, Option<Recompute<'_>>), TrainerError> {
        if self.job.gradient_checkpointing && self.model.has_adapter() {
            let (logits, kept) = self.model.forward_sparing(&inputs.set().batch(rows)?, dropout)?;
            return Ok((logits, Some(kept)));
        }
        Ok((inputs.logits(self.model, rows, Some(dropout))?, None))
    }

    fn dropout_seed(&self, step: u64, part: usize, stream: u64) -> u64 {
        let parts = u64::from(self.job.learning.accumulation);
        Stream::new(
            self.job.seed,
            Purpose::Dropout,
            (step * parts + part as u64) * 3 + stream,
        )
        .bits()
    }
}

fn labelled_loss(
    task: Task,
    inputs: &Inputs,
    rows: &[usize],
    logits: &Tensor,
    correction: Option<&Tensor>,
) -> Result<Tensor, TrainerError> {
    let set = inputs.set();
    let corrected = correction.map(|correction| logits.f_add(&correction.f_to_device(logits.device())?));
    let corrected = corrected.transpose()?;
    let logits = corrected.as_ref().unwrap_or(logits);
    let weights = Tensor::f_from_slice(&set.answer_weights(rows))?;
    if let Some(probabilities) = &set.probabilities {
        let probabilities = probabilities.f_index_select(0, &inputs::index(&set.answers_of(rows))?)?;
        return match task {
            Task::MultiLabelClassification => binary_cross_entropy_sum(logits, &probabilities, &weights),
            _ => soft_cross_entropy_sum(logits, &probabilities, &weights),
        };
    }
    cross_entropy_sum(logits, &Tensor::f_from_slice(&set.answer_labels(rows))?, &weights)
}
