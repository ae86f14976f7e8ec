//! Reading and writing PEFT directories.

use super::{AdapterConfig, CONFIG_FILE, LoraSite, TENSORS_FILE, Task, TokenRows};
use crate::error::TrainerError;
use crate::job::files::write_durable;
use crate::job::tensors::encode;
use crate::model::weights::TensorFile;
use std::collections::BTreeSet;
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::JobEnd;

/// Key of a factor ("A" or "B") of the layer.
fn key(task: Task, layer: &str, factor: &str) -> String {
    match task {
        Task::FeatureExtraction => format!("base_model.model.{layer}.lora_{factor}.weight"),
        Task::SequenceClassification => format!("base_model.model.bert.{layer}.lora_{factor}.weight"),
    }
}

/// Key of the head's "weight" or "bias", which peft keeps with the adapter of a model that classifies.
fn head_key(part: &str) -> String {
    format!("base_model.model.classifier.{part}")
}

/// Key of the rows of the embedding table.
fn rows_key(task: Task, table: &str) -> String {
    let below = match task {
        Task::FeatureExtraction => "",
        Task::SequenceClassification => "bert.",
    };
    format!("base_model.model.{below}{table}.token_adapter.trainable_tokens_delta")
}

/// Writes the directory. The same input gives the same bytes.
pub fn write(
    dir: &Path,
    config: &AdapterConfig,
    sites: &[LoraSite],
    rows: Option<(&str, &Tensor)>,
    head: (&Tensor, &Tensor),
) -> Result<(), TrainerError> {
    let head_keys = (head_key("weight"), head_key("bias"));
    let mut tensors: Vec<(String, &Tensor)> = Vec::new();
    for site in sites {
        tensors.push((key(config.task_type, &site.name, "A"), &site.a));
        tensors.push((key(config.task_type, &site.name, "B"), &site.b));
    }
    tensors.extend(rows.map(|(table, rows)| (rows_key(config.task_type, table), rows)));
    if config.task_type == Task::SequenceClassification {
        tensors.extend([(head_keys.0, head.0), (head_keys.1, head.1)]);
    }
    write_durable(&dir.join(TENSORS_FILE), &tensor_bytes(&tensors)?)?;
    let mut text = serde_json::to_vec_pretty(config).map_err(|e| TrainerError::new(JobEnd::Internal, e.to_string()))?;
    text.push(b'\n');
    write_durable(&dir.join(CONFIG_FILE), &text)
}

/// A safetensors file of F32 tensors with the metadata that Hugging Face's readers ask for.
pub fn tensor_bytes(tensors: &[(String, &Tensor)]) -> Result<Vec<u8>, TrainerError> {
    let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), *tensor));
    encode(tensors, Some(("format", "pt".to_owned())))
}

/// Reads a directory that adapts exactly `layers`, given as (name, in, out), and rows of the `table` of embeddings, of `hidden` numbers. The tensors require gradients.
pub fn read(
    dir: &Path,
    task: Task,
    layers: &[(String, i64, i64)],
    (table, hidden): (&str, i64),
    head: (&Tensor, &Tensor),
) -> Result<(AdapterConfig, Vec<LoraSite>, Option<TokenRows>), TrainerError> {
    let path = dir.join(CONFIG_FILE);
    let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
    let text = std::fs::read(&path).map_err(|e| bad(&e))?;
    let config: AdapterConfig = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    config.check().map_err(|message| bad(&message))?;
    if config.task_type != task {
        return Err(bad(&format!(
            "task_type {:?} does not go with the base model's pooling; {task:?} does",
            config.task_type
        )));
    }

    let path = dir.join(TENSORS_FILE);
    let file = TensorFile::open(&path)?;
    let weights = file.parse()?;
    let mut expected: BTreeSet<String> = layers
        .iter()
        .flat_map(|(name, ..)| ["A", "B"].map(|factor| key(task, name, factor)))
        .collect();
    if task == Task::SequenceClassification {
        expected.extend([head_key("weight"), head_key("bias")]);
    }
    let ids = config.trainable_token_indices.clone().filter(|ids| !ids.is_empty());
    expected.extend(ids.is_some().then(|| rows_key(task, table)));
    let found = weights.names();
    let missing: Vec<_> = expected.difference(&found).cloned().collect();
    let unexpected: Vec<_> = found.difference(&expected).cloned().collect();
    if !missing.is_empty() || !unexpected.is_empty() {
        let message = format!(
            "missing tensors: [{}]; unexpected tensors: [{}]",
            list(&missing),
            list(&unexpected)
        );
        return Err(TrainerError::at(JobEnd::BadModel, &path, message));
    }
    if task == Task::SequenceClassification {
        for (part, tensor) in [("weight", head.0), ("bias", head.1)] {
            if !weights.tensor(&head_key(part), &tensor.size())?.f_equal(tensor)? {
                let message = format!("{} differs from the head that belongs to the adapter", head_key(part));
                return Err(TrainerError::at(JobEnd::BadModel, &path, message));
            }
        }
    }
    let rank = i64::from(config.r);
    let scaling = config.lora_alpha / f64::from(config.r);
    let sites = layers.iter().map(|(name, inputs, outputs)| {
        let a = weights
            .tensor(&key(task, name, "A"), &[rank, *inputs])?
            .f_set_requires_grad(true)?;
        let b = weights
            .tensor(&key(task, name, "B"), &[*outputs, rank])?
            .f_set_requires_grad(true)?;
        Ok(LoraSite {
            name: name.clone(),
            a,
            b,
            scaling,
        })
    });
    let sites = sites.collect::<Result<Vec<_>, TrainerError>>()?;
    let rows = match ids {
        None => None,
        Some(ids) => {
            let rows = weights.tensor(&rows_key(task, table), &[ids.len() as i64, hidden])?;
            Some(TokenRows { ids, rows })
        }
    };
    Ok((config, sites, rows))
}

/// The first names and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
