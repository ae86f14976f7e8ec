//! Writes that are there after a power cut: temporary file, fsync, rename, fsync of the directory.

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a whole file. Afterwards either the old content is there or the new one, never a mixture.
pub fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Leftovers go with `remove_temporaries`: to look for them at each write would cost more than the write.
    placed(path, bytes, 0o666, |_| Ok(()), |from, to| fs::rename(from, to))
}

/// Writes a whole file where none is, with these permissions (those that the process's mask leaves of them). Afterwards it is whole or not
/// there. What interrupted calls for the same file have left is removed.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and what the file system refuses.
pub fn create_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    remove_temporaries_of(path)?;
    placed(path, bytes, mode, |_| Ok(()), rename_new)
}

/// Replaces a file by a whole one that nobody else may read before `prepare` has seen it, which gives it an owner and permissions. Afterwards
/// either is there. What interrupted calls for the same file have left is removed.
pub fn replace_file(path: &Path, bytes: &[u8], prepare: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    remove_temporaries_of(path)?;
    placed(path, bytes, 0o600, prepare, |from, to| fs::rename(from, to))
}

/// Writes a file beside its place and has `place` give it its name.
fn placed(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    prepare: impl FnOnce(&File) -> io::Result<()>,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let written = (|| {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        prepare(&file)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        place(&temporary, path)
    })();
    if written.is_err() {
        // The caller needs the first error.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    fsync_dir(parent(path))
}

/// Renames a file to a name that nothing has.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        // A file system that cannot do both at once.
        Err(Errno::EINVAL | Errno::ENOSYS) if to.symlink_metadata().is_err() => fs::rename(from, to),
        Err(Errno::EINVAL | Errno::ENOSYS) => Err(io::ErrorKind::AlreadyExists.into()),
        renamed => renamed.map_err(io::Error::from),
    }
}

fn remove_temporaries_of(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    for entry in fs::read_dir(parent(path))? {
        let entry = entry?;
        let of = entry.file_name();
        let of = of
            .as_encoded_bytes()
            .strip_prefix(b".")
            .and_then(|of| of.strip_prefix(name));
        if of.is_some_and(|rest| rest.starts_with(b".")) && is_temporary(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the names in a directory durable.
pub fn fsync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Renames a file or directory whose content is already durable.
pub fn rename_durable(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    fsync_dir(parent(to))?;
    if parent(from) != parent(to) {
        fsync_dir(parent(from))?;
    }
    Ok(())
}

/// Points the symbolic link at `target` (made if it is not there), without a moment in which it points nowhere.
/// `target` is stored as given: a relative one is relative to the link's directory.
pub fn swap_symlink(target: &Path, link: &Path) -> io::Result<()> {
    let temporary = temporary_beside(link)?;
    symlink(target, &temporary)?;
    if let Err(error) = fs::rename(&temporary, link) {
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    fsync_dir(parent(link))
}

/// Removes what interrupted calls of this module left in a directory. Only for the directory's single owner: it
/// would pull the file from under a call that is still running.
pub fn remove_temporaries(dir: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_temporary(&entry.file_name()) {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

pub(crate) fn is_temporary(name: &OsStr) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(b".") && name.ends_with(b".tmp")
}

/// `.NAME.PID-N.tmp` in the same directory, so that the rename stays within one file system.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} has no file name", path.display()),
        )
    })?;
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(
        ".{}-{}.tmp",
        process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    ));
    Ok(path.with_file_name(temporary))
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn replaces_whole_files_and_links_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("温故.json");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");

        let link = dir.path().join("current");
        swap_symlink(Path::new("a"), &link).unwrap();
        swap_symlink(Path::new("b"), &link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("b"));

        fs::create_dir(dir.path().join("sub")).unwrap();
        rename_durable(&path, &dir.path().join("sub/moved")).unwrap();
        assert_eq!(fs::read(dir.path().join("sub/moved")).unwrap(), b"two");
        assert_eq!(remove_temporaries(dir.path()).unwrap(), 0);
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_removes_its_own() {
        let dir = tempfile::tempdir().unwrap();
        // A directory that is not empty cannot be replaced by a file.
        let path = dir.path().join("taken");
        fs::create_dir_all(path.join("x")).unwrap();
        write_file(&path, b"new").unwrap_err();
        swap_symlink(Path::new("a"), &path).unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write_file(Path::new("/"), b"").unwrap_err();
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced_by_one_that_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wengu.key");
        for leftover in [".wengu.key.7-0.tmp", ".other.key.7-0.tmp"] {
            File::create(dir.path().join(leftover)).unwrap();
        }
        create_file(&path, b"one", 0o600).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = create_file(&path, b"two", 0o600).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        File::create(dir.path().join(".wengu.key.7-1.tmp")).unwrap();
        let refused = replace_file(&path, b"two", |_| Err(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        replace_file(&path, b"one", |file| {
            file.set_permissions(fs::Permissions::from_mode(0o640))
        })
        .unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".other.key.7-0.tmp", "wengu.key"]);
    }

    #[test]
    fn leftovers_are_removed_and_other_files_are_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".a.7-0.tmp", "a.tmp", ".hidden", "a"] {
            File::create(dir.path().join(name)).unwrap();
        }
        assert_eq!(remove_temporaries(dir.path()).unwrap(), 1);
        assert!(!dir.path().join(".a.7-0.tmp").exists() && dir.path().join("a.tmp").exists());
    }
}
