//! The thread that watches folders.

mod inbox;
mod roots;
mod scanning;
mod worker;

#[cfg(test)]
mod tests;

use crate::Snapshot;
use inbox::Shared;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that wait for the receiver; after that the watcher waits, and keeps its own dirty set bounded.
const CHANNEL_CAPACITY: usize = 1024;

/// Whether a file was taken as it is.
type IsKnown = Box<dyn Fn(&Path, &Snapshot) -> bool + Send>;

/// What happened in the watched folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// A file has stood still for the settle time: it is new since the start of the watcher, or has changed.
    Settled {
        /// The file.
        path: PathBuf,
        /// What it looked like.
        snapshot: Snapshot,
    },
    /// Something that is never taken. Told once for each path.
    Skipped {
        /// The link, pipe, socket, device or unreadable folder.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// A file that had settled, or what was skipped, is gone from its path. Says nothing about why: it may have been renamed, and a
    /// folder may be read again. A missing root does not count as the loss of its files.
    Removed {
        /// Where it was.
        path: PathBuf,
    },
    /// A watched folder is not there, at the start or since now; it is looked for until it comes back.
    RootMissing {
        /// The folder.
        root: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// A folder that was missing is there. Its files are looked at next.
    RootBack {
        /// The folder.
        root: PathBuf,
    },
    /// Events of this folder cannot be relied on; it is scanned often instead.
    Degraded {
        /// The folder.
        root: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// Events of this folder can be relied on again.
    Recovered {
        /// The folder.
        root: PathBuf,
    },
    /// A full scan is through: every file that was there before it began is known.
    ScanDone {
        /// The folder.
        root: PathBuf,
        /// Regular files in it, ignored names not counted.
        files: usize,
    },
}

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Name of a file that lies in it whenever its share is mounted. Without that file the folder counts as missing: an empty place where a
    /// share was does not say that its files are gone.
    pub marker: Option<String>,
}

impl From<PathBuf> for Folder {
    fn from(path: PathBuf) -> Folder {
        Folder { path, marker: None }
    }
}

/// Starts the thread that watches folders.
#[derive(Debug)]
pub struct Watcher;

impl Watcher {
    /// Watches `roots` and all below them. `settle`: how long a file must stand still. `rescan`: period of the full
    /// scan that finds what events did not tell.
    ///
    /// All files that are there already settle, too, but for those of which `is_known` says, when they are seen for the first time,
    /// that they were taken as they are: these count as released. It is asked by the thread. The
    /// channel closes when the thread has ended, which without a dropped handle would be a defect.
    pub fn spawn(
        roots: Vec<Folder>,
        settle: Duration,
        rescan: Duration,
        is_known: impl Fn(&Path, &Snapshot) -> bool + Send + 'static,
    ) -> (Handle, mpsc::Receiver<WatchEvent>) {
        Self::spawn_with(roots, settle, rescan, Box::new(is_known), Hints::Notify)
    }

    fn spawn_with(
        roots: Vec<Folder>,
        settle: Duration,
        rescan: Duration,
        is_known: IsKnown,
        hints: Hints,
    ) -> (Handle, mpsc::Receiver<WatchEvent>) {
        let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
        let shared = Arc::new(Shared::default());
        let handle = Handle {
            shared: Arc::clone(&shared),
            sender: sender.downgrade(),
        };
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || worker::Worker::new(roots, settle, rescan, is_known, hints, shared, sender).run())
            .expect("a thread can be started at the start of the daemon");
        (handle, receiver)
    }
}

/// Where hints come from, besides scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hints {
    Notify,
    /// As on a system that has no watches left.
    #[cfg(test)]
    None,
}

/// Asks things of the watching thread. Dropping it stops the thread.
#[derive(Debug)]
pub struct Handle {
    shared: Arc<Shared>,
    sender: mpsc::WeakSender<WatchEvent>,
}

impl Handle {
    /// Scans all folders now. Each answers with [`WatchEvent::ScanDone`].
    pub fn rescan_now(&self) {
        self.shared.change(|inbox| inbox.rescan = true);
    }

    /// Releases a file once more, after the settle time, though it has not changed: taking it failed for a reason
    /// that may pass.
    pub fn retry(&self, path: &Path) {
        self.shared.change(|inbox| inbox.retry.push(path.to_owned()));
    }

    /// Whether nothing is under way: all folders were scanned once, no path waits for settling, no hint waits for a
    /// look, and every event that was sent has been received.
    pub fn is_idle(&self) -> bool {
        let is_drained = || {
            self.sender
                .upgrade()
                .is_some_and(|sender| sender.capacity() == sender.max_capacity())
        };
        self.shared.is_idle() && is_drained()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.change(|inbox| inbox.stop = true);
    }
}
