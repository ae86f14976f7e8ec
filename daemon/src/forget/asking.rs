//! Orders: what is asked for is found, shown, and made durable; and what is found at the start.

use super::history::{self, History};
use super::order::Order;
use super::record::{ForgetRecord, Step};
use super::scope::{DomainScope, Scope};
use super::target::{self, TargetFile};
use super::tombstones::Tombstone;
use crate::api::types::{ForgetPreview, ForgetRequest};
use crate::clock::{human, now_ms};
use crate::engine::Engine;
use anyhow::{Result, bail};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::PoisonError;
use wengu_failpoint::hit;
use wengu_store::Batch;
use wengu_store::records::FileRecord;

/// Takes an order, or says what it would do.
pub fn ask(engine: &Engine, request: &ForgetRequest) -> Result<ForgetPreview> {
    if !request.dry_run && request.reason.as_deref().unwrap_or_default().trim().is_empty() {
        bail!(
            "a reason must be given: it goes into the audit log and the receipt. Do not name there what is forgotten"
        );
    }
    let _one = engine.forgetting.asking.lock().unwrap_or_else(PoisonError::into_inner);
    let history = History::read(&engine.store)?;
    let mut order = Order::new(now_ms(), request.reason.as_deref().unwrap_or_default().trim())?;
    order.at_once = request.now;
    order.delete_source = request.delete_source;
    let files = target::resolve(engine, &history, &request.what, &request.path, &mut order)?;
    let scope = Scope::find(engine, &history, &order)?;
    let mut preview = preview(engine, &order, &scope, files)?;
    if request.dry_run {
        return Ok(preview);
    }
    let mixed: Vec<&TargetFile> = preview.files.iter().filter(|file| file.other_cases > 0).collect();
    if let (Some(first), false) = (mixed.first(), request.whole_files) {
        bail!(
            "{} holds records of {} other cases as well{}: with --whole-files they are forgotten with it; deliver it again \
             without the subject afterwards",
            first.path,
            first.other_cases,
            match mixed.len() {
                1 => String::new(),
                n => format!(", and {} more files do", n - 1),
            }
        );
    }
    // One that was written, and whose answer said that something failed then, is asked for again.
    let lying = Order::all(&engine.forgetting.orders())?;
    if let Some(lying) = lying.into_iter().find(|lying| lying.is_as(&order)) {
        order = lying;
    }
    if engine.store.get::<ForgetRecord>(&order.id)?.is_none() {
        begin(engine, &order)?;
    }
    preview.id = Some(order.id);
    Ok(preview)
}

/// Makes an order durable. From here on it will be carried out, whatever happens.
fn begin(engine: &Engine, order: &Order) -> Result<()> {
    let forgetting = &engine.forgetting;
    order.save(&forgetting.orders())?;
    hit("forget.ordered");
    let id = &order.id;
    forgetting
        .tombstones()
        .add(id, order.asked_ms, &order.contents, &order.cases)?;
    hit("forget.marked");
    if engine.store.get::<ForgetRecord>(id)?.is_none() {
        let record = ForgetRecord {
            at_once: order.at_once,
            ..ForgetRecord::new(id, order.asked_ms, &order.reason)
        };
        engine
            .store
            .commit(Batch::new("forget.asked").at(now_ms()).put(id, &record)?)?;
        hit("forget.asked");
        tracing::info!(forget = id, "forget_asked");
    }
    forgetting.ask_runner();
    engine.wake_runner();
    Ok(())
}

/// A file came that holds a case which was forgotten: it goes as well. Its name is told while it lies there.
pub fn again(engine: &Engine, key: &str, file: &FileRecord, why: &str) -> Result<()> {
    let _one = engine.forgetting.asking.lock().unwrap_or_else(PoisonError::into_inner);
    engine
        .forgetting
        .refuse(&file.domain, &file.location(), why.to_owned(), file.seen);
    let pending = Order::all(&engine.forgetting.orders())?;
    if pending.iter().any(|order| order.keys.contains(key)) {
        return Ok(());
    }
    let mut order = Order::new(now_ms(), "it held a case that was forgotten before")?;
    order.keys.insert(key.to_owned());
    order.contents.extend(file.content);
    begin(engine, &order)
}

/// At the start: orders that a crash kept from being recorded, and what came back with a store that was restored.
pub fn recover(engine: &Engine) -> Result<()> {
    for order in Order::all(&engine.forgetting.orders())? {
        begin(engine, &order)?;
    }
    let known = engine.store.scan::<ForgetRecord>("")?;
    let marks = engine.forgetting.tombstones().all().to_vec();
    tell_unmarked(engine, known.iter().map(|(_, record)| record), &marks);
    let known: BTreeSet<String> = known.into_iter().map(|(id, _)| id).collect();
    let missed: Vec<&Tombstone> = marks.iter().filter(|mark| !known.contains(&mark.id)).collect();
    if missed.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        forgettings = missed.len(),
        "this_store_is_older_than_what_was_forgotten"
    );
    let history = History::read(&engine.store)?;
    let mut order = Order::new(
        now_ms(),
        &format!(
            "the store is from before {} of {}",
            missed[0].id,
            human(missed[0].at_ms)
        ),
    )?;
    for (key, told) in &history.files {
        for told in told {
            if told
                .content
                .is_some_and(|hash| engine.forgetting.refuses_content(&hash).is_some())
            {
                order.contents.extend(told.content);
            }
            if let Some(hash) = told.examples
                && target::names_case(engine, &hash, |case| engine.forgetting.refuses_case(case).is_some())?
            {
                order.keys.insert(key.clone());
                order.contents.extend(told.content);
            }
        }
    }
    if !order.keys.is_empty() || !order.contents.is_empty() {
        begin(engine, &order)?;
    }
    // Last: until all that it marks is on its way, the marks count as not applied.
    let mut batch = Batch::new("forget.applied_again").at(now_ms());
    for mark in missed {
        let why = "its record was lost with the store that was replaced by an older one; see its receipt";
        let record = ForgetRecord {
            step: Step::Done,
            done_ms: Some(now_ms()),
            ..ForgetRecord::new(&mark.id, mark.at_ms, why)
        };
        batch = batch.put(&mark.id, &record)?;
    }
    engine.store.commit(batch)?;
    Ok(())
}

/// Tells of forgettings whose marks are not there: somebody has moved them aside, or restored a store without them.
fn tell_unmarked<'r>(engine: &Engine, records: impl Iterator<Item = &'r ForgetRecord>, marks: &[Tombstone]) {
    for record in records.filter(|record| marks.iter().all(|mark| mark.id != record.id)) {
        let told = format!(
            "what was forgotten on {} ({}) is not refused any more: {} has no mark of it; stop wengu, put that file back from a backup of its \
             folder, and start it again",
            human(record.asked_ms),
            record.id,
            engine.forgetting.folder().join("tombstones.json").display()
        );
        tracing::warn!(forget = record.id, "mark_missing");
        for domain in &record.domains {
            let key = format!("{}:forget:{}", domain.domain, record.id);
            engine.live().degraded.insert(key, told.clone());
        }
    }
}

fn preview(engine: &Engine, order: &Order, scope: &Scope, files: Vec<TargetFile>) -> Result<ForgetPreview> {
    let names = |of: &dyn Fn(&DomainScope) -> Vec<String>| -> Vec<String> {
        let all = scope.domains.iter().flat_map(|domain| {
            let name = domain.domain.clone();
            of(domain).into_iter().map(move |what| format!("{name}/{what}"))
        });
        all.collect()
    };
    let lying = scope
        .paths
        .iter()
        .map(AsRef::as_ref)
        .filter(|path: &&Path| path.exists());
    let mut frames = 0;
    let drops = history::drops(scope.keys.clone(), order.contents.clone());
    for event in engine.store.journal_events(1)? {
        frames += u64::from(event?.changes.iter().any(&drops));
    }
    let present = scope
        .objects
        .iter()
        .filter(|hash| engine.store.objects().contains(hash));
    Ok(ForgetPreview {
        id: None,
        files,
        cases: order.cases.iter().cloned().collect(),
        objects: present.count() as u64,
        commits: frames,
        runs: names(&|domain| domain.runs.iter().map(u64::to_string).collect()),
        versions: names(&|domain| domain.versions.clone()),
        serving: names(&|domain| match domain.serves {
            true => vec![domain.clean.clone().unwrap_or_else(|| "no version".into())],
            false => Vec::new(),
        }),
        again: names(&|domain| domain.redo.iter().map(|run| run.run.to_string()).collect()),
        source: lying.map(wengu_intake::shown).collect(),
    })
}
