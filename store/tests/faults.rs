//! Every file operation of the journal fails, in every way, and the power goes at every one of them.

mod common;

use common::*;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use wengu_store::*;

const COMMITS: u64 = 12;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// The operation is refused and changes nothing.
    Refused(i32),
    /// The disk is full; an append has written a part.
    Short,
    /// As `Short`, and nothing works from then on.
    ShortForEver,
    /// The operation is carried out, and an error reported all the same.
    Reported,
    /// The power goes: an append has reached the page cache, and nothing else happens.
    PowerCut,
}

#[derive(Debug)]
struct State {
    ops: u64,
    fail_at: u64,
    fault: Fault,
    path: PathBuf,
    /// How much of each segment an fsync has confirmed.
    synced: BTreeMap<PathBuf, u64>,
}

#[derive(Clone)]
struct FaultyIo(Arc<Mutex<State>>);

impl FaultyIo {
    fn new(fail_at: u64, fault: Fault) -> Self {
        let state = State {
            ops: 0,
            fail_at,
            fault,
            path: PathBuf::new(),
            synced: BTreeMap::new(),
        };
        FaultyIo(Arc::new(Mutex::new(state)))
    }

    fn was_reached(&self) -> bool {
        let state = self.0.lock().unwrap();
        state.ops > state.fail_at
    }

    /// `whole` is the operation, `part` what is left of it when it fails half-way.
    fn op<T>(&self, whole: impl Fn() -> io::Result<T>, part: impl Fn() -> io::Result<()>) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        let (at, fail_at, fault) = (state.ops, state.fail_at, state.fault);
        state.ops += 1;
        drop(state);
        let code = match fault {
            Fault::ShortForEver | Fault::PowerCut if at > fail_at => EIO,
            _ if at != fail_at => return whole(),
            Fault::Refused(code) => code,
            Fault::Short | Fault::ShortForEver => part().map(|()| ENOSPC)?,
            Fault::Reported => whole().map(|_| EIO)?,
            Fault::PowerCut => part().map(|()| EIO)?,
        };
        Err(io::Error::from_raw_os_error(code))
    }

    fn synced(&self, path: &Path, len: u64) {
        self.0.lock().unwrap().synced.insert(path.to_path_buf(), len);
    }
}

impl JournalIo for FaultyIo {
    fn create(&mut self, path: &Path, header: &[u8]) -> io::Result<()> {
        // Nothing here is cut off from a real disk, so nothing needs a real fsync.
        self.op(|| fs::write(path, header), || Ok(()))?;
        self.synced(path, header.len() as u64);
        Ok(())
    }

    fn open(&mut self, path: &Path) -> io::Result<File> {
        self.0.lock().unwrap().path = path.to_path_buf();
        self.op(|| DiskIo.open(path), || Ok(()))
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let part = if self.0.lock().unwrap().fault == Fault::PowerCut {
            bytes
        } else {
            &bytes[..bytes.len() / 2]
        };
        let file = &*file;
        self.op(|| (&*file).write_all(bytes), || (&*file).write_all(part))
    }

    fn sync(&mut self, file: &mut File) -> io::Result<()> {
        self.op(|| Ok(()), || Ok(()))?;
        let path = self.0.lock().unwrap().path.clone();
        self.synced(&path, file.metadata()?.len());
        Ok(())
    }

    fn truncate(&mut self, file: &mut File, len: u64) -> io::Result<()> {
        self.op(|| file.set_len(len), || Ok(()))
    }
}

/// What a run of the scenario was told.
#[derive(Debug, Default)]
struct Told {
    acknowledged: Model,
    /// What there will be if the commit whose outcome is open was written after all.
    undecided: Option<Model>,
    refused: u64,
}

/// Commits until the store says that it is over. Reads must go on throughout.
fn scenario(dir: &Path, io: &FaultyIo) -> Told {
    let small = Options {
        segment_bytes: 300,
        ..options()
    };
    let mut told = Told::default();
    let Ok((store, _)) = Store::open_with(dir, small, Box::new(io.clone())) else {
        return told;
    };
    for n in 0..COMMITS {
        let (key, record) = (format!("k{}", n % 5), doc(n, "知新"));
        let mut next = told.acknowledged.clone();
        next.insert(key.clone(), record.clone());
        next.remove(&format!("k{}", (n + 2) % 5));
        let batch = Batch::new("x")
            .put(&key, &record)
            .unwrap()
            .delete::<Doc>(&format!("k{}", (n + 2) % 5));
        match store.commit(batch) {
            Ok(_) => told.acknowledged = next,
            Err(StoreError::Poisoned { .. }) => {
                assert!(store.poisoned().is_some());
                told.undecided.get_or_insert(next);
            }
            Err(StoreError::DiskFull { .. } | StoreError::AppendFailed { .. }) => {
                assert!(told.undecided.is_none(), "a poisoned store went on");
                told.refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert_eq!(docs(&store), told.acknowledged);
    }
    assert_eq!(store.last_seq(), store.verify().unwrap().commits);
    told
}

fn check(dir: &Path, told: &Told, context: &str) {
    let (store, report) = open(dir);
    let found = docs(&store);
    let expected = found == told.acknowledged || Some(&found) == told.undecided.as_ref();
    assert!(expected, "{context}: {found:?}\n{told:?}\n{report:?}");
    assert_sound(&store);
    // And it can be gone on with.
    put(&store, "after", 1);
    assert_eq!(docs(&store).len(), found.len() + 1, "{context}");
}

#[test]
fn no_fault_of_any_operation_loses_or_invents_a_commit() {
    let faults = [
        Fault::Refused(EIO),
        Fault::Refused(ENOSPC),
        Fault::Short,
        Fault::ShortForEver,
        Fault::Reported,
    ];
    for fault in faults {
        let (mut refused, mut poisoned) = (0, 0);
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let io = FaultyIo::new(at, fault);
            let told = scenario(dir.path(), &io);
            if !io.was_reached() {
                assert!(at > 3 * COMMITS / 2, "the scenario is too small");
                break;
            }
            refused += told.refused;
            poisoned += u64::from(told.undecided.is_some());
            check(dir.path(), &told, &format!("{fault:?} at operation {at}"));
        }
        // Each commit's append can be taken back, and each fsync is final.
        match fault {
            Fault::ShortForEver => assert!(poisoned >= 2 * COMMITS, "{poisoned}"),
            _ => assert!(
                refused >= COMMITS && poisoned >= COMMITS,
                "{fault:?} {refused} {poisoned}"
            ),
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    for at in 0.. {
        let mut done = false;
        for (how, damage) in [drop_unsynced, tear_unsynced, keep_unsynced].into_iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let io = FaultyIo::new(at, Fault::PowerCut);
            let told = scenario(dir.path(), &io);
            done = !io.was_reached();
            if done {
                break;
            }
            // The marker of a failed fsync is in the page cache only, and so is the index.
            let _ = fs::remove_file(dir.path().join("journal/SUSPECT"));
            if at % 2 == 0 {
                let _ = fs::remove_dir_all(index_dir(dir.path()));
            }
            for path in segments(dir.path()) {
                let synced = io.0.lock().unwrap().synced.get(&path).copied().unwrap_or(0);
                damage(&path, synced, at);
            }
            check(dir.path(), &told, &format!("power cut at operation {at}, damage {how}"));
        }
        if done {
            assert!(at > 3 * COMMITS / 2, "the scenario is too small");
            break;
        }
    }
}

/// Nothing that was not fsynced has reached the disk.
fn drop_unsynced(path: &Path, synced: u64, _: u64) {
    OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(synced)
        .unwrap();
}

/// The length has reached the disk, and of the bytes only some.
fn tear_unsynced(path: &Path, synced: u64, seed: u64) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    if len > synced {
        let from = synced + seed * 13 % (len - synced);
        file.write_all_at(&vec![0; (len - from).div_ceil(2) as usize], from)
            .unwrap();
    }
}

/// The kernel was in time with all of it.
fn keep_unsynced(_: &Path, _: u64, _: u64) {}

#[test]
fn a_segment_whose_fsync_failed_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    // create, open, sync at open; then append and sync of two commits.
    let io = FaultyIo::new(6, Fault::Refused(EIO));
    let told = scenario(dir.path(), &io);
    assert_eq!(told.acknowledged.len(), 1);
    let before = fs::metadata(&segments(dir.path())[0])
        .map(|m| std::os::unix::fs::MetadataExt::ino(&m))
        .unwrap();
    let (store, report) = open(dir.path());
    assert!(report.resynced);
    let after = fs::metadata(&segments(dir.path())[0])
        .map(|m| std::os::unix::fs::MetadataExt::ino(&m))
        .unwrap();
    assert_ne!(before, after);
    assert_eq!(store.last_seq(), 2);
    drop(store);
    assert!(!open(dir.path()).1.resynced);
}
