//! What lies beside a store and goes along in its backups.

use super::list::Entry;
use super::{AS_OTHERS, BESIDE, Copies, mode_of, refuse_taken, staged};
use crate::StoreError;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that lies beside the store and goes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Where it is.
    pub from: PathBuf,
    /// What it is called in the backup, by names only.
    pub name: String,
}

/// What lay beside the store of a backup that is being restored; the backup is known to be whole.
#[derive(Debug)]
pub struct Saved<'b> {
    backup: &'b Path,
    entries: Vec<Entry>,
    reserve_bytes: u64,
}

impl<'b> Saved<'b> {
    pub(super) fn of(backup: &'b Path, entries: Vec<Entry>, reserve_bytes: u64) -> Saved<'b> {
        Saved {
            backup,
            entries,
            reserve_bytes,
        }
    }

    /// The names of its files, and where each is in the backup.
    pub fn files(&self) -> impl Iterator<Item = (&Path, PathBuf)> {
        let file = |entry| (name(entry), self.backup.join(&entry.path));
        self.entries.iter().map(file)
    }

    /// Makes `to`, which must be missing or empty, from the files under `inside`. They have the permissions that they had, folders those
    /// that new ones have.
    ///
    /// # Errors
    /// Something is there, or cannot be read or written.
    pub fn restore(&self, inside: &Path, to: &Path) -> Result<(), StoreError> {
        refuse_taken(to, "a restore overwrites nothing")?;
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|e| StoreError::io("create", parent, e))?;
        }
        staged(to, "restoring", AS_OTHERS, |staging| {
            let mut copies = Copies {
                root: staging,
                reserve_bytes: self.reserve_bytes,
                entries: Vec::new(),
            };
            for entry in &self.entries {
                let Ok(name) = name(entry).strip_prefix(inside) else {
                    continue;
                };
                let folder = staging.join(name);
                let folder = folder.parent().expect("it is in the staging folder");
                fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
                let mode = mode_of(&self.backup.join(&entry.path))?;
                copies.bring(self.backup, entry, name, mode)?;
            }
            Ok(())
        })
    }
}

fn name(entry: &Entry) -> &Path {
    entry.path.strip_prefix(BESIDE).unwrap_or(&entry.path)
}
