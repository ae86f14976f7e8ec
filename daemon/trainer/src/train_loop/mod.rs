//! The optimizer steps of a job, and what is computed before and after them.

mod fisher_pass;
mod inputs;

pub use fisher_pass::estimate_fisher;
pub use inputs::Inputs;

use crate::checkpoint::{Checkpoints, LoopState, LossSum, Saved};
use crate::data::batch::{epoch_batches, micro_batches, replay_rows};
use crate::data::random::{Purpose, Stream};
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::{Model, ParamGroup, Recompute};
use crate::objective::{Ewc, cross_entropy_sum, distillation_sum, soft_cross_entropy_sum};
use crate::optim::{AdamW, clip_gradients, gradient_norm, rate_at, zero_gradients};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tch::Tensor;
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
    /// The replay memory; None where replay is off.
    pub replay: Option<&'a Inputs>,
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
        let begun = state.champion == champion;
        state.champion = champion;
        if !begun {
            // The parent's answers are worth keeping before the first step is.
            self.checkpoints.save(&state, &optimizer)?;
        }
        let per_epoch = self.train.set().len().div_ceil(learning.batch_size as usize) as u64;
        let total = per_epoch * u64::from(learning.epochs);
        let lengths = self.train.lengths();
        let mut epoch: Option<(u64, Vec<Vec<usize>>)> = None;
        progress.begin(Phase::Train, state.step, total)?;
        let mut last = Instant::now();
        while state.step < total {
            if let Err(cancelled) = self.cancel.check() {
                self.checkpoints.save(&state, &optimizer)?;
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
            let (terms, tokens) = self.step(rows, total, &mut state, &mut optimizer)?;
            if state.step.is_multiple_of(per_epoch) {
                state.last_epoch_loss = state.epoch_loss.mean();
                state.epoch_loss = LossSum::default();
            }
            state.train_seconds += last.elapsed().as_secs_f64();
            last = Instant::now();
            if state.step.is_multiple_of(u64::from(learning.checkpoint_steps)) || state.step == total {
                self.checkpoints.save(&state, &optimizer)?;
            }
            let rate = learning.learning_rate * rate_at(state.step - 1, total, learning.warmup_fraction);
            progress.train_step(tokens, terms, rate)?;
        }
        progress.end()?;
        for parameter in optimizer.parameters() {
            if parameter.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
                return Err(diverged(state.step, learning));
            }
        }
        Ok(state)
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
        state: &mut LoopState,
        optimizer: &mut AdamW,
    ) -> Result<([f64; 4], u64), TrainerError> {
        let learning = &self.job.learning;
        zero_gradients(&optimizer.parameters())?;
        let (terms, tokens) = self.gradients(rows, state.step)?;
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
    fn gradients(&self, rows: &[usize], step: u64) -> Result<([f64; 4], u64), TrainerError> {
        let learning = &self.job.learning;
        let parts = learning.accumulation as usize;
        let drawn = match self.replay {
            Some(replay) => {
                let per_step = (f64::from(learning.batch_size) * learning.replay_ratio).round() as usize;
                replay_rows(replay.set().len(), per_step, self.job.seed, step)
            }
            None => Vec::new(),
        };
        let mut terms = [0.0; 4];
        let mut tokens = self.train.token_count(rows);
        // Each answer weighs one over their number in the step, whichever micro-batch it is in.
        let answers = |inputs: &Inputs, rows: &[usize]| inputs.set().answers_of(rows).len().max(1) as f64;
        let (new, old) = (
            answers(self.train, rows),
            self.replay.map_or(1.0, |replay| answers(replay, &drawn)),
        );
        for (part, rows_of_part) in micro_batches(rows, parts).into_iter().enumerate() {
            let (logits, kept) = self.answers(self.train, rows_of_part, self.dropout_seed(step, part, 0))?;
            let loss = labelled_loss(self.train, rows_of_part, &logits)?.f_div_scalar(new)?;
            terms[0] += loss.f_double_value(&[])?;
            loss.f_backward()?;
            kept.map_or(Ok(()), Recompute::backward)?;
        }
        if let Some(replay) = self.replay {
            tokens += replay.token_count(&drawn);
            for (part, rows_of_part) in micro_batches(&drawn, parts).into_iter().enumerate() {
                let (logits, kept) = self.answers(replay, rows_of_part, self.dropout_seed(step, part, 1))?;
                let mut loss = labelled_loss(replay, rows_of_part, &logits)?.f_div_scalar(old)?;
                terms[1] += loss.f_double_value(&[])?;
                if let Some(teacher) = replay.set().teacher.as_ref().filter(|_| learning.distill_alpha > 0.0) {
                    let rows = inputs::index(&replay.set().answers_of(rows_of_part))?;
                    let teacher = teacher.f_index_select(0, &rows)?;
                    let distilled = distillation_sum(&logits, &teacher, learning.distill_temperature)?
                        .f_mul_scalar(learning.distill_alpha / old)?;
                    terms[2] += distilled.f_double_value(&[])?;
                    loss = loss.f_add(&distilled)?;
                }
                loss.f_backward()?;
                kept.map_or(Ok(()), Recompute::backward)?;
            }
        }
        let ewc = self.ewc.map(|ewc| ewc.penalty(&self.model.held()?));
        if let Some(penalty) = ewc.transpose()?.flatten() {
            terms[3] = penalty.f_double_value(&[])?;
            penalty.f_backward()?;
        }
        Ok((terms, tokens))
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
            (step * parts + part as u64) * 2 + stream,
        )
        .bits()
    }
}

fn labelled_loss(inputs: &Inputs, rows: &[usize], logits: &Tensor) -> Result<Tensor, TrainerError> {
    let set = inputs.set();
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
