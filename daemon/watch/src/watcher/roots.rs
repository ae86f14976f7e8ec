//! The watched folders themselves: are they there, and can their events be relied on.

use super::inbox::Shared;
use super::{Folder, Hints};
use nix::sys::statfs::statfs;
use nix::unistd::{AccessFlags, access};
use notify::{Config, ErrorKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// File systems on which changes made elsewhere give no events here.
const REMOTE_FILE_SYSTEMS: [(u64, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x786f_4256, "VirtualBox shared folder"),
    (0xbacb_acbc, "VMware shared folder"),
];
/// Least time between two scans of a folder whose events cannot be relied on.
const MIN_POLL: Duration = Duration::from_secs(1);
/// Scanning takes at most about this share (one in ...) of a core and of the server's time.
const POLL_DUTY: u32 = 10;

/// A watched folder.
#[derive(Debug)]
pub(super) struct Root {
    pub path: PathBuf,
    pub marker: Option<String>,
    pub presence: Presence,
    pub degraded: Option<Degraded>,
    /// When a degraded folder is next scanned, from the start of the thread.
    pub next_poll: Duration,
    pub last_scan_took: Duration,
    pub was_scanned: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// Never looked for.
    Unknown,
    Missing,
    Present(Identity),
}

/// Tells a folder from another one put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// Why events cannot be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Degraded {
    Remote(&'static str),
    OutOfWatches,
}

impl Degraded {
    pub fn reason(self) -> String {
        match self {
            Self::Remote(kind) => format!("it lies on {kind}, which gives no events of changes made elsewhere"),
            Self::OutOfWatches => "the system is out of inotify watches or instances; raise \
                                   fs.inotify.max_user_watches and fs.inotify.max_user_instances"
                .to_owned(),
        }
    }
}

impl Root {
    pub fn new(Folder { path, marker }: Folder) -> Self {
        Self {
            path,
            marker,
            presence: Presence::Unknown,
            degraded: None,
            next_poll: Duration::ZERO,
            last_scan_took: Duration::ZERO,
            was_scanned: false,
        }
    }

    /// The folder's identity, or why it cannot be watched.
    pub fn find(&self) -> Result<Identity, String> {
        let metadata = std::fs::metadata(&self.path).map_err(|error| error.to_string())?;
        if !metadata.is_dir() {
            return Err("it is not a folder".to_owned());
        }
        access(&self.path, AccessFlags::R_OK | AccessFlags::X_OK)
            .map_err(|errno| format!("it cannot be read: {}", errno.desc()))?;
        if let Some(marker) = &self.marker {
            let is_there = std::fs::symlink_metadata(self.path.join(marker)).is_ok_and(|found| found.is_file());
            if !is_there {
                return Err(format!(
                    "the file {marker} is not in it, so its share is not mounted; mount it, or make that file where it is"
                ));
            }
        }
        Ok(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// The kind of a file system without events of remote changes.
    pub fn remote_kind(&self) -> Option<Degraded> {
        let found = statfs(&self.path).ok()?.filesystem_type().0 as u64 & 0xffff_ffff;
        REMOTE_FILE_SYSTEMS
            .iter()
            .find(|(magic, _)| *magic == found)
            .map(|(_, kind)| Degraded::Remote(kind))
    }

    /// Time from one scan of a degraded folder to the next.
    pub fn poll_period(&self, settle: Duration, rescan: Duration) -> Duration {
        settle.max(MIN_POLL).max(self.last_scan_took * POLL_DUTY).min(rescan)
    }
}

/// Watches on single folders, set again on every scan: notify's own recursion loses folders that are made quickly,
/// and drops the watch on a new folder when the event of the old one's removal comes late.
pub(super) struct Watches {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
}

impl Watches {
    pub fn new(shared: &Arc<Shared>, hints: Hints) -> Self {
        let shared = Arc::clone(shared);
        let watcher = match hints {
            Hints::Notify => RecommendedWatcher::new(move |hint| shared.hint(hint), Config::default())
                .inspect_err(|error| tracing::warn!(%error, "no file-system events"))
                .ok(),
            #[cfg(test)]
            Hints::None => None,
        };
        Self {
            watcher,
            watched: BTreeSet::new(),
        }
    }

    /// Watches one folder. False: the system has no watch left.
    pub fn add(&mut self, folder: &Path) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        match watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched.insert(folder.to_owned());
                true
            }
            // Anything else is about this folder (gone, unreadable) and shows when it is read.
            Err(error) => !matches!(error.kind, ErrorKind::MaxFilesWatch),
        }
    }

    /// Forgets the folders under `root` that are gone. Before a scan, never after: a folder that was renamed shares
    /// its watch with the old name, and is watched again by the scan.
    pub fn drop_stale(&mut self, root: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        self.watched.retain(|folder| {
            let is_stale = folder.starts_with(root) && !folder.is_dir();
            if is_stale {
                // Most often the watch went with the folder.
                let _ = watcher.unwatch(folder);
            }
            !is_stale
        });
    }
}
