//! The power goes at random moments of a busy run. What was not fsynced is gone, or there in part, page by page and
//! name by name, for journal, objects and index alike. What was acknowledged must be there, and what opens must add up.
//!
//! The run is a process of its own, with `power/shadow.c` preloaded: that keeps what each fsync has made durable.

mod common;
#[path = "power/disk.rs"]
mod disk;

use common::*;
use disk::{Disk, Left};
use std::collections::BTreeMap;
use std::env;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wengu_store::*;

const DIR_VARIABLE: &str = "WENGU_STORE_POWER_TEST_DIR";
const SLOTS: u64 = 7;
const THREADS: u64 = 3;
/// Power cuts that one store lives through. Each file of it is held open, and it has a new one for each commit.
const CUTS_A_STORE: u64 = 20;

/// Commit `n` of a thread: its counter, and one of its slots with the name of an object.
fn commit(store: &Store, t: u64, n: u64) {
    let text = format!("{t} {n} {}", "知".repeat(n as usize * 37 % 400));
    let hash = store.objects().put_bytes(text.as_bytes()).unwrap();
    let batch = Batch::new("power-test")
        .put(&format!("{t}/counter"), &doc(n, ""))
        .and_then(|batch| batch.put(&format!("{t}/slot/{}", n % SLOTS), &doc(n, &hash.to_string())))
        .unwrap();
    store.commit(batch).unwrap();
}

fn busy(dir: &Path) -> ! {
    let often = Options {
        segment_bytes: 64 << 10,
        checkpoint_commits: 20,
        ..options()
    };
    let (store, _) = Store::open(dir, often).unwrap();
    thread::scope(|scope| {
        for t in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for n in counter(store, t) + 1.. {
                    commit(store, t, n);
                    let line = format!("acknowledged {t} {n}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
    unreachable!("the writers do not end")
}

fn counter(store: &Store, t: u64) -> u64 {
    let found = store.get::<Doc>(&format!("{t}/counter")).unwrap();
    found.map_or(0, |doc| doc.n)
}

/// Runs until the power goes, and returns what was acknowledged.
fn run(dir: &Path, disk: &Disk, random: u64, lies: Option<&str>) -> BTreeMap<u64, u64> {
    let own_name = concat!(module_path!(), "::the_power_goes_at_random");
    let own_name = own_name.split_once("::").unwrap().1;
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args([own_name, "--exact", "--nocapture"])
        .env(DIR_VARIABLE, dir)
        .stdout(Stdio::piped());
    disk.preload(&mut command, dir);
    if let Some(lies) = lies {
        command.env("WENGU_SHADOW_LIES", lies);
    }
    // Half of them at an fsync or a rename, half wherever the clock finds them.
    let at_step = random.is_multiple_of(2);
    if at_step {
        command.env("WENGU_SHADOW_KILL", (1 + random / 2 % 400).to_string());
    }
    let mut child = command.spawn().unwrap();
    let stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || std::io::read_to_string(stdout).unwrap());
    let patience = if at_step { 2000 } else { 30 + random / 2 % 300 };
    for _ in 0..patience {
        if child.try_wait().unwrap().is_some() {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let said = reader.join().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "{status} {said}"
    );
    let numbers = said.lines().filter_map(|line| {
        let (t, n) = line.strip_prefix("acknowledged ")?.split_once(' ')?;
        Some((t.parse().ok()?, n.parse().ok()?))
    });
    numbers.collect()
}

/// What was acknowledged and is not there, or None where all is well.
fn lost(dir: &Path, acknowledged: &BTreeMap<u64, u64>) -> Option<String> {
    let (store, report) = match Store::open(dir, options()) {
        Ok(opened) => opened,
        Err(error) => return Some(format!("does not open: {error}")),
    };
    let mut commits = 0;
    for t in 0..THREADS {
        let count = counter(&store, t);
        commits += count;
        if count < acknowledged.get(&t).copied().unwrap_or(0) {
            return Some(format!(
                "thread {t} is at {count}, acknowledged were {acknowledged:?}: {report:?}"
            ));
        }
        let slots = store.scan::<Doc>(&format!("{t}/slot/")).unwrap();
        assert_eq!(slots.len() as u64, count.min(SLOTS));
        for (key, slot) in slots {
            let last = (count.saturating_sub(SLOTS) + 1..=count).find(|n| n % SLOTS == slot.n % SLOTS);
            assert_eq!(Some(slot.n), last, "{key}");
            store.objects().get(&slot.text.parse().unwrap()).unwrap();
        }
    }
    assert_eq!(store.last_seq(), commits);
    assert_sound(&store);
    None
}

fn rounds(rounds: u64, lies: Option<&str>) -> (u64, Vec<String>) {
    let seed = u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos());
    println!("seed {seed}");
    let random = |round: u64| {
        let hash = Hash::of(format!("{seed} {round}").as_bytes());
        u64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap())
    };
    let root = tempfile::tempdir().unwrap();
    let mut dir = root.path().join("0");
    std::fs::create_dir(&dir).unwrap();
    let mut acknowledged = BTreeMap::new();
    let (mut commits, mut bad) = (0, Vec::new());
    for round in 0..rounds {
        if round > 0 && round % CUTS_A_STORE == 0 {
            std::fs::remove_dir_all(&dir).unwrap();
            std::fs::create_dir(&dir).unwrap();
            acknowledged.clear();
        }
        let disk = Disk::of(&dir, &root.path().join(format!("shadow-{round}")));
        let told = run(&dir, &disk, random(round), lies);
        commits += told.len() as u64;
        acknowledged.extend(told);
        let left = if round % 2 == 0 {
            Left::Dropped
        } else {
            Left::Torn(random(round))
        };
        let after = root.path().join(format!("{}", round + 1));
        disk.after(&dir, &after, left);
        if let Some(what) = lost(&after, &acknowledged) {
            bad.push(format!("round {round} ({left:?}): {what}"));
            return (commits, bad);
        }
        std::fs::remove_dir_all(&dir).unwrap();
        dir = after;
        // What was written without being told is there now, and goes on from there.
    }
    (commits, bad)
}

#[test]
fn the_power_goes_at_random() {
    if let Some(dir) = env::var_os(DIR_VARIABLE) {
        busy(Path::new(&dir));
    }
    let (progress, bad) = rounds(8, None);
    assert_eq!(bad, Vec::<String>::new());
    assert!(progress > 0, "nothing was acknowledged");
}

#[test]
#[ignore = "minutes; `make soak` runs it"]
fn the_power_goes_at_200_random_moments() {
    let (progress, bad) = rounds(200, None);
    println!(
        "{INDEX}: 200 power cuts, {progress} threads had acknowledged commits, lost or inconsistent: {}",
        bad.len()
    );
    assert_eq!(bad, Vec::<String>::new());
}

/// A disk that confirms and forgets must be found out, or this test could not fail.
#[test]
fn a_disk_that_lies_is_found_out() {
    let (_, bad) = rounds(30, Some(".wj"));
    assert!(
        !bad.is_empty(),
        "30 power cuts without an fsync of the journal lost nothing"
    );
}
