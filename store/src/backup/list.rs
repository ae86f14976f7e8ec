//! `BACKUP.jsonl`: what a backup holds, and proof that the list itself is whole.

use crate::{Hash, StoreError, durable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

const NAME: &str = "BACKUP.jsonl";
/// Version of the list and of the layout around it.
const FORMAT: u16 = 2;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct First {
    wengu_backup: u16,
    last_seq: u64,
}

/// A line for each file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it is, relative to the backup.
    pub path: PathBuf,
    pub bytes: u64,
    pub blake3: Hash,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    files: u64,
    /// Of all bytes before this line.
    blake3: Hash,
}

impl Entry {
    /// Whether it lay beside the store.
    pub fn is_beside(&self) -> bool {
        self.path.starts_with(super::BESIDE)
    }

    /// Whether this is what was read.
    pub fn expect(&self, path: &Path, (found, bytes): (Hash, u64)) -> Result<(), StoreError> {
        let what = if bytes != self.bytes {
            format!("it has {bytes} bytes, the list says {}", self.bytes)
        } else if found != self.blake3 {
            format!("its bytes hash to {found}, the list says {}", self.blake3)
        } else {
            return Ok(());
        };
        Err(StoreError::damaged_backup(path, what))
    }
}

/// The content of a backup.
#[derive(Debug)]
pub struct List {
    pub last_seq: u64,
    pub entries: Vec<Entry>,
}

impl List {
    /// Writes it into a backup.
    pub fn write(&self, backup: &Path) -> Result<(), StoreError> {
        let line = |value: serde_json::Result<String>| value.expect("plain structs are JSON") + "\n";
        let first = First {
            wengu_backup: FORMAT,
            last_seq: self.last_seq,
        };
        let mut text = line(serde_json::to_string(&first));
        for entry in &self.entries {
            text += &line(serde_json::to_string(entry));
        }
        let last = Last {
            files: self.entries.len() as u64,
            blake3: Hash::of(text.as_bytes()),
        };
        text += &line(serde_json::to_string(&last));
        let path = backup.join(NAME);
        durable::write_file(&path, text.as_bytes()).map_err(|e| StoreError::io("write", &path, e))
    }

    /// Reads and checks it.
    pub fn read(backup: &Path) -> Result<Self, StoreError> {
        let path = backup.join(NAME);
        let bad = |what: &str| StoreError::damaged_backup(&path, what);
        let text = fs::read_to_string(&path).map_err(|e| bad(&format!("it cannot be read: {e}")))?;
        let first = text.lines().next().unwrap_or_default();
        let first: First = serde_json::from_str(first).map_err(|_| bad("it does not begin as the list of a backup"))?;
        if first.wengu_backup > FORMAT {
            return Err(StoreError::BackupVersion {
                path,
                found: first.wengu_backup,
                supported: FORMAT,
            });
        }
        let whole = text.strip_suffix('\n').ok_or_else(|| bad("it was cut short"))?;
        let (before, last) = whole.rsplit_once('\n').ok_or_else(|| bad("it was cut short"))?;
        let last: Last = serde_json::from_str(last).map_err(|_| bad("it was cut short"))?;
        if Hash::of(&text.as_bytes()[..before.len() + 1]) != last.blake3 {
            return Err(bad("it does not have the hash that it ends with"));
        }
        let entries = before.lines().skip(1).map(serde_json::from_str::<Entry>);
        let entries: Vec<Entry> = entries
            .collect::<Result<_, _>>()
            .map_err(|e| bad(&format!("a line of it cannot be read: {e}")))?;
        let plain = |entry: &Entry| entry.path.components().all(|part| matches!(part, Component::Normal(_)));
        if entries.len() as u64 != last.files || !entries.iter().all(plain) {
            return Err(bad("its lines are not those of a backup"));
        }
        Ok(List {
            last_seq: first.last_seq,
            entries,
        })
    }

    /// A file that the list does not have was put there by somebody else.
    pub fn refuse_foreign(&self, backup: &Path) -> Result<(), StoreError> {
        let known: BTreeSet<PathBuf> = self.entries.iter().map(|entry| backup.join(&entry.path)).collect();
        let mut dirs = vec![backup.to_path_buf()];
        while let Some(dir) = dirs.pop() {
            let failed = |e| StoreError::io("list", &dir, e);
            for entry in fs::read_dir(&dir).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                if entry.file_type().map_err(failed)?.is_dir() {
                    dirs.push(path);
                } else if !known.contains(&path) && path != backup.join(NAME) {
                    return Err(StoreError::damaged_backup(path, "the list does not have it"));
                }
            }
        }
        Ok(())
    }
}
