//! Files that are gone from their folders.

use super::take::file_key;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use std::path::Path;
use wengu_config::Domain;
use wengu_store::Batch;
use wengu_store::records::FileRecord;

/// The path is gone from its folder. What was ingested of it is kept.
pub fn removed(engine: &Engine, domain: &Domain, path: &Path) -> Result<()> {
    let _lock = engine.lock(&domain.name);
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
    let mut gone = Vec::new();
    engine
        .store
        .each(&format!("{}/", domain.name), |_, record: FileRecord| {
            let path = record.location();
            if record.present && path.starts_with(root) && std::fs::symlink_metadata(&path).is_err() {
                gone.push(path);
            }
        })?;
    gone.iter().try_for_each(|path| removed(engine, domain, path))
}
