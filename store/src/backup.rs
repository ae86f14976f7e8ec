//! Backups: a copy of journal and objects up to one commit, with a list of every file's length and hash.
//!
//! What lies beside the store and is of no use without it, or the store without that, goes along under `beside/`.
//!
//! The directory gets its name only when all of it has been written, fsynced and read again, so a directory that is
//! there is a whole backup. `FORMAT.md` has the list.

mod beside;
mod list;

pub use beside::{Beside, Saved};

use crate::journal::frame::SEGMENT_HEADER;
use crate::journal::scan::{Frames, scan};
use crate::journal::segment_paths;
use crate::{Hash, Objects, Options, Store, StoreError, durable, sealing, space, verify};
use list::{Entry, List};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

const CHUNK_BYTES: usize = 256 << 10;
const BESIDE: &str = "beside";
/// Folders of the store and of backups.
const PRIVATE: u32 = 0o700;
/// Less what the process's mask takes away.
const AS_OTHERS: u32 = 0o777;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReport {
    /// Its last commit.
    pub last_seq: u64,
    /// Its files, the list not counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes a backup of everything up to `last_seq` to `to`, which must not be there. Commits go on meanwhile.
pub(crate) fn write(
    store: &Path,
    objects: &Objects,
    last_seq: u64,
    reserve_bytes: u64,
    beside: &[Beside],
    to: &Path,
) -> Result<BackupReport, StoreError> {
    refuse_taken(to, "a backup never overwrites anything")?;
    staged(to, "backing-up", PRIVATE, |staging| {
        let mut copies = Copies {
            root: staging,
            reserve_bytes,
            entries: Vec::new(),
        };
        for (path, bytes) in journal_extent(&store.join("journal"), last_seq)? {
            let name = path.file_name().expect("segments have names").to_string_lossy();
            copies.take(&path, &format!("journal/{name}"), bytes, 0o600)?;
        }
        if objects.key().is_some() {
            copies.take(&store.join(sealing::NOTE), sealing::NOTE, u64::MAX, 0o600)?;
        }
        // After the journal: a record never names an object that was not durable before it.
        for hash in objects.list()?.0 {
            let name = hash.to_string();
            let name = format!("objects/{}/{}", &name[..2], &name[2..]);
            let entry = match copies.take(&objects.path(&hash), &name, u64::MAX, 0o400) {
                // It was forgotten meanwhile. Whether a record needs it is asked below.
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            if objects.key().is_some() {
                objects.check_copy(&staging.join(&name), &hash)?;
            } else if entry.blake3 != hash {
                return Err(StoreError::ObjectDamaged {
                    path: objects.path(&hash),
                    found: entry.blake3,
                });
            }
        }
        for file in beside {
            let mode = mode_of(&file.from)?;
            copies.take(&file.from, &format!("{BESIDE}/{}", file.name), u64::MAX, mode)?;
        }
        let list = List {
            last_seq,
            entries: copies.entries,
        };
        list.write(staging)?;
        check(staging)
    })
}

/// Reads all of a backup, and says whether it is whole and sound.
pub fn check(backup: &Path) -> Result<BackupReport, StoreError> {
    refuse_missing(backup)?;
    let list = List::read(backup)?;
    for entry in &list.entries {
        let path = backup.join(&entry.path);
        let about = path.metadata().map_err(|e| unreadable(&path, &e))?;
        if !about.is_file() {
            // A pipe would be waited for, and a device may have no end.
            return Err(StoreError::damaged_backup(path, "it is no regular file"));
        }
        let file = File::open(&path).map_err(|e| unreadable(&path, &e))?;
        let read = copy(file, io::sink(), u64::MAX).map_err(|e| StoreError::io("read", &path, e))?;
        entry.expect(&path, read)?;
    }
    list.refuse_foreign(backup)?;
    let found = scan(&backup.join("journal"), 0)?;
    if found.last_seq != list.last_seq || found.torn.is_some() {
        let what = format!(
            "its journal ends at commit {}, its list says {}",
            found.last_seq, list.last_seq
        );
        return Err(StoreError::damaged_backup(backup.join("journal"), what));
    }
    let present: BTreeSet<&Path> = list.entries.iter().map(|entry| entry.path.as_path()).collect();
    for record in verify::replay(&backup.join("journal"), list.last_seq)?.values() {
        for hash in &record.objects {
            let name = hash.to_string();
            let path = Path::new("objects").join(&name[..2]).join(&name[2..]);
            if !present.contains(path.as_path()) {
                let path = backup.join(path);
                return Err(StoreError::ObjectMissing { hash: *hash, path });
            }
        }
    }
    Ok(BackupReport {
        last_seq: list.last_seq,
        files: list.entries.len() as u64,
        bytes: list.entries.iter().map(|entry| entry.bytes).sum(),
    })
}

/// Makes a store in `store`, which must be missing or empty, from a backup. It gets its name when it has verified. Once the backup is known to
/// be whole, `beside` is called with what lay beside the store, so that where there is a store, that is there too.
pub fn restore(
    backup: &Path,
    store: &Path,
    options: &Options,
    beside: impl FnOnce(&Saved) -> Result<(), StoreError>,
) -> Result<BackupReport, StoreError> {
    refuse_taken(store, "a restore never overwrites a store: move it aside first")?;
    refuse_missing(backup)?;
    sealing::admit(backup, options.key.as_deref())?;
    let report = check(backup)?;
    let entries = List::read(backup)?.entries.into_iter();
    let (saved, entries): (Vec<Entry>, Vec<Entry>) = entries.partition(Entry::is_beside);
    beside(&Saved::of(backup, saved, options.reserve_bytes))?;
    staged(store, "restoring", PRIVATE, |staging| {
        let mut copies = Copies {
            root: staging,
            reserve_bytes: options.reserve_bytes,
            entries: Vec::new(),
        };
        make_dir(&staging.join("journal"))?;
        for entry in &entries {
            let mode = if entry.path.starts_with("objects") {
                0o400
            } else {
                0o600
            };
            copies.bring(backup, entry, &entry.path, mode)?;
        }
        let (restored, _) = Store::open(staging, options.clone())?;
        match restored.verify()?.problems.first() {
            Some(problem) => Err(StoreError::damaged_backup(backup, problem.to_string())),
            None => Ok(report),
        }
    })
}

fn mode_of(path: &Path) -> Result<u32, StoreError> {
    let about = path.metadata().map_err(|e| StoreError::io("read", path, e))?;
    Ok(about.permissions().mode() & 0o777)
}

/// The segments that hold the commits up to `last_seq`, and how many bytes of each do.
fn journal_extent(journal: &Path, last_seq: u64) -> Result<Vec<(PathBuf, u64)>, StoreError> {
    // Before the first commit there is one segment of today's format: opening makes sure of it.
    let mut end = (segment_paths(journal)?.pop(), SEGMENT_HEADER as u64);
    for frame in Frames::open(journal, 1, last_seq)? {
        let (frame, path) = frame?;
        end = (Some(path), frame.end);
    }
    let (Some(last), end) = end else {
        return Ok(Vec::new());
    };
    let mut extent = Vec::new();
    for path in segment_paths(journal)?.into_iter().take_while(|path| *path < last) {
        let bytes = path.metadata().map_err(|e| StoreError::io("read", &path, e))?.len();
        extent.push((path, bytes));
    }
    extent.push((last, end));
    Ok(extent)
}

/// Files copied into a directory.
struct Copies<'d> {
    root: &'d Path,
    reserve_bytes: u64,
    entries: Vec<Entry>,
}

impl Copies<'_> {
    /// Copies a file of a backup, which has to be what its list says.
    fn bring(&mut self, backup: &Path, entry: &Entry, name: &Path, mode: u32) -> Result<(), StoreError> {
        let from = backup.join(&entry.path);
        let read = self.take(&from, &name.to_string_lossy(), u64::MAX, mode)?;
        entry.expect(&from, (read.blake3, read.bytes))
    }

    /// Copies the first `bytes` of a file, durably.
    fn take(&mut self, from: &Path, name: &str, bytes: u64, mode: u32) -> Result<Entry, StoreError> {
        let source = File::open(from).map_err(|e| StoreError::io("read", from, e))?;
        let len = source
            .metadata()
            .map_err(|e| StoreError::io("read", from, e))?
            .len()
            .min(bytes);
        space::check(self.root, len, self.reserve_bytes)?;
        let path = self.root.join(name);
        make_dir(path.parent().expect("names in a backup have a directory"))?;
        let written = (|| {
            let mut file = File::create_new(&path)?;
            let copied = copy(source, &mut file, bytes)?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
            Ok(copied)
        })();
        let (blake3, bytes) = written.map_err(|e| StoreError::io("write", &path, e))?;
        let entry = Entry {
            path: name.into(),
            bytes,
            blake3,
        };
        self.entries.push(entry.clone());
        Ok(entry)
    }
}

/// Fills a directory beside `to` and gives it that name, or removes it.
fn staged<T>(
    to: &Path,
    what: &str,
    mode: u32,
    fill: impl FnOnce(&Path) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let name = match to.components().next_back() {
        Some(Component::Normal(name)) => name.to_string_lossy().into_owned(),
        _ => {
            let no_name = io::Error::new(io::ErrorKind::InvalidInput, "it has no name");
            return Err(StoreError::io("create", to, no_name));
        }
    };
    let staging = to.with_file_name(format!(".{name}.{what}"));
    let failed = |what: &'static str| {
        let staging = staging.clone();
        move |e| StoreError::io(what, staging, e)
    };
    if staging.exists() {
        fs::remove_dir_all(&staging).map_err(failed("remove"))?;
    }
    let filled = make_dir_with(&staging, mode)
        .and_then(|()| fill(&staging))
        .and_then(|value| {
            fsync_tree(&staging).map_err(failed("fsync"))?;
            durable::rename_durable(&staging, to).map_err(failed("rename"))?;
            Ok(value)
        });
    if filled.is_err() {
        // The caller needs the first error; what is left over is removed by the next attempt.
        let _ = fs::remove_dir_all(&staging);
    }
    filled
}

/// Makes the names in a directory and in all below it durable.
fn fsync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fsync_tree(&entry.path())?;
        }
    }
    durable::fsync_dir(dir)
}

fn refuse_missing(backup: &Path) -> Result<(), StoreError> {
    match backup.is_dir() {
        true => Ok(()),
        false => Err(StoreError::NoBackup {
            path: backup.to_path_buf(),
        }),
    }
}

fn refuse_taken(path: &Path, why: &'static str) -> Result<(), StoreError> {
    let taken = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) => e.kind() != io::ErrorKind::NotFound,
    };
    match taken {
        true => Err(StoreError::Taken {
            path: path.to_path_buf(),
            why,
        }),
        false => Ok(()),
    }
}

fn make_dir(dir: &Path) -> Result<(), StoreError> {
    make_dir_with(dir, PRIVATE)
}

fn make_dir_with(dir: &Path, mode: u32) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(dir)
        .map_err(|e| StoreError::io("create", dir, e))
}

fn unreadable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::damaged_backup(path, format!("it cannot be read: {error}"))
}

/// Copies up to `limit` bytes. Returns their hash and number.
fn copy(from: impl Read, mut to: impl Write, limit: u64) -> io::Result<(Hash, u64)> {
    let mut from = from.take(limit);
    let (mut hasher, mut chunk, mut len) = (blake3::Hasher::new(), vec![0; CHUNK_BYTES], 0);
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok((hasher.finalize().into(), len)),
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        hasher.update(&chunk[..read]);
        to.write_all(&chunk[..read])?;
        len += read as u64;
    }
}
