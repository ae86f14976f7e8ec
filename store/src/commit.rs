//! The one thread that writes. Commits that arrive while it waits for the disk share the next fsync.

use crate::batch::Op;
use crate::index::{self, Index};
use crate::journal::write::{AppendError, Journal};
use crate::redact::Plan;
use crate::{Options, RedactReport, Redaction, StoreError, recover, space};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use wengu_failpoint::hit;

/// Frames in a group. With bytes limited as well, a group fits in memory many times.
const GROUP_COMMITS: usize = 256;
const GROUP_BYTES: usize = 4 << 20;

/// A commit on its way to the writer.
pub(crate) struct Request {
    pub payload: Vec<u8>,
    pub ops: Vec<Op>,
    pub reply: SyncSender<Result<u64, StoreError>>,
}

/// What the writer is asked to do.
pub(crate) enum Job {
    Commit(Request),
    Redact(Redaction, SyncSender<Result<RedactReport, StoreError>>),
}

/// What the writer and the callers share.
pub(crate) struct Shared {
    pub index: Mutex<Index>,
    /// The last commit that readers see.
    pub last_seq: AtomicU64,
    /// Why no more commits are accepted.
    pub poison: OnceLock<String>,
    /// Why the index cannot be read any more: it has missed a commit.
    pub index_failed: OnceLock<String>,
}

impl Shared {
    /// Panics of sled are caught inside, so a poisoned mutex guards nothing that is half done.
    pub fn lock_index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn check_poison(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            Some(why) => Err(StoreError::Poisoned { why: why.clone() }),
            None => Ok(()),
        }
    }

    /// Nothing is committed any more: what is on the disk is not certain.
    fn poisoned(&self, why: String) -> StoreError {
        tracing::error!("the store accepts no more commits: {why}");
        let why = self.poison.get_or_init(|| why).clone();
        StoreError::Poisoned { why }
    }

    /// What came of the journal's refusal.
    fn failed(&self, error: AppendError) -> StoreError {
        match error {
            AppendError::Refused(error) => error,
            AppendError::Fatal(why) => self.poisoned(why),
        }
    }
}

/// Says that the writer's thread has panicked, where it has: whoever looks must learn that nothing is committed any more.
pub(crate) struct Ended<'a>(pub &'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poisoned("the thread that writes has panicked".to_string());
        }
    }
}

pub(crate) struct Writer<'a> {
    pub shared: &'a Shared,
    pub journal: Journal,
    /// The store's directory.
    pub store: PathBuf,
    /// The journal's.
    pub dir: PathBuf,
    pub options: Options,
}

impl Writer<'_> {
    /// Serves until the last sender is gone.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let mut since_checkpoint = 0;
        while let Ok(job) = jobs.recv() {
            let mut other = Some(job);
            let (mut group, mut bytes) = (Vec::new(), 0);
            while let Some(Job::Commit(request)) = other.take_if(|job| matches!(job, Job::Commit(_))) {
                bytes += request.payload.len();
                group.push(request);
                if group.len() < GROUP_COMMITS && bytes < GROUP_BYTES {
                    other = jobs.try_recv().ok();
                }
            }
            since_checkpoint += group.len() as u64;
            self.commit(group);
            if let Some(Job::Redact(redaction, reply)) = other {
                // A caller that has gone away needs no answer.
                let _ = reply.send(self.redact(&redaction));
            }
            if since_checkpoint >= self.options.checkpoint_commits {
                since_checkpoint = 0;
                self.checkpoint();
            }
        }
        self.checkpoint();
    }

    /// Declares what goes, then takes it out of the segments one by one, and builds the index anew. Interrupted at any
    /// point, it leaves a journal that is whole, and doing it again completes it. The index is built anew in any case: the
    /// one that is there may be from before an interrupted redaction.
    fn redact(&mut self, redaction: &Redaction) -> Result<RedactReport, StoreError> {
        self.shared.check_poison()?;
        let plan = Plan::of(&self.dir, self.journal.last_seq(), redaction)?;
        for payload in plan.declarations(redaction)? {
            space::check(&self.store, payload.len() as u64, self.options.reserve_bytes)?;
            let written = self.journal.append(&[&payload]).map_err(|e| self.shared.failed(e))?;
            for (seq, crc) in written {
                self.apply(seq, crc, &[])?;
            }
        }
        hit("redact.declared");
        for segment in plan.segments() {
            let (path, bytes) = segment?;
            space::check(&self.store, bytes.len() as u64, self.options.reserve_bytes)?;
            self.journal.replace(path, &bytes).map_err(|e| self.shared.failed(e))?;
            hit("redact.replaced");
        }
        let mut index = self.shared.lock_index();
        let path = self.store.join(self.options.index.dir_name());
        let rebuilt = index
            .close(self.options.index, &path, &self.options)
            .map_err(|e| StoreError::io("close", &path, e))
            .and_then(|()| recover::remove_indexes(&self.store, &path))
            .and_then(|()| {
                hit("redact.index_removed");
                let opened = index::open(self.options.index, &path, &self.options);
                *index = opened
                    .map_err(|why| StoreError::IndexFailed { why: why.to_string() })?
                    .index;
                recover::replay(&mut index, &self.dir, self.journal.last_seq())?;
                index.checkpoint()
            });
        match rebuilt {
            Ok(()) => {
                hit("redact.indexed");
                Ok(plan.report)
            }
            Err(error) => {
                // The next open builds it.
                let _ = self.shared.index_failed.set(error.to_string());
                Err(self
                    .shared
                    .poisoned(format!("the index could not be built anew: {error}")))
            }
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let (admitted, refused): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|request| (self.admit(&request), request))
            .partition(|(verdict, _)| verdict.is_ok());
        for (verdict, request) in refused {
            answer(&request, verdict.map(|()| 0));
        }
        if admitted.is_empty() {
            return;
        }
        let group: Vec<Request> = admitted.into_iter().map(|(_, request)| request).collect();
        let payloads: Vec<&[u8]> = group.iter().map(|request| request.payload.as_slice()).collect();
        match self.journal.append(&payloads) {
            Ok(written) => {
                for (request, (seq, crc)) in group.iter().zip(written) {
                    answer(request, self.apply(seq, crc, &request.ops).map(|()| seq));
                }
            }
            Err(error) => {
                let error = self.shared.failed(error);
                group.iter().for_each(|request| answer(request, Err(error.clone())));
            }
        }
    }

    /// What can be refused before anything is written.
    fn admit(&self, request: &Request) -> Result<(), StoreError> {
        self.shared.check_poison()?;
        space::check(&self.dir, request.payload.len() as u64, self.options.reserve_bytes)?;
        let index = self.shared.lock_index();
        for op in &request.ops {
            let Op::Put {
                table, key, version, ..
            } = op
            else {
                continue;
            };
            // A record of a newer wengu may hold what this one would drop.
            if let Some((found, _)) = index.get(table, key)?.filter(|(found, _)| found > version) {
                let (table, key) = (table.clone(), key.clone());
                return Err(StoreError::NewerRecord {
                    table,
                    key,
                    found,
                    supported: *version,
                });
            }
        }
        Ok(())
    }

    /// The commit is durable by now. An index that misses it must not be read or go on.
    fn apply(&self, seq: u64, crc: u32, ops: &[Op]) -> Result<(), StoreError> {
        let fail = |why: String| {
            let _ = self.shared.index_failed.set(why.clone());
            let _ = self.shared.poison.set(format!("the index failed: {why}"));
            tracing::error!(
                seq,
                "a durable commit could not be indexed, the next open rebuilds the index: {why}"
            );
            StoreError::IndexFailed {
                why: format!("commit {seq} is durable, but {why}"),
            }
        };
        let mut index = self.shared.lock_index();
        // Once it has missed a commit it must not take a later one.
        if let Some(why) = self.shared.index_failed.get() {
            return Err(fail(why.clone()));
        }
        index.apply(seq, crc, ops).map_err(|error| match error {
            StoreError::IndexFailed { why } => fail(why),
            other => fail(other.to_string()),
        })?;
        self.shared.last_seq.store(seq, Ordering::Release);
        hit("store.indexed");
        Ok(())
    }

    /// A failure costs a replay after a power cut, and no commit.
    fn checkpoint(&self) {
        if self.shared.index_failed.get().is_some() {
            return;
        }
        if let Err(error) = self.shared.lock_index().checkpoint() {
            tracing::warn!("the index could not be flushed: {error}");
        }
    }
}

/// A caller that has gone away (its thread panicked) needs no answer.
fn answer(request: &Request, result: Result<u64, StoreError>) {
    let _ = request.reply.send(result);
}
