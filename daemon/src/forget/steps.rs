//! Carrying an order out. Every step is repeated from its beginning after a crash, and the record says which one it is.

use super::erase;
use super::history::History;
use super::order::Order;
use super::receipt;
use super::record::{DomainRecord, ForgetRecord, Step};
use super::redo;
use super::scope::{DomainScope, Scope};
use super::versions;
use crate::clock::now_ms;
use crate::drift::DriftRecord;
use crate::engine::Engine;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use wengu_failpoint::hit;
use wengu_store::records::{CurrentRecord, RunRecord, RunState};
use wengu_store::{Batch, audit};

/// What is left to do once the journal does not say any more what was forgotten. It names nothing of it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// By domain.
    pub domains: Vec<DomainScope>,
}

impl Plan {
    /// What the runs of a domain were made of that are made again.
    pub fn redo(&self, domain: &str) -> &[crate::learn::manifest::Manifest] {
        let found = self.domains.iter().find(|found| found.domain == domain);
        found.map_or(&[], |found| &found.redo)
    }

    /// Reads that of a forgetting.
    pub fn load(engine: &Engine, record: &ForgetRecord) -> Result<Plan> {
        let hash = record.plan.context("the forgetting has no plan")?;
        Ok(serde_json::from_slice(&engine.store.objects().get(&hash)?)?)
    }
}

/// Does the next thing that can be done now; the runner calls it between two runs. False: there is nothing, or it waits for
/// a run.
pub fn work(engine: &Engine) -> Result<bool> {
    engine.forgetting.asked.store(false, Ordering::Release);
    for record in super::list(engine)? {
        match record.step {
            Step::Done if Order::load(&engine.forgetting.orders(), &record.id)?.is_some() => {
                receipt::finish(engine, &record)?;
            }
            Step::Done => continue,
            Step::Asked => stop_using(engine, record)?,
            Step::Erasing => erase::erase(engine, record)?,
            Step::Retraining => return retrain(engine, record),
            Step::Removing => {
                let record = versions::remove(engine, record)?;
                receipt::finish(engine, &record)?;
            }
        }
        return Ok(true);
    }
    Ok(false)
}

/// Every domain that a scope is about, locked.
pub(super) fn lock_all<'e>(engine: &'e Engine, domains: &[DomainScope]) -> Vec<MutexGuard<'e, ()>> {
    // In the order of their names, as everybody who holds several would have to.
    domains
        .iter()
        .filter_map(|domain| engine.lock(&domain.domain))
        .collect()
}

/// Finds what is reached, and stops using it, in one transaction.
fn stop_using(engine: &Engine, mut record: ForgetRecord) -> Result<()> {
    let orders = engine.forgetting.orders();
    let mut order = Order::load(&orders, &record.id)?.context("the order is gone")?;
    let head = audit::verify(&engine.layout.store(), None)?;
    // Nothing of what is found changes until it is acted on.
    let locks: Vec<_> = engine
        .config
        .domains
        .keys()
        .filter_map(|name| engine.lock(name))
        .collect();
    // Found anew in any case: runs may have come to their end since it was asked for.
    let history = History::read(&engine.store)?;
    let scope = Scope::find(engine, &history, &order)?;
    let plan = Plan {
        domains: scope.domains.clone(),
    };
    record.plan = Some(engine.store.objects().put_bytes(&serde_json::to_vec(&plan)?)?);
    (order.scope, order.plan) = (Some(scope.clone()), record.plan);
    order.save(&orders)?;
    hit("forget.planned");
    record.before = Some((head.commits, head.head));
    record.files = scope.keys.len() as u64;
    let present = scope
        .objects
        .iter()
        .filter(|hash| engine.store.objects().contains(hash));
    record.objects = present.count() as u64;
    record.domains = scope.domains.iter().map(begun).collect();
    record.step = Step::Erasing;
    let now = now_ms();
    let mut batch = Batch::new("forget.begun").at(now).put(&record.id, &record)?;
    for domain in &scope.domains {
        for run in &domain.runs {
            batch = scrub_run(engine, batch, &domain.domain, *run, &scope)?;
        }
        batch = forget_slides(engine, batch, domain)?;
        if record.at_once {
            batch = versions::leave(engine, batch, domain, domain.clean.as_deref())?;
        }
    }
    engine.store.commit(batch)?;
    hit("forget.begun");
    drop(locks);
    for domain in &scope.domains {
        engine.publish_current(&domain.domain)?;
    }
    engine.outbox_wake.notify_one();
    tracing::info!(forget = record.id, files = record.files, "forget_begun");
    Ok(())
}

fn begun(domain: &DomainScope) -> DomainRecord {
    DomainRecord {
        domain: domain.domain.clone(),
        tip: domain.clean.clone(),
        next: 0,
        run: None,
        made: Vec::new(),
        failed: None,
    }
}

/// Leaves of a run that had it that it was, and what it was made of besides.
fn scrub_run(engine: &Engine, batch: Batch, domain: &str, number: u64, scope: &Scope) -> Result<Batch> {
    let mut run = engine.run(domain, number)?;
    let without = redo::scrub(&engine.manifest(&run.manifest)?, &scope.objects);
    run.manifest = engine.store.objects().put_bytes(&serde_json::to_vec(&without)?)?;
    run.train_examples = without.train.len() as u64;
    run.new_gate_items = without.gate.len() as u64;
    run.state = RunState::Failed {
        end: "forgotten".into(),
        message: "something that it had learned or was judged by was forgotten".into(),
    };
    run.ended_ms = run.ended_ms.or(Some(now_ms()));
    (run.verdict, run.decision, run.accuracy) = (None, None, None);
    Ok(batch.put(&RunRecord::key(domain, number), &run)?)
}

/// What was seen of slides rests on answers to what is forgotten. The anchor stays where it never saw it.
fn forget_slides(engine: &Engine, batch: Batch, domain: &DomainScope) -> Result<Batch> {
    let name = &domain.domain;
    let Some(watch) = engine.store.get::<DriftRecord>(name)? else {
        return Ok(batch);
    };
    if domain.runs.is_empty() {
        return Ok(batch);
    }
    Ok(match domain.versions.contains(&watch.anchor) {
        // The next version that is promoted becomes it.
        true => batch.delete::<DriftRecord>(name),
        false => batch.put(name, &DriftRecord::new(&watch.anchor, now_ms(), &watch.reason))?,
    })
}

/// Has the runs made again, one after the other.
fn retrain(engine: &Engine, mut record: ForgetRecord) -> Result<bool> {
    let plan = Plan::load(engine, &record)?;
    let mut done = true;
    for at in 0..record.domains.len() {
        done &= redo::advance(engine, &mut record, at, &plan)?;
    }
    if done {
        record.step = Step::Removing;
        let batch = Batch::new("forget.retrained").at(now_ms());
        engine.store.commit(batch.put(&record.id, &record)?)?;
        hit("forget.retrained");
    }
    Ok(done)
}

/// Whether the version in service is one that had it.
pub(super) fn serves(engine: &Engine, domain: &DomainScope) -> Result<Option<CurrentRecord>> {
    let current = engine.current(&domain.domain)?;
    Ok(current.filter(|current| domain.versions.contains(&current.version)))
}
