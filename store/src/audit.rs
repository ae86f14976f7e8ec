//! The journal as proof: each commit carries the hash of the one before, so whoever has noted the last hash can tell
//! later that nothing before it was changed, added or taken away. Reading needs no lock: the daemon may go on.

use crate::journal::scan::{Frames, scan};
use crate::redact::undeclared;
use crate::{Event, Events, Hash, StoreError, TornTail};
use serde::Serialize;
use std::path::Path;

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Number of the last commit.
    pub commits: u64,
    /// Its hash: what is worth noting elsewhere.
    pub head: Hash,
    /// The first commit that was written with the hash of the one before. Earlier ones were written by a version that
    /// had checksums only; the hash over them was taken when the store was upgraded.
    pub chained_from: Option<u64>,
    /// An interrupted write, or one that is under way.
    pub torn_tail: Option<TornTail>,
    /// Commits that say less than they did, each as a later commit declares: something had to be forgotten.
    pub redacted: u64,
}

/// A commit and its hash.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The commit.
    #[serde(flatten)]
    pub event: Event,
    /// Its hash, which covers all before it.
    pub hash: Hash,
}

/// Reads the whole journal of the store in `store`, checksums and hashes. `noted` is a commit and the hash that it had
/// when somebody noted it.
pub fn verify(store: &Path, noted: Option<(u64, Hash)>) -> Result<AuditReport, StoreError> {
    let journal = store.join("journal");
    let found = scan(&journal, noted.map_or(0, |(seq, _)| seq))?;
    if let Some((seq, hash)) = noted {
        let now = found.link_at.map(|link| link.hash);
        if now != Some(hash) {
            return Err(StoreError::AuditBroken {
                seq,
                noted: hash,
                found: now.map_or_else(
                    || format!("the log ends at commit {}", found.last_seq),
                    |now| format!("its hash is {now}"),
                ),
            });
        }
    }
    let redacted = match found.is_redacted {
        true => declared(&journal, found.last_seq)?,
        false => 0,
    };
    Ok(AuditReport {
        commits: found.last_seq,
        head: found.last.hash,
        chained_from: found.chained_from.filter(|seq| *seq <= found.last_seq),
        torn_tail: found.torn,
        redacted,
    })
}

/// How many commits are redacted, each as a later one declares.
fn declared(journal: &Path, mut last_seq: u64) -> Result<u64, StoreError> {
    loop {
        let (redacted, undeclared) = undeclared(journal, last_seq)?;
        let Some(seq) = undeclared.first() else {
            return Ok(redacted);
        };
        // A declaration is written before what it declares: where a daemon is at it, it has come since.
        let now = scan(journal, 0)?.last_seq;
        if now == last_seq {
            return Err(StoreError::RedactionUndeclared { seq: *seq });
        }
        last_seq = now;
    }
}

/// Shows every commit of the store in `store` that happened at `since_ms` or later, in order.
pub fn export<E: From<StoreError>>(
    store: &Path,
    since_ms: i64,
    mut show: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let journal = store.join("journal");
    let last_seq = scan(&journal, 0)?.last_seq;
    for frame in Frames::open(&journal, 1, last_seq)? {
        let (frame, path) = frame?;
        let event = Events::decode(&frame, &path)?;
        if event.at_ms >= since_ms {
            let hash = frame.link.hash;
            show(Entry { event, hash })?;
        }
    }
    Ok(())
}
