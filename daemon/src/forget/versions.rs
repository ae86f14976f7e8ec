//! Versions that saw what was forgotten: out of service, then off the disk.

use super::record::{ForgetRecord, Step};
use super::scope::DomainScope;
use super::steps::{Plan, lock_all, serves};
use crate::alerts;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use wengu_alert::event::Event;
use wengu_failpoint::hit;
use wengu_store::records::{CurrentRecord, How, VersionRecord};
use wengu_store::{Batch, durable};

/// Adds to `batch` that the versions of a domain that saw it are none any more, and that `to` serves where one of them did;
/// without one nothing does.
pub(super) fn leave(engine: &Engine, mut batch: Batch, domain: &DomainScope, to: Option<&str>) -> Result<Batch> {
    let name = &domain.domain;
    if let Some(serving) = serves(engine, domain)? {
        let now = now_ms();
        batch = match to {
            None => batch.delete::<CurrentRecord>(name),
            Some(to) => {
                let record = CurrentRecord {
                    version: to.into(),
                    since_ms: now,
                    how: How::RolledBack,
                    reason: None,
                };
                let event = Event::VersionRolledBack {
                    domain: name.clone(),
                    from: serving.version.clone(),
                    to: to.into(),
                    automatic: true,
                };
                alerts::enqueue(engine, batch.put(name, &record)?, now, &event)?
            }
        };
        tracing::warn!(domain = name, from = serving.version, to, "version_left_for_forgetting");
    }
    for id in &domain.versions {
        batch = batch.delete::<VersionRecord>(&VersionRecord::key(name, id));
    }
    Ok(batch)
}

/// Takes what is left of them out of service, deletes them, and ends the forgetting.
pub(super) fn remove(engine: &Engine, mut record: ForgetRecord) -> Result<ForgetRecord> {
    let plan = Plan::load(engine, &record)?;
    let locks = lock_all(engine, &plan.domains);
    let mut batch = Batch::new("forget.versions_left").at(now_ms());
    for domain in &plan.domains {
        let reached = record.domains.iter().find(|reached| reached.domain == domain.domain);
        batch = leave(
            engine,
            batch,
            domain,
            reached.and_then(|reached| reached.tip.as_deref()),
        )?;
    }
    if !batch.is_empty() {
        engine.store.commit(batch)?;
        hit("forget.versions_left");
    }
    drop(locks);
    sweep(engine, &plan.domains)?;
    hit("forget.versions_removed");
    for domain in &plan.domains {
        crate::rollback::align_files(engine, &domain.domain)?;
    }
    record.plan = None;
    record.step = Step::Done;
    record.done_ms = Some(now_ms());
    let batch = Batch::new("forget.done").at(now_ms());
    engine.store.commit(batch.put(&record.id, &record)?)?;
    hit("forget.done");
    engine.outbox_wake.notify_one();
    engine.schedule_wake.notify_one();
    tracing::info!(forget = record.id, "forget_done");
    Ok(record)
}

/// Deletes directories of versions that have no record: those that were left, and what an interrupted adoption has built.
/// Nothing is being adopted meanwhile, since the runner calls this.
pub(super) fn sweep(engine: &Engine, domains: &[DomainScope]) -> Result<()> {
    for domain in domains {
        let name = &domain.domain;
        engine.publish_current(name)?;
        let folder = engine.layout.versions(name);
        if !folder.exists() {
            continue;
        }
        let known = engine.store.scan::<VersionRecord>(&format!("{name}/"))?;
        let known: BTreeSet<String> = known.into_iter().map(|(_, version)| version.id).collect();
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let is_known = entry.file_name().to_str().is_some_and(|id| known.contains(id));
            if entry.file_type()?.is_dir() && !is_known {
                let path = entry.path();
                std::fs::remove_dir_all(&path).with_context(|| path.display().to_string())?;
            }
        }
        durable::fsync_dir(&folder)?;
    }
    Ok(())
}
