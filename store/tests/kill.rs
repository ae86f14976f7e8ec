//! A writer is killed again and again, at random moments. What it was told is durable must be there.

mod common;

use common::*;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wengu_store::*;

const KILLS: u64 = 24;
const THREADS: u64 = 3;
const SLOTS: u64 = 7;
const DIR_VARIABLE: &str = "WENGU_STORE_KILL_TEST_DIR";

/// Batch `n` of thread `t` writes slot `n % SLOTS` and the counter, deletes the slot half a round away, and stores
/// an object.
fn batch(t: u64, n: u64) -> Batch {
    Batch::new("kill-test")
        .put(&format!("{t}/counter"), &doc(n, ""))
        .and_then(|batch| {
            batch.put(
                &format!("{t}/slot/{}", n % SLOTS),
                &doc(n, &"知".repeat(n as usize % 300)),
            )
        })
        .map(|batch| batch.delete::<Doc>(&format!("{t}/slot/{}", (n + SLOTS / 2) % SLOTS)))
        .unwrap()
}

/// The slots of a thread after batches 1 to `count`.
fn slots(count: u64) -> BTreeMap<u64, u64> {
    let mut slots = BTreeMap::new();
    for n in count.saturating_sub(2 * SLOTS) + 1..=count {
        slots.insert(n % SLOTS, n);
        slots.remove(&((n + SLOTS / 2) % SLOTS));
    }
    slots
}

fn counter(store: &Store, t: u64) -> u64 {
    store
        .get::<Doc>(&format!("{t}/counter"))
        .unwrap()
        .map_or(0, |doc| doc.n)
}

fn write_until_killed(dir: &Path) -> ! {
    let small = Options {
        segment_bytes: 64 << 10,
        checkpoint_commits: 50,
        ..options()
    };
    let (store, _) = Store::open(dir, small).unwrap();
    thread::scope(|scope| {
        for t in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                let mut n = counter(store, t);
                loop {
                    n += 1;
                    if n.is_multiple_of(16) {
                        store.objects().put_bytes(format!("{t} {n}").as_bytes()).unwrap();
                    }
                    store.commit(batch(t, n)).unwrap();
                    // One short write to a pipe arrives whole or not at all.
                    std::io::stdout()
                        .lock()
                        .write_all(format!("acknowledged {t} {n}\n").as_bytes())
                        .unwrap();
                }
            });
        }
    });
    unreachable!("the writers do not end")
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    if let Some(dir) = env::var_os(DIR_VARIABLE) {
        write_until_killed(Path::new(&dir));
    }
    // Behind the crate's name: the suite may be a module of a binary.
    let own_name = concat!(module_path!(), "::a_killed_writer_loses_nothing_that_was_acknowledged");
    let own_name = own_name.split_once("::").unwrap().1.to_string();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = vec![0; THREADS as usize];
    let mut kills_with_progress = 0;
    for kill in 0..KILLS {
        let random = u64::from(Hash::of(format!("{seed} {kill}").as_bytes()).as_bytes()[0]);
        let mut child = Command::new(env::current_exe().unwrap())
            .args([&own_name, "--exact", "--nocapture"])
            .env(DIR_VARIABLE, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let reader = thread::spawn(move || {
            let lines = stdout.lines().map(Result::unwrap);
            let numbers = lines.filter_map(|line| {
                let (t, n) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
                Some((t.parse().ok()?, n.parse().ok()?))
            });
            numbers.collect::<Vec<(usize, u64)>>()
        });
        // Some die while they are still opening.
        thread::sleep(Duration::from_millis(30 + random));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = reader.join().unwrap();
        kills_with_progress += u64::from(!told.is_empty());
        for (t, n) in told {
            acknowledged[t] = n;
        }

        if kill % 4 == 3 {
            let _ = fs::remove_dir_all(index_dir(dir.path()));
        }
        let (store, report) = open(dir.path());
        assert_eq!(report.quarantined, None, "{report:?}");
        for t in 0..THREADS {
            let count = counter(&store, t);
            assert!(
                count >= acknowledged[t as usize],
                "kill {kill}: thread {t} lost a batch: {count} {acknowledged:?}"
            );
            let prefix = format!("{t}/slot/");
            let found = store.scan::<Doc>(&prefix).unwrap().into_iter();
            let found: BTreeMap<u64, u64> = found
                .map(|(k, doc)| (k[prefix.len()..].parse().unwrap(), doc.n))
                .collect();
            assert_eq!(found, slots(count), "kill {kill}: thread {t} at {count}");
        }
        assert_eq!(store.last_seq(), (0..THREADS).map(|t| counter(&store, t)).sum::<u64>());
        assert_sound(&store);
    }
    assert!(
        kills_with_progress >= KILLS / 2,
        "only {kills_with_progress} writers lived long enough"
    );
}
