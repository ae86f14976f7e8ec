//! The optimizer steps of a job, and what is computed before and after them.

mod as_written;
mod classes;
mod fisher_pass;
mod inputs;
mod old;
mod snapshot;
mod step;
mod stopping;
mod teacher;

pub use classes::{Texts, add_discriminant, class_statistics};
pub use fisher_pass::estimate_fisher;
pub use inputs::{Inputs, answers_to};
pub use old::{Old, OldState};
pub use snapshot::Snapshot;
pub use stopping::Stopping;
pub use teacher::Teacher;

use crate::checkpoint::{Checkpoints, LoopState, LossSum, Saved, TERMS};
use crate::data::batch::epoch_batches;
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::{Model, ParamGroup};
use crate::objective::Ewc;
use crate::optim::{AdamW, clip_gradients, gradient_norm, rate_at, zero_gradients};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;
use wengu_failpoint::hit;
use wengu_protocol::job::{Job, JobEnd, Learning, Phase};

/// Steps with a gradient that is not finite, one after the other, that end a job.
const SKIPS_ALLOWED: u32 = 5;

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
    /// Old examples that are watched; None where nobody asks, or the parent has none.
    pub old: Option<&'a Old<'a>>,
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
        let mut optimizer = self.optimizer()?;
        let mut state = LoopState::default();
        if let Some(saved) = &saved {
            saved.restore(&mut optimizer)?;
            state = saved.state.clone();
        }
        let mut best = saved.as_ref().map(Saved::best).unwrap_or_default();
        let begun = state.champion == champion;
        state.champion = champion;
        if let Some(old) = self.old {
            old.begin(self, &mut state, progress)?;
        }
        let mut correction = self.correction(&self.mix(&state))?;
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
                    let threshold = self.job.label_threshold();
                    let score = as_written::as_written(self.model, || {
                        stopping::validation_score(self.model, validation, threshold, progress)
                    })?;
                    if state.stopping.take((state.step / per_epoch) as u32, score) {
                        best = snapshot::take(self.model);
                    }
                    progress.end()?;
                    progress.begin(Phase::Train, state.step, total)?;
                }
            }
            if let Some(old) = self.old
                && old.look(self, per_epoch, &mut state, progress)?
            {
                correction = self.correction(&self.mix(&state))?;
            }
            state.train_seconds += last.elapsed().as_secs_f64();
            last = Instant::now();
            let ended = state.step == total || self.is_over(&state);
            if state.step.is_multiple_of(u64::from(learning.checkpoint_steps)) || ended {
                self.checkpoints.save(&state, &optimizer, &best)?;
            }
            hit("train.step");
            let rate = learning.learning_rate * rate_at(state.step - 1, total, learning.warmup_fraction);
            progress.train_step(tokens, terms, rate)?;
        }
        progress.end()?;
        if self.validation.is_some() {
            snapshot::restore(self.model, &best)?;
        }
        if let Some(old) = self.old {
            old.end(self, &mut state, progress)?;
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
    ) -> Result<([f64; TERMS], u64), TrainerError> {
        let learning = &self.job.learning;
        zero_gradients(&optimizer.parameters())?;
        let mix = self.mix(state);
        let (mut terms, tokens) = self.gradients(rows, state.step, &mix, correction)?;
        let before = Instant::now();
        terms[3] = self.penalty()?;
        state.penalty_seconds += before.elapsed().as_secs_f64();
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
        state.old.drawn = mix.draws.end as u64;
        state.step += 1;
        if state.skipped_in_a_row >= SKIPS_ALLOWED {
            return Err(diverged(state.step, learning));
        }
        Ok((terms, tokens))
    }
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
