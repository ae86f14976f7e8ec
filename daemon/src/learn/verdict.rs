//! From a finished job to a recorded verdict: one transaction, with the version, which version serves, and the alerts.

use super::adopt::{Adoption, adopt};
use super::evaluator::plugin_scores;
use super::outcome::{Judgement, OldWork, era_accuracy, judge_job};
use super::runner::{Work, give_up};
use super::sources;
use crate::alerts;
use crate::aligned;
use crate::clock::now_ms;
use crate::drift::{self, DriftRecord, Found};
use crate::engine::Engine;
use crate::incidents;
use anyhow::Result;
use std::path::Path;
use wengu_alert::event::Event;
use wengu_decide::drift::Signal;
use wengu_decide::gate::{Decision, Verdict};
use wengu_failpoint::hit;
use wengu_protocol::job::JobResult;
use wengu_store::Batch;
use wengu_store::records::{CurrentRecord, How, RunRecord, RunState, ScheduleRecord, VersionRecord};

pub(super) fn judge(context: &Work, run: RunRecord, dir: &Path, result: &JobResult) -> Result<()> {
    let engine = context.engine;
    let prepared = context.prepared();
    hit("gate.before");
    let mut judgement = match judge_job(&engine.store, dir, &prepared, result.repeat) {
        Ok(judgement) => judgement,
        // Closed on failure: what cannot be judged is not promoted.
        Err(e) => return give_up(engine, &run.domain, run.run, "eval_failed", &format!("{e:#}")),
    };
    hit("gate.judged");
    judgement.old_work = OldWork::of(result);
    if let Some(lost) = &result.recompression {
        let (domain, relative_error) = (run.domain.as_str(), lost.relative_error);
        tracing::info!(domain, run = run.run, relative_error, "adapter_recompressed");
    }
    judgement.recompression = result.recompression.clone();
    match plugin_scores(context, &judgement) {
        Ok(scores) => judgement.plugin_scores = scores,
        Err(e) => {
            let (domain, error) = (run.domain.as_str(), format!("{e:#}"));
            tracing::warn!(domain, run = run.run, error, "plugin_scores_missing");
        }
    }
    hit("gate.scored");
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
    // A run that is made again continues what never saw what was forgotten, whatever serves meanwhile.
    let again = context.manifest.replaces.is_some();
    if !again && engine.current(&run.domain)?.map(|c| c.version) != run.parent {
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
        let current = CurrentRecord {
            version: id.into(),
            since_ms: now,
            how: How::Promoted,
            reason: None,
        };
        batch = batch.put(&domain, &current)?;
        if !again {
            batch = aligned::carry(engine, batch, &domain, &current)?;
        }
    }
    let (watch, found) = watch(engine, judgement, &domain, id, promoted, now)?;
    if let Some(watch) = &watch {
        batch = batch.put(&domain, watch)?;
    }
    batch = alerts::enqueue(engine, batch, now, &verdict_event(&run, verdict, id))?;
    let said = incidents::said(verdict, found);
    batch = incidents::advance(engine, batch, now, (&domain, run.run), said, promoted)?;
    batch = sources::advance(engine, batch, &domain, run.run, judgement)?;
    hit("promote.before_commit");
    engine.store.commit(batch)?;
    hit("promote.recorded");
    engine.outbox_wake.notify_one();
    engine.publish_current(&domain)?;
    hit("promote.linked");
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

/// What the run says against the anchor; the first version that is promoted becomes it.
fn watch(
    engine: &Engine,
    judgement: &Judgement,
    domain: &str,
    id: &str,
    promoted: bool,
    now: i64,
) -> Result<(Option<DriftRecord>, Found)> {
    let nothing = Found {
        slow: None,
        live: false,
    };
    let Some(record) = engine.store.get::<DriftRecord>(domain)? else {
        let first = promoted.then(|| DriftRecord::new(id, now, "the first version that was promoted"));
        return Ok((first, nothing));
    };
    let Some(watched) = &judgement.watched else {
        return Ok((None, nothing));
    };
    let (mut next, found) = drift::advance(&record, watched, promoted);
    let auto = engine
        .config
        .domains
        .get(domain)
        .is_some_and(|domain| domain.gate.auto_rollback);
    if auto && (found.live || found.slow == Some(Signal::Alarm)) {
        next.roll_back = true;
    }
    Ok((Some(next), found))
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
        Decision::NoisyEval => "noisy_eval",
        Decision::NoData => "no_data",
    }
}

/// A pool in which nothing can be learned: every example was dropped, each for a reason that the manifest tells.
pub(super) fn finish_without_training(context: &Work, mut run: RunRecord) -> Result<()> {
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
