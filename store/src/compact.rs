//! Giving space back: the journal is kept for ever, so this is about the index and about what was set aside.

use crate::index::size_of;
use crate::{Options, Store, StoreError};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// An index of less than this is left as it is.
const FLOOR_BYTES: u64 = 1 << 20;
/// As is one that takes no more than this many times its content.
const FACTOR: u64 = 2;

/// What an index takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct IndexSize {
    /// Its files.
    pub disk_bytes: u64,
    /// Its keys and values.
    pub live_bytes: u64,
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CompactReport {
    /// The index as it was found.
    pub before: IndexSize,
    /// The index as it is now.
    pub after: IndexSize,
    /// What the indexes took that were set aside; they are gone.
    pub quarantine_bytes: u64,
}

/// Writes the index anew from the journal, if it takes much more than its content, and removes the indexes that were
/// set aside. Nobody else may have the store open.
pub fn compact(dir: &Path, options: &Options) -> Result<CompactReport, StoreError> {
    let (store, _) = Store::open(dir, options.clone())?;
    let before = store.index_size()?;
    let quarantine = dir.join("quarantine");
    let failed = |e| StoreError::io("clear", &quarantine, e);
    let quarantine_bytes = size_of(&quarantine).map_err(failed)?;
    for entry in fs::read_dir(&quarantine).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(|e| StoreError::io("remove", &path, e))?;
    }
    if before.disk_bytes <= FLOOR_BYTES.max(before.live_bytes.saturating_mul(FACTOR)) {
        return Ok(CompactReport {
            before,
            after: before,
            quarantine_bytes,
        });
    }
    drop(store);
    let anew = Options {
        rebuild_index: true,
        ..options.clone()
    };
    let (store, _) = Store::open(dir, anew)?;
    Ok(CompactReport {
        before,
        after: store.index_size()?,
        quarantine_bytes,
    })
}
