//! Opening an engine with the distrust that sled has earned: in a thread of its own, with panics caught and a time limit,
//! and with every entry checked before the index is used.

use super::backend::Backend;
use super::{APPLIED, Applied, Index, RECORDS, decode_value, entry_hash, why};
use crate::{IndexKind, Options, RebuildReason};
use std::any::Any;
use std::cell::Cell;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// An index may take this much without anyone minding how little is in it.
const BLOAT_FLOOR_BYTES: u64 = 256 << 20;
const BLOAT_FACTOR: u64 = 10;

/// An index that has been checked.
pub(crate) struct Opened {
    pub index: Index,
    /// Set where it takes many times the space of its content.
    pub bloat: Option<RebuildReason>,
}

/// Opens and checks the index of this kind in `path`, or makes an empty one.
pub(crate) fn open(kind: IndexKind, path: &Path, options: &Options) -> Result<Opened, RebuildReason> {
    let (send, receive) = mpsc::channel();
    let (dir, cache_bytes, timeout) = (
        path.to_path_buf(),
        options.index_cache_bytes,
        options.index_open_timeout,
    );
    let work = move || {
        let result = guarded(|| open_and_check(kind, &dir, cache_bytes, timeout)).and_then(|opened| opened);
        // Nobody listens after the time limit; the index is then dropped here.
        let _ = send.send(result);
    };
    thread::Builder::new()
        .name("wengu-index-open".to_string())
        .spawn(work)
        .map_err(|e| RebuildReason::Damaged(format!("no thread to open it in: {e}")))?;
    match receive.recv_timeout(timeout) {
        Ok(result) => result.map_err(RebuildReason::Damaged),
        Err(_) => Err(RebuildReason::TimedOut),
    }
}

fn open_and_check(kind: IndexKind, path: &Path, cache_bytes: u64, timeout: Duration) -> Result<Opened, String> {
    let backend = Backend::open(kind, path, cache_bytes, timeout)?;
    let mut applied = None;
    let (mut digest, mut live_bytes, mut entries) = (0u64, 0u64, 0u64);
    let checked = backend.each(b"", &mut |key, value| {
        if key == APPLIED {
            applied = Some(Applied::decode(value).ok_or("its own record is damaged")?);
            return Ok(());
        }
        if !key.starts_with(RECORDS) {
            return Err(format!("it has a foreign key: {}", String::from_utf8_lossy(key)));
        }
        digest = digest.wrapping_add(entry_hash(key, value));
        live_bytes += (key.len() + value.len()) as u64;
        entries += 1;
        decode_value(key, value).map_err(why)?;
        Ok(())
    });
    checked.map_err(why)?;
    if applied.is_none() && entries > 0 {
        return Err("its own record is missing".to_string());
    }
    let applied = applied.unwrap_or_default();
    if applied.digest != digest {
        return Err("its entries do not add up: some were lost or came back".to_string());
    }
    let disk_bytes = size_of(path).map_err(|e| e.to_string())?;
    let bloated = disk_bytes > BLOAT_FLOOR_BYTES.max(live_bytes.saturating_mul(BLOAT_FACTOR));
    let bloat = bloated.then_some(RebuildReason::Bloated { disk_bytes, live_bytes });
    Ok(Opened {
        index: Index { backend, applied },
        bloat,
    })
}

/// The bytes of all files under a directory.
pub(crate) fn size_of(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata()? {
            metadata if metadata.is_dir() => size_of(&entry.path())?,
            metadata => metadata.len(),
        };
    }
    Ok(bytes)
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is within a call of the index's engine, whose panic becomes an error: sled panics where a disk fails. For hooks,
/// which would tell it as a defect of the program.
pub fn engine_is_guarded() -> bool {
    GUARDED.get()
}

/// Turns a panic into its message.
pub(crate) fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let outer = GUARDED.replace(true);
    let called = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    called.map_err(|panic| format!("the engine panicked: {}", message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
