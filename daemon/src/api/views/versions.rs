//! Versions, and why they are what they are.

use super::run_view;
use crate::api::history::{self, flip_rate};
use crate::api::judgements;
use crate::api::types::*;
use crate::engine::Engine;
use crate::learn::memory::Memory;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use wengu_store::records::VersionRecord;

/// A domain's versions, newest first.
pub fn versions(engine: &Engine, domain: &str) -> Result<Vec<VersionView>> {
    let current = engine.current(domain)?.map(|c| c.version);
    let mut versions: Vec<VersionView> = engine
        .store
        .scan::<VersionRecord>(&format!("{domain}/"))?
        .into_iter()
        .map(|(_, v)| version_view(v, current.as_deref()))
        .collect();
    versions.sort_by_key(|v| std::cmp::Reverse(v.run));
    Ok(versions)
}

fn version_view(v: VersionRecord, current: Option<&str>) -> VersionView {
    VersionView {
        serving: current == Some(v.id.as_str()),
        id: v.id,
        run: v.run,
        parent: v.parent,
        decision: v.decision,
        labels: v.labels,
        accuracy: v.accuracy,
        created_ms: v.created_ms,
    }
}

/// Everything about one version; without an id, about the one in service.
pub fn explain_version(engine: &Engine, domain: &str, id: Option<&str>) -> Result<VersionExplanation> {
    let current = engine.current(domain)?.map(|c| c.version);
    let id = match (id, &current) {
        (Some(id), _) => id.to_string(),
        (None, Some(current)) => current.clone(),
        (None, None) => bail!("domain {domain} has no version in service yet"),
    };
    let version = engine.version(domain, &id)?;
    let run = engine.run(domain, version.run)?;
    let manifest = engine.manifest(&run.manifest)?;
    let dir = engine.layout.version(domain, &id);
    let (mut audit, mut flips) = (Vec::new(), Vec::new());
    let (mut scores, mut plugin_scores, mut negative_flip_rate, mut old_work) = (None, None, None, None);
    let mut recompression = None;
    if let Some(hash) = &run.verdict {
        let judgement = engine.judgement(hash)?;
        negative_flip_rate = flip_rate(&judgement);
        audit = judgement.audit;
        scores = judgement.scores;
        plugin_scores = judgement.plugin_scores;
        old_work = judgement.old_work;
        recompression = judgement.recompression;
        flips = judgements::flips(&judgement.answers);
    }
    let mut left_out: BTreeMap<String, u64> = BTreeMap::new();
    for dropped in manifest.dropped {
        *left_out.entry(dropped.reason).or_default() += 1;
    }
    Ok(VersionExplanation {
        version: version_view(version, current.as_deref()),
        run: run_view(engine, &run)?,
        path: dir.display().to_string(),
        labels: manifest.labels,
        files: manifest.files.len() as u64,
        left_out,
        memory_examples: Memory::count(&dir, engine.key())?,
        audit,
        scores,
        plugin_scores,
        learning: history::scores(engine, domain, &id)?,
        negative_flip_rate,
        old_work,
        adapter_start: manifest.learning.adapter_start,
        recompression,
        flips,
        base_sha256: manifest
            .base
            .sha256
            .get("model.safetensors")
            .or(manifest.base.sha256.get("model.safetensors.index.json"))
            .cloned()
            .unwrap_or_default(),
        seed: manifest.seed,
        plugins: plugins_now(engine, manifest.plugins),
    })
}

/// The plugins of a version (`ID VERSION SHA256`), each with what is installed now where that is something else.
fn plugins_now(engine: &Engine, plugins: Vec<String>) -> Vec<String> {
    let now = |plugin: &str| {
        let mut words = plugin.split(' ');
        let (id, sha256) = (words.next()?, words.nth(1)?);
        match engine.plugins.find(id) {
            Ok(p) if p.manifest.sha256.as_deref() == Some(sha256) => None,
            Ok(p) => Some(format!("{} is in use now", p.manifest.version)),
            Err(_) => Some("not installed any more".into()),
        }
    };
    plugins
        .into_iter()
        .map(|plugin| match now(&plugin) {
            Some(now) => format!("{plugin} ({now})"),
            None => plugin,
        })
        .collect()
}
