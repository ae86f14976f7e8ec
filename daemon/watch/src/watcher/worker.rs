//! The loop: hints and time in, looks at the file system, events out.

use super::inbox::{Inbox, Shared};
use super::roots::{Degraded, Presence, Root, Watches};
use super::scanning::Scanned;
use super::{Folder, Hints, IsKnown, WatchEvent};
use crate::scan::{Look, look};
use crate::{Change, Seen, Settler, is_ignored};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Period of the look whether the folders are there, one `stat` each, while one is missing or gives no events.
const ROOT_CHECK: Duration = Duration::from_secs(1);
/// The same while all are there: of a folder that goes away there is most often an event, but not of one that another is mounted on.
const QUIET_ROOT_CHECK: Duration = Duration::from_secs(5);
/// Pause between two attempts to hand over an event when the receiver is behind.
const FULL_CHANNEL_PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Worker {
    roots: Vec<Root>,
    pub(super) settler: Settler,
    pub(super) watches: Watches,
    settle: Duration,
    rescan: Duration,
    /// From the start of the thread, like all moments here.
    next_rescan: Duration,
    started: Instant,
    shared: Arc<Shared>,
    sender: mpsc::Sender<WatchEvent>,
    pub(super) is_known: IsKnown,
}

/// The handle or the receiver was dropped.
pub(super) struct Stopped;

impl Worker {
    pub fn new(
        roots: Vec<Folder>,
        settle: Duration,
        rescan: Duration,
        is_known: IsKnown,
        hints: Hints,
        shared: Arc<Shared>,
        sender: mpsc::Sender<WatchEvent>,
    ) -> Self {
        let whole = |Folder { path, marker }: Folder| Folder {
            path: std::path::absolute(&path).unwrap_or(path),
            marker,
        };
        let mut folders: Vec<Folder> = roots.into_iter().map(whole).collect();
        folders.sort();
        folders.dedup();
        Self {
            roots: folders.into_iter().map(Root::new).collect(),
            settler: Settler::new(settle),
            watches: Watches::new(&shared, hints),
            settle,
            rescan,
            next_rescan: Duration::ZERO,
            started: Instant::now(),
            shared,
            sender,
            is_known,
        }
    }

    pub fn run(mut self) {
        loop {
            let timeout = self.next_wake().saturating_sub(self.now());
            let inbox = self.shared.take(timeout);
            if inbox.stop || self.step(inbox).is_err() {
                return;
            }
            self.shared.done(self.settler.waiting());
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn next_wake(&self) -> Duration {
        let polls = self
            .roots
            .iter()
            .filter(|root| root.degraded.is_some())
            .map(|root| root.next_poll);
        let is_sound = |root: &Root| matches!(root.presence, Presence::Present(_)) && root.degraded.is_none();
        let root_check = match self.roots.iter().all(is_sound) {
            true => self.now() + QUIET_ROOT_CHECK,
            false => self.now() + ROOT_CHECK,
        };
        polls
            .chain(self.settler.next_due())
            .chain([self.next_rescan])
            .fold(root_check, Duration::min)
    }

    fn step(&mut self, inbox: Inbox) -> Result<(), Stopped> {
        for path in inbox.retry {
            self.release_again(&path)?;
        }
        let is_rescan = inbox.rescan || self.now() >= self.next_rescan;
        if is_rescan {
            self.next_rescan = self.now() + self.rescan;
        }
        for index in 0..self.roots.len() {
            let is_new = self.check_root(index)?;
            if inbox.out_of_watches {
                self.degrade(index, Degraded::OutOfWatches)?;
            }
            let root = &self.roots[index];
            if !matches!(root.presence, Presence::Present(_)) {
                continue;
            }
            if is_rescan || is_new {
                self.scan_root(index, true)?;
            } else if root.degraded.is_some() && self.now() >= root.next_poll {
                self.scan_root(index, false)?;
            }
        }
        if !is_rescan {
            for path in inbox.dirty {
                self.look_at(&path)?;
            }
        }
        for path in self.settler.due(self.now()) {
            self.observe_afresh(&path)?;
        }
        Ok(())
    }

    /// Looks whether the folder is there; true if it was not before, or is another one now.
    fn check_root(&mut self, index: usize) -> Result<bool, Stopped> {
        let before = self.roots[index].presence;
        let found = self.roots[index].find();
        let after = found
            .as_ref()
            .map_or(Presence::Missing, |identity| Presence::Present(*identity));
        if before == after {
            return Ok(false);
        }
        self.roots[index].presence = after;
        let root = self.roots[index].path.clone();
        match (before, found) {
            (_, Err(reason)) => {
                self.send(WatchEvent::RootMissing { root, reason })?;
                return Ok(false);
            }
            (Presence::Unknown, Ok(_)) => {}
            (Presence::Missing, Ok(_)) => self.send(WatchEvent::RootBack { root })?,
            (Presence::Present(_), Ok(_)) => {
                let reason = "another folder was put in its place".to_owned();
                self.send(WatchEvent::RootMissing {
                    root: root.clone(),
                    reason,
                })?;
                self.send(WatchEvent::RootBack { root })?;
            }
        }
        if let Some(remote) = self.roots[index].remote_kind() {
            self.degrade(index, remote)?;
        }
        Ok(true)
    }

    fn degrade(&mut self, index: usize, why: Degraded) -> Result<(), Stopped> {
        let root = &mut self.roots[index];
        if root.degraded.is_some() {
            return Ok(());
        }
        root.degraded = Some(why);
        let event = WatchEvent::Degraded {
            root: root.path.clone(),
            reason: why.reason(),
        };
        self.send(event)
    }

    /// A full scan of one folder. `is_announced`: the periodic or asked-for one, which also tries for watches again.
    fn scan_root(&mut self, index: usize, is_announced: bool) -> Result<(), Stopped> {
        let begun = Instant::now();
        let root = self.roots[index].path.clone();
        let tries_watches = is_announced || self.roots[index].degraded != Some(Degraded::OutOfWatches);
        self.watches.drop_stale(&root);
        let mut scanned = Scanned::new(!self.roots[index].was_scanned, tries_watches);
        self.scan(&root, &mut scanned)?;
        let Scanned { files, has_watches, .. } = scanned;
        let is_same = self.roots[index]
            .find()
            .is_ok_and(|now| self.roots[index].presence == Presence::Present(now));
        if !is_same {
            // It went away meanwhile. That says nothing about the files that were not found; the next look says what became of it.
            return Ok(());
        }
        self.look_for_absent(&root, scanned)?;
        self.roots[index].was_scanned = true;
        if tries_watches && !has_watches {
            self.degrade(index, Degraded::OutOfWatches)?;
        } else if has_watches && self.roots[index].degraded == Some(Degraded::OutOfWatches) {
            self.roots[index].degraded = None;
            self.send(WatchEvent::Recovered { root: root.clone() })?;
        }
        self.roots[index].last_scan_took = begun.elapsed();
        self.roots[index].next_poll = self.now() + self.roots[index].poll_period(self.settle, self.rescan);
        if is_announced {
            self.send(WatchEvent::ScanDone { root, files })
        } else {
            Ok(())
        }
    }

    /// Follows a hint.
    fn look_at(&mut self, path: &Path) -> Result<(), Stopped> {
        let Some(index) = self.roots.iter().position(|root| path.starts_with(&root.path)) else {
            return Ok(());
        };
        let root = &self.roots[index];
        if !matches!(root.presence, Presence::Present(_)) {
            return Ok(());
        }
        if path == root.path {
            return self.scan_root(index, false);
        }
        let below = path.strip_prefix(&root.path).unwrap_or(path);
        if below.iter().any(is_ignored) {
            return Ok(());
        }
        match look(path) {
            Ok(Look::Folder) => {
                let mut scanned = Scanned::new(false, true);
                self.scan(path, &mut scanned)?;
                if !scanned.has_watches {
                    self.degrade(index, Degraded::OutOfWatches)?;
                }
                self.look_for_absent(path, scanned)
            }
            Ok(found) => {
                // What was a folder may be gone with all that was in it.
                let below: Vec<PathBuf> = self.settler.known_under(path).filter(|it| it != path).collect();
                for gone in below {
                    self.observe_afresh(&gone)?;
                }
                self.observe(path, found.seen())
            }
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "could not look at a changed path");
                Ok(())
            }
        }
    }

    /// A file that was released is released once more, after the settle time.
    fn release_again(&mut self, path: &Path) -> Result<(), Stopped> {
        match look(path) {
            Ok(Look::File(snapshot)) => {
                self.settler.retry(path, snapshot, self.started.elapsed());
                Ok(())
            }
            _ => self.observe_afresh(path),
        }
    }

    pub(super) fn observe_afresh(&mut self, path: &Path) -> Result<(), Stopped> {
        match look(path) {
            Ok(found) => self.observe(path, found.seen()),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "could not look at a known path");
                self.observe(
                    path,
                    Seen::Unknown("the system does not let it be looked at; see the log"),
                )
            }
        }
    }

    pub(super) fn observe(&mut self, path: &Path, seen: Seen) -> Result<(), Stopped> {
        let now = self.now();
        let path = path.to_owned();
        match self.settler.observe(&path, seen, now) {
            Change::None => Ok(()),
            Change::Settled(snapshot) => self.send(WatchEvent::Settled { path, snapshot }),
            Change::Skipped(reason) => self.send(WatchEvent::Skipped { path, reason }),
            Change::Removed => self.send(WatchEvent::Removed { path }),
        }
    }

    /// Hands over an event, waiting while the receiver is behind.
    fn send(&self, event: WatchEvent) -> Result<(), Stopped> {
        let mut event = event;
        loop {
            match self.sender.try_send(event) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Stopped),
                Err(TrySendError::Full(back)) => event = back,
            }
            if self.shared.stops_within(FULL_CHANNEL_PAUSE) {
                return Err(Stopped);
            }
        }
    }
}
