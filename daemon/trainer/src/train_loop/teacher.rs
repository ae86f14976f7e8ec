//! The parent as a teacher without a second model in memory: what is trained is switched back for one pass.

use super::Inputs;
use crate::error::TrainerError;
use crate::model::Model;
use tch::Tensor;

/// What is trained, as the parent has it. For models whose answers are too many to be kept.
pub struct Teacher {
    /// Each parameter, which shares its storage with the model, and the parent's value of it.
    parameters: Vec<(Tensor, Tensor)>,
}

impl Teacher {
    /// The model as it is now.
    pub fn new(model: &Model) -> Teacher {
        let copied = |(_, parameter, _): (String, Tensor, _)| {
            let value = parameter.detach().copy();
            (parameter, value)
        };
        Teacher {
            parameters: model.trainable().into_iter().map(copied).collect(),
        }
    }

    /// Its logits of the rows, [answers, labels or vocabulary], without dropout. Must come before the pass whose gradients are
    /// wanted: that pass remembers the parameters as they were.
    pub fn logits(&self, model: &Model, inputs: &Inputs, rows: &[usize]) -> Result<Tensor, TrainerError> {
        let _frozen = tch::no_grad_guard();
        let mut students = Vec::with_capacity(self.parameters.len());
        for (parameter, value) in &self.parameters {
            students.push(parameter.copy());
            parameter.shallow_clone().f_copy_(value)?;
        }
        let logits = inputs.logits(model, rows, None);
        for ((parameter, _), student) in self.parameters.iter().zip(&students) {
            parameter.shallow_clone().f_copy_(student)?;
        }
        logits
    }
}
