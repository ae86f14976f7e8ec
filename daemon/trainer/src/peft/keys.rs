//! Names of the tensors in an adapter's file.

use super::Task;

/// How tensors are named: by the task, and by where the bare model's parts are in the model with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// What the adapted model is for.
    pub task: Task,
    prefix: &'static str,
}

impl Keys {
    /// For a task and the family's prefix: "bert.", "roberta.", or "model." for decoders.
    pub fn new(task: Task, prefix: &'static str) -> Keys {
        Keys { task, prefix }
    }

    fn below(self) -> &'static str {
        match self.task {
            Task::FeatureExtraction => "",
            Task::SequenceClassification | Task::TokenClassification | Task::CausalLm => self.prefix,
        }
    }

    /// A factor ("A" or "B") of the layer.
    pub fn factor(self, layer: &str, factor: &str) -> String {
        format!("base_model.model.{}{layer}.lora_{factor}.weight", self.below())
    }

    /// The lengths of the rows of the layer's weight (DoRA).
    pub fn magnitude(self, layer: &str) -> String {
        format!("base_model.model.{}{layer}.lora_magnitude_vector", self.below())
    }

    /// The layer as PEFT knows it.
    pub fn module(self, layer: &str) -> String {
        format!("{}{layer}", self.below())
    }

    /// A tensor of a module that is carried whole; a causal model's output layer stands beside the bare model.
    pub fn saved(self, tensor: &str) -> String {
        match tensor.starts_with("lm_head.") {
            true => format!("base_model.model.{tensor}"),
            false => format!("base_model.model.{}{tensor}", self.below()),
        }
    }

    /// The rows of the embedding table.
    pub fn rows(self, table: &str) -> String {
        format!(
            "base_model.model.{}{table}.token_adapter.trainable_tokens_delta",
            self.below()
        )
    }

    /// The head's "weight" or "bias", which peft keeps with the adapter of a model that has one.
    pub fn head(self, part: &str) -> String {
        format!("base_model.model.{}.{part}", self.head_name())
    }

    /// The same beside a prompt, for which peft wraps the model once less.
    pub fn prompt_head(self, part: &str) -> String {
        format!("base_model.{}.{part}", self.head_name())
    }

    fn head_name(self) -> &'static str {
        if self.prefix == "model." { "score" } else { "classifier" }
    }

    /// Why an adapter of this task cannot be read.
    pub fn wrong_task(self, found: Task) -> String {
        let expected = self.task;
        format!("task_type {found:?} does not go with the job's task and the base model's pooling; {expected:?} does")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_and_family_has_the_names_that_peft_gives() {
        let of = |task, prefix| {
            let keys = Keys::new(task, prefix);
            (keys.factor("l.q", "A"), keys.head("bias"))
        };
        let named = |factor: &str, head: &str| {
            let of = |name: &str| format!("base_model.model.{name}");
            (of(&format!("{factor}.lora_A.weight")), of(&format!("{head}.bias")))
        };
        assert_eq!(of(Task::FeatureExtraction, "bert.").0, named("l.q", "").0);
        assert_eq!(
            of(Task::SequenceClassification, "bert."),
            named("bert.l.q", "classifier")
        );
        assert_eq!(
            of(Task::TokenClassification, "roberta."),
            named("roberta.l.q", "classifier")
        );
        assert_eq!(of(Task::TokenClassification, "model."), named("model.l.q", "score"));
        assert_eq!(of(Task::CausalLm, "model.").0, named("model.l.q", "").0);
    }
}
