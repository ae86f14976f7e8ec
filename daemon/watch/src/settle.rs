//! When a file has stood still for long enough. Pure: `now` is an argument, nothing is read.

use crate::Snapshot;
use crate::known::Known;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a look at a path found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A regular file.
    File(Snapshot),
    /// Something that is never taken, and why.
    Other(&'static str),
    /// Nothing, or a folder.
    Nothing,
    /// The system would not say, and why that stops the path from settling.
    Unknown(&'static str),
}

/// What a look at a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anyone has to know.
    None,
    /// The file may be taken.
    Settled(Snapshot),
    /// It will never be taken, and why. Told once.
    Skipped(&'static str),
    /// A path that had settled or was skipped before is gone, or is a folder that can be read.
    Removed,
}

/// Most paths were released long ago, so that is what is kept small.
#[derive(Debug, Clone)]
enum State {
    Waiting(Box<Waiting>),
    /// The snapshot's [`Snapshot::digest`].
    Released(u64),
    Skipped(&'static str),
}

#[derive(Debug, Clone)]
struct Waiting {
    snapshot: Snapshot,
    since: Duration,
    was_released: bool,
}

/// Remembers what each path looked like, and releases a file once it has looked the same for the settle time. A file
/// is released by a fresh look only, never by the passing of time alone: call [`Settler::observe`] for every path
/// that [`Settler::due`] names.
#[derive(Debug)]
pub struct Settler {
    settle: Duration,
    paths: Known<State>,
    /// (since + settle, path) of all that wait.
    deadlines: BTreeSet<(Duration, PathBuf)>,
}

impl Settler {
    /// `settle`: how long a file must stand still.
    pub fn new(settle: Duration) -> Self {
        Self {
            settle,
            paths: Known::default(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Takes note of what a look at the path found. `now` counts from any fixed moment and does not go back.
    pub fn observe(&mut self, path: &Path, seen: Seen, now: Duration) -> Change {
        let state = self.paths.get(path);
        let was_released = match state {
            Some(State::Waiting(waiting)) => waiting.was_released,
            Some(State::Released(_)) => true,
            Some(State::Skipped(_)) | None => false,
        };
        match (seen, state) {
            (Seen::File(fresh), Some(State::Released(old))) if fresh.digest() == *old => Change::None,
            (Seen::File(fresh), Some(State::Waiting(waiting))) if fresh == waiting.snapshot => {
                if now.saturating_sub(waiting.since) < self.settle {
                    return Change::None;
                }
                self.set(path, Some(State::Released(fresh.digest())));
                Change::Settled(fresh)
            }
            (Seen::File(snapshot), _) => {
                self.wait(path, snapshot, now, was_released);
                Change::None
            }
            (Seen::Other(reason), Some(State::Skipped(old))) if reason == *old => Change::None,
            // Says nothing about a file that was released.
            (Seen::Unknown(_), None | Some(State::Released(_) | State::Skipped(_))) => Change::None,
            (Seen::Unknown(reason), Some(State::Waiting(_))) => {
                self.set(path, Some(State::Skipped(reason)));
                Change::Skipped(reason)
            }
            (Seen::Other(reason), _) => {
                self.set(path, Some(State::Skipped(reason)));
                Change::Skipped(reason)
            }
            (Seen::Nothing, _) => {
                let was_told = was_released || matches!(state, Some(State::Skipped(_)));
                self.set(path, None);
                if was_told { Change::Removed } else { Change::None }
            }
        }
    }

    /// The file counts as released as it looks now.
    pub fn release(&mut self, path: &Path, snapshot: Snapshot) {
        self.set(path, Some(State::Released(snapshot.digest())));
    }

    /// A released file is to be released again after the settle time, though it has not changed: it looks like `snapshot` now.
    pub fn retry(&mut self, path: &Path, snapshot: Snapshot, now: Duration) {
        if let Some(State::Released(_)) = self.paths.get(path) {
            self.wait(path, snapshot, now, true);
        }
    }

    /// The paths to look at now, the longest waiting first.
    pub fn due(&self, now: Duration) -> Vec<PathBuf> {
        self.deadlines
            .iter()
            .take_while(|(at, _)| *at <= now)
            .map(|(_, path)| path.clone())
            .collect()
    }

    /// When [`Settler::due`] will next name a path. None: nothing waits.
    pub fn next_due(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// How many paths wait.
    pub fn waiting(&self) -> usize {
        self.deadlines.len()
    }

    /// All remembered paths that are `path` or lie below it.
    pub fn known_under<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        self.paths.under(path)
    }

    /// Names of the remembered paths that lie right in `folder`.
    pub fn known_in(&self, folder: &Path) -> impl Iterator<Item = &OsStr> {
        self.paths.names_in(folder)
    }

    /// `folder` and all below it in which a remembered path lies.
    pub fn known_folders<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        self.paths.folders_under(folder)
    }

    fn wait(&mut self, path: &Path, snapshot: Snapshot, since: Duration, was_released: bool) {
        let waiting = Waiting {
            snapshot,
            since,
            was_released,
        };
        self.set(path, Some(State::Waiting(Box::new(waiting))));
    }

    fn set(&mut self, path: &Path, state: Option<State>) {
        if let Some(State::Waiting(waiting)) = self.paths.get(path) {
            self.deadlines.remove(&(waiting.since + self.settle, path.to_owned()));
        }
        match state {
            Some(state) => {
                if let State::Waiting(waiting) = &state {
                    self.deadlines.insert((waiting.since + self.settle, path.to_owned()));
                }
                self.paths.insert(path, state);
            }
            None => self.paths.remove(path),
        }
    }
}
