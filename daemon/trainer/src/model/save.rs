//! What a trained model leaves behind: the adapter and the head.

use super::adapter::Adapter;
use super::bottleneck::Bottlenecks;
use super::head::Head;
use super::merged::family_name;
use super::pooling::Pooling;
use super::{Model, bert, lora, saved};
use crate::adapter_hub;
use crate::error::TrainerError;
use crate::peft;
use std::path::Path;
use wengu_protocol::job::Task;

impl Model {
    /// Writes the adapter as PEFT, or the `adapters` library, keeps it. Nothing where only the head is trained.
    pub fn save_adapter(&self, dir: &Path) -> Result<(), TrainerError> {
        let task = Model::adapter_task(self.task, self.pooling);
        match &self.adapter {
            Adapter::None => Ok(()),
            Adapter::Lora {
                settings,
                sites,
                terms,
                saved,
            } => {
                let unused = self.unused_modules(&settings.target_modules);
                let config = peft::AdapterConfig::lora(task, &self.base_path, settings, &unused);
                let config = config.with_token_rows(terms.as_ref().map(|terms| terms.ids()));
                let table = self.encoder.word_embeddings_name();
                let rows = terms.as_ref().map(|terms| (table, &terms.rows));
                let keys = peft::Keys::new(task, self.encoder.prefix());
                let saved = saved::trainable(saved).into_iter();
                let saved: Vec<_> = saved.map(|(name, tensor, _)| (name, tensor)).collect();
                peft::write(dir, &config, keys, sites, (rows, &saved), self.head())
            }
            Adapter::Prompt(prompt) => {
                let shape = peft::BaseShape {
                    layers: self.encoder.layers() as u64,
                    attention_heads: self.encoder.heads as u64,
                };
                let config = peft::PromptConfig::new(task, &self.base_path, &prompt.rows, shape);
                let keys = peft::Keys::new(task, self.encoder.prefix());
                peft::write_prompt(dir, &config, keys, &prompt.rows, self.head())
            }
            Adapter::Bottleneck(Bottlenecks { settings, sites }) => {
                let base = adapter_hub::Base {
                    model_type: &self.encoder.model_type,
                    hidden: self.encoder.limits.hidden_size,
                };
                let class = format!("{}{}", family_name(base.model_type)?, task.class_suffix());
                let keys = peft::Keys::new(task, self.encoder.prefix());
                adapter_hub::write(dir, base, (&self.base_path, class), keys, settings, sites)
            }
        }
    }

    /// Writes the head and its labels, where there is one that was trained.
    pub fn save_head(&self, dir: &Path) -> Result<(), TrainerError> {
        match &self.head {
            Head::Classifier(classifier) => classifier.save(dir, &self.labels),
            Head::Language(_) => Ok(()),
        }
    }

    /// BERT's own pooler belongs to the model that classifies; embeddings of other poolings to the bare encoder.
    pub(super) fn adapter_task(task: Task, pooling: Pooling) -> peft::Task {
        match (task, pooling) {
            (Task::TokenClassification, _) => peft::Task::TokenClassification,
            (Task::CausalLm, _) => peft::Task::CausalLm,
            (Task::SequenceClassification | Task::MultiLabelClassification, Pooling::Pooler) => {
                peft::Task::SequenceClassification
            }
            (Task::SequenceClassification | Task::MultiLabelClassification, _) => peft::Task::FeatureExtraction,
        }
    }

    /// Layers that PEFT would adapt and that take no part in this model's answer.
    fn unused_modules(&self, target_modules: &[String]) -> Vec<String> {
        let pooler = bert::POOLER_DENSE;
        let loaded = self.task.is_by_text();
        let unused = loaded && self.pooling != Pooling::Pooler && lora::is_target(pooler, target_modules);
        if unused { vec![pooler.to_owned()] } else { Vec::new() }
    }
}
