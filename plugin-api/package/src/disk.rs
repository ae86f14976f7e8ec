//! Files that are there wholly or not at all.

use crate::PackageError;
use crate::error::At;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Work in progress lies under names with this prefix, on the same file system as its destination.
pub(crate) const STAGING: &str = ".staging-";

/// One writer at a time, so that whatever lies under a staging name at the start was left by a crash.
pub(crate) fn lock(plugins_dir: &Path) -> Result<File, PackageError> {
    make_dir(plugins_dir)?;
    let path = plugins_dir.join(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path);
    let file = file.at("could not open", &path)?;
    file.lock().at("could not lock", &path)?;
    Ok(file)
}

/// At most `limit` bytes of a file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, PackageError> {
    let file = File::open(path).at("could not open", path)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(limit + 1);
    limited.read_to_end(&mut bytes).at("could not read", path)?;
    match bytes.len() as u64 > limit {
        true => Err(PackageError::TooLarge {
            path: path.to_owned(),
            limit,
        }),
        false => Ok(bytes),
    }
}

pub(crate) fn make_dir(path: &Path) -> Result<(), PackageError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .at("could not make", path)
}

pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PackageError> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(path)
        .at("could not make", path)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .at("could not write", path)
}

pub(crate) fn sync_dir(path: &Path) -> Result<(), PackageError> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .at("could not sync", path)
}

/// Replaces a file of `dir`: the old one is there until the new one is.
pub(crate) fn replace(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), PackageError> {
    let staged = dir.join(format!("{STAGING}{name}"));
    if staged.exists() {
        remove(&staged)?;
    }
    write_new(&staged, bytes, 0o600)?;
    let path = dir.join(name);
    fs::rename(&staged, &path).at("could not replace", &path)?;
    sync_dir(dir)
}

/// Removes a file or a folder with all that is in it.
pub(crate) fn remove(path: &Path) -> Result<(), PackageError> {
    let removed = match path.symlink_metadata().is_ok_and(|m| m.is_dir()) {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.at("could not remove", path)
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// That `bytes`, read from `path`, have the SHA-256 that `by` says.
pub(crate) fn verify(path: &Path, bytes: &[u8], expected: &str, by: &'static str) -> Result<(), PackageError> {
    let actual = sha256(bytes);
    match actual == expected {
        true => Ok(()),
        false => Err(PackageError::Digest {
            path: path.to_owned(),
            actual,
            by,
            expected: expected.to_owned(),
        }),
    }
}
