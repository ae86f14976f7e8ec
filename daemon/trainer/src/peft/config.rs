//! adapter_config.json.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// What the adapted model is for; it decides the names of the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// The bare encoder: `base_model.model.encoder...`.
    #[serde(rename = "FEATURE_EXTRACTION")]
    FeatureExtraction,
    /// `BertForSequenceClassification`: `base_model.model.bert.encoder...` and the classifier with it.
    #[serde(rename = "SEQ_CLS")]
    SequenceClassification,
}

/// adapter_config.json, with the fields that peft 0.21 writes for LoRA, in its (alphabetical) order. Fields that are
/// not here are at peft's defaults, and read only if they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    #[serde(default)]
    alpha_pattern: serde_json::Map<String, serde_json::Value>,
    base_model_name_or_path: Option<String>,
    #[serde(default = "none")]
    bias: String,
    /// Layers that match `target_modules` and are left as they are.
    #[serde(default)]
    pub exclude_modules: Option<Vec<String>>,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    layers_to_transform: Option<serde_json::Value>,
    /// The update is scaled by this / r.
    pub lora_alpha: f64,
    #[serde(default)]
    lora_bias: bool,
    /// Dropout on the adapter's input while training.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Layers trained in full and stored beside the adapter.
    #[serde(default)]
    pub modules_to_save: Option<Vec<String>>,
    peft_type: String,
    /// Rank.
    pub r: u32,
    #[serde(default)]
    rank_pattern: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    revision: Option<String>,
    /// Ends of the names of the adapted layers.
    pub target_modules: Vec<String>,
    /// What the model is for.
    pub task_type: Task,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    use_rslora: bool,
}

fn none() -> String {
    "none".into()
}

impl AdapterConfig {
    /// A LoRA adapter's configuration.
    pub fn lora(
        task_type: Task,
        base: &Path,
        rank: u32,
        alpha: f64,
        dropout: f64,
        target_modules: &[String],
        exclude_modules: &[String],
    ) -> AdapterConfig {
        let classifies = task_type == Task::SequenceClassification;
        AdapterConfig {
            alpha_pattern: Default::default(),
            base_model_name_or_path: Some(base.display().to_string()),
            bias: none(),
            exclude_modules: (!exclude_modules.is_empty()).then(|| exclude_modules.to_vec()),
            fan_in_fan_out: false,
            inference_mode: true,
            layers_to_transform: None,
            lora_alpha: alpha,
            lora_bias: false,
            lora_dropout: dropout,
            modules_to_save: classifies.then(|| vec!["classifier".to_owned(), "score".to_owned()]),
            peft_type: "LORA".into(),
            r: rank,
            rank_pattern: Default::default(),
            revision: None,
            target_modules: target_modules.to_vec(),
            task_type,
            use_dora: false,
            use_rslora: false,
        }
    }

    /// What is in the file and changes the result in a way that is not implemented here.
    pub(super) fn check(&self) -> Result<(), String> {
        let refused = [
            (self.peft_type != "LORA", "peft_type must be \"LORA\""),
            (self.r == 0, "r must not be 0"),
            (!self.lora_alpha.is_finite(), "lora_alpha must be a number"),
            (self.bias != "none", "bias must be \"none\""),
            (self.lora_bias, "lora_bias is not supported"),
            (self.use_dora, "use_dora is not supported"),
            (self.use_rslora, "use_rslora is not supported"),
            (self.fan_in_fan_out, "fan_in_fan_out is not supported"),
            (!self.alpha_pattern.is_empty(), "alpha_pattern is not supported"),
            (!self.rank_pattern.is_empty(), "rank_pattern is not supported"),
            (
                self.layers_to_transform.is_some(),
                "layers_to_transform is not supported",
            ),
        ];
        match refused.into_iter().find(|(refused, _)| *refused) {
            Some((_, reason)) => Err(reason.into()),
            None => Ok(()),
        }
    }
}
