//! What lies in a folder now.

use crate::{Seen, Snapshot, is_ignored};
use std::convert::Infallible;
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Folders nested deeper are skipped: a limit on what a mount loop can cost.
const MAX_DEPTH: usize = 64;
const TOO_DEEP: &str = "nested too deep";
const UNREADABLE: &str = "the folder cannot be read; give the daemon's user read and execute permission";

/// What lies in a folder. Ignored names are in none of the lists.
#[derive(Debug, Default)]
pub struct Scan {
    /// Regular files.
    pub files: Vec<(PathBuf, Snapshot)>,
    /// What is neither a regular file nor a folder, or cannot be entered, and why.
    pub skipped: Vec<(PathBuf, &'static str)>,
    /// What the system refused. A file or folder that was gone when its turn came is no error.
    pub errors: Vec<(PathBuf, io::Error)>,
}

/// Reads a folder and all below it, following no links (but `root` itself may be one).
pub fn scan(root: &Path) -> Scan {
    let mut all = Scan::default();
    let Ok(()) = scan_with(root, &mut |visit| -> Result<(), Infallible> {
        if let Visit::Read(_, found) = visit {
            all.files.extend(found.files);
            all.skipped.extend(found.skipped);
            all.errors.extend(found.errors);
        }
        Ok(())
    });
    all
}

/// What is told while a folder and all below it are read, so that no more than one folder's content is held at a time.
pub(crate) enum Visit<'a> {
    /// This folder is read next: a watch on it is to be set before that.
    Entering(&'a Path),
    /// What lies right in this folder, and whether it could be read.
    Read(&'a Path, Scan),
}

/// As [`scan`], folder by folder; an error of `visit` ends it.
pub(crate) fn scan_with<E>(root: &Path, visit: &mut dyn FnMut(Visit<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut folders = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let mut found = Scan::default();
        if depth > MAX_DEPTH {
            found.skipped.push((folder.clone(), TOO_DEEP));
            visit(Visit::Read(&folder, found))?;
            continue;
        }
        visit(Visit::Entering(&folder))?;
        if let Err(error) = read_folder(&folder, depth, &mut folders, &mut found)
            && !is_gone(&error)
        {
            if error.kind() == io::ErrorKind::PermissionDenied {
                found.skipped.push((folder.clone(), UNREADABLE));
            }
            found.errors.push((folder.clone(), error));
        }
        visit(Visit::Read(&folder, found))?;
    }
    Ok(())
}

fn read_folder(folder: &Path, depth: usize, folders: &mut Vec<(PathBuf, usize)>, found: &mut Scan) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if is_ignored(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        match look(&path) {
            Ok(Look::Folder) => folders.push((path, depth + 1)),
            Ok(Look::File(snapshot)) => found.files.push((path, snapshot)),
            Ok(Look::Other(reason)) => found.skipped.push((path, reason)),
            Ok(Look::Nothing) => {}
            Err(error) => found.errors.push((path, error)),
        }
    }
    Ok(())
}

/// What a path is now.
pub(crate) enum Look {
    Folder,
    File(Snapshot),
    Other(&'static str),
    Nothing,
}

impl Look {
    /// What it means for the file that was there.
    pub fn seen(self) -> Seen {
        match self {
            Self::File(snapshot) => Seen::File(snapshot),
            Self::Other(reason) => Seen::Other(reason),
            Self::Folder | Self::Nothing => Seen::Nothing,
        }
    }
}

pub(crate) fn look(path: &Path) -> io::Result<Look> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(Look::Folder),
        Ok(metadata) if metadata.is_file() => Ok(Look::File(Snapshot::of(&metadata))),
        Ok(metadata) => Ok(Look::Other(why_skipped(metadata.file_type()))),
        Err(error) if is_gone(&error) => Ok(Look::Nothing),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn why_skipped(file_type: FileType) -> &'static str {
    if file_type.is_symlink() {
        "a symbolic link; drop the file itself"
    } else if file_type.is_fifo() {
        "a named pipe, not a file"
    } else if file_type.is_socket() {
        "a socket, not a file"
    } else {
        "a device, not a file"
    }
}
