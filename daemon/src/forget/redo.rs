//! Making runs again without what was forgotten. Each is made from what its first making was made of (deliveries, seed,
//! hyper-parameters, base model), so that on the processor the same bytes come out as where it was never delivered. It is
//! judged by the gate against what it continues, which never saw it: to be worse than a version that did counts for
//! nothing.

use super::record::{DomainRecord, ForgetRecord};
use super::steps::Plan;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::learn::compose;
use crate::learn::examples::Examples;
use crate::learn::manifest::{Item, Manifest};
use crate::schedule;
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use wengu_failpoint::hit;
use wengu_store::records::{RunRecord, RunState};
use wengu_store::{Batch, Hash};

/// Why a run of this kind was started.
pub const REASON: &str = "forgetting";

/// A manifest without these examples. Labels and terms that no other example gives are not in it either.
pub fn scrub(manifest: &Manifest, examples: &BTreeSet<Hash>) -> Manifest {
    let kept = |items: &[Item]| -> Vec<Item> {
        let items = items.iter().filter(|item| !examples.contains(&item.examples));
        items.cloned().collect()
    };
    let mut without = Manifest {
        files: manifest
            .files
            .iter()
            .filter(|(_, hash)| !examples.contains(hash))
            .map(|(key, hash)| (key.clone(), *hash))
            .collect(),
        train: kept(&manifest.train),
        validation: kept(&manifest.validation),
        gate: kept(&manifest.gate),
        reserve: kept(&manifest.reserve),
        audit: kept(&manifest.audit),
        checklist: kept(&manifest.checklist),
        asked: {
            let asked = manifest.asked.iter();
            let kept = asked.filter(|asked| !examples.contains(&asked.item.examples));
            kept.cloned().collect()
        },
        dropped: manifest
            .dropped
            .iter()
            .filter(|dropped| !examples.contains(&dropped.examples))
            .cloned()
            .collect(),
        terms: Vec::new(),
        ..manifest.clone()
    };
    let trained = without.train.iter().chain(&without.validation);
    let items = trained.chain(without.held_out());
    let used: BTreeSet<String> = items.map(|item| item.label.clone()).collect();
    without.labels.retain(|label| used.contains(label));
    without
}

/// Goes one step on in a domain. True: there is nothing more to make; false: a run of the domain is under way now.
pub fn advance(engine: &Engine, record: &mut ForgetRecord, at: usize, plan: &Plan) -> Result<bool> {
    let name = record.domains[at].domain.clone();
    let redo = plan.redo(&name);
    if redo.is_empty() {
        return Ok(true);
    }
    let Some(domain) = engine.config.domains.get(&name) else {
        // A domain that is not configured any more is trained no more.
        return Ok(true);
    };
    let _lock = engine.lock(&name);
    let runs = engine.runs(&name)?;
    if runs.iter().any(RunRecord::is_open) {
        return Ok(false);
    }
    if let Some(number) = record.domains[at].run {
        settle(engine, &mut record.domains[at], &engine.run(&name, number)?, redo.len())?;
    }
    let here = &record.domains[at];
    let Some(old) = redo.get(here.next as usize) else {
        return put(engine, Batch::new("forget.retrained"), record).map(|()| true);
    };
    let run = runs.last().map_or(1, |run| run.run + 1);
    let manifest = again(engine, old, run, here.tip.clone())
        .and_then(|(manifest, pool)| compose::compose(engine, domain, manifest, pool))
        .with_context(|| format!("run {} of domain {name} cannot be made again", old.run));
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(error) => {
            // The files are in the pool: the scheduler goes on from there, and tells what is wrong.
            tracing::error!(
                domain = name,
                error = format!("{error:#}"),
                "forget_retraining_left_to_the_scheduler"
            );
            let here = &mut record.domains[at];
            (here.failed, here.next) = (Some(run), redo.len() as u64);
            return put(engine, Batch::new("forget.retrained"), record).map(|()| true);
        }
    };
    let hash = engine.store.objects().put_bytes(&serde_json::to_vec(&manifest)?)?;
    let planned = schedule::planned(&manifest, hash, REASON, now_ms());
    record.domains[at].run = Some(run);
    let batch = Batch::new("run.planned").put(&RunRecord::key(&name, run), &planned)?;
    put(engine, batch, record)?;
    hit("forget.run_planned");
    tracing::info!(domain = name, run, again = old.run, forget = record.id, "run_planned");
    Ok(false)
}

fn put(engine: &Engine, batch: Batch, record: &ForgetRecord) -> Result<()> {
    engine.store.commit(batch.at(now_ms()).put(&record.id, record)?)?;
    Ok(())
}

/// What came of the run that was made last.
fn settle(engine: &Engine, here: &mut DomainRecord, run: &RunRecord, redo: usize) -> Result<()> {
    here.run = None;
    if let RunState::Failed { .. } = run.state {
        (here.failed, here.next) = (Some(run.run), redo as u64);
        return Ok(());
    }
    here.made.push(run.run);
    here.next += 1;
    if run.decision.as_deref() == Some("promote") {
        here.tip = engine.version_of_run(&run.domain, run.run)?;
    }
    Ok(())
}

type Pool = Vec<(Hash, Examples)>;

/// The old run's settings, to be filled, and the deliveries that it was made of.
fn again(engine: &Engine, old: &Manifest, run: u64, parent: Option<String>) -> Result<(Manifest, Pool)> {
    let files = old.files.values();
    let pool = files.map(|hash| Ok((*hash, Examples::read(&engine.store, hash)?)));
    let pool = pool.collect::<Result<Pool>>()?;
    let manifest = Manifest {
        run,
        parent,
        replaces: Some(old.run),
        ..old.clone()
    };
    Ok((manifest, pool))
}
