//! A version as others take it: a model folder of its own, or the adapter alone. What is written lies under another
//! name beside its own until it is whole and durable.

use crate::layout::Layout;
use crate::learn::adopt::{Lineage, copy_all, sync_all, verify_version};
use crate::learn::manifest::Manifest;
use crate::model::TOKENIZER_FILES;
use crate::sealing;
use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wengu_config::Config;
use wengu_protocol::job::{self, BaseModel, Device, Parent};
use wengu_protocol::merge::{MERGE_SCHEMA, Merge, Merged, Precision};
use wengu_store::{Objects, durable};

/// What a model writes with; no merging changes it.
const GENERATION: &str = "generation_config.json";
/// What the trainer is told, while it works.
const SPEC: &str = "merge.json";

/// What was written.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// The domain.
    pub domain: String,
    /// The version.
    pub version: String,
    /// The folder.
    pub path: PathBuf,
    /// The class of transformers that loads it; None: it is an adapter.
    pub class: Option<String>,
    /// Where the head lies and why, if it is not in the model.
    pub head: Option<String>,
}

/// A version that was found, with its digests checked.
struct Version {
    dir: PathBuf,
    lineage: Lineage,
}

/// Writes the version (None: the one in service) as a model folder without an adapter.
///
/// # Errors
/// A version that is not there or damaged, a trainer that fails, a folder that exists or cannot be written.
pub fn merged(
    config: &Config,
    domain: &str,
    id: Option<&str>,
    out: &Path,
    precision: Option<Precision>,
) -> Result<Exported> {
    let version = find(config, domain, id)?;
    let store = Layout::new(&config.state_dir).store();
    let bytes = Objects::read(&store, sealing::key(config)?, &version.lineage.manifest)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).context("the version's manifest")?;
    if let Some(reason) = manifest.method.why_not_merged() {
        bail!("version {}: {reason} (--adapter)", version.lineage.id);
    }
    let told = into_place(out, |building| {
        let merged = start_trainer(config, &spec(&version, &manifest, building, precision)?, building)?;
        for name in TOKENIZER_FILES.into_iter().chain([GENERATION]) {
            let from = manifest.base.path.join(name);
            if from.exists() {
                copy_all(&from, &building.join(name))?;
            }
        }
        overlay_tokenizer(&version, building)?;
        Ok(merged)
    })?;
    let head = told.head_apart.map(|why| {
        format!(
            "the head is apart, in head/: {why}. Pool as 1_Pooling/config.json says; logits are pooled · weight' + bias"
        )
    });
    Ok(Exported {
        domain: domain.to_owned(),
        version: version.lineage.id,
        path: out.to_path_buf(),
        class: Some(told.class),
        head,
    })
}

/// Copies the version's adapter, with its tokenizer where terms have tokens of their own.
///
/// # Errors
/// As [`merged`]; and a version that has no adapter.
pub fn adapter(config: &Config, domain: &str, id: Option<&str>, out: &Path) -> Result<Exported> {
    let version = find(config, domain, id)?;
    let from = version.dir.join("adapter");
    ensure!(
        from.is_dir(),
        "version {} trained a head only and has no adapter; export it with --merged",
        version.lineage.id
    );
    into_place(out, |building| {
        copy_all(&from, building)?;
        overlay_tokenizer(&version, building)
    })?;
    let head = version.dir.join("head");
    let head = head
        .exists()
        .then(|| format!("the head is apart, in {}", head.display()));
    Ok(Exported {
        domain: domain.to_owned(),
        version: version.lineage.id,
        path: out.to_path_buf(),
        class: None,
        head,
    })
}

fn find(config: &Config, domain: &str, id: Option<&str>) -> Result<Version> {
    let layout = Layout::new(&config.state_dir);
    ensure!(
        config.domains.contains_key(domain),
        "there is no domain {domain}; the configuration has {}",
        config.domains.keys().cloned().collect::<Vec<_>>().join(", ")
    );
    let id = match id {
        Some(id) => id.to_owned(),
        None => {
            let current = std::fs::read_link(layout.current(domain));
            let current =
                current.with_context(|| format!("no version of {domain} is in service; name one with --version"))?;
            current.to_string_lossy().into_owned()
        }
    };
    let dir = layout.version(domain, &id);
    if id.contains('/') || id.starts_with('.') || !dir.is_dir() {
        bail!("domain {domain} has no version {id}; `wengu versions {domain}` lists them");
    }
    let lineage = verify_version(&dir, sealing::key(config)?.as_deref())?;
    Ok(Version { dir, lineage })
}

fn spec(version: &Version, manifest: &Manifest, out: &Path, precision: Option<Precision>) -> Result<Merge> {
    let term_tokens = match manifest.terms.is_empty() {
        true => Vec::new(),
        false => wengu_tokenize::Tokenizer::load(&manifest.base.path)?.append_terms(&manifest.terms)?,
    };
    let part = |name: &str| Some(version.dir.join(name)).filter(|path| path.is_dir());
    Ok(Merge {
        schema: MERGE_SCHEMA,
        task: manifest.task,
        // Whatever it was trained in: a sum is rounded once, when it is written.
        base: BaseModel {
            precision: job::Precision::Fp32,
            device: Device::Cpu,
            ..manifest.base.clone()
        },
        version: Parent {
            adapter: part("adapter"),
            head: part("head"),
            labels: version.lineage.labels.clone(),
            fisher: None,
            statistics: None,
            term_tokens: term_tokens.len() as u32,
        },
        method: manifest.method.clone(),
        term_tokens,
        precision,
        out: out.to_path_buf(),
    })
}

fn start_trainer(config: &Config, spec: &Merge, building: &Path) -> Result<Merged> {
    let path = building.join(SPEC);
    std::fs::write(&path, serde_json::to_vec_pretty(spec)?).with_context(|| path.display().to_string())?;
    let command = crate::model::trainer(config)?;
    let (program, arguments) = command.split_first().context("[trainer] command is empty")?;
    let output = Command::new(program)
        .args(arguments)
        .arg("merge")
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} cannot be started; see [trainer] command in the configuration"))?;
    std::fs::remove_file(&path)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("the trainer could not merge ({}): {}", output.status, said.trim());
    }
    let merged: Merged = serde_json::from_slice(&output.stdout).context("what the trainer answered")?;
    ensure!(
        merged.schema == MERGE_SCHEMA,
        "the trainer answers in schema {}, not {MERGE_SCHEMA}; install wengu and wengu-trainer of one version",
        merged.schema
    );
    Ok(merged)
}

/// The tokenizer with the terms takes the place of the base model's.
fn overlay_tokenizer(version: &Version, building: &Path) -> Result<()> {
    let own = version.dir.join("tokenizer");
    if own.is_dir() {
        copy_all(&own, building)?;
    }
    Ok(())
}

/// Has `build` fill a folder beside `out`, syncs it and gives it its name. What a failure leaves is removed at once, what a
/// kill leaves at the next export to this name.
fn into_place<T>(out: &Path, build: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let out = std::path::absolute(out)?;
    let (Some(parent), Some(name)) = (out.parent(), out.file_name()) else {
        bail!("{} is no name for a new folder", out.display());
    };
    if out.symlink_metadata().is_ok() {
        bail!(
            "{} exists already; name a new folder, or remove it first",
            out.display()
        );
    }
    let building = parent.join(format!(".{}.partial", name.to_string_lossy()));
    let cannot = || format!("{} cannot be written", building.display());
    if building.exists() {
        std::fs::remove_dir_all(&building).with_context(cannot)?;
    }
    std::fs::create_dir_all(&building).with_context(cannot)?;
    let built = build(&building).and_then(|built| {
        sync_all(&building)?;
        let renamed = renameat2(AT_FDCWD, &building, AT_FDCWD, &out, RenameFlags::RENAME_NOREPLACE);
        renamed.with_context(|| format!("giving {} its name", out.display()))?;
        durable::fsync_dir(parent)?;
        Ok(built)
    });
    if built.is_err() {
        // The first error is the one that tells.
        let _ = std::fs::remove_dir_all(&building);
    }
    built
}

#[cfg(test)]
mod tests;
