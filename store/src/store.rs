//! The store: opening it, committing to it, reading from it.

use crate::batch::check_table;
use crate::commit::{Ended, Job, Request, Shared, Writer};
use crate::index::{self, Index};
use crate::journal::scan::scan;
use crate::journal::write::Journal;
use crate::lock::Lock;
use crate::sealing::{self, Note};
use crate::{
    BackupReport, Batch, Beside, DiskIo, Events, IndexKind, IndexSize, JournalIo, Objects, OpenReport, Options,
    RebuildReason, Record, RedactReport, Redaction, References, StoreError, VerifyReport, backup, durable, record,
    recover, references, space, verify,
};
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::{self, JoinHandle};

/// Commits that may wait for the writer before the next caller waits as well.
const QUEUE: usize = 1024;
/// Records that are held in memory at once where all are shown.
const PAGE: usize = 512;

/// An open store. One process owns it; all of its threads may share it.
///
/// Dropping it waits for the commits under way and makes the index durable. Being killed instead costs nothing but
/// a replay at the next open.
pub struct Store {
    dir: PathBuf,
    index_kind: IndexKind,
    reserve_bytes: u64,
    shared: Arc<Shared>,
    queue: Option<SyncSender<Job>>,
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
    pub fn open_with(dir: &Path, options: Options, io: Box<dyn JournalIo>) -> Result<(Store, OpenReport), StoreError> {
        let journal_dir = dir.join("journal");
        sealing::admit(dir, options.key.as_deref())?;
        for path in [dir, &journal_dir, &dir.join("objects"), &dir.join("quarantine")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|e| StoreError::io("create", path, e))?;
        }
        let lock = Lock::take(dir)?;
        // Once more: until now another process might have encrypted it.
        if let (true, Some(key)) = (sealing::admit(dir, options.key.as_deref())?, &options.key) {
            Note::write(dir, key.id(), None)?;
        }
        durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))?;
        durable::remove_temporaries(&journal_dir).map_err(|e| StoreError::io("clean", &journal_dir, e))?;
        let objects = Objects::open(dir.join("objects"), options.reserve_bytes, options.key.clone())?;

        let index_dir = dir.join(options.index.dir_name());
        let existed = index_dir.exists();
        let former = recover::former(dir, &options);
        let found = match former {
            _ if options.rebuild_index => Err(RebuildReason::Requested),
            Some((from, _)) => Err(RebuildReason::Switched { from }),
            None => index::open(options.index, &index_dir, &options),
        };
        let known_seq = match (&found, former) {
            (Ok(opened), _) => opened.index.applied().seq,
            (Err(_), Some((_, seq))) => seq,
            (Err(_), None) => 0,
        };
        let scan = scan(&journal_dir, known_seq)?;
        recover::check_against(&scan, known_seq, &journal_dir)?;
        let (journal, resynced) = Journal::open(&journal_dir, &scan, io, options.segment_bytes)?;

        let judged =
            recover::judge(found, existed, &scan).map_err(|reason| recover::or_ahead(reason, known_seq, &scan));
        let (mut index, rebuilt, quarantined) = match judged {
            Ok(index) => (index, None, None),
            Err(reason) => {
                let quarantined = recover::set_aside(dir, &index_dir, &reason)?;
                let opened =
                    index::open(options.index, &index_dir, &options).map_err(|reason| StoreError::IndexFailed {
                        why: format!("a new one does not open: {reason}"),
                    })?;
                (opened.index, Some(reason), quarantined)
            }
        };
        let rebuilt = rebuilt.filter(|reason| *reason != RebuildReason::Missing || scan.last_seq > 0);
        let replayed = recover::replay(&mut index, &journal_dir, scan.last_seq)?;
        if rebuilt.is_some() {
            index.checkpoint()?;
        }
        recover::drop_other(dir, options.index)?;
        let report = OpenReport {
            last_seq: scan.last_seq,
            replayed,
            torn_tail: scan.torn,
            rebuilt,
            quarantined,
            resynced,
            network_filesystem: space::network_filesystem(dir),
        };
        recover::log(dir, &report);

        let shared = Arc::new(Shared {
            index: Mutex::new(index),
            last_seq: AtomicU64::new(scan.last_seq),
            poison: OnceLock::new(),
            index_failed: OnceLock::new(),
        });
        let (queue, requests) = mpsc::sync_channel(QUEUE);
        let (writer_shared, dir) = (Arc::clone(&shared), dir.to_path_buf());
        let (writer_store, writer_dir) = (dir.clone(), journal_dir);
        let (index_kind, reserve_bytes) = (options.index, options.reserve_bytes);
        let writer = thread::Builder::new()
            .name("wengu-store".to_string())
            .spawn(move || {
                let _ended = Ended(&writer_shared);
                Writer {
                    shared: &writer_shared,
                    journal,
                    store: writer_store,
                    dir: writer_dir,
                    options,
                }
                .run(&requests);
            })
            .map_err(|e| StoreError::io("start a thread for", &dir, e))?;
        Ok((
            Store {
                dir,
                index_kind,
                reserve_bytes,
                shared,
                queue: Some(queue),
                writer: Some(writer),
                objects,
                _lock: lock,
            },
            report,
        ))
    }

    /// Commits a batch and returns its sequence number. When this returns, the batch is on the disk and every later
    /// read sees it. Of an error only [`StoreError::Poisoned`] and [`StoreError::IndexFailed`] leave open whether the
    /// batch will be there after a restart; after any other it is not.
    pub fn commit(&self, batch: Batch) -> Result<u64, StoreError> {
        self.shared.check_poison()?;
        if let Some(hash) = batch.objects().find(|hash| !self.objects.contains(hash)) {
            return Err(StoreError::ObjectMissing {
                hash: *hash,
                path: self.objects.path(hash),
            });
        }
        let (payload, ops) = batch.encode()?;
        self.ask(|reply| Job::Commit(Request { payload, ops, reply }))
    }

    /// Has the writer do something, and waits until it is done.
    fn ask<T>(&self, job: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Job) -> Result<T, StoreError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let gone = || StoreError::Poisoned {
            why: "the writer thread has ended".to_string(),
        };
        let queue = self.queue.as_ref().expect("the queue is there until drop");
        queue.send(job(reply)).map_err(|_| gone())?;
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Takes changes and words out of the journal for good, and builds the index anew without them. Commits and reads wait
    /// meanwhile. A call that failed or was interrupted is to be repeated until it returns.
    pub fn redact(&self, redaction: Redaction) -> Result<RedactReport, StoreError> {
        self.shared.check_poison()?;
        self.ask(|reply| Job::Redact(redaction, reply))
    }

    /// Which objects the records name, and which they ever named. Reads the whole journal.
    pub fn references(&self) -> Result<References, StoreError> {
        references::references(&self.dir.join("journal"), self.last_seq())
    }

    /// The record under this key.
    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>, StoreError> {
        check_table(R::TABLE)?;
        let found = self.index()?.get(R::TABLE, key)?;
        found
            .map(|(version, json)| record::read(key, version, &json))
            .transpose()
    }

    /// All records whose key begins with `prefix`, in the order of their keys, as of one commit.
    pub fn scan<R: Record>(&self, prefix: &str) -> Result<Vec<(String, R)>, StoreError> {
        check_table(R::TABLE)?;
        let found = self.index()?.scan(R::TABLE, prefix)?;
        let read = |(key, version, json): (String, u16, Vec<u8>)| {
            record::read(&key, version, &json).map(|record| (key, record))
        };
        found.into_iter().map(read).collect()
    }

    /// Shows all records whose key begins with `prefix`, in the order of their keys, without holding more than a few of them in
    /// memory. Commits go on meanwhile: a record is shown as it is when its turn comes.
    pub fn each<R: Record>(&self, prefix: &str, mut show: impl FnMut(&str, R)) -> Result<(), StoreError> {
        check_table(R::TABLE)?;
        let mut from = prefix.to_string();
        loop {
            let page = self.index()?.page(R::TABLE, prefix, &from, PAGE)?;
            let is_last = page.len() < PAGE;
            if let Some((key, ..)) = page.last() {
                // No key lies between these two.
                from = format!("{key}\0");
            }
            for (key, version, json) in page {
                show(&key, record::read(&key, version, &json)?);
            }
            if is_last {
                return Ok(());
            }
        }
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
    /// against its name, every object that a record needs. Commits wait only while the
    /// index is read.
    pub fn verify(&self) -> Result<VerifyReport, StoreError> {
        let index = self.index()?;
        let (commits, found) = (index.applied().seq, index.entries()?);
        drop(index);
        verify::verify(&self.dir.join("journal"), commits, found, &self.objects)
    }

    /// Writes a backup of all commits up to `last_seq` to `to`, which must not be there, with these files that lie beside the store, and reads it
    /// again. Commits go on: so that what the records name is among the files, these are looked for after `last_seq` was asked for.
    pub fn backup(&self, to: &Path, last_seq: u64, beside: &[Beside]) -> Result<BackupReport, StoreError> {
        backup::write(&self.dir, &self.objects, last_seq, self.reserve_bytes, beside, to)
    }

    /// What the index takes, on the disk and in content.
    pub fn index_size(&self) -> Result<IndexSize, StoreError> {
        let live_bytes = self.index()?.live_bytes()?;
        let path = self.dir.join(self.index_kind.dir_name());
        let disk_bytes = index::size_of(&path).map_err(|e| StoreError::io("measure", &path, e))?;
        Ok(IndexSize { disk_bytes, live_bytes })
    }

    fn index(&self) -> Result<MutexGuard<'_, Index>, StoreError> {
        match self.shared.index_failed.get() {
            Some(why) => Err(StoreError::IndexFailed { why: why.clone() }),
            None => Ok(self.shared.lock_index()),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.dir)
            .field("last_seq", &self.last_seq())
            .finish_non_exhaustive()
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
