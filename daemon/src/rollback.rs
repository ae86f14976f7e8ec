//! Going back: re-pointing what serves, with the memory and the Fisher of the version that comes back.

use crate::alerts;
use crate::aligned;
use crate::api::types::RollbackAnswer;
use crate::clock::now_ms;
use crate::drift::{DriftRecord, run_of};
use crate::engine::Engine;
use crate::files::change_states;
use anyhow::{Context, Result, bail};
use std::cell::Cell;
use std::collections::BTreeMap;
use wengu_alert::event::Event;
use wengu_decide::drift::Live;
use wengu_decide::gate::Verdict;
use wengu_failpoint::hit;
use wengu_store::Batch;
use wengu_store::records::{CurrentRecord, FileState, How, RunRecord, RunState, VersionRecord};

/// Rolls a domain back to `to`, or to the parent of the version in service. The files that only the versions left
/// behind had learned are set aside, so that the next update does not bring the same trouble back.
pub fn rollback(engine: &Engine, domain: &str, to: Option<&str>, automatic: bool) -> Result<RollbackAnswer> {
    let serving = serving(engine, domain)?;
    let target = match (to, &serving.parent) {
        (Some(to), _) => to.to_string(),
        (None, Some(parent)) => parent.clone(),
        (None, None) => bail!("version {} has no parent; name a version with --to", serving.id),
    };
    let version = engine.version(domain, &target)?;
    if !version.promoted {
        bail!(
            "version {target} was never promoted (gate: {}); only promoted versions can serve. `wengu promote {domain} {target} \
             --force --reason TEXT` puts it in service against the gate",
            version.decision
        );
    }
    let event = Event::VersionRolledBack {
        domain: domain.into(),
        from: serving.id.clone(),
        to: target,
        automatic,
    };
    serve(engine, serving, version, How::RolledBack, None, &event)
}

/// Puts a version in service against the gate. The reason is in the audit log, and `wengu status` shows it until the next version is
/// promoted by the gate.
pub fn force(engine: &Engine, domain: &str, id: &str, reason: &str) -> Result<RollbackAnswer> {
    if reason.trim().is_empty() {
        bail!("a reason must be given: it goes into the audit log");
    }
    let version = engine.version(domain, id)?;
    let Some(current) = engine.current(domain)? else {
        bail!("domain {domain} has no version in service yet; a first version is the gate's to promote");
    };
    let event = Event::VersionPromoted {
        domain: domain.into(),
        version: id.into(),
        previous: Some(current.version),
        run: version.run.to_string(),
        scores: alerts::scores(&judged(engine, domain, version.run)?.earlier, true),
    };
    let serving = serving(engine, domain)?;
    serve(
        engine,
        serving,
        version,
        How::Forced,
        Some(reason.trim().to_owned()),
        &event,
    )
}

fn judged(engine: &Engine, domain: &str, run: u64) -> Result<Verdict> {
    let run = engine.run(domain, run)?;
    let verdict = run.verdict.context("the version was never judged")?;
    Ok(engine.judgement(&verdict)?.verdict)
}

fn serving(engine: &Engine, domain: &str) -> Result<VersionRecord> {
    let Some(current) = engine.current(domain)? else {
        bail!("domain {domain} has no version in service; nothing to roll back");
    };
    engine.version(domain, &current.version)
}

/// Re-points what serves, in one transaction with what is told of it.
fn serve(
    engine: &Engine,
    serving: VersionRecord,
    mut version: VersionRecord,
    how: How,
    reason: Option<String>,
    event: &Event,
) -> Result<RollbackAnswer> {
    let (domain, target) = (version.domain.clone(), version.id.clone());
    if target == serving.id {
        bail!("version {target} is in service already");
    }
    let under_way = || -> Result<bool> {
        let runs = engine.runs(&domain)?;
        Ok(runs
            .iter()
            .any(|r| matches!(r.state, RunState::Planned | RunState::Settling)))
    };
    if under_way()? {
        bail!("an update of domain {domain} is under way; wait for its verdict (`wengu status`) and try again");
    }
    crate::forget::require_free(engine, &domain)?;
    crate::intact::check(engine, &domain, &target)
        .with_context(|| format!("version {target} does not verify and was not put in service"))?;
    hit("rollback.verified");
    let lock = engine.lock(&domain);
    // It took a while: what was asked to be forgotten meanwhile may have the version.
    crate::forget::require_free(engine, &domain)?;
    if under_way()?
        || engine
            .current(&domain)?
            .is_none_or(|current| current.version != serving.id)
    {
        bail!("an update of domain {domain} has just started; wait for its verdict (`wengu status`) and try again");
    }
    let now = now_ms();
    version.promoted = true;
    let record = CurrentRecord {
        version: target.clone(),
        since_ms: now,
        how,
        reason,
    };
    let mut batch = Batch::new(match how {
        How::Forced => "version.forced",
        How::Promoted | How::RolledBack => "version.rolled_back",
    })
    .at(now)
    .put(&domain, &record)?
    .put(&VersionRecord::key(&domain, &target), &version)?;
    if let Some(mut watch) = engine.store.get::<DriftRecord>(&domain)? {
        // What was seen of the version that leaves says nothing of the one that comes.
        watch.roll_back = false;
        watch.live = Live::default();
        batch = batch.put(&domain, &watch)?;
    }
    let batch = alerts::enqueue(engine, batch, now, event)?;
    engine.store.commit(batch)?;
    let mut following = Following {
        engine,
        domain: domain.clone(),
        is_done: false,
    };
    hit("rollback.recorded");
    let linked = engine.publish_current(&domain);
    hit("rollback.linked");
    drop(lock);
    let held_back_files = linked.and_then(|()| align_files(engine, &domain)).with_context(|| {
        format!("version {target} is in service; its link and the files' states follow as soon as they can")
    })?;
    following.is_done = true;
    hit("rollback.aligned");
    engine.outbox_wake.notify_one();
    tracing::info!(domain, from = serving.id, to = target, ?how, "version_put_in_service");
    Ok(RollbackAnswer {
        domain,
        from: serving.id,
        to: target,
        held_back_files,
    })
}

/// What follows a version that was put in service. Unless it gets done, by an error or a panic, the scheduler does it.
struct Following<'a> {
    engine: &'a Engine,
    domain: String,
    is_done: bool,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            self.engine.live().unfollowed.insert(std::mem::take(&mut self.domain));
            self.engine.schedule_wake.notify_one();
        }
    }
}

/// Finishes what a version that was put in service is followed by, where a full disk or another failure was in the way.
pub fn follow(engine: &Engine, domain: &str) -> Result<()> {
    if !engine.live().unfollowed.contains(domain) {
        return Ok(());
    }
    {
        let _lock = engine.lock(domain);
        engine.publish_current(domain)?;
    }
    let held_back_files = align_files(engine, domain)?;
    engine.live().unfollowed.remove(domain);
    tracing::info!(domain, held_back_files, "version_followed");
    Ok(())
}

/// Puts the anchor back in service where a run found that it is better, and the configuration asks for it.
pub fn roll_back_if_due(engine: &Engine, domain: &str) -> Result<()> {
    let Some(watch) = engine.store.get::<DriftRecord>(domain)?.filter(|watch| watch.roll_back) else {
        return Ok(());
    };
    let runs = engine.runs(domain)?;
    if runs.iter().any(RunRecord::is_open) || crate::forget::holds(engine, domain)? {
        return Ok(());
    }
    rollback(engine, domain, Some(&watch.anchor), true).map(|_| ())
}

/// Brings the records of learned files in line with the lineage of the version in service: what only abandoned versions
/// had learned is held back, and what the lineage has learned is learned. Repeated at every start, so that a rollback
/// that was interrupted is completed; where it was not, a mark says so, and no file is looked at. Returns the number of
/// files held back.
pub fn align_files(engine: &Engine, domain: &str) -> Result<u64> {
    let Some(current) = engine.current(domain)? else {
        return Ok(0);
    };
    if aligned::agree(engine, domain, &current)? {
        return Ok(0);
    }
    let lineage = lineage_versions(engine, domain, &current.version)?;
    let come_back = Cell::new(false);
    let abandoned = change_states(engine, domain, "files.held_back", |file| match &file.state {
        FileState::Learned {
            examples,
            counts,
            version,
        } if !lineage.contains_key(&run_of(version)) => Some(FileState::HeldBack {
            examples: *examples,
            counts: *counts,
            run: run_of(version),
        }),
        FileState::HeldBack { run, .. } if lineage.contains_key(run) => {
            come_back.set(true);
            None
        }
        _ => None,
    })?;
    // Going forward again to a version that had been left.
    if come_back.get() {
        change_states(engine, domain, "files.learned_again", |file| match file.state {
            FileState::HeldBack { examples, counts, run } => lineage.get(&run).map(|version| FileState::Learned {
                examples,
                counts,
                version: version.clone(),
            }),
            _ => None,
        })?;
    }
    // Another version may serve by now: the mark is then one of nothing.
    let batch = aligned::mark(Batch::new("files.aligned").at(now_ms()), domain, &current)?;
    engine.store.commit(batch)?;
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
