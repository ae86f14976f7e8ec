//! A mark that the files of a domain agree with the version in service, so that a start need not look at each of them.
//!
//! They agree where every learned file was learned by the version in service or one that it continues, and every file that is
//! held back by none of these. Only what serves can end that: what is taken, read, renamed, pooled, settled after a verdict
//! or forgotten either keeps a file's state or gives it one that agrees. So a mark names what served when it was made,
//! and says nothing once something else serves, whoever put it there and wherever that was interrupted.

use crate::engine::Engine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use wengu_store::records::{CurrentRecord, UnixMs};
use wengu_store::{Batch, Record};

/// Table `aligned`. Key: the domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlignedRecord {
    /// The version that served.
    version: String,
    /// Since when it did: one that comes back to serve has another time.
    since_ms: UnixMs,
}

impl Record for AlignedRecord {
    const TABLE: &'static str = "aligned";
    const VERSION: u16 = 1;
}

impl AlignedRecord {
    fn of(current: &CurrentRecord) -> AlignedRecord {
        AlignedRecord {
            version: current.version.clone(),
            since_ms: current.since_ms,
        }
    }
}

/// Whether the files are known to agree with what serves.
pub fn agree(engine: &Engine, domain: &str, current: &CurrentRecord) -> Result<bool> {
    let found = engine.store.get::<AlignedRecord>(domain)?;
    Ok(found.is_some_and(|found| found == AlignedRecord::of(current)))
}

/// Says that they do.
pub fn mark(batch: Batch, domain: &str, current: &CurrentRecord) -> Result<Batch> {
    Ok(batch.put(domain, &AlignedRecord::of(current))?)
}

/// To the batch by which `next` comes to serve, having continued what serves: what agrees with this agrees with that.
/// Nothing is held back by the run of `next` yet, as that had no verdict.
pub fn carry(engine: &Engine, batch: Batch, domain: &str, next: &CurrentRecord) -> Result<Batch> {
    match engine.current(domain)? {
        Some(current) if agree(engine, domain, &current)? => mark(batch, domain, next),
        _ => Ok(batch),
    }
}
