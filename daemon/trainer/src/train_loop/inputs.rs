use super::Cancel;
use crate::data::TokenSet;
use crate::data::batch::by_length;
use crate::error::TrainerError;
use crate::job::progress::ProgressLog;
use crate::model::{HEAD, Model, Tap, Tapped, Trained};
use crate::objective::{token_answers, without_mistakes};
use std::collections::HashMap;
use tch::{Kind, Tensor};
use wengu_protocol::job::{JobEnd, Task};

/// Examples in one forward pass without gradients.
const ANSWER_BATCH: usize = 32;

/// A set as the trained part of the model takes it.
#[derive(Debug)]
pub struct Inputs {
    set: TokenSet,
    /// Where only the head is trained: what the frozen encoder makes of every row, computed once.
    pooled: Option<Tensor>,
}

impl Inputs {
    /// The tokens themselves.
    pub fn tokens(set: TokenSet) -> Inputs {
        Inputs { set, pooled: None }
    }

    /// The vectors that the head of `model` answers.
    pub fn embedded(
        set: TokenSet,
        model: &Model,
        progress: &mut ProgressLog,
        cancel: &Cancel,
    ) -> Result<Inputs, TrainerError> {
        let pooled = embedded(&set, model, progress, cancel)?;
        Ok(Inputs {
            set,
            pooled: Some(pooled),
        })
    }

    /// The vectors that the head answers as the model is now, F32 [n, hidden], without dropout. Reports the steps of
    /// [`Inputs::answer_steps`].
    pub fn vectors(&self, model: &Model, progress: &mut ProgressLog, cancel: &Cancel) -> Result<Tensor, TrainerError> {
        if let Some(pooled) = &self.pooled {
            return Ok(pooled.shallow_clone());
        }
        embedded(&self.set, model, progress, cancel)
    }

    /// Where in `other` a row of the same tokens is, for every row; None where there is none for one of them.
    pub fn places_in(&self, other: &Inputs) -> Option<Vec<usize>> {
        let places: HashMap<&[i64], usize> = (0..other.set.len()).map(|row| (other.set.row(row), row)).collect();
        (0..self.set.len())
            .map(|row| places.get(self.set.row(row)).copied())
            .collect()
    }

    /// Gives the rows a teacher: these answers, for the first `known` labels, [`without_mistakes`] where that is asked for and the rows' labels are
    /// certain.
    pub fn teach(&mut self, answers: &Tensor, known: i64, leave_mistakes_out: bool) -> Result<(), TrainerError> {
        let answers = answers.f_narrow(1, 0, known)?;
        let is_certain = leave_mistakes_out && self.set.probabilities.is_none();
        self.set.teacher = Some(match is_certain {
            true => {
                let rows: Vec<usize> = (0..self.set.len()).collect();
                without_mistakes(&answers, &Tensor::f_from_slice(&self.set.answer_labels(&rows))?)?
            }
            false => answers,
        });
        Ok(())
    }

    /// The data file.
    pub fn set(&self) -> &TokenSet {
        &self.set
    }

    /// Lengths for batching by length; embeddings are all of one length.
    pub fn lengths(&self) -> Vec<usize> {
        if self.pooled.is_some() {
            vec![1; self.set.len()]
        } else {
            self.set.lengths()
        }
    }

    /// Tokens of these rows.
    pub fn token_count(&self, rows: &[usize]) -> u64 {
        rows.iter().map(|&row| self.set.row(row).len() as u64).sum()
    }

    /// Logits of the rows. With a dropout seed: as in training.
    pub fn logits(&self, model: &Model, rows: &[usize], dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        match &self.pooled {
            Some(pooled) => {
                let rows = index(&self.set.answers_of(rows))?;
                model.answer(&pooled.f_index_select(0, &rows)?, dropout)
            }
            None => model.forward(&self.set.batch(rows)?, dropout),
        }
    }

    /// A pass over the rows with taps.
    pub fn tapped(&self, model: &Model, rows: &[usize]) -> Result<Tapped, TrainerError> {
        match &self.pooled {
            Some(pooled) => {
                let input = pooled.f_index_select(0, &index(&self.set.answers_of(rows))?)?;
                let logits = model.answer(&input, None)?;
                let mask = Tensor::f_ones([rows.len() as i64, 1], (Kind::Int64, input.device()))?;
                let tap = Tap {
                    name: HEAD.into(),
                    output: logits.shallow_clone(),
                    trained: Trained::Weight(input),
                };
                let taps = vec![tap];
                Ok(Tapped { logits, taps, mask })
            }
            None => model.forward_tapped(&self.set.batch(rows)?),
        }
    }

    /// Logits of the whole set, F32 [answers, labels of the model], without gradients or dropout. Of a causal model, whose
    /// logits would not fit, F32 [answers, 2]: see [`token_answers`].
    pub fn answers(&self, model: &Model, progress: &mut ProgressLog, cancel: &Cancel) -> Result<Tensor, TrainerError> {
        let causal = model.task() == Task::CausalLm;
        let width = if causal { 2 } else { model.answer_width() };
        let logits = answer(&self.set, width, progress, cancel, |rows| {
            self.batch_answers(model, rows)
        })?;
        finite(logits)
    }

    /// Logits of the first batches that [`Inputs::answers`] computes, computed in the same way: which answers, and what they are.
    pub fn first_answers(
        &self,
        model: &Model,
        batches: usize,
        progress: &mut ProgressLog,
        cancel: &Cancel,
    ) -> Result<Vec<(Tensor, Tensor)>, TrainerError> {
        let _guard = tch::no_grad_guard();
        let first = by_length(&self.set.lengths(), ANSWER_BATCH).into_iter().take(batches);
        first
            .map(|rows| {
                cancel.check()?;
                let said = (index(&self.set.answers_of(&rows))?, self.batch_answers(model, &rows)?);
                progress.step(self.token_count(&rows))?;
                Ok(said)
            })
            .collect()
    }

    fn batch_answers(&self, model: &Model, rows: &[usize]) -> Result<Tensor, TrainerError> {
        let logits = self.logits(model, rows, None)?;
        match model.task() {
            Task::CausalLm => token_answers(&logits, &Tensor::f_from_slice(&self.set.answer_labels(rows))?),
            _ => Ok(logits),
        }
    }

    /// Steps that [`Inputs::answers`] reports.
    pub fn answer_steps(set: &TokenSet) -> u64 {
        set.len().div_ceil(ANSWER_BATCH) as u64
    }
}

/// What the head answers to vectors, F32 [n, labels], without gradients or dropout.
pub fn answers_to(vectors: &Tensor, model: &Model) -> Result<Tensor, TrainerError> {
    let _guard = tch::no_grad_guard();
    finite(model.answer(vectors, None)?)
}

fn finite(logits: Tensor) -> Result<Tensor, TrainerError> {
    if logits.f_isfinite()?.f_all()?.f_int64_value(&[])? != 1 {
        let text = "the model's answers are not finite; lower `learning_rate` and start from the parent again";
        return Err(TrainerError::new(JobEnd::NanLoss, text));
    }
    Ok(logits)
}

/// Row numbers as a tensor.
pub fn index(rows: &[usize]) -> Result<Tensor, TrainerError> {
    let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
    Ok(Tensor::f_from_slice(&rows)?)
}

/// The vectors that the head answers, of every text.
fn embedded(
    set: &TokenSet,
    model: &Model,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<Tensor, TrainerError> {
    let hidden = model.limits().hidden_size;
    answer(set, hidden, progress, cancel, |rows| model.embed(&set.batch(rows)?))
}

/// What `compute` says of every answer, in the order of the set, computed in batches of like length.
fn answer(
    set: &TokenSet,
    width: i64,
    progress: &mut ProgressLog,
    cancel: &Cancel,
    compute: impl Fn(&[usize]) -> Result<Tensor, TrainerError>,
) -> Result<Tensor, TrainerError> {
    let _guard = tch::no_grad_guard();
    let mut all = Tensor::f_zeros([set.answers() as i64, width], (Kind::Float, tch::Device::Cpu))?;
    for rows in by_length(&set.lengths(), ANSWER_BATCH) {
        cancel.check()?;
        let _ = all.f_index_copy_(0, &index(&set.answers_of(&rows))?, &compute(&rows)?)?;
        progress.step(rows.iter().map(|&row| set.row(row).len() as u64).sum())?;
    }
    Ok(all)
}
