//! What was forgotten, in a form that recognises it and does not say it: `forget/tombstones.json`.
//!
//! A mark is BLAKE3, keyed with a random key of this installation, over the hash of a file's bytes or the name of a case.
//! Without the key a mark says nothing. Who has the key can try guesses, as the daemon does with every file that comes:
//! the file is for the daemon's user alone. A mark with another digit recognises nothing, so the file carries a
//! checksum ([`checked`]), and the daemon does not start on one that is damaged.

use crate::{checked, digest};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wengu_store::Hash;

/// Version of the file; 1 had no checksum.
const SCHEMA: u32 = 2;
/// What to do about one that is damaged.
const REMEDY: &str = "nothing is begun without it, since what was forgotten would be taken again. Put it back from a \
                      backup of its folder; where there is none and it is moved aside, nothing that was forgotten is \
                      refused any more";

/// The marks of one forgetting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Its id.
    pub id: String,
    /// When it was asked for.
    pub at_ms: i64,
    /// Marks of bytes.
    pub contents: Vec<String>,
    /// Marks of cases.
    pub cases: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OnDisk {
    schema: u32,
    /// 32 random bytes, in hex.
    key: String,
    forgotten: Vec<Tombstone>,
}

/// All marks.
#[derive(Debug)]
pub struct Tombstones {
    path: PathBuf,
    key: [u8; 32],
    forgotten: Vec<Tombstone>,
    by_mark: HashMap<String, String>,
}

impl Tombstones {
    /// Those of a `forget/` folder; none where there is no file. The key is made then, and kept with the first mark.
    pub fn load(folder: &Path) -> Result<Tombstones> {
        let path = folder.join("tombstones.json");
        let Some(OnDisk { key, forgotten, .. }) = checked::read::<OnDisk>(&path, SCHEMA, REMEDY)? else {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|e| anyhow::anyhow!("the system gives no random numbers: {e}"))?;
            return Ok(Tombstones {
                path,
                key,
                forgotten: Vec::new(),
                by_mark: HashMap::new(),
            });
        };
        let key: Hash = key.parse().with_context(|| format!("{}: its key", path.display()))?;
        let mut loaded = Tombstones {
            path,
            key: *key.as_bytes(),
            forgotten: Vec::new(),
            by_mark: HashMap::new(),
        };
        forgotten.into_iter().for_each(|tombstone| loaded.remember(tombstone));
        Ok(loaded)
    }

    /// Those of all forgettings, oldest first.
    pub fn all(&self) -> &[Tombstone] {
        &self.forgotten
    }

    /// Adds the marks of a forgetting, durably. A second time nothing happens.
    pub fn add<'a>(
        &mut self,
        id: &str,
        at_ms: i64,
        contents: impl IntoIterator<Item = &'a Hash>,
        cases: impl IntoIterator<Item = &'a String>,
    ) -> Result<()> {
        if self.forgotten.iter().any(|tombstone| tombstone.id == id) {
            // It may be known from an attempt whose writing failed.
            return self.save();
        }
        let tombstone = Tombstone {
            id: id.to_owned(),
            at_ms,
            contents: contents.into_iter().map(|hash| self.mark_content(hash)).collect(),
            cases: cases.into_iter().map(|case| self.mark_case(case)).collect(),
        };
        self.remember(tombstone);
        self.save()
    }

    /// Takes over the marks of another file, as a backup of the `forget/` folder has it. Their key has to be the same,
    /// unless there are no marks here yet.
    pub fn take_over(&mut self, other: Tombstones) -> Result<()> {
        ensure!(
            self.forgotten.is_empty() || self.key == other.key,
            "{} has another key than {}: they are of two installations",
            other.path.display(),
            self.path.display()
        );
        self.key = other.key;
        for tombstone in other.forgotten {
            if self.forgotten.iter().all(|known| known.id != tombstone.id) {
                self.remember(tombstone);
            }
        }
        self.save()
    }

    /// The forgetting that these bytes fell under.
    pub fn of_content(&self, content: &Hash) -> Option<&str> {
        if self.forgotten.is_empty() {
            return None;
        }
        self.by_mark.get(&self.mark_content(content)).map(String::as_str)
    }

    /// The forgetting that this case fell under. A member of an archive is part of the file's case here.
    pub fn of_case(&self, case: &str) -> Option<&str> {
        if self.forgotten.iter().all(|tombstone| tombstone.cases.is_empty()) {
            return None;
        }
        self.by_mark.get(&self.mark_case(case)).map(String::as_str)
    }

    fn remember(&mut self, tombstone: Tombstone) {
        for mark in tombstone.contents.iter().chain(&tombstone.cases) {
            self.by_mark.insert(mark.clone(), tombstone.id.clone());
        }
        self.forgotten.push(tombstone);
    }

    fn mark_content(&self, content: &Hash) -> String {
        self.mark(b"content\0", content.as_bytes())
    }

    fn mark_case(&self, case: &str) -> String {
        self.mark(b"case\0", case.as_bytes())
    }

    fn mark(&self, kind: &[u8], what: &[u8]) -> String {
        blake3::keyed_hash(&self.key, &[kind, what].concat())
            .to_hex()
            .to_string()
    }

    fn save(&self) -> Result<()> {
        let key = digest::hex(&self.key);
        let all = OnDisk {
            schema: SCHEMA,
            key,
            forgotten: self.forgotten.clone(),
        };
        super::make_folder(self.path.parent().expect("it is in a folder"))?;
        checked::write(&self.path, &all)?;
        std::fs::set_permissions(&self.path, Permissions::from_mode(0o600))
            .with_context(|| self.path.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_recognise_what_was_forgotten_after_a_restart_and_do_not_say_it() {
        let dir = tempfile::tempdir().unwrap();
        let content = Hash::of(b"the patient");
        let mut tombstones = Tombstones::load(dir.path()).unwrap();
        assert_eq!(tombstones.of_content(&content), None);
        tombstones.add("a1", 5, [&content], [&"case:17".to_owned()]).unwrap();
        let again = Tombstones::load(dir.path()).unwrap();
        assert_eq!(again.of_content(&content), Some("a1"));
        assert_eq!(again.of_case("case:17"), Some("a1"));
        assert_eq!(again.of_case("case:1"), None);
        assert_eq!(again.of_content(&Hash::of(b"another")), None);
        let text = std::fs::read_to_string(dir.path().join("tombstones.json")).unwrap();
        assert!(
            !text.contains("case:17") && !text.contains(&content.to_string()),
            "{text}"
        );
        // Another installation has another key.
        let elsewhere = tempfile::tempdir().unwrap();
        let mut other = Tombstones::load(elsewhere.path()).unwrap();
        other.add("b2", 5, [&content], []).unwrap();
        assert_ne!(other.all()[0].contents, again.all()[0].contents);
        assert!(other.take_over(again).is_err());
        let third = tempfile::tempdir().unwrap();
        let mut empty = Tombstones::load(third.path()).unwrap();
        empty.take_over(Tombstones::load(dir.path()).unwrap()).unwrap();
        assert_eq!(Tombstones::load(third.path()).unwrap().of_content(&content), Some("a1"));
    }

    fn written(folder: &Path) -> Vec<u8> {
        let content = Hash::of(b"the patient");
        let mut tombstones = Tombstones::load(folder).unwrap();
        tombstones.add("a1", 5, [&content], [&"case:17".to_owned()]).unwrap();
        std::fs::read(folder.join("tombstones.json")).unwrap()
    }

    #[test]
    fn no_bit_of_the_file_can_be_flipped_and_no_byte_be_missing() {
        let dir = tempfile::tempdir().unwrap();
        let sound = written(dir.path());
        let path = dir.path().join("tombstones.json");
        for (context, bad) in checked::damages(&sound) {
            std::fs::write(&path, bad).unwrap();
            let error = Tombstones::load(dir.path()).expect_err(&context);
            assert!(error.is::<checked::Damaged>(), "{context}: {error}");
            let told = error.to_string();
            assert!(
                told.contains(path.to_str().unwrap()) && told.contains("backup"),
                "{context}: {told}"
            );
        }
        std::fs::write(&path, &sound).unwrap();
        assert_eq!(Tombstones::load(dir.path()).unwrap().of_case("case:17"), Some("a1"));
    }

    #[test]
    fn a_file_from_before_the_checksum_is_read_and_gets_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tombstones.json");
        let old = checked::without_digest(&written(dir.path()));
        for length in 0..old.len() {
            std::fs::write(&path, &old[..length]).unwrap();
            let error = Tombstones::load(dir.path()).expect_err("it is cut short");
            assert!(error.is::<checked::Damaged>(), "{length} bytes: {error}");
        }
        std::fs::write(&path, &old).unwrap();
        let mut tombstones = Tombstones::load(dir.path()).unwrap();
        let another = Hash::of(b"another");
        assert_eq!(tombstones.of_content(&Hash::of(b"the patient")), Some("a1"));
        tombstones.add("b2", 6, [&another], []).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"sha256\""), "{text}");
        let again = Tombstones::load(dir.path()).unwrap();
        assert_eq!(
            (again.of_case("case:17"), again.of_content(&another)),
            (Some("a1"), Some("b2"))
        );
    }
}
