//! Which key a store is sealed with: `KEY`, and what it says to the key that is given.

use crate::{StoreError, durable};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wengu_seal::{Key, KeyId};

/// The file, in a store and in a backup of it. It names the key and tells nothing of it.
pub(crate) const NOTE: &str = "KEY";
/// Version of [`Note`].
const FORMAT: u16 = 1;

/// What the file says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    wengu_key: u16,
    key: String,
    /// There while not every object is sealed with it yet: the key of before, or `plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
}

/// The key of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Note {
    pub key: KeyId,
    /// There are still objects that are not sealed with it.
    pub unfinished: bool,
}

impl Note {
    /// None: the store is not sealed.
    pub fn read(dir: &Path) -> Result<Option<Note>, StoreError> {
        let path = dir.join(NOTE);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|e| StoreError::io("read", &path, e))?,
        };
        let written: Written = serde_json::from_slice(&bytes).map_err(|e| bad(&path, e))?;
        if written.wengu_key > FORMAT {
            return Err(bad(&path, format!("it has format {}", written.wengu_key)));
        }
        Ok(Some(Note {
            key: written.key.parse().map_err(|_| bad(&path, "it names no key"))?,
            unfinished: written.from.is_some(),
        }))
    }

    /// Says durably that all objects are sealed with this key, or are going to be: `from` another one, or none.
    pub fn write(dir: &Path, key: KeyId, from: Option<Option<KeyId>>) -> Result<(), StoreError> {
        let path = dir.join(NOTE);
        let written = Written {
            wengu_key: FORMAT,
            key: key.to_string(),
            from: from.map(|from| from.map_or("plain".to_string(), |key| key.to_string())),
        };
        let text = serde_json::to_string(&written).expect("plain structs are JSON") + "\n";
        durable::write_file(&path, text.as_bytes()).map_err(|e| StoreError::io("write", &path, e))
    }
}

/// Refuses to open what lies in `dir` with this key, or without one, unless it fits. Nothing is changed. True: `dir` is
/// a store that is still to be made, and sealed from its first object on.
pub(crate) fn admit(dir: &Path, key: Option<&Key>) -> Result<bool, StoreError> {
    let dir_path = || dir.to_path_buf();
    match (Note::read(dir)?, key) {
        (None, None) => Ok(false),
        (None, Some(_)) if is_new(dir)? => Ok(true),
        (None, Some(_)) => Err(StoreError::NotEncrypted { dir: dir_path() }),
        (Some(note), _) if note.unfinished => Err(StoreError::EncryptionUnfinished {
            dir: dir_path(),
            key: note.key,
        }),
        (Some(note), None) => Err(StoreError::KeyNeeded {
            path: dir_path(),
            key: note.key,
        }),
        (Some(note), Some(key)) if note.key != key.id() => Err(StoreError::OtherKey {
            dir: dir_path(),
            found: note.key,
            given: key.id(),
        }),
        (Some(_), Some(_)) => Ok(false),
    }
}

/// Whether nothing was ever kept there.
fn is_new(dir: &Path) -> Result<bool, StoreError> {
    for part in ["journal", "objects"] {
        let path = dir.join(part);
        match fs::read_dir(&path).map(|mut entries| entries.next().is_some()) {
            Ok(true) => return Ok(false),
            Ok(false) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(StoreError::io("list", path, e)),
        }
    }
    Ok(true)
}

fn bad(path: &Path, why: impl ToString) -> StoreError {
    StoreError::KeyNote {
        path: PathBuf::from(path),
        what: why.to_string(),
    }
}
