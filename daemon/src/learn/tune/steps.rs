//! One step after the other; each can be repeated.

use super::outcomes::{Outcome, Outcomes, Report, keep, show};
use super::plan::Plan;
use super::record::{InUse, TuningRecord, TuningState};
use super::trial;
use crate::clock::now_ms;
use crate::disk;
use crate::engine::Engine;
use crate::forget;
use crate::learn::runner::waits_for_space;
use anyhow::{Context, Result};
use chrono::Utc;
use std::path::Path;
use wengu_config::Domain;
use wengu_decide::tune::{Next, fit, next};
use wengu_failpoint::hit;
use wengu_store::Batch;

/// The fitting of a domain that is under way.
fn open(engine: &Engine, domain: &str) -> Result<Option<TuningRecord>> {
    let record = engine.store.get::<TuningRecord>(domain)?;
    Ok(record.filter(|record| record.state == TuningState::Running))
}

/// Why no trial of a domain is begun now, if none is.
pub fn waits_for(engine: &Engine, domain: &Domain) -> Result<Option<&'static str>> {
    if forget::holds(engine, &domain.name)? {
        return Ok(Some("something is being forgotten"));
    }
    let schedule = &domain.schedule;
    let time = Utc::now().with_timezone(&schedule.timezone).time();
    if schedule.quiet_hours.iter().any(|span| span.contains(time)) {
        return Ok(Some("quiet hours"));
    }
    if engine.disk.look().level >= disk::Level::NoTraining {
        return Ok(Some("too little free space"));
    }
    Ok(None)
}

/// Does the next thing that can be done now, one training at most; the runner calls it when no run is open. False: there is nothing.
pub fn work(engine: &Engine) -> Result<bool> {
    for domain in engine.config.domains.values() {
        let Some(record) = open(engine, &domain.name)? else {
            continue;
        };
        if waits_for(engine, domain)?.is_some() {
            continue;
        }
        let stepped = step(engine, domain, &record);
        engine.live().runs.remove(&domain.name);
        if let Err(e) = stepped {
            // A full disk is no fault of it: the step is tried again until there is space.
            if disk::is_full(&e) {
                waits_for_space(engine);
                return Err(e);
            }
            end(engine, domain, &record, Err(format!("{e:#}")))?;
        }
        return Ok(true);
    }
    Ok(false)
}

fn step(engine: &Engine, domain: &Domain, record: &TuningRecord) -> Result<()> {
    let folder = engine.layout.tuning(&domain.name, record.asked_ms);
    let Some(plan) = Plan::load(&folder)? else {
        // It was cleared with what had to be forgotten.
        let _lock = engine.lock(&domain.name);
        let plan = Plan::make(engine, domain, record.trials, record.seed)?;
        return begin(&folder, &plan);
    };
    let outcomes = Outcomes::load(&folder)?;
    if let Some(message) = outcomes
        .0
        .get(&(0, 0))
        .and_then(|outcome| outcome.trial.failure.as_ref())
    {
        let why = format!("the defaults could not be trained, so there is nothing to compare with: {message}");
        return end(engine, domain, record, Err(why));
    }
    let is_over = |minutes: u32| outcomes.seconds() >= 60.0 * f64::from(minutes);
    let next = match record.max_minutes.is_some_and(is_over) {
        true => Next::Done,
        false => next(&plan.rungs, plan.candidates.len(), &outcomes.scores()),
    };
    let Next::Trial { rung, candidate } = next else {
        return end(engine, domain, record, result(record, &plan, &outcomes));
    };
    let dir = folder.join(format!("trial-{rung}-{candidate:03}"));
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let advanced = trial::advance(engine, &plan, (rung, candidate), &dir)?;
    if open(engine, &domain.name)?.is_none_or(|now| now.asked_ms != record.asked_ms) {
        // Somebody has taken it back while it trained.
        return clear(&folder);
    }
    if let Some(outcome) = advanced {
        record_trial(&folder, &plan, &outcome)?;
        hit("tune.shown");
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
        hit("tune.trial_cleared");
        tracing::info!(
            domain = domain.name,
            rung,
            candidate,
            score = outcome.trial.score.map(|score| score.mean()),
            failure = outcome.trial.failure,
            seconds = outcome.trial.seconds,
            "tune_trial_ended"
        );
    }
    Ok(())
}

/// Puts the plan there, with a report of no trial.
pub(super) fn begin(folder: &Path, plan: &Plan) -> Result<()> {
    clear(folder)?;
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    show(folder, plan.report(), &Outcomes::default())?;
    plan.save(folder)
}

fn record_trial(folder: &Path, plan: &Plan, outcome: &Outcome) -> Result<()> {
    keep(folder, outcome)?;
    hit("tune.kept");
    show(folder, plan.report(), &Outcomes::load(folder)?)
}

/// Removes the folder of a fitting.
pub(super) fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).with_context(|| folder.display().to_string()),
        _ => Ok(()),
    }
}

/// What the trials say, or why they say nothing.
fn result(record: &TuningRecord, plan: &Plan, outcomes: &Outcomes) -> Result<Report, String> {
    let answers = outcomes.answers();
    let answers = answers.ok_or("no trial beside the defaults' came to an end, so there is nothing to choose from")?;
    let found = fit(&plan.asked(), &answers, plan.candidates.len(), record.seed);
    Ok(Report {
        trials: outcomes.0.values().map(|outcome| outcome.trial.clone()).collect(),
        fit: Some(found.ok_or("the trials' answers cannot be compared")?),
        ..plan.report()
    })
}

/// Records the end, unless somebody has taken the fitting back meanwhile, and clears its folder.
fn end(engine: &Engine, domain: &Domain, begun: &TuningRecord, result: Result<Report, String>) -> Result<()> {
    let name = &domain.name;
    let lock = engine.lock(name);
    if let Some(mut record) = open(engine, name)?.filter(|record| record.asked_ms == begun.asked_ms) {
        let now = now_ms();
        record.ended_ms = Some(now);
        match result {
            Ok(report) => {
                record.state = TuningState::Done;
                let chosen = report.fit.map_or(0, |fit| fit.chosen);
                record.in_use = (chosen > 0).then(|| InUse {
                    values: report.candidates[chosen],
                    searched: report.space.searched(),
                    since_ms: now,
                    examples: report.examples.clone(),
                });
                record.report = Some(engine.store.objects().put_bytes(&serde_json::to_vec(&report)?)?);
                tracing::info!(domain = name, chosen, "tune_ended");
            }
            Err(message) => {
                tracing::warn!(domain = name, message, "tune_failed");
                record.state = TuningState::Failed {
                    message: message.chars().take(600).collect(),
                };
            }
        }
        hit("tune.before_end");
        engine
            .store
            .commit(Batch::new("tune.ended").at(now).put(name, &record)?)?;
        hit("tune.ended");
    }
    drop(lock);
    clear(&engine.layout.tuning(name, begun.asked_ms))?;
    hit("tune.cleared");
    Ok(())
}
