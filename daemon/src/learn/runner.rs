//! The runner: one thread that takes open runs, one after the other, from their plan to their end. Every step can be
//! repeated: after a crash at any point the run goes on from its record and its job directory.

use super::manifest::Manifest;
use super::prepare::{Prepared, is_prepared, prepare_update};
use super::supervise::{Limits, TrainerEnd, read_result, run_trainer};
use super::{aftermath, tune, verdict};
use crate::alerts;
use crate::clock::now_ms;
use crate::disk::{self, Level};
use crate::engine::{Engine, LiveRun};
use crate::forget;
use crate::heap;
use crate::intact;
use crate::memory_plan;
use anyhow::{Context, Result};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use wengu_alert::event::Event;
use wengu_protocol::job::{self, JobEnd};
use wengu_store::Batch;
use wengu_store::records::{RunRecord, RunState, ScheduleRecord};

/// Trainers that are started for one run before it is given up.
const MAX_ATTEMPTS: u32 = 3;
/// Between looks for a new run where nobody says that there is one.
const LOOK: Duration = Duration::from_secs(30);
/// Between looks whether everything is to stop.
const IDLE: Duration = Duration::from_millis(200);

/// Starts the runner. Its thread lives as long as the daemon, because the kernel kills a trainer whose starting thread
/// ends.
pub fn spawn(engine: Arc<Engine>) -> std::io::Result<std::thread::JoinHandle<()>> {
    let shared = engine.clone();
    let runner = std::thread::Builder::new().name("runner".into()).spawn(move || {
        while !engine.is_stopping() {
            match forget::work(&engine) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(e) => {
                    tracing::error!(error = format!("{e:#}"), "forget_step_failed");
                    pause(&engine, Duration::from_secs(5));
                    continue;
                }
            }
            match engine.next_open_run() {
                Ok(Some(run)) => {
                    let (domain, number) = (run.domain.clone(), run.run);
                    if let Err(e) = advance(&engine, run) {
                        let error = format!("{e:#}");
                        tracing::error!(domain = domain.as_str(), run = number, error, "run_step_failed");
                        // A full disk is no fault of the run: the step is tried again until there is space.
                        if !disk::is_full(&e)
                            && let Err(e) = step_failed(&engine, &domain, number, &error)
                        {
                            tracing::error!(domain, run = number, error = format!("{e:#}"), "run_not_recorded");
                        }
                        pause(&engine, Duration::from_secs(5));
                    }
                    // A step may have had all texts of an update in memory.
                    heap::give_back();
                    engine.live().runs.remove(&domain);
                    engine.schedule_wake.notify_one();
                }
                // Updates go first; what is fitted goes on in between.
                Ok(None) => match tune::work(&engine) {
                    Ok(true) => {}
                    Ok(false) => std::thread::park_timeout(LOOK),
                    Err(e) => {
                        tracing::error!(error = format!("{e:#}"), "tune_step_failed");
                        pause(&engine, Duration::from_secs(5));
                    }
                },
                Err(e) => {
                    tracing::error!(error = format!("{e:#}"), "runs_unreadable");
                    pause(&engine, Duration::from_secs(5));
                }
            }
        }
    })?;
    let _ = shared.runner.set(runner.thread().clone());
    Ok(runner)
}

/// Sleeps, but not beyond a stop.
fn pause(engine: &Engine, duration: Duration) {
    let until = std::time::Instant::now() + duration;
    while std::time::Instant::now() < until && !engine.is_stopping() {
        std::thread::sleep(IDLE);
    }
}

/// A run with its manifest and those of the runs that led to it.
pub(super) struct Work<'a> {
    pub engine: &'a Engine,
    pub manifest: Manifest,
    pub ancestors: Vec<Manifest>,
}

impl Work<'_> {
    pub fn prepared(&self) -> Prepared<'_> {
        let parent = self.manifest.parent.as_deref();
        Prepared {
            manifest: &self.manifest,
            parent_dir: parent.map(|id| self.engine.layout.version(&self.manifest.domain, id)),
            anchor_dir: self
                .manifest
                .anchor
                .as_deref()
                .map(|id| self.engine.layout.version(&self.manifest.domain, id)),
            parent_labels: self.ancestors.last().map(|m| m.labels.clone()).unwrap_or_default(),
            parent_terms: self.ancestors.last().map_or(0, |m| m.terms.len()),
            ancestors: &self.ancestors,
        }
    }
}

fn advance(engine: &Engine, run: RunRecord) -> Result<()> {
    let manifest = engine.manifest(&run.manifest)?;
    let ancestors = engine.ancestry(&run.domain, run.parent.as_deref())?;
    let context = Work {
        engine,
        manifest,
        ancestors,
    };
    match run.state {
        RunState::Planned => train(&context, run),
        RunState::Settling => aftermath::settle_files(engine, &context.manifest, run),
        RunState::Comparing => aftermath::compare(&context, run),
        RunState::Finished | RunState::Failed { .. } => Ok(()),
    }
}

fn train(context: &Work, run: RunRecord) -> Result<()> {
    let engine = context.engine;
    if context.manifest.train.is_empty() {
        return verdict::finish_without_training(context, run);
    }
    let dir = engine.layout.job(&run.domain, run.run, None);
    if !dir.join(job::layout::RESULT).exists() && waits_for_space(engine) {
        return Ok(());
    }
    for id in [&context.manifest.parent, &context.manifest.anchor]
        .into_iter()
        .flatten()
    {
        intact::check(engine, &run.domain, id).with_context(|| format!("version {id} is damaged"))?;
    }
    if !is_prepared(&dir) {
        prepare_update(&engine.store, &context.prepared(), &dir).context("preparing the job directory failed")?;
    }
    let end = supervise(context, run.run, "update", &dir)?;
    tracing::info!(
        domain = run.domain,
        run = run.run,
        end = end.name(),
        message = end.message(),
        "trainer_ended"
    );
    match end {
        TrainerEnd::Completed(result) => verdict::judge(context, run, &dir, &result),
        TrainerEnd::StoppedByUs => Ok(()),
        end => failed_attempt(context, run, &dir, &end),
    }
}

/// Waits while there is too little space to begin with a training. True: something else may be wanted now.
pub(super) fn waits_for_space(engine: &Engine) -> bool {
    let is_low = || engine.disk.look().level >= Level::NoTraining;
    let waits = is_low();
    while is_low() && !engine.is_stopping() && !engine.forgetting.is_asked() {
        pause(engine, Duration::from_secs(1));
    }
    waits
}

/// Runs the trainer on `dir`, or reads the result that is already there.
pub(super) fn supervise(context: &Work, run: u64, stage: &str, dir: &Path) -> Result<TrainerEnd> {
    if let Some(end) = read_result(dir) {
        return Ok(end);
    }
    let engine = context.engine;
    let domain = context.manifest.domain.clone();
    let live = LiveRun {
        run,
        stage: stage.into(),
        progress: None,
    };
    engine.live().runs.insert(domain.clone(), live);
    let trainer = &engine.config.trainer;
    let command = crate::model::trainer(&engine.config)?;
    let limits = Limits {
        no_progress: trainer.no_progress,
        deadline: trainer.deadline,
        stop_grace: trainer.stop_grace,
        // Where the system does not say what is free, the run was planned without it too, with a warning.
        memory_bytes: memory_plan::limit_bytes(trainer).ok(),
    };
    Ok(run_trainer(
        &command,
        dir,
        context.manifest.threads,
        limits,
        // It goes on from its checkpoint, unless what was asked to be forgotten is in it.
        &|| engine.is_stopping() || engine.forgetting.is_asked() || engine.disk.look().level >= Level::NoIngest,
        &mut |progress| {
            if let Some(live) = engine.live().runs.get_mut(&domain) {
                live.progress = Some(progress);
            }
        },
    ))
}

/// What the end means, and what would fit where memory was short.
fn told(context: &Work, end: &TrainerEnd) -> String {
    if !end.wants_memory() {
        return end.message();
    }
    let manifest = &context.manifest;
    let (labels, length) = (manifest.labels.len(), manifest.max_length);
    let (base, learning) = (&manifest.base, &manifest.learning);
    let advice = memory_plan::step(base, manifest.task, labels, &manifest.method, learning, length)
        .and_then(|step| Ok(step.advice(memory_plan::budget_bytes(&context.engine.config.trainer)?)));
    match advice {
        Ok(advice) => format!("{}; {advice}", end.message()),
        Err(_) => end.message(),
    }
}

fn failed_attempt(context: &Work, mut run: RunRecord, dir: &Path, end: &TrainerEnd) -> Result<()> {
    let engine = context.engine;
    let message = told(context, end);
    let no_space = matches!(end, TrainerEnd::Reported(JobEnd::WriteFailed, _)) && waits_for_space(engine);
    run.attempts += u32::from(!no_space);
    if !end.may_be_retried() || run.attempts >= MAX_ATTEMPTS {
        return give_up(engine, &run.domain, run.run, end.name(), &message);
    }
    let attempts = run.attempts;
    let note = json!({"end": end.name(), "message": message});
    let batch = Batch::new("run.attempt_failed").at(now_ms()).note(note);
    engine
        .store
        .commit(batch.put(&RunRecord::key(&run.domain, run.run), &run)?)?;
    // A result that names a failure would be taken for the answer of the next attempt.
    match std::fs::remove_file(dir.join(job::layout::RESULT)) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e.into()),
    }
    pause(engine, Duration::from_secs(5 << attempts));
    Ok(())
}

/// A step met an error of the system (a full disk, a damaged object). Before the verdict it counts as an attempt; after
/// it the run is what it was judged, and the step is repeated until it goes through.
fn step_failed(engine: &Engine, domain: &str, number: u64, error: &str) -> Result<()> {
    let mut run = engine.run(domain, number)?;
    if run.state != RunState::Planned {
        return Ok(());
    }
    run.attempts += 1;
    if run.attempts >= MAX_ATTEMPTS {
        return give_up(engine, domain, number, "internal", error);
    }
    let batch = Batch::new("run.step_failed")
        .at(now_ms())
        .note(json!({"error": shorten(error)}));
    engine.store.commit(batch.put(&RunRecord::key(domain, number), &run)?)?;
    Ok(())
}

/// Ends a run without a verdict: its examples stay in the pool, and somebody is told.
pub(super) fn give_up(engine: &Engine, domain: &str, number: u64, end: &str, message: &str) -> Result<()> {
    let _lock = engine.lock(domain);
    let now = now_ms();
    let mut run = engine.run(domain, number)?;
    run.state = RunState::Failed {
        end: end.into(),
        message: shorten(message),
    };
    run.ended_ms = Some(now);
    let mut schedule = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
    schedule.failures_in_a_row += 1;
    schedule.last_failure_ms = Some(now);
    let batch = Batch::new("run.failed")
        .at(now)
        .put(&RunRecord::key(domain, number), &run)?
        .put(domain, &schedule)?;
    let event = Event::TrainingFailed {
        domain: domain.into(),
        run: number.to_string(),
        end: end.into(),
        failures: schedule.failures_in_a_row,
    };
    let batch = alerts::enqueue(engine, batch, now, &event)?;
    engine.store.commit(batch)?;
    engine.outbox_wake.notify_one();
    tracing::warn!(domain, run = number, end, message, "run_failed");
    Ok(())
}

fn shorten(message: &str) -> String {
    message.chars().take(600).collect()
}
