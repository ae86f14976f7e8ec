//! What turns vectors into answers: a classifier that is trained, or a causal model's own frozen output layer.

use super::classifier::Classifier;
use super::lora::as_input;
use crate::error::TrainerError;
use tch::{Device, Kind, Tensor};
use wengu_protocol::job::{JobEnd, Task};

/// What turns vectors into answers.
pub enum Head {
    /// One row a label, trained.
    Classifier(Classifier),
    /// One row an entry of the vocabulary, [vocabulary, hidden]; frozen, or one of the adapter's modules.
    Language(Tensor),
}

impl Head {
    /// Logits, F32 [n, labels or vocabulary], of vectors [n, hidden].
    pub fn forward(&self, vectors: &Tensor, dropout: Option<u64>) -> Result<Tensor, TrainerError> {
        match self {
            Head::Classifier(classifier) => {
                // The classifier is trained: F32, on the processor.
                let vectors = vectors.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
                classifier.forward(&vectors, dropout)
            }
            Head::Language(weight) => {
                // Where it is trained it is F32 on the processor.
                let weight = as_input(weight, vectors)?;
                Ok(vectors.f_linear(&weight, None::<&Tensor>)?.f_to_kind(Kind::Float)?)
            }
        }
    }

    /// Weight and bias, where they are trained.
    pub fn trained(&self) -> Option<(&Tensor, &Tensor)> {
        match self {
            Head::Classifier(classifier) => Some((&classifier.weight, &classifier.bias)),
            Head::Language(_) => None,
        }
    }

    /// Numbers in an answer.
    pub fn width(&self) -> i64 {
        match self {
            Head::Classifier(classifier) => classifier.weight.size()[0],
            Head::Language(weight) => weight.size()[0],
        }
    }
}

/// A causal model's answers have the base model's vocabulary, the others' have labels.
pub fn check_labels(task: Task, labels: &[String]) -> Result<(), TrainerError> {
    match (task, labels.is_empty()) {
        (Task::CausalLm, true) => Ok(()),
        (Task::CausalLm, false) => Err(TrainerError::new(
            JobEnd::BadJob,
            "a causal model has no labels; leave `labels` empty",
        )),
        (_, true) => Err(TrainerError::new(JobEnd::BadJob, "labels must be there")),
        (_, false) => Ok(()),
    }
}
