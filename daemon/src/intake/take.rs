//! Taking a file: a durable copy by content, and a record of what became of the path.

use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use wengu_config::Domain;
use wengu_store::records::{ContentRecord, FileRecord, FileState, Seen, Sidecar};
use wengu_store::{Batch, Hash};
use wengu_watch::{OpenError, Snapshot};

/// The key of a path's record.
pub fn file_key(domain: &str, path: &Path) -> String {
    format!("{domain}/{}", &blake3::hash(path.as_os_str().as_bytes()).to_hex()[..32])
}

/// A sidecar larger than this is no sidecar.
const MAX_SIDECAR_BYTES: u64 = 1 << 20;

/// Takes a settled file. Returns its key if there is something new to read.
pub fn take(engine: &Engine, domain: &Domain, path: &Path) -> Result<Option<String>> {
    let key = file_key(&domain.name, path);
    let known = engine.store.get::<FileRecord>(&key)?;
    let (file, before) = match wengu_watch::open_regular(path) {
        Ok(opened) => opened,
        Err(OpenError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            removed(engine, domain, path)?;
            return Ok(None);
        }
        Err(e @ OpenError::NotRegular { .. }) => {
            quarantine(engine, domain, path, &e.to_string())?;
            return Ok(None);
        }
        Err(e) => {
            let reason = format!("{e}; check its owner and mode");
            quarantine(engine, domain, path, &reason)?;
            return Ok(None);
        }
    };
    if known
        .as_ref()
        .is_some_and(|k| k.present && k.seen == Some(seen(&before)) && k.content.is_some())
    {
        return Ok(None);
    }
    let limit = domain.intake.max_file_bytes;
    if before.size > limit {
        let reason = format!(
            "it has {} MiB, more than the limit of {} MiB; raise max_file_mib or split it",
            before.size >> 20,
            limit >> 20
        );
        quarantine(engine, domain, path, &reason)?;
        return Ok(None);
    }
    let (hash, _) = engine.store.objects().put_reader(&file, limit)?;
    if Snapshot::of(&file.metadata()?) != before {
        // It is being written after all; the watcher will release it again.
        return Ok(None);
    }
    let sidecars = read_sidecars(engine, path)?;
    record_taken(engine, domain, path, &key, known, hash, seen(&before), sidecars)
}

#[allow(clippy::too_many_arguments)]
fn record_taken(
    engine: &Engine,
    domain: &Domain,
    path: &Path,
    key: &str,
    known: Option<FileRecord>,
    hash: Hash,
    seen: Seen,
    sidecars: Vec<Sidecar>,
) -> Result<Option<String>> {
    let now = now_ms();
    let mut record = known.unwrap_or_else(|| FileRecord {
        domain: domain.name.clone(),
        path: path.display().to_string(),
        case_key: case_key(domain, path),
        revision: 0,
        content: None,
        sidecars: Vec::new(),
        seen: None,
        first_seen_ms: now,
        updated_ms: now,
        present: true,
        state: FileState::Ingested,
    });
    let same_content = record.content == Some(hash) && record.sidecars == sidecars;
    record.seen = Some(seen);
    record.present = true;
    record.updated_ms = now;
    if same_content {
        engine
            .store
            .commit(Batch::new("file.touched").at(now).put(key, &record)?)?;
        return Ok(None);
    }
    let content_key = format!("{}/{hash}", domain.name);
    let mut batch = Batch::new("file.ingested").at(now);
    if let Some(owner) = engine.store.get::<ContentRecord>(&content_key)?
        && owner.file != key
        && let Some(other) = engine.store.get::<FileRecord>(&owner.file)?
        && other.content == Some(hash)
    {
        if Path::new(&other.path).exists() {
            record.content = Some(hash);
            record.state = FileState::Duplicate { of: other.path };
            engine
                .store
                .commit(Batch::new("file.duplicate").at(now).put(key, &record)?)?;
            return Ok(None);
        }
        // The same bytes under a new name, and the old name is gone: the file was renamed and stays the same case.
        let renamed = FileRecord {
            path: record.path,
            seen: record.seen,
            present: true,
            updated_ms: now,
            ..other
        };
        batch = Batch::new("file.renamed").at(now).delete::<FileRecord>(&owner.file);
        batch = batch
            .put(key, &renamed)?
            .put(&content_key, &ContentRecord { file: key.to_string() })?;
        let unread = renamed.state == FileState::Ingested;
        engine.store.commit(batch)?;
        return Ok(unread.then(|| key.to_string()));
    }
    record.revision += 1;
    record.content = Some(hash);
    record.sidecars = sidecars;
    record.state = FileState::Ingested;
    batch = batch
        .put(key, &record)?
        .put(&content_key, &ContentRecord { file: key.to_string() })?;
    engine.store.commit(batch)?;
    tracing::debug!(
        domain = domain.name,
        file = record.path,
        revision = record.revision,
        "file_ingested"
    );
    Ok(Some(key.to_string()))
}

fn seen(snapshot: &Snapshot) -> Seen {
    Seen {
        size: snapshot.size,
        mtime_ns: snapshot.mtime_ns,
        inode: snapshot.inode,
    }
}

/// The path inside its watched folder: the same on every machine that mounts the folder elsewhere.
fn case_key(domain: &Domain, path: &Path) -> String {
    let inside = domain
        .watch
        .iter()
        .find_map(|root| path.strip_prefix(root).ok())
        .unwrap_or(path);
    inside.display().to_string()
}

fn read_sidecars(engine: &Engine, path: &Path) -> Result<Vec<Sidecar>> {
    let Some(name) = path.file_name().map(|n| n.to_string_lossy().into_owned()) else {
        return Ok(Vec::new());
    };
    let mut sidecars = Vec::new();
    for candidate in wengu_intake::sidecar_names(&name) {
        let Ok((file, snapshot)) = wengu_watch::open_regular(&path.with_file_name(&candidate)) else {
            continue;
        };
        if snapshot.size <= MAX_SIDECAR_BYTES {
            let (content, _) = engine.store.objects().put_reader(&file, MAX_SIDECAR_BYTES)?;
            sidecars.push(Sidecar {
                name: candidate,
                content,
            });
        }
    }
    Ok(sidecars)
}

/// A sidecar came after its case file. Returns the case file's key if it has to be read again.
pub fn sidecar_arrived(engine: &Engine, domain: &Domain, main: &Path) -> Result<Option<String>> {
    let key = file_key(&domain.name, main);
    let Some(mut record) = engine.store.get::<FileRecord>(&key)? else {
        return Ok(None);
    };
    let sidecars = read_sidecars(engine, main)?;
    let open = matches!(
        record.state,
        FileState::Ingested | FileState::Pooled { .. } | FileState::Unlabelled { .. } | FileState::Quarantined { .. }
    );
    if record.sidecars == sidecars || record.content.is_none() || !open {
        return Ok(None);
    }
    record.sidecars = sidecars;
    record.state = FileState::Ingested;
    record.updated_ms = now_ms();
    engine
        .store
        .commit(Batch::new("file.sidecar").at(record.updated_ms).put(&key, &record)?)?;
    Ok(Some(key))
}

/// The path is gone from its folder. What was ingested of it is kept.
pub fn removed(engine: &Engine, domain: &Domain, path: &Path) -> Result<()> {
    let key = file_key(&domain.name, path);
    if let Some(mut record) = engine.store.get::<FileRecord>(&key)?
        && record.present
    {
        record.present = false;
        record.updated_ms = now_ms();
        engine
            .store
            .commit(Batch::new("file.removed").at(record.updated_ms).put(&key, &record)?)?;
    }
    Ok(())
}

/// Records of files under `root` that are gone, for what went while nobody was watching.
pub fn mark_absent(engine: &Engine, domain: &Domain, root: &Path) -> Result<()> {
    for (_, record) in engine.store.scan::<FileRecord>(&format!("{}/", domain.name))? {
        let path = Path::new(&record.path);
        if record.present && path.starts_with(root) && std::fs::symlink_metadata(path).is_err() {
            removed(engine, domain, path)?;
        }
    }
    Ok(())
}

/// Records that a path was not taken, and why.
pub fn quarantine(engine: &Engine, domain: &Domain, path: &Path, reason: &str) -> Result<()> {
    let key = file_key(&domain.name, path);
    let now = now_ms();
    let known = engine.store.get::<FileRecord>(&key)?;
    let state = FileState::Quarantined {
        reason: reason.to_string(),
    };
    if known.as_ref().is_some_and(|k| k.state == state) {
        return Ok(());
    }
    let record = FileRecord {
        domain: domain.name.clone(),
        path: path.display().to_string(),
        case_key: case_key(domain, path),
        revision: known.as_ref().map_or(1, |k| k.revision + 1),
        content: None,
        sidecars: Vec::new(),
        seen: None,
        first_seen_ms: known.map_or(now, |k| k.first_seen_ms),
        updated_ms: now,
        present: true,
        state,
    };
    engine
        .store
        .commit(Batch::new("file.quarantined").at(now).put(&key, &record)?)?;
    Ok(())
}
