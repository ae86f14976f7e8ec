//! A scan, folder by folder: what it finds is observed at once, what it does not find when it is through.

use super::worker::{Stopped, Worker};
use crate::Seen;
use crate::scan::{Scan, Visit, scan_with};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a scan came to.
pub(super) struct Scanned {
    /// Nothing was told of the folder before. Later a file that comes back may be known though its loss is still to be handled.
    is_first: bool,
    pub files: usize,
    /// The folders that were read, or could not be.
    folders: HashSet<PathBuf>,
    /// Known paths that were not found in them.
    absent: Vec<PathBuf>,
    pub has_watches: bool,
}

impl Scanned {
    pub fn new(is_first: bool, tries_watches: bool) -> Self {
        Self {
            is_first,
            files: 0,
            folders: HashSet::new(),
            absent: Vec::new(),
            has_watches: tries_watches,
        }
    }
}

impl Worker {
    /// Takes note of all that lies in `root` and below it.
    pub(super) fn scan(&mut self, root: &Path, scanned: &mut Scanned) -> Result<(), Stopped> {
        scan_with(root, &mut |visit| match visit {
            Visit::Entering(folder) => {
                scanned.has_watches = scanned.has_watches && self.watches.add(folder);
                Ok(())
            }
            Visit::Read(folder, found) => self.take_in(folder, found, scanned),
        })
    }

    /// Takes note of all that was found right in `folder`, and of what was not found there any more.
    fn take_in(&mut self, folder: &Path, found: Scan, scanned: &mut Scanned) -> Result<(), Stopped> {
        for (path, error) in &found.errors {
            tracing::debug!(path = %path.display(), %error, "could not be scanned");
        }
        let is_read = found.errors.is_empty() && found.skipped.iter().all(|(path, _)| path != folder);
        if is_read {
            // What was told of it while it could not be read is over.
            self.observe(folder, Seen::Nothing)?;
        }
        scanned.files += found.files.len();
        let files = found
            .files
            .into_iter()
            .map(|(path, snapshot)| (path, Seen::File(snapshot)));
        let skipped = found
            .skipped
            .into_iter()
            .map(|(path, reason)| (path, Seen::Other(reason)));
        let mut present = HashSet::new();
        for (path, seen) in files.chain(skipped) {
            present.extend(path.file_name().map(OsStr::to_owned));
            match seen {
                Seen::File(snapshot) if scanned.is_first && (self.is_known)(&path, &snapshot) => {
                    self.settler.release(&path, snapshot);
                }
                _ => self.observe(&path, seen)?,
            }
        }
        let known = self.settler.known_in(folder);
        let absent = known.filter(|name| !present.contains(*name));
        scanned.absent.extend(absent.map(|name| folder.join(name)));
        scanned.folders.insert(folder.to_owned());
        Ok(())
    }

    /// Looks at all known paths in `root` and below it that the scan did not find. Only a look of its own proves that a file is gone: its
    /// folder may have been unreadable.
    pub(super) fn look_for_absent(&mut self, root: &Path, scanned: Scanned) -> Result<(), Stopped> {
        let known = self.settler.known_folders(root);
        let gone = known.filter(|folder| !scanned.folders.contains(*folder));
        let in_gone = gone.flat_map(|folder| self.settler.known_in(folder).map(|name| folder.join(name)));
        let absent: Vec<PathBuf> = in_gone.chain(scanned.absent).collect();
        absent.iter().try_for_each(|path| self.observe_afresh(path))
    }
}
