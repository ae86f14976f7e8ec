//! What the gate decided and why, what is wrong for longer than a run, and what people do about both.

use super::types::{
    AnchorRequest, AnchorView, Flip, GateExplanation, IncidentView, IncidentsView, PromoteRequest, Replayed,
    RollbackAnswer, SilenceRequest,
};
use super::views::run_view;
use crate::clock::now_ms;
use crate::drift::{self, DriftRecord};
use crate::engine::Engine;
use crate::incidents;
use crate::learn::judging;
use crate::learn::outcome::{Answers, Judgement};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use wengu_decide::gate::{Decision, Wear, selection_points};
use wengu_decide::incident::{Matcher, Phase, Silence};
use wengu_store::records::RunRecord;

/// The judgement of a run.
fn judgement(engine: &Engine, run: &RunRecord) -> Result<Judgement> {
    match &run.verdict {
        Some(hash) => engine.judgement(hash),
        None => bail!("run {} of domain {} has not been judged", run.run, run.domain),
    }
}

/// The last run that was judged.
fn last_judged(engine: &Engine, domain: &str) -> Result<u64> {
    let runs = engine.runs(domain)?;
    let judged = runs.iter().rev().find(|run| run.verdict.is_some());
    let judged = judged.with_context(|| format!("no run of domain {domain} has been judged yet"))?;
    Ok(judged.run)
}

/// Everything about one verdict; without a run, about the last.
pub fn explain(engine: &Engine, domain: &str, run: Option<u64>) -> Result<GateExplanation> {
    let run = run.map_or_else(|| last_judged(engine, domain), Ok)?;
    let record = engine.run(domain, run)?;
    let judgement = judgement(engine, &record)?;
    let asked = judgement.basis.as_ref().and_then(|basis| basis.repeat);
    Ok(GateExplanation {
        run: run_view(engine, &record)?,
        flips: flips(&judgement.answers),
        asked_twice: asked.map(|repeat| repeat.answers),
        fresh: judgement
            .watched
            .as_ref()
            .map(|watched| (watched.fresh_right, watched.fresh_items)),
        with_anchor: judgement.watched.as_ref().and_then(|watched| {
            let anchor = watched.anchor.clone()?;
            let promoted = judgement.verdict.decision == Decision::Promote;
            Some((anchor, drift::compare(watched.serving(promoted))))
        }),
        wear: wear(engine, &record, &judgement)?,
        verdict: judgement.verdict,
        anchor: anchor(engine, domain)?,
    })
}

/// How often each era's gate items had been looked at when the run was judged. A first version chose nothing.
fn wear(engine: &Engine, run: &RunRecord, judgement: &Judgement) -> Result<Vec<Wear>> {
    let mut looks: BTreeMap<u64, u64> = BTreeMap::new();
    let runs = engine.runs(&run.domain)?;
    let judged = runs
        .iter()
        .filter(|r| r.run <= run.run && r.verdict.is_some() && r.parent.is_some());
    for judged in judged {
        for era in engine.accuracy(judged)? {
            *looks.entry(era.era).or_default() += 1;
        }
    }
    let psi = judgement.verdict.earlier.psi;
    let eras = judgement.answers.iter().filter(|era| !era.items.is_empty());
    let worn = eras.map(|era| {
        let (items, looks) = (era.items.len() as u64, looks.get(&era.era).copied().unwrap_or(0));
        Wear {
            era: era.era,
            items,
            looks,
            points: selection_points(looks, items, psi),
        }
    });
    Ok(worn.collect())
}

/// Items whose answer became right or wrong; of answers that have scores, those that are another by half.
pub fn flips(answers: &[Answers]) -> Vec<Flip> {
    let mut flips = Vec::new();
    for era in answers {
        for a in &era.items {
            let (Some(champion), Some(before)) = (&a.champion, a.champion_worth()) else {
                continue;
            };
            if (before - a.challenger_worth()).abs() > 0.5 {
                flips.push(Flip {
                    era: era.era,
                    text_id: a.text_id.clone(),
                    label: a.label.clone(),
                    champion: champion.clone(),
                    challenger: a.challenger.clone(),
                });
            }
        }
    }
    flips
}

/// Judges a run again from what was recorded.
pub fn replay(engine: &Engine, domain: &str, run: u64) -> Result<Replayed> {
    let judgement = judgement(engine, &engine.run(domain, run)?)?;
    let again = judging::replay(&judgement).context(
        "this run was judged by a version of wengu that did not keep all a verdict is made from; it cannot be replayed",
    )?;
    let (recorded, replayed) = (serde_json::to_vec(&judgement.verdict)?, serde_json::to_vec(&again)?);
    Ok(Replayed {
        run,
        decision: crate::learn::decision_name(again.decision).into(),
        recorded_blake3: blake3::hash(&recorded).to_hex().to_string(),
        replayed_blake3: blake3::hash(&replayed).to_hex().to_string(),
        same: recorded == replayed,
    })
}

/// What a domain's versions are held against.
pub fn anchor(engine: &Engine, domain: &str) -> Result<Option<AnchorView>> {
    Ok(engine.store.get::<DriftRecord>(domain)?.map(|record| AnchorView {
        version: record.anchor,
        since_ms: record.since_ms,
        reason: record.reason,
        worse_in_a_row: record.slow.worse_in_a_row,
        warm_up_left: record.slow.warm_up_left(),
        fresh_items: record.fresh_items,
        fresh_right: record.fresh_right,
        reasons: record.reasons,
    }))
}

/// Moves the anchor.
pub fn move_anchor(engine: &Engine, request: &AnchorRequest) -> Result<Option<AnchorView>> {
    ensure!(
        !request.reason.trim().is_empty(),
        "a reason must be given: it goes into the audit log"
    );
    drift::move_anchor(engine, &request.domain, request.to.as_deref(), request.reason.trim())?;
    anchor(engine, &request.domain)
}

/// Incidents that are not over, and silences.
pub fn incidents(engine: &Engine, domain: Option<&str>) -> Result<IncidentsView> {
    let open = incidents::open(engine, domain)?.into_iter().map(|record| IncidentView {
        fingerprint: record.labels.fingerprint(),
        domain: record.labels.domain,
        slice: record.labels.slice,
        metric: record.labels.metric,
        firing: record.state.phase == Phase::Firing,
        since_ms: record.state.since_ms,
        told_ms: record.state.told_ms,
        run: record.run,
        numbers: record.numbers,
    });
    Ok(IncidentsView {
        open: open.collect(),
        silences: incidents::silenced(engine)?,
    })
}

/// Adds a silence.
pub fn silence(engine: &Engine, request: SilenceRequest) -> Result<IncidentsView> {
    ensure!(
        request.until_ms > now_ms().max(request.from_ms),
        "the silence would end before it begins, or is over already"
    );
    let SilenceRequest {
        domain,
        slice,
        metric,
        from_ms,
        until_ms,
        reason,
    } = request;
    let silence = Silence {
        matcher: Matcher { domain, slice, metric },
        from_ms,
        until_ms,
        reason,
    };
    incidents::silence(engine, silence)?;
    incidents(engine, None)
}

/// Puts a version in service against the gate.
pub fn promote(engine: &Engine, request: &PromoteRequest) -> Result<RollbackAnswer> {
    ensure!(
        request.force,
        "the gate promotes; to put version {} in service against it, say so with --force and give a --reason",
        request.version
    );
    crate::rollback::force(engine, &request.domain, &request.version, &request.reason)
}
