//! Taking off the disk what the daemon holds: job directories, what the journal and the index say, objects, and, where it
//! was asked for, what lies in the watched folders.

use super::history::drops;
use super::order::Order;
use super::record::{ForgetRecord, Step};
use super::scope::{DomainScope, Scope};
use super::steps::{Plan, lock_all};
use super::versions;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::files::change_states;
use crate::sealing;
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};
use wengu_failpoint::hit;
use wengu_store::records::{FileState, RunRecord};
use wengu_store::{Batch, Hash, Redaction, durable};

/// An object that no record names yet may be on its way to one, unless it is as old as this.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// The whole step.
pub(super) fn erase(engine: &Engine, mut record: ForgetRecord) -> Result<()> {
    let order = Order::load(&engine.forgetting.orders(), &record.id)?.context("the order is gone")?;
    let scope = order.scope.as_ref().context("the order has no scope")?;
    for domain in &scope.domains {
        back_to_the_pool(engine, domain)?;
        clear_jobs(engine, &domain.domain)?;
    }
    hit("forget.pooled");
    if order.delete_source {
        delete_source(engine, &order, scope)?;
        hit("forget.source_deleted");
    }
    let locks = lock_all(engine, &scope.domains);
    let redaction = Redaction {
        note: json!({"forget": record.id}),
        at_ms: now_ms(),
        drop: drops(scope.keys.clone(), order.contents.clone()),
        words: scope.words.clone(),
    };
    let done = engine.store.redact(redaction)?;
    hit("forget.redacted");
    drop(locks);
    remove_objects(engine, scope)?;
    hit("forget.objects_removed");
    if record.at_once {
        versions::sweep(engine, &Plan::load(engine, &record)?.domains)?;
    }
    record.step = Step::Retraining;
    let batch = Batch::new("forget.erased").at(now_ms());
    engine.store.commit(batch.put(&record.id, &record)?)?;
    hit("forget.erased");
    tracing::info!(
        forget = record.id,
        frames = done.frames,
        changes = done.changes,
        "forget_erased"
    );
    Ok(())
}

/// Files that only versions have learned which go: the runs that are made again bring them in line with their verdicts, and
/// what those leave is the scheduler's.
fn back_to_the_pool(engine: &Engine, domain: &DomainScope) -> Result<()> {
    let versions: BTreeSet<&String> = domain.versions.iter().collect();
    change_states(engine, &domain.domain, "files.pooled_again", |file| match &file.state {
        FileState::Learned {
            examples,
            counts,
            version,
        } if versions.contains(version) => Some(FileState::Pooled {
            examples: *examples,
            counts: *counts,
            tried_in_run: None,
        }),
        _ => None,
    })?;
    Ok(())
}

/// Job directories of all runs but those that are under way and never had it.
fn clear_jobs(engine: &Engine, domain: &str) -> Result<()> {
    let open = engine.runs(domain)?.into_iter().filter(RunRecord::is_open);
    let open: BTreeSet<String> = open.map(|run| format!("{:04}", run.run)).collect();
    let folder = &engine.layout.jobs_of(domain);
    if !folder.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let run = name.split('-').next().unwrap_or(&name);
        if !open.contains(run) {
            std::fs::remove_dir_all(entry.path()).with_context(|| entry.path().display().to_string())?;
        }
    }
    durable::fsync_dir(folder)?;
    Ok(())
}

/// What lies in a watched folder with exactly these bytes.
fn delete_source(engine: &Engine, order: &Order, scope: &Scope) -> Result<()> {
    let roots: Vec<&Path> = engine
        .config
        .domains
        .values()
        .flat_map(|domain| domain.watch.iter().map(AsRef::as_ref))
        .collect();
    for path in scope.paths.iter().map(AsRef::as_ref) {
        if !roots.iter().any(|root| path.starts_with(root)) {
            continue;
        }
        let Ok((file, _)) = wengu_watch::open_regular(path) else {
            continue;
        };
        let delivered = sealing::delivered(&engine.layout, engine.key(), path, &file)?;
        if order.contents.contains(&hash_of(delivered)?) {
            std::fs::remove_file(path).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// The hash of a file's bytes.
pub fn hash_of(bytes: impl std::io::Read) -> Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(bytes)?;
    Ok(hasher.finalize().into())
}

/// Removes what is reached and needed by no record that stays, and every object that was put and never used: a copy of a
/// file that was still growing is one.
fn remove_objects(engine: &Engine, scope: &Scope) -> Result<()> {
    let objects = engine.store.objects();
    let began = SystemTime::now();
    let mut seq = engine.store.last_seq();
    let mut references = engine.store.references()?;
    loop {
        // They are read from the whole journal.
        if engine.store.last_seq() != seq {
            seq = engine.store.last_seq();
            references = engine.store.references()?;
        }
        for hash in scope.objects.difference(&references.live) {
            objects.remove(hash)?;
        }
        let mut waits = false;
        for hash in objects.list()?.0 {
            if references.ever.contains(&hash) || scope.objects.contains(&hash) {
                continue;
            }
            let age = std::fs::metadata(objects.path(&hash)).and_then(|found| found.modified());
            match age.ok().and_then(|put| SystemTime::now().duration_since(put).ok()) {
                Some(age) if age < ON_ITS_WAY => waits = true,
                _ => {
                    objects.remove(&hash)?;
                }
            }
        }
        if !waits || began.elapsed().is_ok_and(|since| since > 2 * ON_ITS_WAY) {
            return Ok(());
        }
        if engine.is_stopping() {
            bail!("the daemon stops; what is left is taken off the disk at the next start");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
