//! Going back: re-pointing what serves, with the memory and the Fisher of the version that comes back.

use crate::alerts;
use crate::api::types::RollbackAnswer;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::files::change_states;
use crate::learn::adopt::verify_version;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use wengu_alert::event::Event;
use wengu_store::Batch;
use wengu_store::records::{CurrentRecord, FileState, How, RunState};

/// Rolls a domain back to `to`, or to the parent of the version in service. The files that only the versions left
/// behind had learned are set aside, so that the next update does not bring the same trouble back.
pub fn rollback(engine: &Engine, domain: &str, to: Option<&str>) -> Result<RollbackAnswer> {
    let Some(current) = engine.current(domain)? else {
        bail!("domain {domain} has no version in service; nothing to roll back");
    };
    let serving = engine.version(domain, &current.version)?;
    let target = match (to, &serving.parent) {
        (Some(to), _) => to.to_string(),
        (None, Some(parent)) => parent.clone(),
        (None, None) => bail!("version {} has no parent; name a version with --to", serving.id),
    };
    if target == serving.id {
        bail!("version {target} is in service already");
    }
    if engine
        .runs(domain)?
        .iter()
        .any(|r| matches!(r.state, RunState::Planned | RunState::Settling))
    {
        bail!("an update of domain {domain} is under way; wait for its verdict (`wengu status`) and try again");
    }
    let version = engine.version(domain, &target)?;
    if !version.promoted {
        bail!(
            "version {target} was never promoted (gate: {}); only promoted versions can serve",
            version.decision
        );
    }
    verify_version(&engine.layout.version(domain, &target))
        .with_context(|| format!("version {target} does not verify and was not put in service"))?;
    let _lock = engine.lock(domain);
    if engine
        .runs(domain)?
        .iter()
        .any(|r| matches!(r.state, RunState::Planned | RunState::Settling))
    {
        bail!("an update of domain {domain} has just started; wait for its verdict (`wengu status`) and try again");
    }
    let now = now_ms();
    let record = CurrentRecord {
        version: target.clone(),
        since_ms: now,
        how: How::RolledBack,
    };
    let batch = Batch::new("version.rolled_back").at(now).put(domain, &record)?;
    let event = Event::VersionRolledBack {
        domain: domain.into(),
        from: serving.id.clone(),
        to: target.clone(),
        automatic: false,
    };
    let batch = alerts::enqueue(engine, batch, now, &event)?;
    engine.store.commit(batch)?;
    engine.publish_current(domain)?;
    drop(_lock);
    let held_back_files = align_files(engine, domain)?;
    engine.outbox_wake.notify_one();
    tracing::info!(domain, from = serving.id, to = target, "version_rolled_back");
    Ok(RollbackAnswer {
        domain: domain.into(),
        from: serving.id,
        to: target,
        held_back_files,
    })
}

/// Brings the records of learned files in line with the lineage of the version in service: what only abandoned versions
/// had learned is held back, and what the lineage has learned is learned. Repeated at every start, so that a rollback
/// that was interrupted is completed. Returns the number of files held back.
pub fn align_files(engine: &Engine, domain: &str) -> Result<u64> {
    let Some(current) = engine.current(domain)? else {
        return Ok(0);
    };
    let lineage = lineage_versions(engine, domain, &current.version)?;
    let abandoned = change_states(engine, domain, "files.held_back", |file| match &file.state {
        FileState::Learned {
            examples,
            counts,
            version,
        } if !lineage.contains_key(&version_run(version)) => Some(FileState::HeldBack {
            examples: *examples,
            counts: *counts,
            run: version_run(version),
        }),
        _ => None,
    })?;
    // Going forward again to a version that had been left.
    change_states(engine, domain, "files.learned_again", |file| match file.state {
        FileState::HeldBack { examples, counts, run } => lineage.get(&run).map(|version| FileState::Learned {
            examples,
            counts,
            version: version.clone(),
        }),
        _ => None,
    })?;
    Ok(abandoned)
}

/// Puts files that were held back into the pool again: a person says that they are right. Returns how many.
pub fn release(engine: &Engine, domain: &str, run: Option<u64>) -> Result<u64> {
    let released = change_states(engine, domain, "files.released", |file| match file.state {
        FileState::HeldBack {
            examples,
            counts,
            run: of,
        } if run.is_none_or(|run| run == of) => Some(FileState::Pooled {
            examples,
            counts,
            tried_in_run: None,
        }),
        _ => None,
    })?;
    engine.schedule_wake.notify_one();
    Ok(released)
}

/// Run to version id, from the first version to `id`.
fn lineage_versions(engine: &Engine, domain: &str, id: &str) -> Result<BTreeMap<u64, String>> {
    let mut versions = BTreeMap::new();
    let mut next = Some(id.to_string());
    while let Some(id) = next {
        let version = engine.version(domain, &id)?;
        versions.insert(version.run, id);
        next = version.parent;
    }
    Ok(versions)
}

/// The run that a version id begins with.
fn version_run(id: &str) -> u64 {
    id.split('-').next().and_then(|run| run.parse().ok()).unwrap_or(0)
}
