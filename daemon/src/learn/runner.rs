//! The runner: one thread that takes open runs, one after the other, from their plan to their end. Every step can be
//! repeated: after a crash at any point the run goes on from its record and its job directory.

use super::adopt::{Adoption, adopt};
use super::manifest::Manifest;
use super::outcome::{Judgement, add_baseline, era_accuracy, judge_job};
use super::prepare::{Prepared, prepare_baseline, prepare_update};
use super::supervise::{Limits, TrainerEnd, read_result, run_trainer};
use crate::alerts;
use crate::clock::now_ms;
use crate::engine::{Engine, LiveRun};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wengu_alert::event::Event;
use wengu_decide::gate::{Decision, Verdict};
use wengu_protocol::job::{self, JobResult};
use wengu_store::records::{
    CurrentRecord, EraAccuracy, FileRecord, FileState, How, RunRecord, RunState, ScheduleRecord, VersionRecord,
};
use wengu_store::{Batch, Hash};

/// Trainers that are started for one run before it is given up.
const MAX_ATTEMPTS: u32 = 3;
/// Between looks for a new run.
const IDLE: Duration = Duration::from_millis(200);
/// File records brought in line in one transaction.
const FILES_A_BATCH: usize = 1000;

/// Starts the runner. Its thread lives as long as the daemon, because the kernel kills a trainer whose starting thread
/// ends.
pub fn spawn(engine: Arc<Engine>) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("runner".into()).spawn(move || {
        while !engine.is_stopping() {
            match engine.next_open_run() {
                Ok(Some(run)) => {
                    let (domain, number) = (run.domain.clone(), run.run);
                    if let Err(e) = advance(&engine, run) {
                        let error = format!("{e:#}");
                        tracing::error!(domain = domain.as_str(), run = number, error, "run_step_failed");
                        if let Err(e) = step_failed(&engine, &domain, number, &error) {
                            tracing::error!(domain, run = number, error = format!("{e:#}"), "run_not_recorded");
                        }
                        pause(&engine, Duration::from_secs(5));
                    }
                    engine.live().runs.remove(&domain);
                    engine.schedule_wake.notify_one();
                }
                Ok(None) => std::thread::sleep(IDLE),
                Err(e) => {
                    tracing::error!(error = format!("{e:#}"), "runs_unreadable");
                    pause(&engine, Duration::from_secs(5));
                }
            }
        }
    })
}

/// Sleeps, but not beyond a stop.
fn pause(engine: &Engine, duration: Duration) {
    let until = std::time::Instant::now() + duration;
    while std::time::Instant::now() < until && !engine.is_stopping() {
        std::thread::sleep(IDLE);
    }
}

struct Work<'a> {
    engine: &'a Engine,
    manifest: Manifest,
    ancestors: Vec<Manifest>,
}

impl Work<'_> {
    fn prepared(&self) -> Prepared<'_> {
        let parent = self.manifest.parent.as_deref();
        Prepared {
            manifest: &self.manifest,
            parent_dir: parent.map(|id| self.engine.layout.version(&self.manifest.domain, id)),
            parent_labels: self.ancestors.last().map(|m| m.labels.clone()).unwrap_or_default(),
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
        RunState::Settling => settle_files(engine, &context.manifest, run),
        RunState::Comparing => compare(&context, run),
        RunState::Finished | RunState::Failed { .. } => Ok(()),
    }
}

fn train(context: &Work, run: RunRecord) -> Result<()> {
    let engine = context.engine;
    if context.manifest.train.is_empty() {
        return finish_without_training(context, run);
    }
    let dir = engine.layout.job(&run.domain, run.run, None);
    if !dir.join(job::layout::JOB).exists() {
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
        TrainerEnd::Completed(result) => judge(context, run, &dir, &result),
        TrainerEnd::StoppedByUs => Ok(()),
        end => failed_attempt(engine, run, &dir, &end),
    }
}

/// Runs the trainer on `dir`, or reads the result that is already there.
fn supervise(context: &Work, run: u64, stage: &str, dir: &Path) -> Result<TrainerEnd> {
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
    let command = trainer_command(engine)?;
    let limits = Limits {
        no_progress: trainer.no_progress,
        deadline: trainer.deadline,
        stop_grace: trainer.stop_grace,
    };
    Ok(run_trainer(
        &command,
        dir,
        context.manifest.threads,
        limits,
        &|| engine.is_stopping(),
        &mut |progress| {
            if let Some(live) = engine.live().runs.get_mut(&domain) {
                live.progress = Some(progress);
            }
        },
    ))
}

fn trainer_command(engine: &Engine) -> Result<Vec<String>> {
    match &engine.config.trainer.command {
        Some(command) => Ok(command.clone()),
        None => Ok(vec![crate::model::sibling("wengu-trainer")?.display().to_string()]),
    }
}

fn failed_attempt(engine: &Engine, mut run: RunRecord, dir: &Path, end: &TrainerEnd) -> Result<()> {
    run.attempts += 1;
    if !end.may_be_retried() || run.attempts >= MAX_ATTEMPTS {
        return give_up(engine, &run.domain, run.run, end.name(), &end.message());
    }
    let attempts = run.attempts;
    let note = json!({"end": end.name(), "message": end.message()});
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
fn give_up(engine: &Engine, domain: &str, number: u64, end: &str, message: &str) -> Result<()> {
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

fn judge(context: &Work, run: RunRecord, dir: &Path, result: &JobResult) -> Result<()> {
    let engine = context.engine;
    let prepared = context.prepared();
    let judgement = match judge_job(dir, &context.manifest, &context.ancestors, &prepared.parent_labels) {
        Ok(judgement) => judgement,
        // Closed on failure: what cannot be judged is not promoted.
        Err(e) => return give_up(engine, &run.domain, run.run, "eval_failed", &format!("{e:#}")),
    };
    let id = adopt(&Adoption {
        store: &engine.store,
        prepared: &prepared,
        manifest_hash: run.manifest,
        job_dir: dir,
        result,
        judgement: &judgement,
        versions_dir: &engine.layout.versions(&run.domain),
    })?;
    record_verdict(context, run, &judgement, &id)
}

/// One transaction: the verdict, the version, which version serves, and the alerts.
fn record_verdict(context: &Work, mut run: RunRecord, judgement: &Judgement, id: &str) -> Result<()> {
    let engine = context.engine;
    let lock = engine.lock(&run.domain);
    if engine.current(&run.domain)?.map(|c| c.version) != run.parent {
        drop(lock);
        let why = "the version it continues was rolled back while it trained; its examples are tried again";
        return give_up(engine, &run.domain, run.run, "superseded", why);
    }
    let now = now_ms();
    let verdict = &judgement.verdict;
    let promoted = verdict.decision == Decision::Promote;
    let domain = run.domain.clone();
    run.verdict = Some(engine.store.objects().put_bytes(&serde_json::to_vec(judgement)?)?);
    run.decision = Some(decision_name(verdict.decision).into());
    let accuracy = era_accuracy(judgement);
    run.accuracy = Some(engine.store.objects().put_bytes(&serde_json::to_vec(&accuracy)?)?);
    run.state = RunState::Settling;
    let version = VersionRecord {
        domain: domain.clone(),
        id: id.into(),
        run: run.run,
        parent: run.parent.clone(),
        decision: decision_name(verdict.decision).into(),
        labels: context.manifest.labels.len() as u64,
        accuracy: verdict.overall.challenger_accuracy,
        created_ms: now,
        promoted,
    };
    let mut schedule = engine.store.get::<ScheduleRecord>(&domain)?.unwrap_or_default();
    schedule.failures_in_a_row = 0;
    schedule.last_failure_ms = None;
    let mut batch = Batch::new("run.judged")
        .at(now)
        .put(&RunRecord::key(&domain, run.run), &run)?
        .put(&VersionRecord::key(&domain, id), &version)?
        .put(&domain, &schedule)?;
    if promoted {
        batch = batch.put(
            &domain,
            &CurrentRecord {
                version: id.into(),
                since_ms: now,
                how: How::Promoted,
            },
        )?;
    }
    batch = alerts::enqueue(engine, batch, now, &verdict_event(&run, verdict, id))?;
    engine.store.commit(batch)?;
    engine.outbox_wake.notify_one();
    engine.publish_current(&domain)?;
    tracing::info!(
        domain,
        run = run.run,
        version = id,
        decision = decision_name(verdict.decision),
        reasons = verdict.reasons.join(" "),
        "run_judged"
    );
    Ok(())
}

fn verdict_event(run: &RunRecord, verdict: &Verdict, id: &str) -> Event {
    let (domain, number, champion) = (run.domain.clone(), run.run.to_string(), run.parent.clone());
    let scores = alerts::scores(&verdict.earlier, champion.is_some());
    match (verdict.decision, champion) {
        (Decision::Promote, previous) => Event::VersionPromoted {
            domain,
            version: id.into(),
            previous,
            run: number,
            scores,
        },
        (Decision::Regressed, Some(champion)) => Event::GateRegressed {
            domain,
            challenger: id.into(),
            champion,
            run: number,
            scores,
            eras: verdict
                .eras
                .iter()
                .filter(|e| e.regressed)
                .map(|e| e.era.clone())
                .collect(),
        },
        (decision, champion) => Event::GateHold {
            domain,
            challenger: id.into(),
            champion,
            run: number,
            scores: (scores.items > 0).then_some(scores),
            decision: decision_name(decision).into(),
        },
    }
}

/// The name of a decision in records, events and on the screen.
pub fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Promote => "promote",
        Decision::Hold => "hold",
        Decision::Regressed => "regressed",
        Decision::EvalFailed => "eval_failed",
        Decision::NoData => "no_data",
    }
}

/// A pool in which nothing can be learned: every example was dropped, each for a reason that the manifest tells.
fn finish_without_training(context: &Work, mut run: RunRecord) -> Result<()> {
    run.decision = Some("no_data".into());
    run.state = RunState::Settling;
    let batch = Batch::new("run.no_data").at(now_ms());
    context
        .engine
        .store
        .commit(batch.put(&RunRecord::key(&run.domain, run.run), &run)?)?;
    tracing::info!(domain = run.domain, run = run.run, "run_has_nothing_to_learn");
    Ok(())
}

/// Brings the records of the run's files in line with its verdict. A file that was rewritten meanwhile is left alone.
fn settle_files(engine: &Engine, manifest: &Manifest, mut run: RunRecord) -> Result<()> {
    let now = now_ms();
    let version = engine
        .store
        .scan::<VersionRecord>(&format!("{}/", run.domain))?
        .into_iter()
        .find(|(_, v)| v.run == run.run)
        .map(|(_, v)| v.id);
    // By content, not by path: a file that was renamed meanwhile is still the same delivery.
    let delivered: BTreeSet<&Hash> = manifest.files.values().collect();
    let files = engine.store.scan::<FileRecord>(&format!("{}/", run.domain))?;
    for chunk in files.chunks(FILES_A_BATCH) {
        let _lock = engine.lock(&run.domain);
        let mut batch = Batch::new("files.settled").at(now);
        for (key, _) in chunk {
            // Read anew under the lock: the file may have been rewritten or renamed since the scan.
            let Some(file) = engine.store.get::<FileRecord>(key)? else {
                continue;
            };
            let FileState::Pooled {
                examples,
                counts,
                tried_in_run,
            } = file.state.clone()
            else {
                continue;
            };
            if !delivered.contains(&examples) || tried_in_run == Some(run.run) {
                continue;
            }
            let state = match (run.decision.as_deref(), &version) {
                (Some("promote"), Some(version)) => FileState::Learned {
                    examples,
                    counts,
                    version: version.clone(),
                },
                (Some("regressed"), _) => FileState::HeldBack {
                    examples,
                    counts,
                    run: run.run,
                },
                _ => FileState::Pooled {
                    examples,
                    counts,
                    tried_in_run: Some(run.run),
                },
            };
            batch = batch.put(
                key,
                &FileRecord {
                    state,
                    updated_ms: now,
                    ..file.clone()
                },
            )?;
        }
        if !batch.is_empty() {
            engine.store.commit(batch)?;
        }
    }
    run.state = RunState::Comparing;
    engine.store.commit(
        Batch::new("run.settled")
            .at(now)
            .put(&RunRecord::key(&run.domain, run.run), &run)?,
    )?;
    Ok(())
}

/// Measures the configured baselines on the same gate items, then closes the run and clears its job directories.
fn compare(context: &Work, mut run: RunRecord) -> Result<()> {
    let engine = context.engine;
    let mut dirs: Vec<PathBuf> = vec![engine.layout.job(&run.domain, run.run, None)];
    let mut accuracy = engine.accuracy(&run)?;
    for baseline in &context.manifest.baselines {
        if !applies(baseline, &run) {
            continue;
        }
        let dir = engine.layout.job(&run.domain, run.run, Some(baseline));
        let measured = measure(context, baseline, &run, &dir, &mut accuracy);
        dirs.push(dir);
        match measured {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            // A comparison that could not be made is no reason to leave the run open.
            Err(e) => {
                tracing::warn!(
                    domain = run.domain,
                    run = run.run,
                    baseline,
                    error = format!("{e:#}"),
                    "baseline_failed"
                )
            }
        }
    }
    if run.accuracy.is_some() {
        run.accuracy = Some(engine.store.objects().put_bytes(&serde_json::to_vec(&accuracy)?)?);
    }
    run.state = RunState::Finished;
    run.ended_ms = Some(now_ms());
    engine.store.commit(
        Batch::new("run.finished")
            .at(now_ms())
            .put(&RunRecord::key(&run.domain, run.run), &run)?,
    )?;
    for dir in dirs {
        if let Err(e) = std::fs::remove_dir_all(&dir)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), error = %e, "job_directory_not_removed");
        }
    }
    Ok(())
}

/// Trains one baseline and adds its accuracy. False: the daemon stops.
fn measure(context: &Work, baseline: &str, run: &RunRecord, dir: &Path, accuracy: &mut [EraAccuracy]) -> Result<bool> {
    if !dir.join(job::layout::JOB).exists() {
        prepare_baseline(&context.engine.store, &context.prepared(), baseline, dir)?;
    }
    match supervise(context, run.run, baseline, dir)? {
        TrainerEnd::Completed(_) => {
            let manifests: Vec<&Manifest> = context.ancestors.iter().chain([&context.manifest]).collect();
            add_baseline(accuracy, baseline, dir, &manifests, &context.manifest.labels)?;
            Ok(true)
        }
        TrainerEnd::StoppedByUs => Ok(false),
        end => bail!("{}: {}", end.name(), end.message()),
    }
}

/// A head on the untouched base model is the yardstick of a first version; fine-tuning on the delivery alone is that
/// of an update.
fn applies(baseline: &str, run: &RunRecord) -> bool {
    if run.decision.as_deref() == Some("no_data") && run.verdict.is_none() {
        return false;
    }
    match baseline {
        "head_only" => run.parent.is_none(),
        "plain" => run.parent.is_some(),
        _ => false,
    }
}
