//! Making journal and index agree when a store is opened.

use crate::batch::{Op, Payload};
use crate::index::{self, Index, Opened};
use crate::journal::scan::{Frames, Scan};
use crate::{IndexKind, OpenReport, Options, RebuildReason, StoreError, durable};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Indexes set aside that are kept for whoever wants to know what happened.
const QUARANTINE_KEPT: usize = 3;
/// Changes that a replay applies at once.
const REPLAY_OPS: usize = 1000;

/// Damage to what was acknowledged must not pass for an interrupted write.
pub(crate) fn check_against(scan: &Scan, index_seq: u64, journal_dir: &Path) -> Result<(), StoreError> {
    if scan.segments.is_empty() && index_seq > 0 {
        return Err(StoreError::JournalMissing {
            journal: journal_dir.to_path_buf(),
            index_seq,
        });
    }
    match &scan.torn {
        Some(torn) if scan.torn_in_full && index_seq > scan.last_seq => {
            let what = "the last frame is damaged, and the index shows that it was once complete";
            Err(StoreError::corrupt(&torn.path, torn.offset, what))
        }
        _ => Ok(()),
    }
}

/// Whether the index can be used, given the journal.
pub(crate) fn judge(found: Result<Opened, RebuildReason>, existed: bool, scan: &Scan) -> Result<Index, RebuildReason> {
    let Opened { index, bloat } = found?;
    let applied = index.applied();
    if !existed {
        return if scan.last_seq == 0 {
            Ok(index)
        } else {
            Err(RebuildReason::Missing)
        };
    }
    if applied.seq > scan.last_seq {
        return Err(RebuildReason::Ahead {
            index_seq: applied.seq,
            journal_seq: scan.last_seq,
        });
    }
    if applied.seq > 0 && scan.link_at.map(|link| link.crc) != Some(applied.crc) {
        return Err(RebuildReason::Diverged { seq: applied.seq });
    }
    bloat.map_or(Ok(index), Err)
}

/// Makes room for a new index. One that may tell a story is kept.
pub(crate) fn set_aside(dir: &Path, index_dir: &Path, reason: &RebuildReason) -> Result<Option<PathBuf>, StoreError> {
    if !index_dir.exists() {
        return Ok(None);
    }
    if matches!(
        reason,
        RebuildReason::Requested
            | RebuildReason::Missing
            | RebuildReason::Switched { .. }
            | RebuildReason::Bloated { .. }
    ) {
        remove(index_dir)?;
        return Ok(None);
    }
    let quarantine = dir.join("quarantine");
    let failed = |e: io::Error| StoreError::io("move the index to", &quarantine, e);
    let now_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let mut place = quarantine.join(format!("{now_ms}-index"));
    while place.exists() {
        place.set_extension("again");
    }
    durable::rename_durable(index_dir, &place).map_err(failed)?;
    let mut kept: Vec<PathBuf> = fs::read_dir(&quarantine)
        .and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect())
        .map_err(failed)?;
    kept.sort();
    for old in kept.iter().rev().skip(QUARANTINE_KEPT) {
        remove(old)?;
    }
    Ok(Some(place))
}

/// The last commit that an index of the other engine knows, where there is one and none of the configured one: a
/// change of engines must not hide that the journal has lost commits.
pub(crate) fn former(dir: &Path, options: &Options) -> Option<(IndexKind, u64)> {
    let from = options.index.other();
    let path = dir.join(from.dir_name());
    if dir.join(options.index.dir_name()).exists() || !path.exists() {
        return None;
    }
    // One that does not open knows nothing.
    let seq = index::open(from, &path, options).map_or(0, |opened| opened.index.applied().seq);
    Some((from, seq))
}

/// Lost commits are worse than any other reason.
pub(crate) fn or_ahead(reason: RebuildReason, known_seq: u64, scan: &Scan) -> RebuildReason {
    match known_seq > scan.last_seq {
        true => RebuildReason::Ahead {
            index_seq: known_seq,
            journal_seq: scan.last_seq,
        },
        false => reason,
    }
}

/// Removes the index of the engine that is not in use any more.
pub(crate) fn drop_other(dir: &Path, kind: IndexKind) -> Result<(), StoreError> {
    let path = dir.join(kind.other().dir_name());
    if path.exists() { remove(&path) } else { Ok(()) }
}

/// Removes the index, and those that were set aside: they hold what the journal held.
pub(crate) fn remove_indexes(store: &Path, index: &Path) -> Result<(), StoreError> {
    let quarantine = store.join("quarantine");
    let failed = |e| StoreError::io("clear", &quarantine, e);
    for entry in fs::read_dir(&quarantine).map_err(failed)? {
        remove(&entry.map_err(failed)?.path())?;
    }
    if index.exists() {
        remove(index)?;
    }
    durable::fsync_dir(store).map_err(|e| StoreError::io("fsync", store, e))
}

/// What goes by the name of an index need not be a directory.
fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    removed.map_err(|e| StoreError::io("remove", path, e))
}

/// Applies what the index does not have yet. Returns the number of commits.
pub(crate) fn replay(index: &mut Index, journal_dir: &Path, last_seq: u64) -> Result<u64, StoreError> {
    let from_seq = index.applied().seq + 1;
    let mut ops: Vec<Op> = Vec::new();
    for frame in Frames::open(journal_dir, from_seq, last_seq)? {
        let (frame, path) = frame?;
        ops.extend(Payload::decode(&frame, &path)?.ops);
        if ops.len() >= REPLAY_OPS || frame.seq == last_seq {
            index.apply(frame.seq, frame.link.crc, &ops)?;
            ops.clear();
        }
    }
    Ok((last_seq + 1).saturating_sub(from_seq))
}

pub(crate) fn log(dir: &Path, report: &OpenReport) {
    let dir = dir.display();
    tracing::info!(%dir, last_seq = report.last_seq, replayed = report.replayed, "the store is open");
    if let Some(torn) = &report.torn_tail {
        let path = torn.path.display();
        tracing::warn!(%path, offset = torn.offset, bytes = torn.bytes, "an interrupted write was cut off the journal");
    }
    if let Some(reason) = &report.rebuilt {
        tracing::warn!(%dir, "the index was rebuilt: {reason}");
    }
    if let Some(kind) = report.network_filesystem {
        tracing::warn!(%dir, "the store is on a network file system ({kind}): its safety is that of the server");
    }
}
