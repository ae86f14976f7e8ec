//! Sealing a store that is not sealed yet, or sealing it with another key. Each object is replaced as a whole, and
//! whoever is interrupted begins again.

use crate::lock::Lock;
use crate::sealing::Note;
use crate::{Hash, Objects, StoreError};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wengu_seal::{HEADER_BYTES, Key, SealError, key_of};

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EncryptReport {
    /// Objects that were sealed.
    pub sealed: u64,
    /// Objects that were sealed with the key already.
    pub already: u64,
}

/// A store whose objects are being sealed. While this is held nobody has it open, and until [`Encryption::finish`] nobody
/// will.
pub struct Encryption {
    dir: PathBuf,
    key: Arc<Key>,
    old: Option<Arc<Key>>,
    reserve_bytes: u64,
    _lock: Lock,
}

impl Encryption {
    /// Takes a store, and notes what it is going to be. `old` is the key that it is sealed with now.
    ///
    /// # Errors
    /// A daemon has it, it is sealed with a key that is not `old`, or it is on its way to a third one.
    pub fn begin(dir: &Path, key: Arc<Key>, old: Option<Arc<Key>>, reserve_bytes: u64) -> Result<Self, StoreError> {
        let lock = Lock::take(dir)?;
        let old_id = old.as_ref().map(|old| old.id());
        match Note::read(dir)? {
            Some(note) if note.key == key.id() => {}
            Some(note) if note.unfinished => {
                return Err(StoreError::EncryptionUnfinished {
                    dir: dir.to_path_buf(),
                    key: note.key,
                });
            }
            Some(note) if Some(note.key) != old_id => {
                return Err(match old_id {
                    None => StoreError::OldKeyNeeded {
                        dir: dir.to_path_buf(),
                        key: note.key,
                    },
                    Some(given) => StoreError::OtherKey {
                        dir: dir.to_path_buf(),
                        found: note.key,
                        given,
                    },
                });
            }
            note => Note::write(dir, key.id(), Some(note.map(|note| note.key)))?,
        }
        Ok(Encryption {
            dir: dir.to_path_buf(),
            key,
            old,
            reserve_bytes,
            _lock: lock,
        })
    }

    /// Seals every object. `shown` is called after each.
    ///
    /// # Errors
    /// An object that is damaged or sealed with a third key stops it; those before it stay sealed.
    pub fn objects(&self, mut shown: impl FnMut(&EncryptReport)) -> Result<EncryptReport, StoreError> {
        let dir = self.dir.join("objects");
        let target = Objects::open(dir.clone(), self.reserve_bytes, Some(Arc::clone(&self.key)))?;
        let mut report = EncryptReport::default();
        for hash in target.list()?.0 {
            match self.seal(&dir, &target, &hash)? {
                true => report.sealed += 1,
                false => report.already += 1,
            }
            shown(&report);
        }
        Ok(report)
    }

    /// Says that all of it is sealed: from now on the store opens with the key, and with no other.
    pub fn finish(self) -> Result<(), StoreError> {
        Note::write(&self.dir, self.key.id(), None)
    }

    /// Seals an object, unless it is. What it looks like is not believed: a case file may look like a sealed one, while no
    /// other bytes have the hash that an object is named after.
    fn seal(&self, dir: &Path, target: &Objects, hash: &Hash) -> Result<bool, StoreError> {
        let path = target.path(hash);
        let mut beginning = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut beginning));
        read.map_err(|e| StoreError::io("read", &path, e))?;
        let found = key_of(&beginning).ok();
        let mut keys = [Some(&self.key), self.old.as_ref()].into_iter().flatten();
        let opener = keys.find(|key| Some(key.id()) == found);
        let mut failed = None;
        for with in opener.map(Some).into_iter().chain([None]) {
            let from = Objects::of(dir.to_path_buf(), with.cloned());
            match from.check(hash) {
                Ok(_) if with.is_some_and(|key| key.id() == self.key.id()) => return Ok(false),
                Ok(_) => return target.take_over(&from, hash).map(|()| true),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(match (opener, found) {
            (None, Some(found)) => StoreError::Sealed {
                path,
                why: SealError::OtherKey {
                    found,
                    given: self.key.id(),
                },
            },
            _ => failed.expect("it was tried as it is"),
        })
    }
}
