//! Reading and writing PEFT directories.

use super::{AdapterConfig, CONFIG_FILE, Dora, Keys, LoraSite, TENSORS_FILE, TokenRows, rank_and_scaling};
use crate::error::TrainerError;
use crate::job::files::{write_durable, write_json};
use crate::job::tensors::encode;
use crate::model::weights::{TensorFile, Weights};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_protocol::job::JobEnd;

/// What an adapter carries whole: rows of new tokens, and modules that were trained with all their weights.
pub type Whole<'a> = (Option<(&'a str, &'a Tensor)>, &'a [(String, Tensor)]);

/// Writes the directory. The same input gives the same bytes.
pub fn write(
    dir: &Path,
    config: &AdapterConfig,
    keys: Keys,
    sites: &[LoraSite],
    (rows, saved): Whole<'_>,
    head: Option<(&Tensor, &Tensor)>,
) -> Result<(), TrainerError> {
    let mut tensors: Vec<(String, &Tensor)> = Vec::new();
    for site in sites {
        tensors.push((keys.factor(&site.name, "A"), &site.a));
        tensors.push((keys.factor(&site.name, "B"), &site.b));
        let dora = site.dora.as_ref();
        tensors.extend(dora.map(|dora| (keys.magnitude(&site.name), &dora.magnitude)));
    }
    tensors.extend(rows.map(|(table, rows)| (keys.rows(table), rows)));
    tensors.extend(saved.iter().map(|(name, tensor)| (keys.saved(name), tensor)));
    if let Some((weight, bias)) = head.filter(|_| keys.task.has_head()) {
        tensors.extend([(keys.head("weight"), weight), (keys.head("bias"), bias)]);
    }
    write_files(dir, config, &tensors)
}

/// Writes the two files of a directory.
pub(super) fn write_files(
    dir: &Path,
    config: &impl Serialize,
    tensors: &[(String, &Tensor)],
) -> Result<(), TrainerError> {
    write_durable(&dir.join(TENSORS_FILE), &tensor_bytes(tensors)?)?;
    write_json(&dir.join(CONFIG_FILE), config)
}

/// A safetensors file of F32 tensors with the metadata that Hugging Face's readers ask for.
pub fn tensor_bytes(tensors: &[(String, &Tensor)]) -> Result<Vec<u8>, TrainerError> {
    let tensors = tensors.iter().map(|(name, tensor)| (name.clone(), *tensor));
    encode(tensors, Some(("format", "pt".to_owned())))
}

/// adapter_config.json, which must be of this type, and its path.
pub(super) fn read_config<C: DeserializeOwned>(dir: &Path, peft_type: &str) -> Result<(PathBuf, C), TrainerError> {
    let path = dir.join(CONFIG_FILE);
    let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
    let text = std::fs::read(&path).map_err(|e| bad(&e))?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|e| bad(&e))?;
    if value["peft_type"] != peft_type {
        let found = &value["peft_type"];
        return Err(bad(&format!(
            "peft_type is {found}; the job's method goes on with \"{peft_type}\": take the parent's method, or start anew from \
             the base model"
        )));
    }
    let config = serde_json::from_value(value).map_err(|e| bad(&e))?;
    Ok((path, config))
}

/// Fails where a file has other tensors than these.
pub(crate) fn check_names(weights: &Weights, expected: &BTreeSet<String>) -> Result<(), TrainerError> {
    let found = weights.names();
    let missing: Vec<_> = expected.difference(&found).cloned().collect();
    let unexpected: Vec<_> = found.difference(expected).cloned().collect();
    if missing.is_empty() && unexpected.is_empty() {
        return Ok(());
    }
    let message = format!(
        "missing tensors: [{}]; unexpected tensors: [{}]",
        list(&missing),
        list(&unexpected)
    );
    Err(TrainerError::at(JobEnd::BadModel, weights.path(), message))
}

/// Fails where the head beside the adapter is another one; `key` names its "weight" and "bias".
pub(super) fn check_head(
    weights: &Weights,
    head: Option<(&Tensor, &Tensor)>,
    key: impl Fn(&str) -> String,
) -> Result<(), TrainerError> {
    let Some((weight, bias)) = head else { return Ok(()) };
    for (part, tensor) in [("weight", weight), ("bias", bias)] {
        if !weights.tensor(&key(part), &tensor.size())?.f_equal(tensor)? {
            let message = format!("{} differs from the head that belongs to the adapter", key(part));
            return Err(TrainerError::at(JobEnd::BadModel, weights.path(), message));
        }
    }
    Ok(())
}

/// The parts of a model that a directory is for.
pub struct Parts<'a> {
    /// The layers that are adapted: names and weights.
    pub layers: &'a [(String, Tensor)],
    /// The table of embeddings: its name, and the numbers of a row.
    pub table: (&'a str, i64),
    /// Tensors of the modules that are carried whole: names and shapes.
    pub saved: &'a BTreeMap<String, Vec<i64>>,
    /// The head's weight and bias.
    pub head: Option<(&'a Tensor, &'a Tensor)>,
}

/// What a directory holds for them.
pub struct ReadParts {
    /// Low-rank updates. They require gradients.
    pub sites: Vec<LoraSite>,
    /// Rows of the table.
    pub rows: Option<TokenRows>,
    /// Tensors of modules that are carried whole, by name.
    pub saved: BTreeMap<String, Tensor>,
}

/// Reads a directory that is for exactly these parts.
pub fn read(dir: &Path, keys: Keys, parts: &Parts) -> Result<(AdapterConfig, ReadParts), TrainerError> {
    let (layers, (table, hidden), head) = (parts.layers, parts.table, parts.head);
    let (path, config) = read_config::<AdapterConfig>(dir, "LORA")?;
    let bad = |error: &dyn std::fmt::Display| TrainerError::at(JobEnd::BadModel, &path, error);
    config.check().map_err(|message| bad(&message))?;
    if config.task_type != keys.task {
        return Err(bad(&keys.wrong_task(config.task_type)));
    }

    let path = dir.join(TENSORS_FILE);
    let file = TensorFile::open(&path)?;
    let weights = file.parse()?;
    let mut expected: BTreeSet<String> = layers
        .iter()
        .flat_map(|(name, _)| ["A", "B"].map(|factor| keys.factor(name, factor)))
        .collect();
    if config.method().use_dora {
        expected.extend(layers.iter().map(|(name, _)| keys.magnitude(name)));
    }
    let head = head.filter(|_| keys.task.has_head());
    if head.is_some() {
        expected.extend([keys.head("weight"), keys.head("bias")]);
    }
    let ids = config.trainable_token_indices.clone().filter(|ids| !ids.is_empty());
    expected.extend(ids.is_some().then(|| keys.rows(table)));
    expected.extend(parts.saved.keys().map(|name| keys.saved(name)));
    check_names(&weights, &expected)?;
    check_head(&weights, head, |part| keys.head(part))?;
    let saved = parts.saved.iter().map(|(name, shape)| {
        let tensor = weights.tensor(&keys.saved(name), shape)?;
        Ok((name.clone(), tensor))
    });
    let saved = saved.collect::<Result<_, TrainerError>>()?;
    let method = config.method();
    let sites = layers.iter().map(|(name, weight)| {
        let (outputs, inputs) = weight.size2()?;
        let at = |message: String| TrainerError::at(JobEnd::BadModel, &dir.join(CONFIG_FILE), message);
        let (rank, scaling) = rank_and_scaling(&method, &keys.module(name)).map_err(at)?;
        let trained = |key: String, shape: &[i64]| -> Result<Tensor, TrainerError> {
            Ok(weights.tensor(&key, shape)?.f_set_requires_grad(true)?)
        };
        let magnitude = method.use_dora.then(|| trained(keys.magnitude(name), &[outputs]));
        Ok(LoraSite {
            name: name.clone(),
            a: trained(keys.factor(name, "A"), &[i64::from(rank), inputs])?,
            b: trained(keys.factor(name, "B"), &[outputs, i64::from(rank)])?,
            scaling,
            dora: magnitude.transpose()?.map(|magnitude| Dora {
                magnitude,
                base: weight.shallow_clone(),
            }),
            parent: None,
        })
    });
    let sites = sites.collect::<Result<Vec<_>, TrainerError>>()?;
    let rows = match ids {
        None => None,
        Some(ids) => {
            let rows = weights.tensor(&keys.rows(table), &[ids.len() as i64, hidden])?;
            Some(TokenRows { ids, rows })
        }
    };
    Ok((config, ReadParts { sites, rows, saved }))
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
