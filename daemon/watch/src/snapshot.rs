//! What tells whether a file has changed.

use nix::fcntl::OFlag;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What tells whether a file has changed. Only for comparing: identity over time is the content's hash, for inode
/// numbers are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// In bytes.
    pub size: u64,
    /// Time of the last change of the content, in nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// Time of the last change of content or inode, in nanoseconds since the epoch. Cannot be set back by a copier.
    pub ctime_ns: i128,
    /// Number of the inode.
    pub inode: u64,
    /// Number of the device.
    pub device: u64,
}

impl Snapshot {
    /// Of a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            size: metadata.size(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// What is remembered of a snapshot that was seen: two of them have the same with a chance of 2^-64. Only within this process.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// Why a released file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Replaced by something that is no regular file since it was released.
    #[error("{path} is not a regular file; case files may be no links, pipes, sockets or devices")]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("could not open {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
}

/// Opens a regular file for reading, following no link in the last component and waiting for no pipe.
///
/// To read a file that may be written to meanwhile, compare this snapshot with [`Snapshot::of`] the open file's
/// metadata after the last byte: if they differ, what was read is thrown away and the file will be released again.
pub fn open_regular(path: &Path) -> Result<(File, Snapshot), OpenError> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
        .map_err(|source| {
            match source.raw_os_error().map(nix::errno::Errno::from_raw) {
                // A link; a socket, or a device without a driver.
                Some(nix::errno::Errno::ELOOP | nix::errno::Errno::ENXIO) => {
                    OpenError::NotRegular { path: path.to_owned() }
                }
                _ => OpenError::Io {
                    path: path.to_owned(),
                    source,
                },
            }
        })?;
    let metadata = file.metadata().map_err(|source| OpenError::Io {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(OpenError::NotRegular { path: path.to_owned() });
    }
    Ok((file, Snapshot::of(&metadata)))
}
