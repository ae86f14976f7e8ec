//! The optimizer steps of a job, and what is computed before and after them.

mod fisher_pass;
mod inputs;
mod stopping;
mod teacher;

pub use fisher_pass::estimate_fisher;
pub use inputs::Inputs;
pub use stopping::Stopping;
pub use teacher::Teacher;

use crate::checkpoint::{Checkpoints, LoopState, LossSum, Saved};
use crate::data::batch::{epoch_batches, micro_batches, replay_rows};
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::{Model, ParamGroup, Recompute};
use crate::objective::{
    Ewc, cross_entropy_sum, distillation_sum, logit_distance_sum, prior_correction, soft_cross_entropy_sum,
};
use crate::optim::{AdamW, clip_gradients, gradient_norm, rate_at, zero_gradients};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;
use wengu_protocol::job::{DistillLoss, Job, JobEnd, Learning, Phase};

/// Steps with a gradient that is not finite, one after the other, that end a job.
const SKIPS_ALLOWED: u32 = 5;

/// Examples of a step that are learned from in the same way.
struct Part<'a> {
    inputs: &'a Inputs,
    rows: &'a [usize],
    /// By their labels.
    labelled: bool,
    /// By their teacher's logits.
    distilled: Option<Distilled>,
}

#[derive(Clone, Copy)]
struct Distilled {
    weight: f64,
    loss: DistillLoss,
}

/// Whether the job was told to stop.
#[derive(Debug, Clone, Default)]
pub struct Cancel(pub Arc<AtomicBool>);

impl Cancel {
    /// An error once the job was told to stop.
    pub fn check(&self) -> Result<(), TrainerError> {
        if self.0.load(Ordering::Relaxed) {
            return Err(TrainerError::new(
                JobEnd::Cancelled,
                "stopped; start the same job again to go on",
            ));
        }
        Ok(())
    }
}

/// All that the steps of one job work on.
pub struct Training<'a> {
    /// The job.
    pub job: &'a Job,
    /// The model.
    pub model: &'a Model,
    /// New examples.
    pub train: &'a Inputs,
    /// Says after each epoch whether to go on; None where all epochs are trained.
    pub validation: Option<&'a Inputs>,
    /// The replay memory; None where replay is off.
    pub replay: Option<&'a Inputs>,
    /// The parent, where it answers step by step instead of in advance.
    pub teacher: Option<&'a Teacher>,
    /// The penalty; None where it is off.
    pub ewc: Option<&'a Ewc<'a>>,
    /// Where checkpoints go.
    pub checkpoints: &'a Checkpoints,
    /// Told to stop?
    pub cancel: &'a Cancel,
}

impl Training<'_> {
    /// Takes all steps that `saved` has not taken yet.
    pub fn run(
        &self,
        saved: Option<Saved>,
        champion: BTreeMap<String, String>,
        progress: &mut ProgressLog,
    ) -> Result<LoopState, TrainerError> {
        let learning = &self.job.learning;
        let correction = self.correction()?;
        let mut optimizer = self.optimizer()?;
        let mut state = LoopState::default();
        if let Some(saved) = &saved {
            saved.restore(&mut optimizer)?;
            state = saved.state.clone();
        }
        let mut best = saved.as_ref().map(Saved::best).unwrap_or_default();
        let begun = state.champion == champion;
        state.champion = champion;
        if !begun {
            // The parent's answers are worth keeping before the first step is.
            self.checkpoints.save(&state, &optimizer, &best)?;
        }
        let per_epoch = self.train.set().len().div_ceil(learning.batch_size as usize) as u64;
        let total = per_epoch * u64::from(learning.epochs);
        let lengths = self.train.lengths();
        let mut epoch: Option<(u64, Vec<Vec<usize>>)> = None;
        progress.begin(Phase::Train, state.step, total)?;
        let mut last = Instant::now();
        while state.step < total && !self.is_over(&state) {
            if let Err(cancelled) = self.cancel.check() {
                self.checkpoints.save(&state, &optimizer, &best)?;
                progress.end()?;
                return Err(cancelled);
            }
            let index = state.step / per_epoch;
            if epoch.as_ref().is_none_or(|(current, _)| *current != index) {
                epoch = Some((
                    index,
                    epoch_batches(&lengths, learning.batch_size as usize, self.job.seed, index),
                ));
            }
            let rows = epoch
                .as_ref()
                .map_or(&[][..], |(_, batches)| &batches[(state.step % per_epoch) as usize]);
            let (terms, tokens) = self.step(rows, total, correction.as_ref(), &mut state, &mut optimizer)?;
            if state.step.is_multiple_of(per_epoch) {
                state.last_epoch_loss = state.epoch_loss.mean();
                state.epoch_loss = LossSum::default();
                if let Some(validation) = self.validation {
                    progress.end()?;
                    progress.begin(Phase::Validate, 0, Inputs::answer_steps(validation.set()))?;
                    let score = stopping::validation_score(self.model, validation, progress)?;
                    if state.stopping.take((state.step / per_epoch) as u32, score) {
                        best = stopping::weights(self.model);
                    }
                    progress.end()?;
                    progress.begin(Phase::Train, state.step, total)?;
                }
            }
            state.train_seconds += last.elapsed().as_secs_f64();
            last = Instant::now();
            let ended = state.step == total || self.is_over(&state);
            if state.step.is_multiple_of(u64::from(learning.checkpoint_steps)) || ended {
                self.checkpoints.save(&state, &optimizer, &best)?;
            }
            let rate = learning.learning_rate * rate_at(state.step - 1, total, learning.warmup_fraction);
            progress.train_step(tokens, terms, rate)?;
        }
        progress.end()?;
        if self.validation.is_some() {
            stopping::restore(self.model, &best)?;
        }
        for parameter in optimizer.parameters() {
            if parameter.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
                return Err(diverged(state.step, learning));
            }
        }
        Ok(state)
    }

    /// Whether too many epochs have done no better than the best.
    fn is_over(&self, state: &LoopState) -> bool {
        self.validation.is_some() && state.stopping.is_over(self.job.learning.patience)
    }

    fn optimizer(&self) -> Result<AdamW, TrainerError> {
        let decay = self.job.learning.weight_decay;
        let mut optimizer = AdamW::new();
        for (name, parameter, group) in self.model.trainable() {
            let (decay, head) = match group {
                ParamGroup::Adapter => (decay, false),
                ParamGroup::AdapterBias => (0.0, false),
                // Decay would draw an embedding towards no meaning and a row towards no length, not towards the base model's.
                ParamGroup::Embeddings | ParamGroup::Magnitude => (0.0, false),
                ParamGroup::HeadWeight => (decay, true),
                ParamGroup::HeadBias => (0.0, true),
            };
            optimizer.add(&name, &parameter, decay, head)?;
        }
        Ok(optimizer)
    }

    /// One optimizer step: gradients, check, clip, update. Gives the loss terms and the number of tokens read.
    fn step(
        &self,
        rows: &[usize],
        total: u64,
        correction: Option<&Tensor>,
        state: &mut LoopState,
        optimizer: &mut AdamW,
    ) -> Result<([f64; 4], u64), TrainerError> {
        let learning = &self.job.learning;
        zero_gradients(&optimizer.parameters())?;
        let (terms, tokens) = self.gradients(rows, state.step, correction)?;
        let norm = gradient_norm(&optimizer.parameters())?;
        if norm.is_finite() && terms.iter().all(|t| t.is_finite()) {
            clip_gradients(&optimizer.parameters(), norm, learning.clip_norm)?;
            let rate = rate_at(state.step, total, learning.warmup_fraction);
            optimizer.step(learning.learning_rate * rate, learning.head_learning_rate * rate)?;
            state.epoch_loss.add(terms);
            state.skipped_in_a_row = 0;
        } else {
            state.skipped += 1;
            state.skipped_in_a_row += 1;
        }
        state.updates = optimizer.updates();
        state.step += 1;
        if state.skipped_in_a_row >= SKIPS_ALLOWED {
            return Err(diverged(state.step, learning));
        }
        Ok((terms, tokens))
    }

    /// Adds the gradient of the whole objective to the parameters. Gives the terms, each with its factor.
    fn gradients(
        &self,
        rows: &[usize],
        step: u64,
        correction: Option<&Tensor>,
    ) -> Result<([f64; 4], u64), TrainerError> {
        let learning = &self.job.learning;
        let mut terms = [0.0; 4];
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
        };
        self.part(&of_new, (step, 0), correction, &mut terms)?;
        if let Some(replay) = self.replay {
            for (stream, part) in self.replayed(replay, &self.drawn(replay, step)).iter().enumerate() {
                tokens += replay.token_count(part.rows);
                self.part(part, (step, 1 + stream as u64), correction, &mut terms)?;
            }
        }
        let ewc = self.ewc.map(|ewc| ewc.penalty(&self.model.held()?));
        if let Some(penalty) = ewc.transpose()?.flatten() {
            terms[3] = penalty.f_double_value(&[])?;
            penalty.f_backward()?;
        }
        Ok((terms, tokens))
    }

    /// The replay rows of a step: with DER++ twice as many, for its two terms.
    fn drawn(&self, replay: &Inputs, step: u64) -> Vec<usize> {
        let learning = &self.job.learning;
        let per_step = (f64::from(learning.batch_size) * learning.replay_ratio).round() as usize;
        let twice = learning.distill_alpha > 0.0 && learning.distill_loss == DistillLoss::Logits;
        let per_step = if twice { 2 * per_step } else { per_step };
        replay_rows(replay.set().len(), per_step, self.job.seed, step)
    }

    /// What a step learns from its replay rows.
    fn replayed<'s>(&self, replay: &'s Inputs, rows: &'s [usize]) -> Vec<Part<'s>> {
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
        terms: &mut [f64; 4],
    ) -> Result<(), TrainerError> {
        let (inputs, set) = (part.inputs, part.inputs.set());
        // Each answer weighs one over their number in the step, whichever micro-batch it is in.
        let answers = set.answers_of(part.rows).len().max(1) as f64;
        let accumulation = self.job.learning.accumulation as usize;
        for (index, rows) in micro_batches(part.rows, accumulation).into_iter().enumerate() {
            let taught = self.taught(part, rows)?;
            let (logits, kept) = self.answers(inputs, rows, self.dropout_seed(step, index, stream))?;
            let mut losses = Vec::new();
            if part.labelled {
                let loss = labelled_loss(inputs, rows, &logits, correction)?.f_div_scalar(answers)?;
                terms[stream.min(1) as usize] += loss.f_double_value(&[])?;
                losses.push(loss);
            }
            if let Some((Distilled { weight, loss }, teacher)) = taught {
                let distance = match loss {
                    DistillLoss::Kl => distillation_sum(&logits, &teacher, self.job.learning.distill_temperature)?,
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
    fn correction(&self) -> Result<Option<Tensor>, TrainerError> {
        let (tau, learned) = (self.job.learning.prior_correction, &self.job.data.learned);
        let Some(replay) = self.replay.filter(|_| tau > 0.0 && !learned.is_empty()) else {
            return Ok(None);
        };
        let counts = |inputs: &Inputs| inputs.set().label_counts(self.job.labels.len());
        let correction = prior_correction(tau, &counts(self.train)?, &counts(replay)?, learned);
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
        return soft_cross_entropy_sum(logits, &probabilities, &weights);
    }
    cross_entropy_sum(logits, &Tensor::f_from_slice(&set.answer_labels(rows))?, &weights)
}

fn diverged(step: u64, learning: &Learning) -> TrainerError {
    let (rate, head) = (learning.learning_rate, learning.head_learning_rate);
    TrainerError::new(
        JobEnd::NanLoss,
        format!(
            "the loss or its gradient was not finite in the {SKIPS_ALLOWED} steps up to step {step}; lower \
             `learning_rate` (now {rate:e}) and `head_learning_rate` (now {head:e}), or `ewc_lambda` (now {:e})",
            learning.ewc_lambda
        ),
    )
}
