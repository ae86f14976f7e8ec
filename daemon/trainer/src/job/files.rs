//! Durable writes and digests.

use crate::error::TrainerError;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use wengu_protocol::job::JobEnd;

/// The error for a write that the disk refused.
pub fn write_failed(path: &Path, error: &std::io::Error) -> TrainerError {
    let path = path.display();
    TrainerError::new(
        JobEnd::WriteFailed,
        format!("cannot write {path}: {error}; free some space or mend the permissions, then start the job again"),
    )
}

/// Lowercase hex of a SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lowercase hex SHA-256 of a file's content.
pub fn sha256_file(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes `bytes` to `path` so that after a crash the file is either as it was or complete. Parents are created.
pub fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), TrainerError> {
    let parent = path.parent().unwrap_or(Path::new("."));
    create_dirs(parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.tmp"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(parent)?.sync_all()
    };
    write().map_err(|e| write_failed(path, &e))
}

/// A value as JSON for people and machines; `path` is where it goes.
pub fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, TrainerError> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| TrainerError::at(JobEnd::Internal, path, error))?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a value as JSON for people and machines, as [`write_durable`] does.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), TrainerError> {
    write_durable(path, &json(path, value)?)
}

/// `create_dir_all`, with the error named.
pub fn create_dirs(path: &Path) -> Result<(), TrainerError> {
    fs::create_dir_all(path).map_err(|e| write_failed(path, &e))
}

/// Removes a file or a folder with all that is in it; it need not exist.
pub fn remove(path: &Path) -> Result<(), TrainerError> {
    let removed = match fs::symlink_metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => Err(e),
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|e| write_failed(path, &e))
}

/// Every regular file under `root`, sorted by path. None where `root` does not exist.
pub fn files_under(root: &Path) -> Result<Vec<PathBuf>, TrainerError> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(write_failed(&folder, &e)),
        };
        for entry in entries {
            let path = entry.map_err(|e| write_failed(&folder, &e))?.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Makes every file and folder under `root` durable.
pub fn sync_tree(root: &Path) -> Result<(), TrainerError> {
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| write_failed(&folder, &e))? {
            let path = entry.map_err(|e| write_failed(&folder, &e))?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                File::open(&path)
                    .and_then(|f| f.sync_all())
                    .map_err(|e| write_failed(&path, &e))?;
            }
        }
        File::open(&folder)
            .and_then(|f| f.sync_all())
            .map_err(|e| write_failed(&folder, &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_write_replaces_the_file_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.json");
        write_durable(&path, b"one").unwrap();
        write_durable(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(files_under(dir.path()).unwrap(), std::slice::from_ref(&path));
        assert_eq!(sha256_file(&path).unwrap(), sha256_hex(b"two"));
    }

    #[test]
    fn a_refused_write_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("out"), b"a file where a folder should be").unwrap();
        let error = write_durable(&dir.path().join("out/x"), b"").unwrap_err();
        assert_eq!(error.end, JobEnd::WriteFailed);
        assert!(error.message.contains("out"), "{}", error.message);
    }
}
