//! `wengu model …`.

mod info;

use super::args::{ModelAction, ModelArgs};
use super::render::Progress;
use super::{Exit, config_path};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files of a model that wengu reads or that a serving stack beside it needs.
const SUFFIXES: [&str; 5] = [".json", ".safetensors", ".txt", ".model", ".jinja"];

pub async fn model(config: Option<&Path>, args: ModelArgs, json: bool) -> Result<Exit> {
    match args.action {
        ModelAction::Add { dir } => add(&dir),
        ModelAction::Info(args) => info::info(&args, json),
        ModelAction::Pull { repo, revision, to } => {
            let name = repo.rsplit('/').next().unwrap_or(&repo).to_string();
            let beside = config_path(config)
                .ok()
                .and_then(|p| p.parent().map(Path::to_path_buf))
                .unwrap_or_default();
            pull(
                &repo,
                &revision,
                &to.unwrap_or_else(|| beside.join("models").join(name)),
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
    wengu_tokenize::Tokenizer::load(dir)?;
    let name = dir
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_else(|| "base".into());
    println!(
        "# SHA-256 of model.safetensors: {}",
        described.sha256["model.safetensors"]
    );
    println!("[models.{}]", toml::Value::from(name));
    println!(
        "path = {}",
        toml::Value::from(std::path::absolute(dir)?.display().to_string())
    );
    Ok(Exit::Success)
}

#[derive(Deserialize)]
struct RepoInfo {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Downloads into a folder beside the target and renames it into place, so that a folder that is there is whole.
async fn pull(repo: &str, revision: &str, to: &Path) -> Result<Exit> {
    if to.exists() {
        bail!("{} exists already; remove it to download the model again", to.display());
    }
    crate::tls::install();
    let endpoint = std::env::var("HF_ENDPOINT").unwrap_or_else(|_| "https://huggingface.co".into());
    let mut headers = reqwest::header::HeaderMap::new();
    if let Ok(token) = std::env::var("HF_TOKEN") {
        headers.insert(reqwest::header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    }
    let http = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(60))
        .default_headers(headers)
        .build()?;
    let url = format!("{endpoint}/api/models/{repo}/revision/{revision}");
    let info: RepoInfo = get(&http, &url)
        .await?
        .json()
        .await
        .with_context(|| format!("{url}: not a hub's answer"))?;
    let files: Vec<String> = info
        .siblings
        .into_iter()
        .map(|s| s.rfilename)
        .filter(|f| wanted(f))
        .collect();
    let building = PathBuf::from(format!("{}.partial", to.display()));
    std::fs::create_dir_all(&building)?;
    let mut progress = Progress::new(false);
    for (i, name) in files.iter().enumerate() {
        let target = building.join(name);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut response = get(&http, &format!("{endpoint}/{repo}/resolve/{}/{name}", info.sha)).await?;
        let total = response.content_length().unwrap_or(0);
        let mut file = std::fs::File::create(&target)?;
        let mut done = 0u64;
        while let Some(chunk) = response.chunk().await? {
            file.write_all(&chunk)?;
            done += chunk.len() as u64;
            progress.show(
                name,
                done >> 20,
                total >> 20,
                &format!("MiB, file {} of {}", i + 1, files.len()),
            );
        }
        file.sync_all()?;
    }
    progress.done();
    wengu_store::durable::rename_durable(&building, to)?;
    println!("{repo} at {} is in {}", info.sha, to.display());
    add(to)
}

/// Weights in one safe format, and no path that leaves the folder.
fn wanted(name: &str) -> bool {
    SUFFIXES.iter().any(|s| name.ends_with(s)) && !name.split('/').any(|part| part == "..") && !name.starts_with('/')
}

async fn get(http: &reqwest::Client, url: &str) -> Result<reqwest::Response> {
    let response = http.get(url).send().await.with_context(|| {
        format!(
            "{url} cannot be reached; set HF_ENDPOINT to a mirror, or copy the folder here and use `wengu model add`"
        )
    })?;
    Ok(response.error_for_status()?)
}
