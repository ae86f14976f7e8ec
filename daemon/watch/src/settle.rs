//! When a file has stood still for long enough. Pure: `now` is an argument, nothing is read.

use crate::Snapshot;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
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
    /// A path that had settled before is gone.
    Removed,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Waiting {
        snapshot: Snapshot,
        since: Duration,
        was_released: bool,
    },
    Released(Snapshot),
    Skipped(&'static str),
}

/// Remembers what each path looked like, and releases a file once it has looked the same for the settle time. A file
/// is released by a fresh look only, never by the passing of time alone: call [`Settler::observe`] for every path
/// that [`Settler::due`] names.
#[derive(Debug)]
pub struct Settler {
    settle: Duration,
    paths: BTreeMap<PathBuf, State>,
    /// (since + settle, path) of all that wait.
    deadlines: BTreeSet<(Duration, PathBuf)>,
}

impl Settler {
    /// `settle`: how long a file must stand still.
    pub fn new(settle: Duration) -> Self {
        Self {
            settle,
            paths: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Takes note of what a look at the path found. `now` counts from any fixed moment and does not go back.
    pub fn observe(&mut self, path: &Path, seen: Seen, now: Duration) -> Change {
        let state = self.paths.get(path).copied();
        let was_released = match state {
            Some(State::Waiting { was_released, .. }) => was_released,
            Some(State::Released(_)) => true,
            Some(State::Skipped(_)) | None => false,
        };
        match (seen, state) {
            (Seen::File(fresh), Some(State::Released(old))) if fresh == old => Change::None,
            (Seen::File(fresh), Some(State::Waiting { snapshot, since, .. })) if fresh == snapshot => {
                if now.saturating_sub(since) < self.settle {
                    return Change::None;
                }
                self.set(path, Some(State::Released(fresh)));
                Change::Settled(fresh)
            }
            (Seen::File(snapshot), _) => {
                self.set(
                    path,
                    Some(State::Waiting {
                        snapshot,
                        since: now,
                        was_released,
                    }),
                );
                Change::None
            }
            (Seen::Other(reason), Some(State::Skipped(old))) if reason == old => Change::None,
            // Says nothing about a file that was released.
            (Seen::Unknown(_), None | Some(State::Released(_) | State::Skipped(_))) => Change::None,
            (Seen::Unknown(reason), Some(State::Waiting { .. })) => {
                self.set(path, Some(State::Skipped(reason)));
                Change::Skipped(reason)
            }
            (Seen::Other(reason), _) => {
                self.set(path, Some(State::Skipped(reason)));
                Change::Skipped(reason)
            }
            (Seen::Nothing, _) => {
                self.set(path, None);
                if was_released { Change::Removed } else { Change::None }
            }
        }
    }

    /// A released file is to be released again after the settle time, though it has not changed.
    pub fn retry(&mut self, path: &Path, now: Duration) {
        if let Some(State::Released(snapshot)) = self.paths.get(path).copied() {
            self.set(
                path,
                Some(State::Waiting {
                    snapshot,
                    since: now,
                    was_released: true,
                }),
            );
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

    /// All remembered paths that are `folder` or lie in it.
    pub fn known_under<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = &'a Path> {
        // Paths are ordered by component, so that all of a folder's are neighbours.
        self.paths
            .range::<Path, _>((Bound::Included(folder), Bound::Unbounded))
            .map(|(path, _)| path.as_path())
            .take_while(move |path| path.starts_with(folder))
    }

    fn set(&mut self, path: &Path, state: Option<State>) {
        if let Some(State::Waiting { since, .. }) = self.paths.get(path) {
            self.deadlines.remove(&(*since + self.settle, path.to_owned()));
        }
        match state {
            Some(state) => {
                if let State::Waiting { since, .. } = state {
                    self.deadlines.insert((since + self.settle, path.to_owned()));
                }
                self.paths.insert(path.to_owned(), state);
            }
            None => {
                self.paths.remove(path);
            }
        }
    }
}
