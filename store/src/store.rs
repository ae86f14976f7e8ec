//! The store: opening it, committing to it, reading from it.

use crate::batch::{Payload, check_table};
use crate::commit::{Request, Shared, Writer};
use crate::index::{self, Index, Opened};
use crate::journal::scan::{Frames, Scan, scan};
use crate::journal::write::Journal;
use crate::lock::Lock;
use crate::{
    Batch, DiskIo, Events, JournalIo, Objects, OpenReport, Options, RebuildReason, Record, StoreError, VerifyReport,
    durable, record, space, verify,
};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

/// Commits that may wait for the writer before the next caller waits as well.
const QUEUE: usize = 1024;
/// Indexes set aside that are kept for whoever wants to know what happened.
const QUARANTINE_KEPT: usize = 3;

/// An open store. One process owns it; all of its threads may share it.
///
/// Dropping it waits for the commits under way and makes the index durable. Being killed instead costs nothing but
/// a replay at the next open.
pub struct Store {
    dir: PathBuf,
    shared: Arc<Shared>,
    queue: Option<SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
    objects: Objects,
    // Last, so that the next owner finds everything closed.
    _lock: Lock,
}

impl Store {
    /// Opens the store in `dir`, or makes an empty one. The whole journal is read and checked, and every entry of
    /// the index; an index that does not agree with the journal is set aside and built anew.
    pub fn open(dir: &Path, options: Options) -> Result<(Store, OpenReport), StoreError> {
        Store::open_with(dir, options, Box::new(DiskIo))
    }

    /// As [`Store::open`], with other file operations for the journal: for tests that break them.
    pub fn open_with(
        dir: &Path,
        options: Options,
        io: Box<dyn JournalIo>,
    ) -> Result<(Store, OpenReport), StoreError> {
        let journal_dir = dir.join("journal");
        for path in [dir, &journal_dir, &dir.join("objects"), &dir.join("quarantine")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|e| StoreError::io("create", path, e))?;
        }
        let lock = Lock::take(dir)?;
        durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))?;
        durable::remove_temporaries(&journal_dir).map_err(|e| StoreError::io("clean", &journal_dir, e))?;
        let objects = Objects::open(dir.join("objects"), options.reserve_bytes)?;

        let index_dir = dir.join("index");
        let existed = index_dir.exists();
        let found = match options.rebuild_index {
            true => Err(RebuildReason::Requested),
            false => index::open(&index_dir, &options),
        };
        let applied = found.as_ref().map(|opened| opened.index.applied()).unwrap_or_default();
        let scan = scan(&journal_dir, applied.seq)?;
        check_against(&scan, applied.seq, &journal_dir)?;
        let (journal, resynced) = Journal::open(&journal_dir, &scan, io, options.segment_bytes)?;

        let judged = judge(found, existed, &scan);
        let (mut index, rebuilt, quarantined) = match judged {
            Ok(index) => (index, None, None),
            Err(reason) => {
                let quarantined = set_aside(dir, &index_dir, &reason)?;
                let opened = index::open(&index_dir, &options)
                    .map_err(|reason| StoreError::IndexFailed { why: format!("a new one does not open: {reason}") })?;
                (opened.index, Some(reason), quarantined)
            }
        };
        let rebuilt = rebuilt.filter(|reason| *reason != RebuildReason::Missing || scan.last_seq > 0);
        let replayed = replay(&mut index, &journal_dir, scan.last_seq)?;
        if rebuilt.is_some() {
            index.checkpoint()?;
        }
        let report = OpenReport {
            last_seq: scan.last_seq,
            replayed,
            torn_tail: scan.torn,
            rebuilt,
            quarantined,
            resynced,
            network_filesystem: space::network_filesystem(dir),
        };
        log(dir, &report);

        let shared = Arc::new(Shared {
            index: Mutex::new(index),
            last_seq: AtomicU64::new(scan.last_seq),
            poison: OnceLock::new(),
            index_failed: OnceLock::new(),
        });
        let (queue, requests) = mpsc::sync_channel(QUEUE);
        let (writer_shared, dir) = (Arc::clone(&shared), dir.to_path_buf());
        let writer_dir = journal_dir;
        let writer = thread::Builder::new()
            .name("wengu-store".to_string())
            .spawn(move || {
                let Options { reserve_bytes, checkpoint_commits, .. } = options;
                let shared = &*writer_shared;
                Writer { shared, journal, dir: writer_dir, reserve_bytes, checkpoint_commits }.run(&requests);
            })
            .map_err(|e| StoreError::io("start a thread for", &dir, e))?;
        Ok((Store { dir, shared, queue: Some(queue), writer: Some(writer), objects, _lock: lock }, report))
    }

    /// Commits a batch and returns its sequence number. When this returns, the batch is on the disk and every later
    /// read sees it. Of an error only [`StoreError::Poisoned`] and [`StoreError::IndexFailed`] leave open whether the
    /// batch will be there after a restart; after any other it is not.
    pub fn commit(&self, batch: Batch) -> Result<u64, StoreError> {
        self.shared.check_poison()?;
        if let Some(hash) = batch.objects().find(|hash| !self.objects.contains(hash)) {
            return Err(StoreError::ObjectMissing { hash: *hash, path: self.objects.path(hash) });
        }
        let (payload, ops) = batch.encode()?;
        let (reply, answer) = mpsc::sync_channel(1);
        let gone = || StoreError::Poisoned { why: "the writer thread has ended".to_string() };
        let queue = self.queue.as_ref().expect("the queue is there until drop");
        queue.send(Request { payload, ops, reply }).map_err(|_| gone())?;
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// The record under this key.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        check_table(R::TABLE)?;
        let found = self.index()?.get(R::TABLE, key)?;
        found.map(|(version, json)| record::read(key, version, &json)).transpose()
    }

    /// All records whose key begins with `prefix`, in the order of their keys, as of one commit.
    pub fn scan<R: Record>(&self, prefix: &str) -> Result<Vec<(String, R)>, StoreError> {
        check_table(R::TABLE)?;
        let found = self.index()?.scan(R::TABLE, prefix)?;
        let read = |(key, version, json): (String, u16, _)| {
            let json: sled::IVec = json;
            record::read(&key, version, &json).map(|record| (key, record))
        };
        found.into_iter().map(read).collect()
    }

    /// Number of records whose key begins with `prefix`.
    pub fn count<R: Record>(&self, prefix: &str) -> Result<u64, StoreError> {
        check_table(R::TABLE)?;
        self.index()?.count(R::TABLE, prefix)
    }

    /// Sequence number of the last commit that readers see, 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.shared.last_seq.load(Ordering::Acquire)
    }

    /// Why commits are refused, if they are. The process should then end and be started anew.
    pub fn poisoned(&self) -> Option<&str> {
        self.shared.poison.get().map(String::as_str)
    }

    /// The files beside the records.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The commits `from_seq..=last_seq()`, as the audit log tells them.
    pub fn journal_events(&self, from_seq: u64) -> Result<Events, StoreError> {
        Events::open(&self.dir.join("journal"), from_seq.max(1), self.last_seq())
    }

    /// Reads everything: the journal's checksums and chain, every entry of the index against a replay, every object
    /// against its name, every object that a record needs. Commits wait meanwhile.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        verify::verify(&self.dir.join("journal"), &*self.index()?, &self.objects)
    }

    fn index(&self) -> Result<std::sync::MutexGuard<'_, Index>, StoreError> {
        match self.shared.index_failed.get() {
            Some(why) => Err(StoreError::IndexFailed { why: why.clone() }),
            None => Ok(self.shared.lock_index()),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(writer) = self.writer.take() {
            // Its panic has been reported by the panic hook; there is nothing to add.
            let _ = writer.join();
        }
    }
}

/// Damage to what was acknowledged must not pass for an interrupted write.
fn check_against(scan: &Scan, index_seq: u64, journal_dir: &Path) -> Result<(), StoreError> {
    if scan.segments.is_empty() && index_seq > 0 {
        return Err(StoreError::JournalMissing { journal: journal_dir.to_path_buf(), index_seq });
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
fn judge(found: Result<Opened, RebuildReason>, existed: bool, scan: &Scan) -> Result<Index, RebuildReason> {
    let Opened { index, bloat } = found?;
    let applied = index.applied();
    if !existed {
        return if scan.last_seq == 0 { Ok(index) } else { Err(RebuildReason::Missing) };
    }
    if applied.seq > scan.last_seq {
        return Err(RebuildReason::Ahead { index_seq: applied.seq, journal_seq: scan.last_seq });
    }
    if applied.seq > 0 && scan.crc_at != Some(applied.crc) {
        return Err(RebuildReason::Diverged { seq: applied.seq });
    }
    bloat.map_or(Ok(index), Err)
}

/// Makes room for a new index. One that may tell a story is kept.
fn set_aside(dir: &Path, index_dir: &Path, reason: &RebuildReason) -> Result<Option<PathBuf>, StoreError> {
    if !index_dir.exists() {
        return Ok(None);
    }
    if matches!(reason, RebuildReason::Requested | RebuildReason::Missing | RebuildReason::Bloated { .. }) {
        fs::remove_dir_all(index_dir).map_err(|e| StoreError::io("remove", index_dir, e))?;
        return Ok(None);
    }
    let quarantine = dir.join("quarantine");
    let failed = |e: io::Error| StoreError::io("move the index to", &quarantine, e);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut place = quarantine.join(format!("{now_ms}-index"));
    while place.exists() {
        place.set_extension("again");
    }
    durable::rename_durable(index_dir, &place).map_err(failed)?;
    let mut kept: Vec<PathBuf> =
        fs::read_dir(&quarantine).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect()).map_err(failed)?;
    kept.sort();
    for old in kept.iter().rev().skip(QUARANTINE_KEPT) {
        fs::remove_dir_all(old).map_err(|e| StoreError::io("remove", old, e))?;
    }
    Ok(Some(place))
}

/// Applies what the index does not have yet.
fn replay(index: &mut Index, journal_dir: &Path, last_seq: u64) -> Result<u64, StoreError> {
    let from_seq = index.applied().seq + 1;
    for frame in Frames::open(journal_dir, from_seq, last_seq)? {
        let (frame, path) = frame?;
        let payload: Payload = Payload::decode(&frame, &path)?;
        index.apply(frame.seq, frame.crc, &payload.ops)?;
    }
    Ok((last_seq + 1).saturating_sub(from_seq))
}

fn log(dir: &Path, report: &OpenReport) {
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
