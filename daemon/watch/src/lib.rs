//! Decides when a file in a watched folder may be taken.
//!
//! File-system events are hints only: they come late, doubled or not at all (new folders, full queues, network file
//! systems). What counts is what `lstat` says. A file is released when it has not changed for the settle time, and
//! again only after it has changed. The rule for whoever drops files: write under a name that is ignored
//! ([`is_ignored`]), then rename; without that, a writer that pauses for longer than the settle time is seen twice.
//!
//! [`Settler`] is the pure core, [`Watcher`] the thread around it, [`open_regular`] the way to read a released file.

mod ignore;
mod known;
mod scan;
mod settle;
mod snapshot;
mod watcher;

pub use ignore::is_ignored;
pub use scan::{Scan, scan};
pub use settle::{Change, Seen, Settler};
pub use snapshot::{OpenError, Snapshot, open_regular};
pub use watcher::{Folder, Handle, WatchEvent, Watcher};
