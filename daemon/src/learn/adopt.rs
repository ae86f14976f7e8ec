//! From a finished job to an immutable version directory: all that the next update needs, and all that explains this one.

use super::manifest::Manifest;
use super::memory::{Memory, read_rows};
use super::outcome::Judgement;
use super::prepare::{Prepared, candidates};
use crate::sealing::{self, EVALUATION};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use wengu_failpoint::hit;
use wengu_protocol::job::{JobResult, layout};
use wengu_seal::Key;
use wengu_store::{Hash, Store, durable};

/// Version of [`Lineage`].
pub const LINEAGE_SCHEMA: u32 = 1;

/// `lineage.json`: where a version comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// [`LINEAGE_SCHEMA`].
    pub schema: u32,
    /// The version's id.
    pub id: String,
    /// The domain.
    pub domain: String,
    /// The run that made it.
    pub run: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The run's manifest, in the object store: data, base model, seed, hyper-parameters, plugins, code version.
    pub manifest: Hash,
    /// Labels, in the order of the head's rows.
    pub labels: Vec<String>,
    /// Of labels that each apply or do not: the probability from which one does. None: another task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// SHA-256 of every file of the directory except this one; of a sealed one, of what was sealed.
    pub files: BTreeMap<String, String>,
}

/// The id of a version: its run and a digest of what it continues and what came out. PEFT's adapter_config.json, which
/// names the base model's path, takes no part, so that the same data in another folder gives the same id.
pub fn version_id(manifest: &Manifest, result: &JobResult) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(manifest.parent.as_deref().unwrap_or("").as_bytes());
    for (name, digest) in result
        .outputs
        .iter()
        .filter(|(name, _)| !name.ends_with("adapter_config.json"))
    {
        hasher.update(name.as_bytes());
        hasher.update(digest.as_bytes());
    }
    format!("{:04}-{}", manifest.run, &hasher.finalize().to_hex()[..12])
}

/// What an adoption needs.
pub struct Adoption<'a> {
    /// The store.
    pub store: &'a Store,
    /// The run.
    pub prepared: &'a Prepared<'a>,
    /// Hash of its manifest.
    pub manifest_hash: Hash,
    /// Its finished job directory.
    pub job_dir: &'a Path,
    /// What the trainer reported.
    pub result: &'a JobResult,
    /// The verdict.
    pub judgement: &'a Judgement,
    /// `versions/DOMAIN`.
    pub versions_dir: &'a Path,
}

/// Builds the version directory beside its place and renames it into place. A directory that is already there was
/// adopted before a crash and is left alone. Returns the id.
pub fn adopt(a: &Adoption) -> Result<String> {
    let manifest: &Manifest = a.prepared.manifest;
    let id = version_id(manifest, a.result);
    let target = a.versions_dir.join(&id);
    if target.join("lineage.json").exists() {
        return Ok(id);
    }
    std::fs::create_dir_all(a.versions_dir).with_context(|| a.versions_dir.display().to_string())?;
    let building = a.versions_dir.join(format!(".building-{id}"));
    if building.exists() {
        std::fs::remove_dir_all(&building)?;
    }
    std::fs::create_dir(&building)?;
    hit("adopt.begun");
    for name in [layout::ADAPTER, layout::HEAD, layout::FISHER, layout::STATISTICS] {
        let from = a.job_dir.join(name);
        if from.exists() {
            let to = building.join(name.strip_prefix("out/").unwrap_or(name));
            copy_all(&from, &to)?;
        }
    }
    hit("adopt.copied");
    if !manifest.terms.is_empty() {
        super::terms::save_tokenizer(&manifest.base.path, &manifest.terms, &building.join("tokenizer"))?;
    }
    let key = a.store.objects().key().map(AsRef::as_ref);
    remember(a)?.save(&building, key)?;
    hit("adopt.remembered");
    sealing::write(&building, EVALUATION, key, &serde_json::to_vec_pretty(a.judgement)?)?;
    let mut files = BTreeMap::new();
    digest_all(&building, &building, key, &mut files)?;
    let lineage = Lineage {
        schema: LINEAGE_SCHEMA,
        id: id.clone(),
        domain: manifest.domain.clone(),
        run: manifest.run,
        parent: manifest.parent.clone(),
        manifest: a.manifest_hash,
        labels: manifest.labels.clone(),
        threshold: manifest.threshold,
        files,
    };
    std::fs::write(building.join("lineage.json"), serde_json::to_vec_pretty(&lineage)?)?;
    sync_all(&building)?;
    hit("adopt.before_rename");
    durable::rename_durable(&building, &target)?;
    hit("adopt.renamed");
    Ok(id)
}

/// The memory that the version carries, with its logits where they are kept.
fn remember(a: &Adoption) -> Result<Memory> {
    let manifest = a.prepared.manifest;
    let (logits, labels) = if manifest.keeps_logits() {
        let (logits, _, labels) = read_rows(&a.job_dir.join(layout::CANDIDATES), "logits")?;
        (logits, labels)
    } else {
        (Vec::new(), 0)
    };
    let candidates = candidates(a.store, a.prepared)?;
    let (bytes, seed) = (manifest.memory_bytes, manifest.memory_seed);
    Memory::choose(manifest.task, candidates, &logits, labels, bytes, seed)
}

/// Reads a version's lineage and checks every file of the directory against it.
pub fn verify_version(dir: &Path, key: Option<&Key>) -> Result<Lineage> {
    let path = dir.join("lineage.json");
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let lineage: Lineage = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
    ensure!(
        lineage.schema == LINEAGE_SCHEMA,
        "{}: schema {} is not known",
        path.display(),
        lineage.schema
    );
    for (name, expected) in &lineage.files {
        let found = sealing::sha256(dir, name, key)?;
        ensure!(
            &found == expected,
            "{}: SHA-256 is {found}, expected {expected}",
            dir.join(name).display()
        );
    }
    Ok(lineage)
}

/// Copies a file, or a folder with all that is in it.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from)? {
            let entry = entry?;
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else {
        std::fs::copy(from, to).with_context(|| from.display().to_string())?;
    }
    Ok(())
}

fn digest_all(root: &Path, dir: &Path, key: Option<&Key>, files: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            digest_all(root, &path, key, files)?;
        } else {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            let digest = sealing::sha256(root, &name, key)?;
            files.insert(name, digest);
        }
    }
    Ok(())
}

/// Makes a folder durable with all that is in it.
pub fn sync_all(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    durable::fsync_dir(dir)?;
    Ok(())
}
