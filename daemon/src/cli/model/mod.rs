//! `wengu model …`.

mod info;

use super::args::{ModelAction, ModelArgs};
use super::render::Progress;
use super::{At, Exit};
use crate::headers;
use crate::hub::Hub;
use anyhow::{Context, Result};
use std::path::Path;

pub async fn model(at: At<'_>, args: ModelArgs, json: bool) -> Result<Exit> {
    match args.action {
        ModelAction::Add { dir } => add(&dir),
        ModelAction::Info(args) => info::info(&args, json),
        ModelAction::Pull { repo, revision, to } => {
            let name = repo.rsplit('/').next().unwrap_or(&repo).to_string();
            let beside = at
                .config_path()
                .ok()
                .and_then(|p| p.parent().map(Path::to_path_buf))
                .unwrap_or_default();
            pull(
                &repo,
                &revision,
                &to.unwrap_or_else(|| beside.join("models").join(name)),
                json,
            )
            .await
        }
    }
}

fn add(dir: &Path) -> Result<Exit> {
    let described = crate::model::describe(dir).with_context(|| {
        format!(
            "{} is not a model folder: it needs config.json, model.safetensors, tokenizer.json",
            dir.display()
        )
    })?;
    headers::describe(dir)?;
    headers::tensors(dir)?;
    wengu_tokenize::Tokenizer::load(dir)?;
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_else(|| "base".into());
    for (file, digest) in described
        .sha256
        .iter()
        .filter(|(file, _)| file.ends_with(".safetensors"))
    {
        println!("# SHA-256 of {file}: {digest}");
    }
    println!("[models.{}]", toml::Value::from(name));
    println!(
        "path = {}",
        toml::Value::from(std::path::absolute(dir)?.display().to_string())
    );
    Ok(Exit::Success)
}

async fn pull(repo: &str, revision: &str, to: &Path, json: bool) -> Result<Exit> {
    let hub = Hub::from_env()?;
    let mut progress = Progress::new(json);
    let mut watch = |name: &str, (file, files): (usize, usize), done: u64, total: u64| {
        progress.show(name, done >> 20, total >> 20, &format!("MiB, file {file} of {files}"));
    };
    let pulled = hub.pull(repo, revision, to, &mut watch).await;
    progress.done();
    let source = pulled?;
    if json {
        println!(
            "{}",
            serde_json::json!({"repo": source.repo, "commit": source.commit, "path": to})
        );
        return Ok(Exit::Success);
    }
    println!("{} at {} is in {}", source.repo, source.commit, to.display());
    add(to)
}
