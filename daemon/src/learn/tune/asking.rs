//! Somebody asks for a fitting, or takes one back.

use super::plan::Plan;
use super::record::{TuningRecord, TuningState};
use super::steps::{begin, clear};
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::forget;
use anyhow::{Context, Result};
use wengu_config::Domain;
use wengu_failpoint::hit;
use wengu_store::Batch;

/// Has the runner begin a fitting; one that is under way is joined. Gives the plan of one that is only rehearsed.
///
/// # Errors
/// See [`Plan::make`].
pub fn ask(
    engine: &Engine,
    domain: &Domain,
    trials: u32,
    seed: u64,
    max_minutes: Option<u32>,
    dry_run: bool,
) -> Result<Option<Plan>> {
    let name = &domain.name;
    forget::require_free(engine, name)?;
    let _lock = engine.lock(name);
    let before = engine.store.get::<TuningRecord>(name)?;
    if before
        .as_ref()
        .is_some_and(|record| record.state == TuningState::Running)
    {
        return Ok(None);
    }
    let plan = Plan::make(engine, domain, trials, seed)?;
    if dry_run {
        return Ok(Some(plan));
    }
    let asked_ms = now_ms();
    sweep(engine, name)?;
    begin(&engine.layout.tuning(name, asked_ms), &plan)?;
    hit("tune.begun");
    let record = TuningRecord {
        state: TuningState::Running,
        trials,
        seed,
        max_minutes,
        asked_ms,
        ended_ms: None,
        report: None,
        in_use: before.and_then(|record| record.in_use),
    };
    engine
        .store
        .commit(Batch::new("tune.asked").at(record.asked_ms).put(name, &record)?)?;
    hit("tune.asked");
    engine.wake_runner();
    Ok(None)
}

/// Back to the defaults. A fitting that is under way ends with the training that it is at. False: there was nothing.
pub fn reset(engine: &Engine, domain: &str) -> Result<bool> {
    let _lock = engine.lock(domain);
    let Some(record) = engine.store.get::<TuningRecord>(domain)? else {
        return Ok(false);
    };
    let batch = Batch::new("tune.reset").at(now_ms());
    engine.store.commit(batch.delete::<TuningRecord>(domain))?;
    // The runner clears the folder of one that is under way, when it sees.
    if record.state != TuningState::Running {
        sweep(engine, domain)?;
    }
    Ok(true)
}

/// At the start: folders of fittings that a crash has kept from being recorded, or from being cleared. They hold texts.
pub fn recover(engine: &Engine) -> Result<()> {
    for name in engine.config.domains.keys() {
        let record = engine.store.get::<TuningRecord>(name)?;
        if record.is_none_or(|record| record.state != TuningState::Running) {
            sweep(engine, name)?;
        }
    }
    Ok(())
}

/// Folders that a stop has left behind.
fn sweep(engine: &Engine, domain: &str) -> Result<()> {
    let jobs = engine.layout.jobs_of(domain);
    if !jobs.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(&jobs).with_context(|| jobs.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("tune-") {
            clear(&entry.path())?;
        }
    }
    Ok(())
}
