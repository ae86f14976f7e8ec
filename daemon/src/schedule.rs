//! The loop around `wengu_decide::schedule`: gathers the state, asks, and does what the decision says.

use crate::alerts;
use crate::clock;
use crate::disk::{Level, is_full};
use crate::engine::{Engine, PoolCount};
use crate::inputs;
use crate::learn::compose::make_manifest;
use crate::learn::manifest::Manifest;
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wengu_alert::event::Event;
use wengu_config::Domain;
use wengu_decide::schedule::{Decision, DomainState, Mark, Reason, decide};
use wengu_failpoint::hit;
use wengu_store::records::{FileRecord, FileState, RunRecord, RunState, ScheduleRecord};
use wengu_store::{Batch, Hash};

/// Between rounds where nothing wakes the scheduler: who changes what it decides from wakes it, but time does not.
const ROUND: Duration = Duration::from_secs(5);
/// Rounds take at most about this share (one in ...) of a core, as they look at every file of a delivery that comes in.
const DUTY: u32 = 10;
/// But it goes round this often, so that the watchdog sees it.
const LONGEST_ROUND: Duration = Duration::from_secs(20);

/// Starts what is due until the daemon stops.
pub async fn run(engine: Arc<Engine>) {
    loop {
        engine.live().scheduler_alive_ms = clock::now_ms();
        crate::disk::tick(&engine).await;
        let began = Instant::now();
        let worker = engine.clone();
        let round = tokio::task::spawn_blocking(move || {
            if let Err(e) = crate::incidents::tick(&worker) {
                tracing::error!(error = format!("{e:#}"), "incidents_not_looked_at");
            }
            for domain in worker.config.domains.values() {
                if worker.is_stopping() {
                    return;
                }
                if let Err(e) = crate::rollback::follow(&worker, &domain.name) {
                    tracing::error!(domain = domain.name, error = format!("{e:#}"), "version_not_followed");
                }
                if let Err(e) = crate::rollback::roll_back_if_due(&worker, &domain.name) {
                    tracing::error!(domain = domain.name, error = format!("{e:#}"), "rollback_failed");
                }
                if let Err(e) = round(&worker, domain) {
                    let error = format!("{e:#}");
                    tracing::error!(domain = domain.name, error, "plan_failed");
                    // A full disk is no fault of the plan.
                    if !is_full(&e)
                        && let Err(e) = plan_failed(&worker, &domain.name, &error)
                    {
                        tracing::error!(
                            domain = domain.name,
                            error = format!("{e:#}"),
                            "plan_failure_not_recorded"
                        );
                    }
                }
            }
        });
        if round.await.is_err() {
            tracing::error!("schedule_round_panicked");
        }
        tokio::select! {
            () = engine.stopped() => return,
            () = engine.schedule_wake.notified() => {}
            () = tokio::time::sleep(ROUND.max((began.elapsed() * DUTY).min(LONGEST_ROUND))) => {}
        }
    }
}

/// The pool of a domain as the scheduler sees it.
pub fn state(engine: &Engine, domain: &str) -> Result<DomainState> {
    // Only the scheduler opens runs: what is not running now was settled before the files below are read.
    let running = engine.runs(domain)?.iter().any(RunRecord::is_open);
    let schedule = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
    let PoolCount {
        new_examples,
        new_texts,
        oldest_ms,
        ..
    } = count_pool(engine, domain)?;
    let busy_since = engine.live().busy_since.get(domain).copied();
    Ok(DomainState {
        new_examples,
        oldest_new_at: oldest_ms.map(clock::to_utc),
        mark: schedule.mark_ms.map(|ms| Mark {
            at: clock::to_utc(ms),
            schedule: schedule.mark_schedule.clone(),
        }),
        running,
        intake_busy_since: busy_since.map(clock::to_utc),
        asked_now: schedule.asked,
        failures_in_a_row: schedule.failures_in_a_row,
        last_failure_at: schedule.last_failure_ms.map(clock::to_utc),
        inputs_shifted: inputs::advise_update(engine, domain, new_texts)?,
    })
}

/// Counts what waits for an update; what was counted holds until the next commit.
fn count_pool(engine: &Engine, domain: &str) -> Result<PoolCount> {
    let seq = engine.store.last_seq();
    if let Some(counted) = engine.live().pools.get(domain).filter(|counted| counted.seq == seq) {
        return Ok(*counted);
    }
    let mut count = PoolCount {
        seq,
        new_examples: 0,
        new_texts: 0,
        oldest_ms: None,
    };
    engine.store.each(&format!("{domain}/"), |_, file: FileRecord| {
        if let Some((_, counts)) = file.state.untried() {
            count.new_texts += counts.labelled() + counts.unlabelled;
        }
        if let FileState::Pooled {
            counts,
            tried_in_run: None,
            ..
        } = &file.state
        {
            count.new_examples += counts.train;
            count.oldest_ms = Some(count.oldest_ms.map_or(file.updated_ms, |o| o.min(file.updated_ms)));
        }
    })?;
    engine.live().pools.insert(domain.to_owned(), count);
    Ok(count)
}

fn round(engine: &Engine, domain: &Domain) -> Result<()> {
    let _lock = engine.lock(&domain.name);
    // What is being forgotten is not learned, and what had learned it is not continued.
    if crate::forget::holds(engine, &domain.name)? {
        return Ok(());
    }
    let now = Utc::now();
    let mut state = state(engine, &domain.name)?;
    if !state.running {
        let new_texts = count_pool(engine, &domain.name)?.new_texts;
        match inputs::look(engine, domain, new_texts) {
            Ok(early) => state.inputs_shifted = early,
            // Nothing has to be learned for it, so nothing has failed.
            Err(e) => tracing::warn!(domain = domain.name, error = format!("{e:#}"), "inputs_not_looked_at"),
        }
    }
    match decide(now, &domain.schedule, &state) {
        // What is due stays due.
        Decision::Start { .. } if engine.disk.look().level >= Level::NoTraining => Ok(()),
        Decision::Start { reason, mark } => start(engine, domain, now, reason, &mark),
        Decision::Mark { mark, .. } => {
            let mut record = engine.store.get::<ScheduleRecord>(&domain.name)?.unwrap_or_default();
            set_mark(&mut record, &mark);
            engine.store.commit(
                Batch::new("schedule.marked")
                    .at(now.timestamp_millis())
                    .put(&domain.name, &record)?,
            )?;
            Ok(())
        }
        Decision::Wait { .. } => Ok(()),
    }
}

/// An update that could not even be planned (a model folder that is gone, a damaged object) counts as a failed run:
/// it is told, shown, and tried again after a pause that grows.
fn plan_failed(engine: &Engine, domain: &str, error: &str) -> Result<()> {
    let _lock = engine.lock(domain);
    let now = clock::now_ms();
    let mut record = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
    record.asked = false;
    record.failures_in_a_row += 1;
    record.last_failure_ms = Some(now);
    engine.live().degraded.insert(
        format!("{domain}:plan"),
        format!("the update could not be planned: {error}"),
    );
    let event = Event::TrainingFailed {
        domain: domain.into(),
        run: "none".into(),
        end: "plan_failed".into(),
        failures: record.failures_in_a_row,
    };
    let batch = Batch::new("plan.failed").at(now).put(domain, &record)?;
    engine.store.commit(alerts::enqueue(engine, batch, now, &event)?)?;
    engine.outbox_wake.notify_one();
    Ok(())
}

fn set_mark(record: &mut ScheduleRecord, mark: &Mark) {
    record.mark_ms = Some(mark.at.timestamp_millis());
    record.mark_schedule = mark.schedule.clone();
}

fn start(engine: &Engine, domain: &Domain, now: DateTime<Utc>, reason: Reason, mark: &Mark) -> Result<()> {
    let manifest = make_manifest(engine, domain)?;
    hit("plan.made");
    let hash = engine.store.objects().put_bytes(&serde_json::to_vec(&manifest)?)?;
    hit("plan.stored");
    let run = manifest.run;
    let mut schedule = engine.store.get::<ScheduleRecord>(&domain.name)?.unwrap_or_default();
    set_mark(&mut schedule, mark);
    schedule.asked = false;
    let record = planned(&manifest, hash, reason_name(reason), now.timestamp_millis());
    let batch = Batch::new("run.planned")
        .at(now.timestamp_millis())
        .put(&domain.name, &schedule)?
        .put(&RunRecord::key(&domain.name, run), &record)?;
    engine.store.commit(batch)?;
    hit("plan.recorded");
    engine.wake_runner();
    engine.live().degraded.remove(&format!("{}:plan", domain.name));
    sweep_jobs(engine, &domain.name)?;
    tracing::info!(
        domain = domain.name,
        run,
        reason = record.reason,
        train_examples = record.train_examples,
        new_gate_items = record.new_gate_items,
        "run_planned"
    );
    Ok(())
}

/// The record of a run that begins.
pub fn planned(manifest: &Manifest, hash: Hash, reason: &str, now_ms: i64) -> RunRecord {
    RunRecord {
        domain: manifest.domain.clone(),
        run: manifest.run,
        reason: reason.into(),
        manifest: hash,
        parent: manifest.parent.clone(),
        train_examples: manifest.train.len() as u64,
        new_gate_items: manifest.gate.len() as u64,
        state: RunState::Planned,
        attempts: 0,
        planned_ms: now_ms,
        ended_ms: None,
        verdict: None,
        decision: None,
        accuracy: None,
    }
}

/// Job directories of runs that have ended: the last failed one is kept for its log until the next run is planned.
fn sweep_jobs(engine: &Engine, domain: &str) -> Result<()> {
    for run in engine.runs(domain)?.iter().filter(|run| !run.is_open()) {
        let dir = engine.layout.job(domain, run.run, None);
        if dir.exists() {
            std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        }
    }
    Ok(())
}

fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Asked => "asked",
        Reason::Cron => "cron",
        Reason::Missed => "missed",
        Reason::Threshold => "threshold",
        Reason::Stale => "stale",
        Reason::InputsShifted => "inputs_shifted",
    }
}
