//! Base model folders, and the programs that belong to wengu.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wengu_config::Config;
use wengu_protocol::job::{BaseModel, Device, Method, Precision};
use wengu_protocol::model_files;

/// Files of a Hugging Face folder that decide what the model computes, beside its weights.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "1_Pooling/config.json"];
/// Files of a Hugging Face folder that a tokenizer, or a conversation with the model, may be written in.
pub const TOKENIZER_FILES: [&str; 10] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "chat_template.jinja",
];
const WEIGHTS_FILE: &str = "model.safetensors";
const INDEX_FILE: &str = "model.safetensors.index.json";

/// The folder with the digests of its files, for a job.
///
/// # Errors
/// A file that is missing or cannot be read.
pub fn describe(path: &Path) -> Result<BaseModel> {
    let mut names: Vec<String> = FILES.iter().map(|name| (*name).to_owned()).collect();
    names.extend(weights(path)?);
    let mut sha256 = BTreeMap::new();
    for name in names {
        let file = path.join(&name);
        let most = match name.as_str() {
            "tokenizer.json" => model_files::TOKENIZER_BYTES_MAX,
            INDEX_FILE => model_files::INDEX_BYTES_MAX,
            _ if name.ends_with(".json") => model_files::CONFIG_BYTES_MAX,
            _ => u64::MAX,
        };
        match model_files::check_size(&file, most).and_then(|()| crate::digest::sha256_file(&file)) {
            Ok(digest) => {
                sha256.insert(name, digest);
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && name.starts_with("1_Pooling") => {}
            Err(e) => return Err(e).with_context(|| file.display().to_string()),
        }
    }
    Ok(BaseModel {
        path: path.to_path_buf(),
        sha256,
        precision: Precision::default(),
        device: Device::default(),
    })
}

/// The file with the weights, or the index of the shards and these.
///
/// # Errors
/// An index that cannot be read, or that names a file outside the folder.
pub fn weights(path: &Path) -> Result<Vec<String>> {
    let index = path.join(INDEX_FILE);
    if path.join(WEIGHTS_FILE).exists() || !index.exists() {
        return Ok(vec![WEIGHTS_FILE.to_owned()]);
    }
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let text = model_files::read(&index, model_files::INDEX_BYTES_MAX).with_context(|| index.display().to_string())?;
    let parsed: Index = serde_json::from_slice(&text).with_context(|| index.display().to_string())?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    let leads_out = |name: &&String| name.contains(['/', '\\']) || name.starts_with('.');
    if let Some(name) = names.iter().find(leads_out) {
        bail!("{}: {name:?} is no file of this folder", index.display());
    }
    names.push(INDEX_FILE.to_owned());
    names.sort();
    names.dedup();
    Ok(names)
}

/// The linear layers that are adapted where the configuration names none: queries and values, as in Hu et al. 2021.
///
/// # Errors
/// A config.json that cannot be read.
pub fn target_modules(path: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Config {
        model_type: String,
        #[serde(default)]
        q_lora_rank: Option<u32>,
    }
    let path = path.join("config.json");
    let text = model_files::read(&path, model_files::CONFIG_BYTES_MAX).with_context(|| path.display().to_string())?;
    let config: Config = serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
    let names = match config.model_type.as_str() {
        "bert" | "roberta" | "xlm-roberta" => ["query", "value"],
        // Keys and values are read from a small vector there, and queries too in the larger models.
        "deepseek_v2" | "deepseek_v3" if config.q_lora_rank.is_some() => ["q_b_proj", "kv_b_proj"],
        "deepseek_v2" | "deepseek_v3" => ["q_proj", "kv_b_proj"],
        _ => ["q_proj", "v_proj"],
    };
    Ok(names.map(String::from).into())
}

/// The configured method; the layers that it adapts are the model's own where none are named.
pub fn method(configured: &Method, model_dir: &Path) -> Result<Method> {
    let mut method = configured.clone();
    if let Method::Lora(lora) = &mut method
        && lora.target_modules.is_empty()
    {
        lora.target_modules = target_modules(model_dir)?;
    }
    Ok(method)
}

/// The trainer's program and first arguments.
///
/// # Errors
/// The configuration names none and it is not installed.
pub fn trainer(config: &Config) -> Result<Vec<String>> {
    match &config.trainer.command {
        Some(command) => Ok(command.clone()),
        None => Ok(vec![sibling("wengu-trainer")?.display().to_string()]),
    }
}

/// A program of wengu's: beside this one, or on PATH.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe().context("finding this program's own path failed")?;
    let mut places: Vec<PathBuf> = exe.parent().map(|dir| dir.join(name)).into_iter().collect();
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).map(|dir| dir.join(name)));
    }
    match places.into_iter().find(|p| p.is_file()) {
        Some(found) => Ok(found),
        None => bail!(
            "{name} is neither beside {} nor on PATH; install it there",
            exe.display()
        ),
    }
}
