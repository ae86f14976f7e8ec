//! Which files of a model are needed.

use crate::model::TOKENIZER_FILES;
use anyhow::{Context, Result};
use std::path::Path;

/// Files beside the weights and the tokenizer's that wengu reads or that a serving stack beside it needs.
const BESIDE: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "chat_template.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
];
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Those of the names that are needed, small ones first: weights in one safe format, whole or in shards.
pub fn needed(names: &[String]) -> Vec<String> {
    let whole = names.iter().any(|name| name == WEIGHTS);
    let is_shard = |name: &str| name.starts_with("model-") && name.ends_with(".safetensors") && !name.contains('/');
    let is_weight = |name: &str| {
        if whole {
            name == WEIGHTS
        } else {
            name == INDEX || is_shard(name)
        }
    };
    let is_beside = |name: &&String| BESIDE.contains(&name.as_str()) || TOKENIZER_FILES.contains(&name.as_str());
    let beside = names.iter().filter(is_beside);
    let mut weights: Vec<String> = names.iter().filter(|name| is_weight(name)).cloned().collect();
    weights.sort_by_key(|name| (name != INDEX, name.clone()));
    beside.cloned().chain(weights).collect()
}

/// The names of a folder's files, and of those of its folders.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        match entry.path().is_dir() {
            true => names.extend(
                self::names(&entry.path())?
                    .into_iter()
                    .map(|inner| format!("{name}/{inner}")),
            ),
            false => names.push(name),
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Vec<String> {
        needed(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn weights_come_once_and_in_one_format() {
        let all = [
            "README.md",
            "config.json",
            "pytorch_model.bin",
            "model.safetensors",
            "onnx/model.onnx",
            "../tokenizer.json",
        ];
        assert_eq!(of(&all), ["config.json", "model.safetensors"]);
        let shards = [
            "model-00002-of-00002.safetensors",
            "model-00001-of-00002.safetensors",
            INDEX,
            "consolidated.safetensors",
        ];
        assert_eq!(of(&shards), [INDEX, shards[1], shards[0]]);
        assert_eq!(
            of(&[shards[0], INDEX, WEIGHTS, "1_Pooling/config.json"]),
            ["1_Pooling/config.json", WEIGHTS]
        );
    }
}
