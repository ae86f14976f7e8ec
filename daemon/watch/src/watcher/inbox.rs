//! What the thread is told: by the file system, and by the handle.

use notify::event::{AccessKind, AccessMode};
use notify::{ErrorKind, Event, EventKind};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// With more paths than this it is cheaper to scan everything.
const MAX_DIRTY: usize = 50_000;

/// What is to be done.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// Paths to look at.
    pub dirty: BTreeSet<PathBuf>,
    /// Paths to release once more.
    pub retry: Vec<PathBuf>,
    /// Scan everything.
    pub rescan: bool,
    /// The system ran out of watches: of these paths, or somewhere.
    pub out_of_watches: bool,
    /// End.
    pub stop: bool,
}

impl Inbox {
    fn is_empty(&self) -> bool {
        self.dirty.is_empty() && self.retry.is_empty() && !self.rescan && !self.out_of_watches && !self.stop
    }
}

#[derive(Debug, Default)]
struct Guarded {
    inbox: Inbox,
    /// The thread has taken work that it has not finished, or has never scanned.
    is_busy: bool,
    has_started: bool,
    /// Paths that wait for settling.
    waiting: usize,
}

/// Shared by the thread, the handle and the event handler.
#[derive(Debug, Default)]
pub(super) struct Shared {
    guarded: Mutex<Guarded>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        // Whoever panicked under the lock left plain sets and flags: none of them can be half changed.
        self.guarded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn change(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.lock().inbox);
        self.changed.notify_all();
    }

    /// Takes what is to be done, waiting for it no longer than `timeout`.
    pub fn take(&self, timeout: Duration) -> Inbox {
        let guarded = self.lock();
        let (mut guarded, _) = self
            .changed
            .wait_timeout_while(guarded, timeout, |guarded| guarded.inbox.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        guarded.is_busy = true;
        std::mem::take(&mut guarded.inbox)
    }

    /// What was taken is done.
    pub fn done(&self, waiting: usize) {
        let mut guarded = self.lock();
        guarded.is_busy = false;
        guarded.has_started = true;
        guarded.waiting = waiting;
    }

    /// Waits for at most `timeout`; true if the thread is to end.
    pub fn stops_within(&self, timeout: Duration) -> bool {
        let (guarded, _) = self
            .changed
            .wait_timeout_while(self.lock(), timeout, |guarded| !guarded.inbox.stop)
            .unwrap_or_else(PoisonError::into_inner);
        guarded.inbox.stop
    }

    pub fn is_idle(&self) -> bool {
        let guarded = self.lock();
        guarded.has_started && !guarded.is_busy && guarded.waiting == 0 && guarded.inbox.is_empty()
    }

    /// Takes a hint of the file system. Runs in the thread that reads events, which must never wait.
    pub fn hint(&self, hint: notify::Result<Event>) {
        match hint {
            // Our own reading opens files and folders.
            Ok(Event {
                kind: EventKind::Access(kind),
                ..
            }) if kind != AccessKind::Close(AccessMode::Write) => {}
            Ok(event) => self.change(|inbox| {
                inbox.rescan |= event.need_rescan();
                inbox.dirty.extend(event.paths);
                if inbox.dirty.len() > MAX_DIRTY {
                    inbox.dirty.clear();
                    inbox.rescan = true;
                }
            }),
            Err(error) => {
                tracing::warn!(%error, "a file-system watch failed");
                self.change(|inbox| {
                    inbox.rescan = true;
                    inbox.out_of_watches |= matches!(error.kind, ErrorKind::MaxFilesWatch);
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_paths_than_are_kept_become_a_scan_of_everything() {
        let told = |paths: usize| {
            let shared = Shared::default();
            for i in 0..paths {
                shared.hint(Ok(Event::new(EventKind::Any).add_path(format!("/inbox/{i}.txt").into())));
            }
            let inbox = shared.take(Duration::ZERO);
            (inbox.dirty.len(), inbox.rescan)
        };
        assert_eq!(told(MAX_DIRTY), (MAX_DIRTY, false));
        assert_eq!(told(MAX_DIRTY + 1), (0, true));
    }
}
