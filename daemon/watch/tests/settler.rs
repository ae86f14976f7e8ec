//! The pure core: no file, no clock.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wengu_watch::{Change, Seen, Settler, Snapshot};

const SETTLE: Duration = Duration::from_millis(100);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn snapshot(size: u64) -> Snapshot {
    Snapshot {
        size,
        mtime_ns: 1,
        ctime_ns: 1,
        inode: 1,
        device: 1,
    }
}

fn file(size: u64) -> Seen {
    Seen::File(snapshot(size))
}

#[test]
fn a_file_settles_once_and_again_after_a_change() {
    let mut settler = Settler::new(SETTLE);
    let path = Path::new("/r/a.txt");
    assert_eq!(settler.observe(path, file(1), ms(0)), Change::None);
    assert_eq!(settler.observe(path, file(2), ms(60)), Change::None, "it grew");
    assert_eq!(settler.next_due(), Some(ms(160)));
    assert_eq!(settler.observe(path, file(2), ms(159)), Change::None);
    assert_eq!(settler.due(ms(159)), Vec::<PathBuf>::new());
    assert_eq!(settler.due(ms(160)), [path]);
    assert_eq!(settler.observe(path, file(2), ms(160)), Change::Settled(snapshot(2)));
    assert_eq!(settler.waiting(), 0);
    assert_eq!(settler.observe(path, file(2), ms(900)), Change::None, "unchanged");
    assert_eq!(settler.observe(path, file(3), ms(1000)), Change::None);
    assert_eq!(settler.observe(path, file(3), ms(1100)), Change::Settled(snapshot(3)));
    settler.retry(path, snapshot(3), ms(1200));
    assert_eq!(settler.observe(path, file(3), ms(1250)), Change::None);
    assert_eq!(
        settler.observe(path, file(3), ms(1300)),
        Change::Settled(snapshot(3)),
        "asked for once more"
    );
    assert_eq!(settler.observe(path, Seen::Nothing, ms(1400)), Change::Removed);
    assert_eq!(settler.observe(path, Seen::Nothing, ms(1500)), Change::None);
}

#[test]
fn what_never_settled_goes_without_a_word() {
    let mut settler = Settler::new(SETTLE);
    let path = Path::new("/r/a.txt");
    settler.observe(path, file(1), ms(0));
    assert_eq!(settler.observe(path, Seen::Nothing, ms(10)), Change::None);
    assert_eq!((settler.waiting(), settler.next_due()), (0, None));
}

#[test]
fn a_settled_file_that_changes_and_goes_is_still_removed() {
    let mut settler = Settler::new(ms(0));
    let path = Path::new("/r/a.txt");
    settler.observe(path, file(1), ms(0));
    settler.observe(path, file(1), ms(0));
    settler.observe(path, file(2), ms(1));
    assert_eq!(settler.observe(path, Seen::Nothing, ms(2)), Change::Removed);
}

#[test]
fn a_pipe_is_told_once_and_a_file_in_its_place_settles() {
    let mut settler = Settler::new(SETTLE);
    let path = Path::new("/r/pipe");
    assert_eq!(
        settler.observe(path, Seen::Other("a pipe"), ms(0)),
        Change::Skipped("a pipe")
    );
    assert_eq!(settler.observe(path, Seen::Other("a pipe"), ms(10)), Change::None);
    assert_eq!(settler.observe(path, file(1), ms(20)), Change::None);
    assert_eq!(settler.observe(path, file(1), ms(120)), Change::Settled(snapshot(1)));
    settler.observe(path, Seen::Other("a pipe"), ms(130));
    assert_eq!(settler.observe(path, Seen::Nothing, ms(140)), Change::Removed);
    assert_eq!(settler.observe(path, Seen::Nothing, ms(150)), Change::None);
}

#[test]
fn a_path_that_cannot_be_looked_at_stops_waiting_but_is_not_lost() {
    let mut settler = Settler::new(SETTLE);
    let path = Path::new("/r/a.txt");
    settler.observe(path, file(1), ms(0));
    assert_eq!(
        settler.observe(path, Seen::Unknown("refused"), ms(100)),
        Change::Skipped("refused")
    );
    assert_eq!(settler.next_due(), None, "no busy loop");
    settler.observe(path, file(1), ms(200));
    assert_eq!(settler.observe(path, file(1), ms(300)), Change::Settled(snapshot(1)));
    assert_eq!(settler.observe(path, Seen::Unknown("refused"), ms(400)), Change::None);
    assert_eq!(
        settler.observe(path, file(1), ms(500)),
        Change::None,
        "it had settled before"
    );
}

#[test]
fn known_paths_of_a_folder_do_not_include_its_neighbours() {
    let mut settler = Settler::new(SETTLE);
    for path in ["/r/a", "/r/a/x", "/r/a/b/y", "/r/a.txt", "/r/a-b/z", "/r/b"] {
        settler.observe(Path::new(path), file(1), ms(0));
    }
    let known: Vec<PathBuf> = settler.known_under(Path::new("/r/a")).collect();
    assert_eq!(known, [Path::new("/r/a"), Path::new("/r/a/x"), Path::new("/r/a/b/y")]);
    let mut folders: Vec<&Path> = settler.known_folders(Path::new("/r/a")).collect();
    assert_eq!(folders, [Path::new("/r/a"), Path::new("/r/a/b")]);
    settler.observe(Path::new("/r/a/b/y"), Seen::Nothing, ms(1));
    folders = settler.known_folders(Path::new("/r/a")).collect();
    assert_eq!(folders, [Path::new("/r/a")], "nothing is left of an empty folder");
    assert_eq!(settler.known_in(Path::new("/r/a")).collect::<Vec<_>>(), ["x"]);
}

#[derive(Debug, Clone)]
enum Step {
    Write { path: u8, size: u64 },
    Remove { path: u8 },
    Look { path: u8 },
    Wait { ms: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3_u8, 1..4_u64).prop_map(|(path, size)| Step::Write { path, size }),
        (0..3_u8).prop_map(|path| Step::Remove { path }),
        (0..3_u8).prop_map(|path| Step::Look { path }),
        (1..150_u64).prop_map(|ms| Step::Wait { ms }),
    ]
}

proptest! {
    /// Against a world of three files: what settles is what is there, two looks at least the settle time apart saw
    /// it so, nothing settles twice unchanged, and in the end all that is there has settled.
    #[test]
    fn settles_exactly_what_stood_still(steps in prop::collection::vec(step(), 0..60)) {
        let mut settler = Settler::new(SETTLE);
        let mut world: BTreeMap<u8, Snapshot> = BTreeMap::new();
        let mut released: BTreeMap<u8, Snapshot> = BTreeMap::new();
        let mut first_seen: BTreeMap<u8, (Snapshot, Duration)> = BTreeMap::new();
        let (mut now, mut writes) = (ms(0), 0);
        let mut looks: Vec<u8> = Vec::new();
        for step in steps.into_iter().chain([Step::Look { path: 0 }, Step::Look { path: 1 }, Step::Look { path: 2 }])
            .chain([Step::Wait { ms: 100 }])
        {
            match step {
                Step::Write { path, size } => {
                    writes += 1;
                    world.insert(path, Snapshot { size, mtime_ns: writes, ctime_ns: writes, inode: 1, device: 1 });
                }
                Step::Remove { path } => { world.remove(&path); }
                Step::Look { path } => looks.push(path),
                Step::Wait { ms: wait } => {
                    now += ms(wait);
                    looks.extend(settler.due(now).iter().map(|path| path.to_str().unwrap()[1..].parse::<u8>().unwrap()));
                }
            }
            for path in looks.drain(..) {
                let actual = world.get(&path).copied();
                let seen = actual.map_or(Seen::Nothing, Seen::File);
                match actual {
                    Some(actual) if first_seen.get(&path).is_none_or(|(old, _)| *old != actual) => {
                        first_seen.insert(path, (actual, now));
                    }
                    None => { first_seen.remove(&path); }
                    _ => {}
                }
                match settler.observe(Path::new(&format!("/{path}")), seen, now) {
                    Change::Settled(snapshot) => {
                        prop_assert_eq!(Some(snapshot), actual);
                        let (_, since) = first_seen[&path];
                        prop_assert!(now - since >= SETTLE);
                        prop_assert_ne!(released.insert(path, snapshot), Some(snapshot));
                    }
                    Change::Removed => prop_assert!(actual.is_none() && released.remove(&path).is_some()),
                    Change::None => {}
                    Change::Skipped(_) => prop_assert!(false),
                }
            }
        }
        prop_assert_eq!(released, world);
        prop_assert_eq!(settler.waiting(), 0);
    }
}
