//! The two engines that an index can be kept in. What differs between them is here, and nothing else is.

use super::open::guarded;
use crate::{IndexKind, StoreError};
use redb::{Durability, ReadableDatabase, TableDefinition, TableError};
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");

/// Keys with their new values, or none where they are removed.
pub type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Waits until no handle has the index in `dir` open any more: sled's threads may outlive the last handle.
pub fn wait_until_closed(kind: IndexKind, dir: &Path, timeout: Duration) -> io::Result<()> {
    let file = File::open(dir.join(match kind {
        IndexKind::Sled => "db",
        IndexKind::Redb => "index.redb",
    }))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < timeout => thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes a key and its value.
pub type Show<'s> = dyn FnMut(&[u8], &[u8]) -> Result<(), String> + 's;

/// An open engine.
pub enum Backend {
    /// sled 0.34, with the directory that it is in.
    Sled(Sled, PathBuf),
    /// redb 4.
    Redb(Box<redb::Database>),
    /// None, while another one is made.
    Closed,
}

const CLOSED: &str = "it is being built anew";
/// sled flushes when it is dropped, and panics where the disk refuses that: the next open replays what is missing.
pub struct Sled(Option<sled::Db>);

impl Deref for Sled {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        self.0.as_ref().expect("it is there until drop")
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        if let Err(why) = guarded(|| drop(self.0.take())) {
            tracing::warn!("the index could not be closed: {why}");
        }
    }
}

impl IndexKind {
    /// The name of its directory in the store.
    pub(crate) fn dir_name(self) -> &'static str {
        match self {
            IndexKind::Sled => "index",
            IndexKind::Redb => "index-redb",
        }
    }

    /// The one that it is not.
    pub(crate) fn other(self) -> Self {
        match self {
            IndexKind::Sled => IndexKind::Redb,
            IndexKind::Redb => IndexKind::Sled,
        }
    }
}

impl Backend {
    /// Opens what is in `dir`, or makes an empty one.
    pub fn open(kind: IndexKind, dir: &Path, cache_bytes: u64, timeout: Duration) -> Result<Self, String> {
        match kind {
            IndexKind::Sled => open_sled(dir, cache_bytes, timeout),
            IndexKind::Redb => open_redb(dir, cache_bytes, timeout),
        }
    }

    /// The value under a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        call(|| match self {
            Backend::Sled(db, _) => db.get(key).map(|found| found.map(|v| v.to_vec())).map_err(text),
            Backend::Redb(db) => {
                let read = db.begin_read().map_err(text)?;
                let table = match read.open_table(ENTRIES) {
                    Ok(table) => table,
                    Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                    Err(e) => return Err(text(e)),
                };
                let found = table.get(key).map_err(text)?;
                Ok(found.map(|value| value.value().to_vec()))
            }
            Backend::Closed => Err(CLOSED.to_string()),
        })
    }

    /// All changes, or none. They need not be durable.
    pub fn apply(&self, changes: &Changes) -> Result<(), StoreError> {
        call(|| match self {
            Backend::Sled(db, _) => {
                let mut batch = sled::Batch::default();
                for (key, value) in changes {
                    match value {
                        Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                        None => batch.remove(key.as_slice()),
                    }
                }
                db.apply_batch(batch).map_err(text)
            }
            Backend::Redb(db) => {
                let mut write = db.begin_write().map_err(text)?;
                write.set_durability(Durability::None).map_err(text)?;
                {
                    let mut table = write.open_table(ENTRIES).map_err(text)?;
                    for (key, value) in changes {
                        match value {
                            Some(value) => table.insert(key.as_slice(), value.as_slice()),
                            None => table.remove(key.as_slice()),
                        }
                        .map_err(text)?;
                    }
                }
                write.commit().map_err(text)
            }
            Backend::Closed => Err(CLOSED.to_string()),
        })
    }

    /// Shows every entry whose key begins with `prefix`, in the order of the keys.
    pub fn each(&self, prefix: &[u8], show: &mut Show<'_>) -> Result<(), StoreError> {
        self.page(prefix, prefix, usize::MAX, show)
    }

    /// Shows at most `limit` entries whose key begins with `prefix`, from the key `from` on, in the order of the keys.
    pub fn page(&self, prefix: &[u8], from: &[u8], limit: usize, show: &mut Show<'_>) -> Result<(), StoreError> {
        call(|| match self {
            Backend::Sled(db, _) => {
                for entry in db.range(from..).take(limit) {
                    let (key, value) = entry.map_err(text)?;
                    if !key.starts_with(prefix) {
                        break;
                    }
                    show(&key, &value)?;
                }
                Ok(())
            }
            Backend::Redb(db) => {
                let read = db.begin_read().map_err(text)?;
                let table = match read.open_table(ENTRIES) {
                    Ok(table) => table,
                    Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                    Err(e) => return Err(text(e)),
                };
                for entry in table.range(from..).map_err(text)?.take(limit) {
                    let (key, value) = entry.map_err(text)?;
                    if !key.value().starts_with(prefix) {
                        break;
                    }
                    show(key.value(), value.value())?;
                }
                Ok(())
            }
            Backend::Closed => Err(CLOSED.to_string()),
        })
    }

    /// Makes all changes so far durable.
    pub fn checkpoint(&self) -> Result<(), StoreError> {
        match self {
            Backend::Sled(db, dir) => {
                call(|| db.flush().map_err(text))?;
                // sled's own flush does not reach the disk on Linux: it never calls fsync.
                for path in [dir.join("db"), dir.clone()] {
                    File::open(&path)
                        .and_then(|f| f.sync_all())
                        .map_err(|e| StoreError::io("fsync", &path, e))?;
                }
                Ok(())
            }
            Backend::Redb(db) => call(|| {
                let mut write = db.begin_write().map_err(text)?;
                write.set_durability(Durability::Immediate).map_err(text)?;
                write.commit().map_err(text)
            }),
            Backend::Closed => Err(StoreError::IndexFailed {
                why: CLOSED.to_string(),
            }),
        }
    }
}

fn open_sled(dir: &Path, cache_bytes: u64, timeout: Duration) -> Result<Backend, String> {
    // The periodic flush also drives sled's garbage collection.
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .flush_every_ms(Some(500));
    let db = retried(timeout, || match config.open() {
        Err(sled::Error::Io(e)) if sled_is_locked(&e) => Err(None),
        other => other.map_err(|e| Some(e.to_string())),
    })?;
    Ok(Backend::Sled(Sled(Some(db)), dir.to_path_buf()))
}

fn open_redb(dir: &Path, cache_bytes: u64, timeout: Duration) -> Result<Backend, String> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(text)?;
    let cache_bytes = usize::try_from(cache_bytes).unwrap_or(usize::MAX);
    let db = retried(timeout, || {
        let opened = redb::Builder::new()
            .set_cache_size(cache_bytes)
            .create(dir.join("index.redb"));
        match opened {
            Err(redb::DatabaseError::DatabaseAlreadyOpen) => Err(None),
            other => other.map_err(|e| Some(e.to_string())),
        }
    })?;
    Ok(Backend::Redb(Box::new(db)))
}

/// The store's lock is ours, so a lock that is held (None) can only be a handle of this process that is still being
/// dropped. It gets half of the time.
fn retried<T>(timeout: Duration, open: impl Fn() -> Result<T, Option<String>>) -> Result<T, String> {
    let started = Instant::now();
    loop {
        match open() {
            Ok(db) => return Ok(db),
            Err(None) if started.elapsed() < timeout / 2 => thread::sleep(Duration::from_millis(20)),
            Err(why) => return Err(why.unwrap_or_else(|| "another handle has it open".to_string())),
        }
    }
}

/// sled wraps the error of its own lock in another error with the same text.
fn sled_is_locked(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

/// Engines panic on some damage instead of returning an error.
fn call<T>(call: impl FnOnce() -> Result<T, String>) -> Result<T, StoreError> {
    guarded(call)
        .and_then(|result| result)
        .map_err(|why| StoreError::IndexFailed { why })
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
