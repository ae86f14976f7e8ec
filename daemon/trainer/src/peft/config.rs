//! adapter_config.json.

use crate::model::HEADS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use wengu_protocol::job::Lora;

/// What the adapted model is for; it decides the names of the tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// The bare encoder: `base_model.model.encoder...`.
    #[serde(rename = "FEATURE_EXTRACTION")]
    FeatureExtraction,
    /// `BertForSequenceClassification`: `base_model.model.bert.encoder...` and the classifier with it.
    #[serde(rename = "SEQ_CLS")]
    SequenceClassification,
    /// A model that labels tokens, and its classifier with it.
    #[serde(rename = "TOKEN_CLS")]
    TokenClassification,
    /// A decoder with its output layer.
    #[serde(rename = "CAUSAL_LM")]
    CausalLm,
}

impl Task {
    /// Whether a classifier lies beside the adapter.
    pub fn has_head(self) -> bool {
        matches!(self, Task::SequenceClassification | Task::TokenClassification)
    }

    /// What the name of transformers' class for it ends in.
    pub fn class_suffix(self) -> &'static str {
        match self {
            Task::FeatureExtraction => "Model",
            Task::SequenceClassification => "ForSequenceClassification",
            Task::TokenClassification => "ForTokenClassification",
            Task::CausalLm => "ForCausalLM",
        }
    }
}

/// adapter_config.json, with the fields of peft 0.21 that LoRA needs, in its (alphabetical) order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    #[serde(default, serialize_with = "each_whole_if_possible")]
    alpha_pattern: BTreeMap<String, f64>,
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
    #[serde(serialize_with = "whole_if_possible")]
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
    rank_pattern: BTreeMap<String, u32>,
    #[serde(default)]
    revision: Option<String>,
    /// Ends of the names of the adapted layers.
    pub target_modules: Vec<String>,
    /// What the model is for.
    pub task_type: Task,
    /// Rows of the embedding table that are the adapter's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainable_token_indices: Option<Vec<i64>>,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    use_rslora: bool,
    /// All other fields of a file that is read.
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// Other fields that do not change what the adapter computes.
const HARMLESS: [&str; 8] = [
    "auto_mapping",
    "init_lora_weights",
    "megatron_core",
    "megatron_config",
    "peft_version",
    "qalora_group_size",
    "runtime_config",
    "ensure_weight_tying",
];

/// Servers expect an integer, as peft's own default is.
fn whole_if_possible<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        serializer.serialize_i64(*value as i64)
    } else {
        serializer.serialize_f64(*value)
    }
}

fn each_whole_if_possible<S: serde::Serializer>(
    values: &BTreeMap<String, f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Whole(#[serde(serialize_with = "whole_if_possible")] f64);
    serializer.collect_map(values.iter().map(|(key, &value)| (key, Whole(value))))
}

/// What peft writes for a feature that is switched off.
fn is_off(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null | serde_json::Value::Bool(false) => true,
        serde_json::Value::Array(items) => items.is_empty(),
        serde_json::Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn none() -> String {
    "none".into()
}

impl AdapterConfig {
    /// A LoRA adapter's configuration.
    pub fn lora(task_type: Task, base: &Path, lora: &Lora, exclude_modules: &[String]) -> AdapterConfig {
        let heads = HEADS
            .iter()
            .filter(|_| task_type.has_head())
            .map(|head| (*head).to_owned());
        let saved: BTreeSet<String> = lora.modules_to_save.iter().cloned().chain(heads).collect();
        let saved: Vec<String> = saved.into_iter().collect();
        AdapterConfig {
            alpha_pattern: lora.alpha_pattern.clone(),
            base_model_name_or_path: Some(base.display().to_string()),
            bias: none(),
            exclude_modules: (!exclude_modules.is_empty()).then(|| exclude_modules.to_vec()),
            fan_in_fan_out: false,
            inference_mode: true,
            layers_to_transform: None,
            lora_alpha: lora.alpha,
            lora_bias: false,
            lora_dropout: lora.dropout,
            modules_to_save: (!saved.is_empty()).then_some(saved),
            peft_type: "LORA".into(),
            r: lora.rank,
            rank_pattern: lora.rank_pattern.clone(),
            revision: None,
            target_modules: lora.target_modules.clone(),
            task_type,
            trainable_token_indices: None,
            use_dora: lora.use_dora,
            use_rslora: lora.use_rslora,
            others: Default::default(),
        }
    }

    /// The same with rows of the embedding table.
    pub fn with_token_rows(self, ids: Option<Vec<i64>>) -> AdapterConfig {
        AdapterConfig {
            trainable_token_indices: ids,
            ..self
        }
    }

    /// The method that made it.
    pub fn method(&self) -> Lora {
        Lora {
            rank: self.r,
            alpha: self.lora_alpha,
            dropout: self.lora_dropout,
            target_modules: self.target_modules.clone(),
            modules_to_save: {
                let saved = self.modules_to_save.iter().flatten();
                let own = saved.filter(|name| !self.task_type.has_head() || !HEADS.contains(&name.as_str()));
                own.cloned().collect()
            },
            use_rslora: self.use_rslora,
            use_dora: self.use_dora,
            rank_pattern: self.rank_pattern.clone(),
            alpha_pattern: self.alpha_pattern.clone(),
        }
    }

    /// What is in the file and changes the result in a way that is not implemented here.
    pub(super) fn check(&self) -> Result<(), String> {
        let refused = [
            (self.r == 0, "r must not be 0"),
            (!self.lora_alpha.is_finite(), "lora_alpha must be a number"),
            (self.bias != "none", "bias must be \"none\""),
            (self.lora_bias, "lora_bias is not supported"),
            (self.fan_in_fan_out, "fan_in_fan_out is not supported"),
            (
                self.layers_to_transform.is_some(),
                "layers_to_transform is not supported",
            ),
        ];
        if let Some((_, reason)) = refused.into_iter().find(|(refused, _)| *refused) {
            return Err(reason.into());
        }
        // "pissa" and its like change the base model's weights as well.
        let init = self.others.get("init_lora_weights");
        if init.is_some_and(|init| !init.is_boolean() && init != "gaussian") {
            return Err("init_lora_weights must be true, false or \"gaussian\"".into());
        }
        let on = |(name, value): &(&String, &serde_json::Value)| !HARMLESS.contains(&name.as_str()) && !is_off(value);
        match self.others.iter().find(on) {
            Some((name, _)) => Err(format!("{name} is not supported")),
            None => Ok(()),
        }
    }
}
