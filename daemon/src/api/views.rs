//! From records to answers.

mod files;
mod versions;

pub use files::{explain_file, files};
pub(super) use files::{explain_state, not_there};
pub use versions::{explain_version, versions};

use super::types::*;
use crate::alerts::OutboxRecord;
use crate::clock;
use crate::clock::human;
use crate::engine::Engine;
use crate::incidents;
use crate::learn::review;
use crate::learn::sources::SourceState;
use crate::learn::votes::{LabelModel, VotingReport, every_vote};
use anyhow::Result;
use chrono::Utc;
use std::collections::BTreeMap;
use wengu_alert::outbox::OutboxState;
use wengu_decide::incident::Phase;
use wengu_decide::schedule::{Decision, WhyNot, decide};
use wengu_store::records::{FileRecord, How, RunRecord};

/// The status screen.
pub fn status(engine: &Engine) -> Result<Status> {
    let mut domains = Vec::new();
    for name in engine.config.domains.keys() {
        domains.push(domain_status(engine, name)?);
    }
    let mut alerts = AlertStatus::default();
    for (_, OutboxRecord(item)) in engine.store.scan::<OutboxRecord>("")? {
        match item.state {
            OutboxState::Pending => alerts.waiting += 1,
            OutboxState::Delivered => alerts.delivered += 1,
            OutboxState::Dead { .. } => alerts.dead += 1,
        }
        if item.state != OutboxState::Delivered {
            alerts.last_error = item.last_outcome.or(alerts.last_error);
        }
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_ms: engine.started_ms,
        now_ms: clock::now_ms(),
        domains,
        alerts,
        disk_problem: crate::disk::problem(engine),
        // A lock that cannot be read is the plugins' trouble; the status must stand.
        unsigned_plugins: engine
            .plugins
            .unsigned()
            .unwrap_or_else(|e| vec![format!("unknown: {e}")]),
    })
}

fn domain_status(engine: &Engine, name: &str) -> Result<DomainStatus> {
    let mut files: BTreeMap<String, u64> = BTreeMap::new();
    engine.store.each(&format!("{name}/"), |_, file: FileRecord| {
        *files.entry(file.state.name().into()).or_default() += 1;
    })?;
    let state = crate::schedule::state(engine, name)?;
    let next = next_step(&decide(Utc::now(), &engine.config.domains[name].schedule, &state));
    let runs = engine.runs(name)?;
    let open = runs.iter().find(|r| r.is_open());
    let last = runs.iter().rev().find(|r| !r.is_open());
    let serving = match engine.current(name)? {
        None => None,
        Some(current) => {
            let version = engine.version(name, &current.version)?;
            Some(Serving {
                path: engine.layout.version(name, &version.id).display().to_string(),
                version: version.id,
                since_ms: current.since_ms,
                how: match current.how {
                    How::Promoted => "promoted".into(),
                    How::RolledBack => "rolled_back".into(),
                    How::Forced => "forced".into(),
                },
                labels: version.labels,
                accuracy: version.accuracy,
            })
        }
    };
    let lasting = lasting_problems(engine, name)?;
    let live = engine.live();
    let problems = live
        .degraded
        .iter()
        .filter(|(key, _)| key.starts_with(&format!("{name}:")))
        .map(|(_, why)| why.clone())
        .chain(lasting);
    Ok(DomainStatus {
        name: name.into(),
        files,
        new_examples: state.new_examples,
        serving,
        problems: problems.collect(),
        intake_busy: live.busy_since.contains_key(name),
        next,
        run: {
            drop(live);
            open.map(|r| run_view(engine, r)).transpose()?
        },
        last_run: last.map(|r| run_view(engine, r)).transpose()?,
    })
}

/// What is wrong for longer than a run, or waits for a person: what is being forgotten, a version in service against the gate, what is held for
/// review, incidents that fire, and files unlike those that were learned.
fn lasting_problems(engine: &Engine, name: &str) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let forgetting = crate::forget::list(engine)?
        .into_iter()
        .filter(|record| record.holds(name));
    problems.extend(forgetting.map(|record| {
        format!(
            "{}: something is being forgotten ({}), and no other update starts; `wengu forget show {}` tells how far it is",
            record.id,
            record.step.name(),
            record.id
        )
    }));
    if let Some(current) = engine.current(name)?.filter(|current| current.how == How::Forced) {
        problems.push(format!(
            "version {} was put in service against the gate: {}",
            current.version,
            current.reason.unwrap_or_default()
        ));
    }
    let (sources, held) = review::waiting(engine, name)?;
    let suspicious = sources
        .iter()
        .filter(|source| matches!(source.state, SourceState::Suspicious { .. }))
        .count();
    if suspicious > 0 || !held.is_empty() {
        problems.push(format!(
            "{suspicious} sources and {} examples wait for you: `wengu files review {name}`",
            held.len()
        ));
    }
    let firing = incidents::open(engine, Some(name))?;
    for record in firing.into_iter().filter(|record| record.state.phase == Phase::Firing) {
        let labels = record.labels;
        problems.push(format!(
            "incident: {} of {} since {}; `wengu incidents` tells more",
            labels.metric,
            labels.slice,
            human(record.state.since_ms)
        ));
    }
    if let Some(record) = crate::inputs::found(engine, name)? {
        let when = human(record.checked_ms);
        problems.extend(
            record
                .drift
                .reasons
                .iter()
                .map(|reason| format!("what comes in ({when}): {reason}")),
        );
    }
    Ok(problems)
}

fn next_step(decision: &Decision) -> String {
    match decision {
        Decision::Start { .. } => "an update is about to start".into(),
        Decision::Mark { .. } => "looking at the schedule".into(),
        Decision::Wait { until, why } => {
            let why = match why {
                WhyNot::Running => "an update is under way".into(),
                WhyNot::NoNewExamples => "nothing new to learn".into(),
                WhyNot::TooFewExamples { have, need } => format!("{have} of {need} new examples"),
                WhyNot::NotDueYet => "enough new examples, waits for its hour".into(),
                WhyNot::QuietHours => "quiet hours".into(),
                WhyNot::Backoff { failures } => format!("pausing after {failures} failed updates"),
                WhyNot::IntakeBusy => "a delivery is still coming in".into(),
            };
            match until {
                Some(until) => format!("{why}; looks again at {}", until.format("%Y-%m-%d %H:%M UTC")),
                None => why,
            }
        }
    }
}

/// A run with what a trainer says of it.
pub fn run_view(engine: &Engine, run: &RunRecord) -> Result<RunView> {
    let live = engine
        .live()
        .runs
        .get(&run.domain)
        .filter(|l| l.run == run.run)
        .cloned();
    let reasons = match &run.verdict {
        Some(hash) => engine.judgement(hash)?.verdict.reasons,
        None => Vec::new(),
    };
    Ok(RunView {
        domain: run.domain.clone(),
        run: run.run,
        reason: run.reason.clone(),
        state: run.state.clone(),
        stage: live.as_ref().map(|l| l.stage.clone()),
        progress: live.and_then(|l| l.progress),
        train_examples: run.train_examples,
        new_gate_items: run.new_gate_items,
        parent: run.parent.clone(),
        version: engine.version_of_run(&run.domain, run.run)?,
        decision: run.decision.clone(),
        reasons,
        accuracy: engine.accuracy(run)?,
        planned_ms: run.planned_ms,
        ended_ms: run.ended_ms,
    })
}

/// How the labelling functions of a domain do, by plugin.
pub fn functions(engine: &Engine, domain: &str) -> Result<Vec<VotingReport>> {
    Ok(LabelModel::fit(&every_vote(engine, domain)?).reports().to_vec())
}
