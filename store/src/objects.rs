//! Immutable files named by the hash of their bytes: `objects/ab/cdef…`. In a store with a key they are sealed; the name
//! is that of what was put.

mod content;

use crate::{Hash, StoreError, durable, space};
use content::{In, Out};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use wengu_failpoint::hit;
use wengu_seal::Key;

const CHUNK_BYTES: usize = 256 << 10;

/// The object files of a store. What `put_*` returns is durable.
#[derive(Debug)]
pub struct Objects {
    dir: PathBuf,
    key: Option<Arc<Key>>,
    reserve_bytes: u64,
    next_temporary: AtomicU64,
    /// The directories whose names are durable. One that is only there may be gone after a power cut.
    shards: Mutex<BTreeSet<PathBuf>>,
}

impl Objects {
    /// Removes what interrupted puts have left. Only for the holder of the store's lock.
    pub(crate) fn open(dir: PathBuf, reserve_bytes: u64, key: Option<Arc<Key>>) -> Result<Self, StoreError> {
        let temporary = dir.join("tmp");
        create_dir(&temporary)?;
        let shards = read_dir(&dir)?.into_iter().collect();
        durable::fsync_dir(&dir).map_err(|e| StoreError::io("fsync", &dir, e))?;
        for path in read_dir(&temporary)? {
            fs::remove_file(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        Ok(Objects {
            reserve_bytes,
            shards: Mutex::new(shards),
            ..Objects::of(dir, key)
        })
    }

    /// Objects that are only read.
    pub(crate) fn of(dir: PathBuf, key: Option<Arc<Key>>) -> Self {
        Objects {
            dir,
            key,
            reserve_bytes: 0,
            next_temporary: AtomicU64::new(0),
            shards: Mutex::default(),
        }
    }

    /// What they are sealed with.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref()
    }

    /// Stores these bytes.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        self.put_reader(bytes, bytes.len() as u64).map(|(hash, _)| hash)
    }

    /// Stores a file's bytes. Returns their hash and number.
    pub fn put_file(&self, path: &Path) -> Result<(Hash, u64), StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io("open", path, e))?;
        let metadata = file.metadata().map_err(|e| StoreError::io("read", path, e))?;
        if !metadata.is_file() {
            let not_a_file = io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file");
            return Err(StoreError::io("store", path, not_a_file));
        }
        self.put_reader(file, u64::MAX)
    }

    /// Stores what the reader gives, unless it is more than `limit_bytes`. Returns hash and number of the bytes.
    pub fn put_reader(&self, mut reader: impl Read, limit_bytes: u64) -> Result<(Hash, u64), StoreError> {
        let name = format!(
            "{}-{}",
            process::id(),
            self.next_temporary.fetch_add(1, Ordering::Relaxed)
        );
        let temporary = self.dir.join("tmp").join(name);
        let put = self
            .write(&mut reader, limit_bytes, &temporary)
            .and_then(|(hash, len)| {
                hit("object.written");
                self.adopt(&temporary, &hash)?;
                hit("object.named");
                Ok((hash, len))
            });
        if put.is_err() {
            // The caller needs the first error; a leftover goes when the store is opened.
            let _ = fs::remove_file(&temporary);
        }
        put
    }

    fn write(&self, reader: &mut impl Read, limit_bytes: u64, temporary: &Path) -> Result<(Hash, u64), StoreError> {
        let failed = |what: &'static str| move |e| StoreError::io(what, temporary, e);
        let file = File::create_new(temporary).map_err(failed("create"))?;
        let mut out = Out::new(self.key.as_deref(), file).map_err(failed("write"))?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut len = 0u64;
        loop {
            let read = match reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(StoreError::io("read the input of", temporary, e)),
            };
            len += read as u64;
            if len > limit_bytes {
                return Err(StoreError::ObjectTooLarge { limit_bytes });
            }
            space::check(&self.dir, read as u64, self.reserve_bytes)?;
            hasher.update(&chunk[..read]);
            out.write_all(&chunk[..read]).map_err(failed("write"))?;
        }
        let file = out.finish().map_err(failed("write"))?;
        // Case files are private: for the owner only, and not for writing.
        file.set_permissions(Permissions::from_mode(0o400))
            .map_err(failed("set the mode of"))?;
        file.sync_all().map_err(failed("fsync"))?;
        Ok((hasher.finalize().into(), len))
    }

    /// Gives a durable temporary file its name. An object that is already there is replaced by the same bytes: that
    /// costs no more than comparing them, and heals a damaged one.
    fn adopt(&self, temporary: &Path, hash: &Hash) -> Result<(), StoreError> {
        let path = self.path(hash);
        let dir = path.parent().expect("objects are in a directory");
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if !shards.contains(dir) {
            create_dir(dir)?;
            durable::fsync_dir(&self.dir).map_err(|e| StoreError::io("fsync", &self.dir, e))?;
            shards.insert(dir.to_path_buf());
        }
        drop(shards);
        fs::rename(temporary, &path).map_err(|e| StoreError::io("create", &path, e))?;
        durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))
    }

    /// Puts an object of the same store that is not sealed, or with another key, in its own place.
    pub(crate) fn take_over(&self, from: &Objects, hash: &Hash) -> Result<(), StoreError> {
        let path = from.path(hash);
        let file = File::open(&path).map_err(|e| from.read_failed(hash, e))?;
        let content = In::new(from.key.as_deref(), file).map_err(|e| content::unread(&path, e))?;
        self.put_reader(content, u64::MAX).map(|_| ())
    }

    /// The bytes of an object, after checking that they are the right ones.
    pub fn get(&self, hash: &Hash) -> Result<Vec<u8>, StoreError> {
        let path = self.path(hash);
        let file = File::open(&path).map_err(|e| self.read_failed(hash, e))?;
        let bytes = content::read_all(self.key.as_deref(), file).map_err(|e| content::unread(&path, e))?;
        match Hash::of(&bytes) {
            found if found == *hash => Ok(bytes),
            found => Err(content::other(&path, &bytes, found)),
        }
    }

    /// The bytes of an object of the store in `store`, for a process that does not hold the store: objects never change.
    pub fn read(store: &Path, key: Option<Arc<Key>>, hash: &Hash) -> Result<Vec<u8>, StoreError> {
        Objects::of(store.join("objects"), key).get(hash)
    }

    /// Checks an object's bytes without holding them in memory. Returns their number.
    pub fn check(&self, hash: &Hash) -> Result<u64, StoreError> {
        let path = self.path(hash);
        let file = File::open(&path).map_err(|e| self.read_failed(hash, e))?;
        self.check_bytes(&path, file, hash)
    }

    /// Checks a copy of an object.
    pub(crate) fn check_copy(&self, path: &Path, hash: &Hash) -> Result<(), StoreError> {
        let file = File::open(path).map_err(|e| StoreError::io("read", path, e))?;
        self.check_bytes(path, file, hash).map(|_| ())
    }

    fn check_bytes(&self, path: &Path, file: File, hash: &Hash) -> Result<u64, StoreError> {
        let mut hasher = blake3::Hasher::new();
        let mut content = In::new(self.key.as_deref(), file).map_err(|e| content::unread(path, e))?;
        let len = io::copy(&mut content, &mut hasher).map_err(|e| content::unread(path, e))?;
        match Hash::from(hasher.finalize()) {
            found if found == *hash => Ok(len),
            found => Err(StoreError::ObjectDamaged {
                path: path.to_path_buf(),
                found,
            }),
        }
    }

    /// Where an object is, or would be. Its bytes are unchecked, sealed where there is a key, and for reading only.
    pub fn path(&self, hash: &Hash) -> PathBuf {
        let name = hash.to_string();
        self.dir.join(&name[..2]).join(&name[2..])
    }

    /// Whether there is such an object.
    pub fn contains(&self, hash: &Hash) -> bool {
        self.path(hash).is_file()
    }

    /// Removes an object for good, for what has to be forgotten. False: there was none.
    pub fn remove(&self, hash: &Hash) -> Result<bool, StoreError> {
        let path = self.path(hash);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(StoreError::io("remove", path, e)),
        }
        let dir = path.parent().expect("objects are in a directory");
        durable::fsync_dir(dir).map_err(|e| StoreError::io("fsync", dir, e))?;
        Ok(true)
    }

    /// The names of all objects, and the files that are no objects.
    pub fn list(&self) -> Result<(Vec<Hash>, Vec<PathBuf>), StoreError> {
        let (mut hashes, mut foreign) = (Vec::new(), Vec::new());
        for dir in read_dir(&self.dir)?.into_iter().filter(|path| !path.ends_with("tmp")) {
            for path in read_dir(&dir)? {
                let part = |path: &Path| path.file_name().and_then(|name| name.to_str().map(str::to_string));
                let name = [part(&dir), part(&path)].into_iter().flatten().collect::<String>();
                match name.parse() {
                    Ok(hash) => hashes.push(hash),
                    Err(_) => foreign.push(path),
                }
            }
        }
        hashes.sort();
        Ok((hashes, foreign))
    }

    fn read_failed(&self, hash: &Hash, error: io::Error) -> StoreError {
        let path = self.path(hash);
        match error.kind() {
            io::ErrorKind::NotFound => StoreError::ObjectMissing { hash: *hash, path },
            _ => StoreError::io("read", path, error),
        }
    }
}

fn create_dir(dir: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::io("create", dir, e)),
        _ => Ok(()),
    }
}

fn read_dir(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |e| StoreError::io("list", dir, e);
    fs::read_dir(dir)
        .map_err(failed)?
        .map(|entry| entry.map(|e| e.path()).map_err(failed))
        .collect()
}
