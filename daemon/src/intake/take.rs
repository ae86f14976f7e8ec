//! Taking a file: a durable copy by content, and a record of what became of the path.

use super::gone::removed;
use super::sidecars::read_sidecars;
use crate::clock::now_ms;
use crate::digest;
use crate::engine::Engine;
use crate::feedback::FEEDBACK;
use crate::files::change_states;
use crate::sealing;
use anyhow::Result;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wengu_config::Domain;
use wengu_failpoint::hit;
use wengu_store::records::{ContentRecord, FileRecord, FileState, Seen, Sidecar};
use wengu_store::{Batch, Hash};
use wengu_watch::{OpenError, Snapshot};

/// The key of a path's record.
pub fn file_key(domain: &str, path: &Path) -> String {
    format!("{domain}/{}", &blake3::hash(path.as_os_str().as_bytes()).to_hex()[..32])
}

/// 128 random bits. A system that has none to give has worse troubles than a path that can be guessed.
fn salt() -> String {
    let mut salt = [0; 16];
    if let Err(error) = getrandom::fill(&mut salt) {
        tracing::warn!("the system gives no random numbers: {error}");
        return String::new();
    }
    digest::hex(&salt)
}

/// What became of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Nothing new.
    Nothing,
    /// The records of these keys are to be read.
    Read(Vec<String>),
    /// It was set aside.
    Quarantined,
}

/// Whether the file was taken as it is now.
pub fn is_known(engine: &Engine, domain: &Domain, path: &Path, now: &Snapshot) -> Result<bool> {
    Ok(known(engine, domain, path, now)?.is_some())
}

/// The record of a file that was taken as it is now, with its key.
fn known(engine: &Engine, domain: &Domain, path: &Path, now: &Snapshot) -> Result<Option<(String, FileRecord)>> {
    let key = file_key(&domain.name, path);
    let known = engine.store.get::<FileRecord>(&key)?;
    let as_it_is = |k: &FileRecord| k.present && k.seen == Some(seen(now)) && k.content.is_some();
    Ok(known.filter(as_it_is).map(|record| (key, record)))
}

/// Takes a settled file. An error is the system's, not the file's: the caller tries again.
pub fn take(engine: &Engine, domain: &Domain, path: &Path) -> Result<Taken> {
    let set_aside = |reason: &str| set_aside(engine, domain, path, reason);
    let (file, before) = match wengu_watch::open_regular(path) {
        Ok(opened) => opened,
        Err(e @ OpenError::NotRegular { .. }) => return set_aside(&e.to_string()),
        Err(OpenError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            removed(engine, domain, path)?;
            return Ok(Taken::Nothing);
        }
        Err(e @ OpenError::Io { .. }) => {
            let OpenError::Io { source, .. } = &e else {
                return Err(e.into());
            };
            if source.kind() == ErrorKind::PermissionDenied {
                return set_aside(&format!("{e}; give wengu's user the right to read it, then touch it"));
            }
            return Err(e.into());
        }
    };
    if let Some((key, record)) = known(engine, domain, path, &before)? {
        // Recorded by a try that failed after it, and not read yet.
        let unread = record.state == FileState::Ingested;
        return Ok(if unread { Taken::Read(vec![key]) } else { Taken::Nothing });
    }
    match take_opened(engine, domain, path, &file, before) {
        Err(error) if sealing::is_damage(&error) => set_aside(&format!(
            "it came over the API and {error:#}; say it again with `wengu feedback`"
        )),
        taken => taken,
    }
}

fn set_aside(engine: &Engine, domain: &Domain, path: &Path, reason: &str) -> Result<Taken> {
    Ok(match quarantine(engine, domain, path, reason)? {
        true => Taken::Quarantined,
        false => Taken::Nothing,
    })
}

fn take_opened(engine: &Engine, domain: &Domain, path: &Path, file: &std::fs::File, before: Snapshot) -> Result<Taken> {
    if let Some(why) = forgotten(engine, domain, path, file, &before)? {
        engine.forgetting.refuse(&domain.name, path, why, Some(seen(&before)));
        return Ok(Taken::Nothing);
    }
    let limit = domain.intake.max_file_bytes;
    if before.size > limit {
        let reason = format!(
            "it has {} MiB, more than the limit of {} MiB; raise max_file_mib or split it",
            before.size >> 20,
            limit >> 20
        );
        return set_aside(engine, domain, path, &reason);
    }
    hit("ingest.opened");
    let delivered = sealing::delivered(&engine.layout, engine.key(), path, file)?;
    let (content, _) = engine.store.objects().put_reader(delivered, limit)?;
    hit("ingest.copied");
    if Snapshot::of(&file.metadata()?) != before {
        // It is being written after all; the watcher will release it again.
        return Ok(Taken::Nothing);
    }
    let sidecars = read_sidecars(engine, domain, path)?;
    record_taken(
        engine,
        domain,
        path,
        Delivery {
            content,
            seen: seen(&before),
            sidecars,
        },
    )
}

/// Why a file is refused that was forgotten, or whose case was. It is read for that before anything of it is written.
fn forgotten(
    engine: &Engine,
    domain: &Domain,
    path: &Path,
    file: &std::fs::File,
    now: &Snapshot,
) -> Result<Option<String>> {
    let forgetting = &engine.forgetting;
    if forgetting.is_empty() {
        return Ok(None);
    }
    if let Some(why) = forgetting.has_refused(path, &seen(now)) {
        return Ok(Some(why));
    }
    if let Some(why) = forgetting.refuses_case(&format!("file:{}", case_key(engine, domain, path))) {
        return Ok(Some(why));
    }
    let content = crate::forget::hash_of(sealing::delivered(&engine.layout, engine.key(), path, file)?)?;
    (&*file).seek(SeekFrom::Start(0))?;
    Ok(forgetting.refuses_content(&content))
}

/// What lay at a path.
struct Delivery {
    content: Hash,
    seen: Seen,
    sidecars: Vec<Sidecar>,
}

fn record_taken(engine: &Engine, domain: &Domain, path: &Path, delivery: Delivery) -> Result<Taken> {
    let _lock = engine.lock(&domain.name);
    // Asked for while the file was being copied.
    if let Some(why) = engine.forgetting.refuses_content(&delivery.content) {
        engine.forgetting.refuse(&domain.name, path, why, Some(delivery.seen));
        return Ok(Taken::Nothing);
    }
    let key = file_key(&domain.name, path);
    let now = now_ms();
    let mut record = engine.store.get::<FileRecord>(&key)?.unwrap_or_else(|| FileRecord {
        domain: domain.name.clone(),
        path: wengu_intake::shown(path),
        path_bytes: FileRecord::bytes_of(path),
        case_key: case_key(engine, domain, path),
        revision: 0,
        content: None,
        sidecars: Vec::new(),
        seen: None,
        read_with: None,
        first_seen_ms: now,
        updated_ms: now,
        present: true,
        salt: salt(),
        state: FileState::Ingested,
    });
    let same = record.content == Some(delivery.content) && record.sidecars == delivery.sidecars;
    record.seen = Some(delivery.seen);
    record.present = true;
    record.updated_ms = now;
    // What was held back and is delivered again is what a person wants to be learned, and what was set aside may be tried again.
    let is_asked_again = matches!(record.state, FileState::HeldBack { .. } | FileState::Quarantined { .. });
    if same && !is_asked_again {
        engine
            .store
            .commit(Batch::new("file.touched").at(now).put(&key, &record)?)?;
        return Ok(Taken::Nothing);
    }
    if let Some(done) = same_bytes_elsewhere(engine, domain, &key, &mut record, &delivery)? {
        return Ok(done);
    }
    let mut batch = Batch::new("file.ingested").at(now);
    let mut keys = vec![key.clone()];
    if let Some(left) = record.content.filter(|left| *left != delivery.content) {
        let heir;
        (batch, heir) = leave_content(engine, domain, &key, left, batch)?;
        keys.extend(heir);
    }
    record.revision += 1;
    record.content = Some(delivery.content);
    record.sidecars = delivery.sidecars;
    record.state = FileState::Ingested;
    let owner = ContentRecord { file: key.clone() };
    batch = batch
        .put(&key, &record)?
        .put(&content_key(domain, &delivery.content), &owner)?;
    engine.store.commit(batch)?;
    hit("ingest.recorded");
    tracing::debug!(
        domain = domain.name,
        file = record.path,
        revision = record.revision,
        "file_ingested"
    );
    Ok(Taken::Read(keys))
}

/// The bytes are held under another path: a copy is not learned twice, and a file that was renamed stays the same case.
fn same_bytes_elsewhere(
    engine: &Engine,
    domain: &Domain,
    key: &str,
    record: &mut FileRecord,
    delivery: &Delivery,
) -> Result<Option<Taken>> {
    let content_key = content_key(domain, &delivery.content);
    let Some(owner) = engine.store.get::<ContentRecord>(&content_key)? else {
        return Ok(None);
    };
    let Some(other) = engine.store.get::<FileRecord>(&owner.file)? else {
        return Ok(None);
    };
    let labelled_otherwise = !delivery.sidecars.is_empty() && delivery.sidecars != other.sidecars;
    if owner.file == key || other.content != Some(delivery.content) || labelled_otherwise {
        return Ok(None);
    }
    let now = record.updated_ms;
    if other.location().exists() {
        let mut batch = Batch::new("file.duplicate").at(now);
        let mut keys = Vec::new();
        if let Some(left) = record.content.filter(|left| *left != delivery.content) {
            let heir;
            (batch, heir) = leave_content(engine, domain, key, left, batch)?;
            keys.extend(heir);
        }
        record.content = Some(delivery.content);
        record.state = FileState::Duplicate { of: other.path };
        engine.store.commit(batch.put(key, record)?)?;
        return Ok(Some(Taken::Read(keys)));
    }
    let renamed = FileRecord {
        path: record.path.clone(),
        path_bytes: record.path_bytes.clone(),
        seen: record.seen,
        present: true,
        updated_ms: now,
        ..other
    };
    let unread = renamed.state == FileState::Ingested;
    let batch = Batch::new("file.renamed").at(now).delete::<FileRecord>(&owner.file);
    let batch = batch
        .put(key, &renamed)?
        .put(&content_key, &ContentRecord { file: key.to_string() })?;
    engine.store.commit(batch)?;
    Ok(Some(Taken::Read(unread.then(|| key.to_string()).into_iter().collect())))
}

/// `key` no longer holds `content`: if it owned it, a duplicate takes its place and is read.
fn leave_content(
    engine: &Engine,
    domain: &Domain,
    key: &str,
    content: Hash,
    batch: Batch,
) -> Result<(Batch, Option<String>)> {
    let content_key = content_key(domain, &content);
    if engine
        .store
        .get::<ContentRecord>(&content_key)?
        .is_none_or(|owner| owner.file != key)
    {
        return Ok((batch, None));
    }
    let files = engine.store.scan::<FileRecord>(&format!("{}/", domain.name))?;
    let heir = files
        .into_iter()
        .find(|(k, f)| k != key && f.content == Some(content) && matches!(f.state, FileState::Duplicate { .. }));
    let Some((heir_key, mut heir)) = heir else {
        return Ok((batch.delete::<ContentRecord>(&content_key), None));
    };
    heir.state = FileState::Ingested;
    heir.revision = heir.revision.max(1);
    let owner = ContentRecord { file: heir_key.clone() };
    let batch = batch.put(&heir_key, &heir)?.put(&content_key, &owner)?;
    Ok((batch, Some(heir_key)))
}

fn content_key(domain: &Domain, content: &Hash) -> String {
    format!("{}/{content}", domain.name)
}

fn seen(snapshot: &Snapshot) -> Seen {
    Seen {
        size: snapshot.size,
        mtime_ns: snapshot.mtime_ns,
        inode: snapshot.inode,
    }
}

/// The path inside its watched folder: the same on every machine that mounts the folder elsewhere.
fn case_key(engine: &Engine, domain: &Domain, path: &Path) -> String {
    if let Ok(inside) = path.strip_prefix(engine.layout.feedback(&domain.name)) {
        return format!("{FEEDBACK}/{}", wengu_intake::shown(inside));
    }
    let inside = domain
        .watch
        .iter()
        .find_map(|root| path.strip_prefix(root).ok())
        .unwrap_or(path);
    wengu_intake::shown(inside)
}

/// Records that a path was not taken, and why. What was taken of it earlier is kept as it is. Returns whether anything
/// changed.
pub fn quarantine(engine: &Engine, domain: &Domain, path: &Path, reason: &str) -> Result<bool> {
    let _lock = engine.lock(&domain.name);
    let key = file_key(&domain.name, path);
    let now = now_ms();
    let known = engine.store.get::<FileRecord>(&key)?;
    let state = FileState::Quarantined {
        reason: reason.to_string(),
    };
    if known.as_ref().is_some_and(|k| k.state == state || k.content.is_some()) {
        tracing::warn!(domain = domain.name, file = %path.display(), reason, "file_not_taken_again");
        return Ok(false);
    }
    let record = FileRecord {
        domain: domain.name.clone(),
        path: wengu_intake::shown(path),
        path_bytes: FileRecord::bytes_of(path),
        case_key: case_key(engine, domain, path),
        revision: known.as_ref().map_or(1, |k| k.revision + 1),
        content: None,
        sidecars: Vec::new(),
        seen: None,
        read_with: None,
        first_seen_ms: known.as_ref().map_or(now, |k| k.first_seen_ms),
        updated_ms: now,
        present: true,
        salt: known.map_or_else(salt, |k| k.salt),
        state,
    };
    engine
        .store
        .commit(Batch::new("file.quarantined").at(now).put(&key, &record)?)?;
    tracing::warn!(domain = domain.name, file = record.path, reason, "file_quarantined");
    Ok(true)
}

/// Files that gave nothing are read again where they would now be read otherwise: with other options, another plugin,
/// or a newer wengu.
pub fn reread(engine: &Engine, domain: &Domain, read_with: &str) -> Result<()> {
    change_states(engine, &domain.name, "file.reread", |file| {
        let gave_nothing = matches!(file.state, FileState::Unlabelled { .. } | FileState::Quarantined { .. });
        let otherwise = file.content.is_some() && file.read_with.as_deref() != Some(read_with);
        (gave_nothing && otherwise).then_some(FileState::Ingested)
    })?;
    Ok(())
}
