//! Changing the states of many files: in transactions of bounded size, each file read anew under the domain's lock.

use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use wengu_store::Batch;
use wengu_store::records::{FileRecord, FileState};

/// Files in one transaction.
const FILES_A_BATCH: usize = 1000;

/// Gives every file of the domain for which `next` names one a new state, as the journal's `event`. Returns how many.
/// `next` sees each record as it is then: the file may have been rewritten or renamed while others were changed.
pub fn change_states(
    engine: &Engine,
    domain: &str,
    event: &str,
    next: impl Fn(&FileRecord) -> Option<FileState>,
) -> Result<u64> {
    let mut changed = 0;
    let mut keys = Vec::new();
    engine.store.each(&format!("{domain}/"), |key, file: FileRecord| {
        if next(&file).is_some() {
            keys.push(key.to_owned());
        }
    })?;
    for chunk in keys.chunks(FILES_A_BATCH) {
        let _lock = engine.lock(domain);
        let now = now_ms();
        let mut batch = Batch::new(event).at(now);
        for key in chunk {
            let Some(mut file) = engine.store.get::<FileRecord>(key)? else {
                continue;
            };
            let Some(state) = next(&file) else { continue };
            file.state = state;
            file.updated_ms = now;
            batch = batch.put(key, &file)?;
            changed += 1;
        }
        if !batch.is_empty() {
            engine.store.commit(batch)?;
        }
    }
    Ok(changed)
}
