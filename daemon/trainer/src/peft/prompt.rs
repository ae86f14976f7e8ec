//! Prompt tuning (Lester et al. 2021) as PEFT keeps it.

use super::io::{check_head, check_names, read_config, write_files};
use super::{Keys, TENSORS_FILE, Task};
use crate::error::TrainerError;
use crate::model::weights::TensorFile;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::JobEnd;

const PEFT_TYPE: &str = "PROMPT_TUNING";
/// Its one tensor, [virtual tokens, hidden], whatever the task.
const EMBEDDINGS: &str = "prompt_embeddings";

/// adapter_config.json, with the fields of peft 0.21 for prompts, in its (alphabetical) order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptConfig {
    #[serde(default)]
    auto_mapping: Option<serde_json::Value>,
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    num_attention_heads: Option<u64>,
    #[serde(default)]
    num_layers: Option<u64>,
    #[serde(default)]
    num_transformer_submodules: Option<u64>,
    num_virtual_tokens: u64,
    peft_type: String,
    /// How it began; peft asks for it only where it is trained on.
    #[serde(default)]
    prompt_tuning_init: Option<String>,
    #[serde(default)]
    prompt_tuning_init_text: Option<String>,
    #[serde(default)]
    revision: Option<String>,
    task_type: Task,
    token_dim: Option<u64>,
    #[serde(default)]
    tokenizer_kwargs: Option<serde_json::Value>,
    #[serde(default)]
    tokenizer_name_or_path: Option<String>,
}

/// What peft's configuration says of the base model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BaseShape {
    /// Its layers.
    pub layers: u64,
    /// Heads of a layer's attention.
    pub attention_heads: u64,
}

impl PromptConfig {
    /// The configuration of a prompt [virtual tokens, hidden].
    pub fn new(task_type: Task, base: &Path, rows: &Tensor, shape: BaseShape) -> PromptConfig {
        let size = rows.size();
        let head = || vec!["classifier".to_owned(), "score".to_owned()];
        PromptConfig {
            auto_mapping: None,
            base_model_name_or_path: Some(base.display().to_string()),
            inference_mode: true,
            modules_to_save: task_type.has_head().then(head),
            num_attention_heads: Some(shape.attention_heads),
            num_layers: Some(shape.layers),
            num_transformer_submodules: Some(1),
            num_virtual_tokens: size[0] as u64,
            peft_type: PEFT_TYPE.into(),
            prompt_tuning_init: Some("SAMPLE_VOCAB".into()),
            prompt_tuning_init_text: None,
            revision: None,
            task_type,
            token_dim: Some(size[1] as u64),
            tokenizer_kwargs: None,
            tokenizer_name_or_path: None,
        }
    }
}

/// Writes the directory. The same input gives the same bytes.
pub fn write_prompt(
    dir: &Path,
    config: &PromptConfig,
    keys: Keys,
    rows: &Tensor,
    head: Option<(&Tensor, &Tensor)>,
) -> Result<(), TrainerError> {
    let mut tensors = vec![(EMBEDDINGS.to_owned(), rows)];
    if let Some((weight, bias)) = head.filter(|_| keys.task.has_head()) {
        tensors.extend([(keys.prompt_head("weight"), weight), (keys.prompt_head("bias"), bias)]);
    }
    write_files(dir, config, &tensors)
}

/// Reads the embeddings of a directory, F32 [virtual tokens, hidden]. They require gradients.
pub fn read_prompt(
    dir: &Path,
    keys: Keys,
    hidden: i64,
    head: Option<(&Tensor, &Tensor)>,
) -> Result<Tensor, TrainerError> {
    let (path, config) = read_config::<PromptConfig>(dir, PEFT_TYPE)?;
    let bad = |message: String| Err(TrainerError::at(JobEnd::BadModel, &path, message));
    if config.task_type != keys.task {
        return bad(keys.wrong_task(config.task_type));
    }
    if config.num_transformer_submodules.is_some_and(|parts| parts != 1) {
        return bad("num_transformer_submodules must be 1: a model is an encoder or a decoder".into());
    }
    let path = dir.join(TENSORS_FILE);
    let file = TensorFile::open(&path)?;
    let weights = file.parse()?;
    let head = head.filter(|_| keys.task.has_head());
    let mut expected = BTreeSet::from([EMBEDDINGS.to_owned()]);
    if head.is_some() {
        expected.extend(["weight", "bias"].map(|part| keys.prompt_head(part)));
    }
    check_names(&weights, &expected)?;
    check_head(&weights, head, |part| keys.prompt_head(part))?;
    let rows = i64::try_from(config.num_virtual_tokens).unwrap_or(i64::MAX);
    Ok(weights.tensor(EMBEDDINGS, &[rows, hidden])?.f_set_requires_grad(true)?)
}
