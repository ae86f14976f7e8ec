//! The daemon is killed at every named place, and at random moments. Each time it is started anew, goes on by itself, and
//! ends as if nothing had happened: the same versions to the last bit, no file lost, none learned twice, no alert lost, and
//! never a version in service whose files are not what was adopted.
//!
//! `make test` kills at every place the first two times it is reached; `make soak` for every time until a run passes clean,
//! each in a run of its own, and then at `WENGU_SOAK_KILLS` random moments (10,000).

mod commands;
mod damage;
mod found;
mod full_disk;
mod job;
mod model;
mod planted;
mod receiver;
#[path = "../../store/tests/refuse/disk.rs"]
mod refuse;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/tuning_record.rs"]
mod tuning_record;
mod upkeep;

use found::Found;
use std::env;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::program;
use wengu_failpoint::POINTS;

/// A job whose daemon was killed this often is killed later from then on.
const LIVES: u64 = 40;
/// Between two lines that tell how far the random kills are.
const PROGRESS_KILLS: u64 = 500;

/// What the disk does to an operation, and SIGKILL instead of it.
const HOWS: [&str; 4] = [refuse::HOWS[0], refuse::HOWS[1], refuse::HOWS[2], "kill"];

/// Whether there is a trainer; a build without libtorch has none.
fn trainer() -> bool {
    let there = program("wengu").with_file_name("wengu-trainer").exists();
    assert!(
        there || env::var_os("WENGU_REQUIRE_MODEL").is_none(),
        "the trainer is missing: `make setup build`"
    );
    if !there {
        println!("skipped: needs wengu-trainer (`make setup build`)");
    }
    there
}

/// The places that the job reaches: all but those of `upkeep`.
fn places() -> Vec<&'static str> {
    let job = POINTS.iter().copied().filter(|point| !upkeep::is_upkeep(point));
    job.collect()
}

fn undisturbed() -> Found {
    let found = job::run("", &mut || None);
    assert_eq!((found.kills, found.versions.len()), (0, 2));
    assert_eq!(found.current, found.versions[0], "it was rolled back");
    found
}

/// What all jobs together came to.
#[derive(Debug, Default)]
struct Tally {
    jobs: u64,
    kills: u64,
    files_lost: u64,
    learned_twice: u64,
    alerts_lost: u64,
    unverified: u64,
    other_versions: u64,
}

impl Tally {
    fn add(&mut self, expected: &Found, found: &Found) {
        self.jobs += 1;
        self.kills += found.kills;
        let other = expected
            .files
            .iter()
            .filter(|(name, state)| found.files.get(*name) != Some(*state));
        self.files_lost += found.files_lost.max(other.count() as u64);
        self.learned_twice += found.learned_twice;
        self.alerts_lost += found.alerts_lost;
        self.unverified += found.unverified;
        let same = (&expected.versions, &expected.current) == (&found.versions, &found.current);
        self.other_versions += u64::from(!same);
        if !same || expected.files != found.files {
            println!("expected was {expected:?}\nfound was {found:?}");
        }
    }

    /// Tells all of it, and panics unless what must be zero is.
    fn report(&self, what: &str, began: Instant) {
        // Not by `println`, which a test that passes keeps to itself.
        let told = format!(
            "{what}: {} kills in {} jobs, {:.0} s; files lost {}, files learned twice {}, alerts lost {}, champions \
             unverified {}, versions other than undisturbed {}",
            self.kills,
            self.jobs,
            began.elapsed().as_secs_f64(),
            self.files_lost,
            self.learned_twice,
            self.alerts_lost,
            self.unverified,
            self.other_versions
        );
        tell(&told);
        self.must_be_zero();
    }

    /// Panics unless what must be zero is.
    fn must_be_zero(&self) {
        let all = [
            self.files_lost,
            self.learned_twice,
            self.alerts_lost,
            self.unverified,
            self.other_versions,
        ];
        assert_eq!(all, [0; 5], "{self:?}");
    }
}

/// Shown in every run of the tests.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "sweep: {line}");
}

/// The trainer's places: whoever is killed there, the daemon has to go too, or it would count a failed attempt.
fn action(point: &str) -> &'static str {
    match point.split('.').next() {
        Some("train" | "checkpoint") => "kill_both",
        _ => "kill",
    }
}

/// Does `action` at each of these places when it is reached for the `k`th time: in one job all that can, in the next what that job did not
/// reach (a rollback that was killed is finished by the start), until a job passes clean.
fn all_at(k: u64, places: &[&str], action: impl Fn(&str) -> &'static str, expected: &Found, tally: &mut Tally) {
    all_with(
        |points| job::run(points, &mut || None),
        k,
        places,
        action,
        expected,
        tally,
    );
}

/// The same, of jobs that `run` runs.
fn all_with(
    run: impl Fn(&str) -> Found,
    k: u64,
    places: &[&str],
    action: impl Fn(&str) -> &'static str,
    expected: &Found,
    tally: &mut Tally,
) {
    let mut left = places.to_vec();
    loop {
        let words: Vec<String> = left.iter().map(|p| format!("{p}={}@{k}", action(p))).collect();
        let found = run(&words.join(","));
        tally.add(expected, &found);
        left.retain(|point| found.reached.get(*point).is_none_or(|count| *count < k));
        if found.kills == 0 {
            break;
        }
    }
    println!("never reached {k} times: {left:?}");
    assert!(k > 1 || left.is_empty());
}

/// splitmix64.
fn random(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn seed() -> u64 {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    seed.into()
}

#[test]
fn killed_at_every_place_nothing_is_lost_and_nothing_is_done_twice() {
    if !trainer() {
        return;
    }
    let began = Instant::now();
    let expected = undisturbed();
    println!("undisturbed: {:.1} s", began.elapsed().as_secs_f64());
    let reached: Vec<&str> = expected.reached.keys().map(String::as_str).collect();
    let mut named = places();
    named.sort_unstable();
    assert_eq!(reached, named, "the table and what is reached");

    let mut tally = Tally::default();
    all_at(1, &places(), action, &expected, &mut tally);
    all_at(2, &places(), action, &expected, &mut tally);
    let (seed, mut n) = (seed(), 0);
    let found = job::run("", &mut || {
        n += 1;
        (n <= 5).then(|| Duration::from_millis(random(seed, n) % 2500))
    });
    tally.add(&expected, &found);
    tally.report("sweep, short", began);
    assert!(tally.kills > places().len() as u64 * 3 / 2, "{tally:?}");
}

/// Works on as many threads as there are cores, and adds up what they find.
fn on_every_core(work: impl Fn(&Mutex<Tally>) + Sync) -> Tally {
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| work(&tally));
        }
    });
    tally.into_inner().unwrap()
}

/// Works on all of these, on every core.
fn each_of<T: Sync>(these: &[T], work: impl Fn(&T, &Mutex<Tally>) + Sync) -> Tally {
    let next = AtomicUsize::new(0);
    on_every_core(|tally| {
        while let Some(one) = these.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(one, tally);
        }
    })
}

/// For each place, on every core, has `run` kill there when it is reached for the first time, the second, and so on, until it
/// kills no more.
fn on_every_place(places: &[&str], run: impl Fn(&str, u64) -> u64 + Sync) {
    each_of(places, |point, _| {
        let kills = (1..).find(|k| run(point, *k) == 0).map_or(0, |k| k - 1);
        println!("{point}: {kills} kills");
    });
}

/// Runs the job once for each of these refusals.
fn refuse_each(refusals: &[(&'static str, u64)], expected: &Found) -> Tally {
    each_of(refusals, |(how, at), tally| {
        let began = Instant::now();
        let job::Refused { found, what, .. } = job::run_refused(how, *at);
        let seconds = began.elapsed().as_secs_f64();
        println!("{how} {at}: {seconds:.1} s, {what:?}, {} restarts", found.kills);
        tally.lock().unwrap().add(expected, &found);
    })
}

/// The number of an operation, drawn as the `n`th of a seed. Three in ten operations are writes, which alone can be short.
fn drawn(how: &str, operations: u64, seed: u64, n: u64) -> u64 {
    let of = if how == "short" { operations / 4 } else { operations };
    1 + random(seed, n) % of.max(1)
}

/// As many of these as `WENGU_SOAK_REFUSALS` says, evenly; all without it.
fn thinned<T>(these: Vec<T>) -> Vec<T> {
    let step = env::var("WENGU_SOAK_REFUSALS").map_or(1, |n| these.len() / n.parse::<usize>().unwrap());
    these.into_iter().step_by(step.max(1)).collect()
}

/// What was found once is looked at again: `WENGU_REFUSALS="short 104, eio 17"`.
fn named_refusals(these: &str) -> Vec<(&'static str, u64)> {
    let named = |refusal: &str| {
        let (how, at) = refusal.trim().split_once(' ').expect("how and at which operation");
        let how = HOWS.into_iter().find(|known| *known == how).expect("a known refusal");
        (how, at.parse().expect("the number of an operation"))
    };
    these.split(',').map(named).collect()
}

#[test]
fn a_disk_that_refuses_one_operation_or_a_kill_at_it_costs_nothing_but_a_restart() {
    if !trainer() {
        return;
    }
    let (began, seed) = (Instant::now(), seed());
    let job::Refused { found, operations, .. } = job::run_refused("enospc", 0);
    println!("{operations} operations");
    assert!(operations > 200);
    let mut n = 0;
    let mut one = |how| {
        n += 1;
        (how, drawn(how, operations, seed, n))
    };
    let mut refusals: Vec<_> = HOWS.into_iter().flat_map(|how| [one(how), one(how)]).collect();
    if let Ok(these) = env::var("WENGU_REFUSALS") {
        refusals = named_refusals(&these);
    }
    refuse_each(&refusals, &found).report("refused operations and kills at them, short", began);
}

/// The index holds nothing that the journal does not, so that the other one leads to the same versions.
#[test]
fn with_the_second_index_nothing_is_lost_either() {
    if !trainer() {
        return;
    }
    let (began, mut tally) = (Instant::now(), Tally::default());
    all_with(job::run_on_redb, 1, &places(), action, &undisturbed(), &mut tally);
    tally.report("sweep on redb, short", began);
}

/// A defect in one thread: what it had begun is done all the same, by a try or by a daemon that starts anew.
#[test]
fn a_thread_that_panics_at_any_place_costs_nothing_but_a_restart() {
    if !trainer() {
        return;
    }
    let (began, mut tally) = (Instant::now(), Tally::default());
    // A trainer that panics is a failed attempt, which has tests of its own.
    let others: Vec<_> = places().into_iter().filter(|point| action(point) == "kill").collect();
    all_at(1, &others, |_| "panic", &undisturbed(), &mut tally);
    tally.report("panics", began);
}

/// Runs one job, which has to come to what an undisturbed one comes to.
fn comes_to_the_same(what: &str, run: impl FnOnce() -> Found) {
    if !trainer() {
        return;
    }
    let (began, mut tally) = (Instant::now(), Tally::default());
    tally.add(&undisturbed(), &run());
    tally.report(what, began);
}

#[test]
fn a_rollback_that_the_disk_refuses_to_link_is_finished_by_itself() {
    // Two versions are promoted before one is left.
    comes_to_the_same("a refused link", || job::run_refusing("versions/contracts/current", 3));
}

/// It is tried again: a run that were given up would be followed by another one, which makes another version.
#[test]
fn a_trainer_whose_log_the_disk_refuses_is_started_again() {
    comes_to_the_same("a refused log", || {
        job::run_refusing("jobs/contracts/0001/trainer.log", 1)
    });
}

/// Half a minute passes until the file is read again. A run that began without it would make other versions.
#[test]
fn a_run_waits_for_a_file_that_is_read_again() {
    comes_to_the_same("a failed reading", job::run_with_a_failed_reading);
}

#[test]
#[ignore = "hours; `make soak` runs it"]
fn a_disk_that_refuses_any_one_operation_or_a_kill_at_it_costs_nothing_but_a_restart() {
    let began = Instant::now();
    let expected = undisturbed();
    let each = |how| (1..=job::run_refused(how, 0).operations).map(move |at| (how, at));
    let refusals = thinned(HOWS.into_iter().flat_map(each).collect());
    refuse_each(&refusals, &expected).report("refused operations and kills at them, long", began);
}

#[test]
#[ignore = "an hour; `make soak` runs it"]
fn killed_at_every_place_for_every_time_it_is_reached() {
    let began = Instant::now();
    let expected = undisturbed();
    let tally = Mutex::new(Tally::default());
    on_every_place(&places(), |point, k| {
        let found = job::run(&format!("{point}={}@{k}", action(point)), &mut || None);
        tally.lock().unwrap().add(&expected, &found);
        if k == 1 {
            // The trainer alone: the daemon counts a failed attempt and starts it again. Or one thread of the daemon.
            let alone = if action(point) == "kill_both" { "kill" } else { "panic" };
            let alone = job::run(&format!("{point}={alone}@1"), &mut || None);
            tally.lock().unwrap().add(&expected, &alone);
        }
        found.kills
    });
    tally.into_inner().unwrap().report("sweep, long", began);
}

#[test]
#[ignore = "hours; `make soak` runs it"]
fn killed_at_random_moments() {
    let kills: u64 = env::var("WENGU_SOAK_KILLS").map_or(10_000, |n| n.parse().unwrap());
    let (began, seed) = (Instant::now(), seed());
    let expected = undisturbed();
    let undisturbed_ms = 1 + began.elapsed().as_millis() as u64;
    let next = AtomicU64::new(0);
    let tally = on_every_core(|tally| {
        while tally.lock().unwrap().kills < kills {
            let mut lives = 0;
            let mut wait = || {
                let n = next.fetch_add(1, Ordering::Relaxed);
                lives += 1;
                // Most lives are short; some must be long enough to get something done.
                let longest = if n.is_multiple_of(5) {
                    undisturbed_ms
                } else {
                    undisturbed_ms / 4
                };
                // A machine that has become slower needs longer ones, or the job never ends.
                Some(Duration::from_millis(random(seed, n) % (longest * (1 + lives / LIVES))))
            };
            let found = job::run("", &mut wait);
            let mut tally = tally.lock().unwrap();
            let before = tally.kills;
            tally.add(&expected, &found);
            if before / PROGRESS_KILLS < tally.kills / PROGRESS_KILLS {
                tally.report("random kills so far", began);
            }
        }
    });
    tally.report("random kills", began);
}
