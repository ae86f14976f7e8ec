//! The parent as a teacher without a second model in memory: what is trained is switched back for one pass.

use super::Inputs;
use super::snapshot::{self, Snapshot};
use crate::error::TrainerError;
use crate::model::Model;
use tch::Tensor;

/// What is trained, as the parent has it. For models whose answers are too many to be kept.
pub struct Teacher(Snapshot);

impl Teacher {
    /// The model as it is now.
    pub fn new(model: &Model) -> Teacher {
        Teacher(snapshot::take(model))
    }

    /// Its logits of the rows, [answers, labels or vocabulary], without dropout. Must come before the pass whose gradients are
    /// wanted: that pass remembers the parameters as they were.
    pub fn logits(&self, model: &Model, inputs: &Inputs, rows: &[usize]) -> Result<Tensor, TrainerError> {
        let _frozen = tch::no_grad_guard();
        let student = snapshot::take(model);
        snapshot::restore(model, &self.0)?;
        let logits = inputs.logits(model, rows, None);
        snapshot::restore(model, &student)?;
        logits
    }
}
