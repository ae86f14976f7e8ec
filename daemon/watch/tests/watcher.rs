//! The watcher on real folders.

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;
use wengu_watch::{Folder, Handle, Snapshot, WatchEvent, Watcher};

const SETTLE: Duration = Duration::from_millis(100);
/// Longer than any test: what is found is found by events, or by a scan that the test asked for.
const NEVER: Duration = Duration::from_secs(3600);
/// Nobody waits this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(15);

struct Watched {
    dir: TempDir,
    handle: Handle,
    receiver: mpsc::Receiver<WatchEvent>,
    /// Sizes at which each file was released, in order.
    settled: BTreeMap<PathBuf, Vec<u64>>,
    others: Vec<WatchEvent>,
}

impl Watched {
    fn new(settle: Duration) -> Self {
        Self::over(tempfile::tempdir().unwrap(), |dir| dir.to_owned(), settle)
    }

    fn over(dir: TempDir, root: impl FnOnce(&Path) -> PathBuf, settle: Duration) -> Self {
        Self::knowing(dir, |dir| root(dir).into(), settle, |_, _| false)
    }

    fn knowing(
        dir: TempDir,
        folder: impl FnOnce(&Path) -> Folder,
        settle: Duration,
        is_known: impl Fn(&Path, &Snapshot) -> bool + Send + 'static,
    ) -> Self {
        let (handle, receiver) = Watcher::spawn(vec![folder(dir.path())], settle, NEVER, is_known);
        let mut watched = Self {
            dir,
            handle,
            receiver,
            settled: BTreeMap::new(),
            others: Vec::new(),
        };
        watched.until_idle();
        watched
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn receive(&mut self) -> bool {
        let mut is_any = false;
        while let Ok(event) = self.receiver.try_recv() {
            is_any = true;
            match event {
                WatchEvent::Settled { path, snapshot } => self.settled.entry(path).or_default().push(snapshot.size),
                other => self.others.push(other),
            }
        }
        is_any
    }

    fn until(&mut self, what: &str, mut is_done: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.receive();
            if is_done(self) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}: {:?} {:?}",
                self.settled,
                self.others
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn until_idle(&mut self) {
        self.until("idleness", |watched| watched.handle.is_idle());
    }

    /// Long enough for any event of the past to have had its effect.
    fn linger(&mut self) {
        std::thread::sleep(SETTLE * 3);
        self.until_idle();
        self.receive();
    }

    fn sizes(&self, name: impl AsRef<Path>) -> &[u64] {
        self.settled.get(&self.path(name)).map_or(&[], Vec::as_slice)
    }
}

#[test]
fn files_that_are_there_at_the_start_are_released_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("a.txt"), "1").unwrap();
    fs::write(dir.path().join("in/b.txt"), "22").unwrap();
    fs::write(dir.path().join(".c.txt"), "hidden").unwrap();
    let mut watched = Watched::over(dir, Path::to_owned, SETTLE);
    watched.until_idle();
    assert_eq!(
        (watched.sizes("a.txt"), watched.sizes("in/b.txt")),
        (&[1][..], &[2][..])
    );
    assert_eq!(watched.settled.len(), 2);
    assert_eq!(
        watched.others,
        [WatchEvent::ScanDone {
            root: watched.dir.path().to_owned(),
            files: 2
        }]
    );
}

#[test]
fn a_slow_writer_is_released_once_and_complete() {
    let settle = Duration::from_millis(300);
    let mut watched = Watched::new(settle);
    let mut file = fs::File::create(watched.path("slow.txt")).unwrap();
    for _ in 0..15 {
        file.write_all(&[b'x'; 100]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        watched.receive();
        assert_eq!(watched.sizes("slow.txt"), [0_u64; 0], "released while it was written");
    }
    drop(file);
    watched.until("the file", |watched| !watched.sizes("slow.txt").is_empty());
    watched.linger();
    assert_eq!(watched.sizes("slow.txt"), [1500]);
}

#[test]
fn renaming_into_place_and_away() {
    let mut watched = Watched::new(SETTLE);
    fs::write(watched.path("判决书.txt.part"), "完整").unwrap();
    fs::write(watched.path("~$a.txt"), "lock").unwrap();
    watched.linger();
    assert!(watched.settled.is_empty(), "ignored names: {:?}", watched.settled);
    fs::rename(watched.path("判决书.txt.part"), watched.path("判决书.txt")).unwrap();
    watched.until("the final name", |watched| watched.sizes("判决书.txt") == [6]);
    assert_eq!(watched.settled.len(), 1);

    fs::rename(watched.path("判决书.txt"), watched.path("other.txt")).unwrap();
    let removed = WatchEvent::Removed {
        path: watched.path("判决书.txt"),
    };
    watched.until("both ends of the rename", |watched| {
        watched.others.contains(&removed) && watched.sizes("other.txt") == [6]
    });
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(watched.path("other.txt"), elsewhere.path().join("x")).unwrap();
    let removed = WatchEvent::Removed {
        path: watched.path("other.txt"),
    };
    watched.until("the removal", |watched| watched.others.contains(&removed));
    watched.linger();
    assert_eq!(watched.settled.len(), 2);
}

#[test]
fn a_rewrite_in_place_and_a_retry_release_again() {
    let mut watched = Watched::new(SETTLE);
    fs::write(watched.path("a.txt"), "one").unwrap();
    watched.until("the first", |watched| watched.sizes("a.txt") == [3]);
    fs::write(watched.path("a.txt"), "two").unwrap();
    watched.until("same size, other time", |watched| watched.sizes("a.txt") == [3, 3]);
    fs::read(watched.path("a.txt")).unwrap();
    watched.linger();
    assert_eq!(watched.sizes("a.txt").len(), 2, "reading is no change");
    watched.handle.retry(&watched.path("a.txt"));
    assert!(!watched.handle.is_idle());
    watched.until("the retry", |watched| watched.sizes("a.txt") == [3, 3, 3]);
    assert!(
        watched
            .others
            .iter()
            .all(|event| !matches!(event, WatchEvent::Removed { .. }))
    );
}

#[test]
fn two_thousand_files_at_once_are_all_seen() {
    let mut watched = Watched::new(SETTLE);
    for index in 0..2000 {
        fs::write(watched.path(format!("{index}.txt")), "x").unwrap();
    }
    watched.until("all of them", |watched| watched.settled.len() == 2000);
    watched.linger();
    assert!(
        watched.settled.values().all(|sizes| sizes.as_slice() == [1]),
        "each once"
    );
}

#[test]
fn folders_made_quickly_lose_no_file_without_a_rescan() {
    let mut watched = Watched::new(SETTLE);
    for index in 0..100 {
        let folder = watched.path(format!("d{index}/a/b"));
        fs::create_dir_all(&folder).unwrap();
        for file in 0..5 {
            fs::write(folder.join(format!("{file}.txt")), "x").unwrap();
        }
    }
    watched.until("500 files", |watched| watched.settled.len() == 500);
    watched.until_idle();
    // And the new folders are watched from now on.
    fs::write(watched.path("d7/a/late.txt"), "late").unwrap();
    watched.until("the late file", |watched| watched.sizes("d7/a/late.txt") == [4]);
    // Also under another name, and a new one under the old name.
    fs::rename(watched.path("d7"), watched.path("e7")).unwrap();
    fs::create_dir_all(watched.path("d7/a")).unwrap();
    watched.until("the renamed folder", |watched| watched.sizes("e7/a/late.txt") == [4]);
    watched.until_idle();
    fs::write(watched.path("e7/a/later.txt"), "later").unwrap();
    fs::write(watched.path("d7/a/late.txt"), "again").unwrap();
    watched.until("a file in each", |watched| {
        watched.sizes("e7/a/later.txt") == [5] && watched.sizes("d7/a/late.txt") == [4, 5]
    });
    fs::remove_dir_all(watched.path("e7")).unwrap();
    let removed = WatchEvent::Removed {
        path: watched.path("e7/a/later.txt"),
    };
    watched.until("the removed folder", |watched| watched.others.contains(&removed));
}

#[test]
fn links_and_pipes_are_skipped_and_told_once() {
    let mut watched = Watched::new(SETTLE);
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret.txt"), watched.path("link.txt")).unwrap();
    std::os::unix::fs::symlink(outside.path(), watched.path("folder")).unwrap();
    nix::unistd::mkfifo(&watched.path("pipe.txt"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let skipped = |watched: &Watched| {
        let paths = watched.others.iter().filter_map(|event| match event {
            WatchEvent::Skipped { path, reason } => Some((path.clone(), *reason)),
            _ => None,
        });
        paths.collect::<BTreeMap<_, _>>().len()
    };
    watched.until("three reports", |watched| skipped(watched) == 3);
    watched.handle.rescan_now();
    fs::write(outside.path().join("secret.txt"), "secret, changed").unwrap();
    watched.linger();
    let reports = watched
        .others
        .iter()
        .filter(|event| matches!(event, WatchEvent::Skipped { .. }))
        .count();
    assert_eq!((reports, watched.settled.len()), (3, 0), "{:?}", watched.others);
}

#[test]
fn a_root_that_is_missing_is_reported_and_picked_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut watched = Watched::over(dir, |dir| dir.join("in"), SETTLE);
    let root = watched.path("in");
    assert!(matches!(&watched.others[..], [WatchEvent::RootMissing { root: missing, .. }] if *missing == root));
    fs::create_dir(watched.path("made")).unwrap();
    fs::write(watched.path("made/a.txt"), "x").unwrap();
    fs::rename(watched.path("made"), &root).unwrap();
    watched.until("the file in the new root", |watched| watched.sizes("in/a.txt") == [1]);
    assert_eq!(
        watched.others[1..],
        [
            WatchEvent::RootBack { root: root.clone() },
            WatchEvent::ScanDone {
                root: root.clone(),
                files: 1
            }
        ]
    );
    fs::write(root.join("b.txt"), "x").unwrap();
    watched.until("a file by its event", |watched| watched.sizes("in/b.txt") == [1]);
}

#[test]
fn a_root_that_goes_and_comes_back_is_watched_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/kept.txt"), "kept").unwrap();
    let mut watched = Watched::over(dir, |dir| dir.join("in"), SETTLE);
    let (root, away) = (watched.path("in"), watched.path("away"));

    // Moved away as a whole, as an unmounted share: its files are not lost.
    watched.others.clear();
    fs::rename(&root, &away).unwrap();
    watched.until("the loss", |watched| {
        watched
            .others
            .iter()
            .any(|event| matches!(event, WatchEvent::RootMissing { .. }))
    });
    fs::rename(&away, &root).unwrap();
    watched.until("the return", |watched| {
        watched
            .others
            .iter()
            .any(|event| matches!(event, WatchEvent::ScanDone { files: 1, .. }))
    });
    watched.linger();
    assert_eq!(watched.sizes("in/kept.txt"), [4], "known, and unchanged");
    assert!(
        watched
            .others
            .iter()
            .all(|event| !matches!(event, WatchEvent::Removed { .. })),
        "{:?}",
        watched.others
    );

    // Deleted and made again at once, perhaps with the same inode number.
    fs::remove_dir_all(&root).unwrap();
    fs::create_dir(&root).unwrap();
    let removed = WatchEvent::Removed {
        path: root.join("kept.txt"),
    };
    watched.until("the removal", |watched| watched.others.contains(&removed));
    watched.until_idle();
    fs::write(root.join("new.txt"), "new").unwrap();
    watched.until("a file in the new root", |watched| watched.sizes("in/new.txt") == [3]);
}

#[test]
fn another_folder_in_the_place_of_a_root_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    for (name, file) in [("in", "old.txt"), ("other", "new.txt")] {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(file), name).unwrap();
    }
    let mut watched = Watched::over(dir, |dir| dir.join("in"), SETTLE);
    fs::rename(watched.path("in"), watched.path("away")).unwrap();
    fs::rename(watched.path("other"), watched.path("in")).unwrap();
    let back = WatchEvent::RootBack {
        root: watched.path("in"),
    };
    watched.until("the new folder", |watched| {
        watched.others.contains(&back) && watched.sizes("in/new.txt") == [5]
    });
    assert!(watched.others.contains(&WatchEvent::Removed {
        path: watched.path("in/old.txt")
    }));
    fs::write(watched.path("in/later.txt"), "later").unwrap();
    watched.until("a file in it", |watched| watched.sizes("in/later.txt") == [5]);
}

#[test]
fn a_share_that_is_not_mounted_has_lost_no_files() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    fs::write(dir.path().join("in/.here"), "").unwrap();
    fs::write(dir.path().join("in/old.txt"), "old").unwrap();
    let marked = |dir: &Path| Folder {
        path: dir.join("in"),
        marker: Some(".here".into()),
    };
    let mut watched = Watched::knowing(dir, marked, SETTLE, |_, _| false);
    watched.until("the file", |watched| watched.sizes("in/old.txt") == [3]);
    // What is left of a share that went away is the folder that it was mounted on, with no moment between.
    fs::create_dir(watched.path("away")).unwrap();
    let [share, place] = ["in", "away"].map(|name| watched.path(name));
    renameat2(AT_FDCWD, &share, AT_FDCWD, &place, RenameFlags::RENAME_EXCHANGE).unwrap();
    let is_missing =
        |event: &WatchEvent| matches!(event, WatchEvent::RootMissing { reason, .. } if reason.contains(".here"));
    watched.until("that it is told", |watched| watched.others.iter().any(is_missing));
    fs::write(watched.path("in/elsewhere.txt"), "not on the share").unwrap();
    std::thread::sleep(10 * SETTLE);
    fs::remove_dir_all(watched.path("in")).unwrap();
    fs::rename(watched.path("away"), watched.path("in")).unwrap();
    fs::write(watched.path("in/new.txt"), "newer").unwrap();
    watched.until("a file of the share", |watched| watched.sizes("in/new.txt") == [5]);
    let root = watched.path("in");
    assert!(watched.others.contains(&WatchEvent::RootBack { root }));
    let is_removed = |event: &WatchEvent| matches!(event, WatchEvent::Removed { .. });
    assert!(!watched.others.iter().any(is_removed), "{:?}", watched.others);
    assert_eq!(watched.sizes("in/old.txt"), [3], "it was known all the time");
    assert!(watched.sizes("in/elsewhere.txt").is_empty());
}

#[test]
fn names_that_are_not_utf8_are_kept_as_they_are() {
    let mut watched = Watched::new(SETTLE);
    let name = OsStr::from_bytes(b"\xb0\xb8\xc0\xfd.txt");
    fs::write(watched.path(name), "x").unwrap();
    watched.until("the file", |watched| watched.sizes(name) == [1]);
}

#[test]
fn dropping_the_handle_closes_the_channel() {
    let Watched {
        handle,
        mut receiver,
        dir,
        ..
    } = Watched::new(SETTLE);
    drop(handle);
    let deadline = Instant::now() + PATIENCE;
    while !matches!(receiver.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(dir);
}

#[test]
fn a_file_that_is_known_as_it_is_is_not_told_until_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [("known", "12"), ("changed", "123"), ("goes", "12")] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mut watched = Watched::knowing(dir, |dir| dir.to_owned().into(), SETTLE, |_, now| now.size == 2);
    assert_eq!(watched.sizes("changed"), [3]);
    assert!(watched.sizes("known").is_empty() && watched.sizes("goes").is_empty());
    fs::write(watched.path("known"), "1234").unwrap();
    fs::remove_file(watched.path("goes")).unwrap();
    watched.until("the change", |watched| watched.sizes("known") == [4]);
    let gone = WatchEvent::Removed {
        path: watched.path("goes"),
    };
    watched.until("the loss", |watched| watched.others.contains(&gone));
    // It is back as it was, but its loss has been told: only the first scan asks what is known.
    fs::write(watched.path("goes"), "12").unwrap();
    watched.until("the file that came back", |watched| watched.sizes("goes") == [2]);
    watched.handle.retry(&watched.path("known"));
    watched.until("the retry", |watched| watched.sizes("known") == [4, 4]);
}
