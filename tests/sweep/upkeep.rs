//! Hyper-parameters are fitted and a file is forgotten, and the daemon is killed at every named place of both. In the end
//! nothing is left of what was forgotten, its receipt verifies, what is served never saw it, and what later runs use is
//! the defaults or what the undisturbed fitting froze.

use crate::found;
use crate::job::{Job, Kills, PATIENCE};
use crate::refuse::Refusal;
use crate::tuning_record::Tuning;
use crate::{HOWS, drawn, each_of, named_refusals, on_every_place, seed, tell, thinned, trainer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use wengu_failpoint::POINTS;
use wengu_store::records::{CurrentRecord, VersionRecord};
use wengu_store::{Options, Store};

const MARKERS: usize = 20;

/// A word that stands nowhere else.
fn marker(n: usize) -> String {
    format!("zqmk{n:02}x7f3a9bqz")
}

/// Whether a place belongs to this job; the others belong to `job::run`.
pub fn is_upkeep(point: &str) -> bool {
    matches!(point.split('.').next(), Some("tune" | "forget" | "redact"))
}

/// What the job left.
#[derive(Debug)]
struct Left {
    kills: u64,
    reached: BTreeMap<String, u64>,
    /// Ids of all versions: they name what was learned, to the last bit.
    versions: Vec<String>,
    current: String,
    /// The record of the fitting, without its times.
    tuning: Value,
    /// Everything that should not be.
    wrong: Vec<String>,
}

fn run(points: &str, kills: Kills) -> Left {
    let mut job = Job::new(points, "");
    let path = learn(&mut job, kills);
    fit_and_forget(&mut job, kills, &path)
}

/// Runs it on a disk that refuses the `at`th operation of fitting and forgetting; 0: none. What was left, what was refused, and how
/// many operations there were.
fn run_refused(how: &'static str, at: u64) -> (Left, Option<String>, u64) {
    let mut job = Job::new("", "");
    let path = learn(&mut job, &mut || None);
    job.stop();
    let refusal = Refusal::new(how, at, job.path("count"));
    job.refusal = Some((refusal.clone(), job.path("state")));
    job.start();
    let left = fit_and_forget(&mut job, &mut || None, &path);
    (left, refusal.refused(), refusal.operations())
}

/// Two versions, and a marked file that the first of them has learned. Where that lies.
fn learn(job: &mut Job, kills: Kills) -> PathBuf {
    job.start();
    let path = deliver_marked(job);
    job.until(kills, "the marked file is read", |s| {
        s["domains"][0]["files"]["pooled"] == 1
    });
    for number in [1, 2] {
        job.deliver(number);
        job.until(kills, &format!("run {number} has ended"), |s| {
            s["domains"][0]["last_run"]["run"] == number
        });
    }
    assert!(
        !holding(&job.path("state")).is_empty(),
        "the search finds nothing at all"
    );
    path
}

fn fit_and_forget(job: &mut Job, kills: Kills, path: &Path) -> Left {
    fit(job, kills);
    forget(job, kills, path);
    job.until(kills, "all has been told", |status| status["alerts"]["waiting"] == 0);
    job.stop();
    look(job, path)
}

/// Twelve records of as many cases: too few for an update of their own.
fn deliver_marked(job: &Job) -> PathBuf {
    let words = ["甲 合同", "罚 款", "土 地"];
    let record = |i: usize| {
        let label = i % words.len();
        let text = format!("{} {} qwv{i} zrk{}", words[label], marker(7 + i), i * 7);
        let case = format!("{}-{i}", marker(i % 4));
        json!({"doc": case, "text": text, "label": format!("label-{label}"), "note": marker(19)}).to_string() + "\n"
    };
    let outside = job.path("outgoing-marked");
    fs::create_dir(&outside).unwrap();
    let name = format!("{}.jsonl", marker(5));
    fs::write(outside.join(&name), (0..12).map(record).collect::<String>()).unwrap();
    let folder = job.path("inbox").join(marker(4));
    fs::rename(&outside, &folder).unwrap();
    folder.join(name)
}

/// Goes on until `done` says so; a daemon that was killed may or may not have done what it was asked.
fn until(job: &mut Job, kills: Kills, what: &str, mut done: impl FnMut(&Job) -> bool) {
    let began = Instant::now();
    loop {
        job.tick(kills);
        if done(job) {
            return;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "waited too long until {what}\n{}",
            job.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn fit(job: &mut Job, kills: Kills) {
    until(job, kills, "it is fitted", |job| {
        let Some(view) = job.ask("GET", "/v1/tune?domain=contracts", "") else {
            return false;
        };
        let state = view["state"].as_str().unwrap();
        let settings = view["settings"].as_array().unwrap();
        let is_tuned = settings.iter().any(|setting| setting["source"] == "tuned");
        assert!(state == "done" || !is_tuned, "{state} and in use: {view:#}");
        let may_fail = job.was_disturbed();
        assert!(state != "failed" || may_fail, "{view:#}\n{}", job.log());
        if state == "never" || state == "failed" {
            let order = json!({"domain": "contracts", "trials": 2, "seed": 3}).to_string();
            job.ask("POST", "/v1/tune", &order);
        }
        state == "done"
    });
}

fn forget(job: &mut Job, kills: Kills, path: &Path) {
    let orders = job.path("state/forget/orders");
    until(job, kills, "it is forgotten", |job| {
        let Some(list) = job.ask("GET", "/v1/forget", "") else {
            return false;
        };
        let list = list.as_array().unwrap();
        if list.is_empty() {
            let order = json!({
                "what": path, "path": path, "reason": "consent withdrawn", "dry_run": false, "now": false,
                "whole_files": true, "delete_source": true,
            });
            job.ask("POST", "/v1/forget", &order.to_string());
            return false;
        }
        let none_left = fs::read_dir(&orders).is_ok_and(|mut left| left.next().is_none());
        list.iter().all(|one| one["step"] == "done") && none_left
    });
}

/// Files below in whose name or bytes a marker stands. Some may go meanwhile, while a daemon works.
fn holding(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().map_while(Result::ok) {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        let name = entry.file_name().into_encoded_bytes();
        let bytes = match kind.is_file() {
            true => fs::read(&path).unwrap_or_default(),
            false => Vec::new(),
        };
        // All begin alike, so that one pass is enough to tell where to look.
        let holds = |bytes: &[u8]| {
            let mut at = bytes.windows(4).enumerate().filter(|(_, part)| part == b"zqmk");
            at.any(|(at, _)| (0..MARKERS).any(|n| bytes[at..].starts_with(marker(n).as_bytes())))
        };
        if holds(&name) || holds(&bytes) {
            found.push(path.clone());
        }
        if kind.is_dir() {
            found.extend(holding(&path));
        }
    }
    found
}

fn look(job: &Job, path: &Path) -> Left {
    let state = job.path("state");
    let mut wrong: Vec<String> = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    let left = holding(&state);
    check(left.is_empty(), format!("of what was forgotten there is left {left:?}"));
    check(!path.exists(), "the file lies in the watched folder".into());
    let folders = fs::read_dir(state.join("jobs/contracts")).unwrap().map(Result::unwrap);
    let fittings: Vec<_> = folders.map(|folder| folder.file_name()).collect();
    check(fittings.is_empty(), format!("job directories are left: {fittings:?}"));

    let public = fs::read_to_string(state.join("forget/signing.pub")).unwrap();
    let receipts = fs::read_dir(state.join("forget/receipts")).unwrap();
    let mut receipts: Vec<PathBuf> = receipts.map(|entry| entry.unwrap().path()).collect();
    receipts.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    check(receipts.len() == 1, format!("receipts: {receipts:?}"));
    for receipt in &receipts {
        let mut verify = job.wengu();
        verify.args(["forget", "verify", "--key", public.lines().last().unwrap()]);
        let verified = verify.arg(receipt).output().unwrap();
        let told = String::from_utf8_lossy(&verified.stderr).into_owned();
        check(
            verified.status.success(),
            format!("the receipt does not verify: {told}"),
        );
        let receipt: Value = serde_json::from_slice(&fs::read(receipt).unwrap()).unwrap();
        for what in ["versions_deleted", "versions_made"] {
            let count = receipt[what].as_array().unwrap().len();
            check(count == 2, format!("{what}: {count}"));
        }
    }

    let (store, _) = Store::open(&state.join("store"), Options::default()).unwrap();
    let problems = store.verify().unwrap().problems;
    check(problems.is_empty(), format!("the store: {problems:?}"));
    let versions = store.scan::<VersionRecord>("contracts/").unwrap();
    let current = store.get::<CurrentRecord>("contracts").unwrap();
    let current = current.map_or_else(String::new, |current| current.version);
    let champion = found::champion(&state);
    check(
        champion == Ok(Some(current.clone())),
        format!("what is served: {champion:?}"),
    );
    let mut tuning = store.get::<Tuning>("contracts").unwrap().expect("it was fitted").0;
    for time in ["asked_ms", "ended_ms", "report"] {
        tuning.as_object_mut().unwrap().remove(time);
    }
    if let Some(in_use) = tuning["in_use"].as_object_mut() {
        in_use.remove("since_ms");
    }
    Left {
        kills: job.kills,
        reached: found::reached(&job.path("reached")),
        versions: versions.into_iter().map(|(_, version)| version.id).collect(),
        current,
        tuning,
        wrong,
    }
}

fn assert_same(points: &str, expected: &Left, left: &Left) {
    assert_eq!(left.wrong, [""; 0], "{points}");
    assert_eq!(left.versions, expected.versions, "{points}");
    assert_eq!(left.current, expected.current, "{points}");
    assert_eq!(left.tuning, expected.tuning, "{points}");
}

fn undisturbed() -> Left {
    let expected = run("", &mut || None);
    assert_same("undisturbed", &expected, &expected);
    assert_eq!((expected.kills, expected.versions.len()), (0, 2));
    assert_eq!(expected.tuning["state"]["name"], "done");
    let reached: Vec<&str> = expected.reached.keys().map(String::as_str).collect();
    let missing: Vec<_> = places().filter(|point| !reached.contains(point)).collect();
    assert_eq!(missing, [""; 0], "never reached");
    expected
}

fn places() -> impl Iterator<Item = &'static str> {
    POINTS.iter().copied().filter(|point| is_upkeep(point))
}

#[test]
fn a_fitting_and_a_forgetting_that_are_killed_at_every_place_come_to_the_same_end() {
    if !trainer() {
        return;
    }
    let began = Instant::now();
    let expected = undisturbed();
    println!("undisturbed: {:.1} s", began.elapsed().as_secs_f64());
    let (mut left, mut kills, mut jobs) = (places().collect::<Vec<_>>(), 0, 0);
    loop {
        let points: Vec<String> = left.iter().map(|point| format!("{point}=kill@1")).collect();
        let found = run(&points.join(","), &mut || None);
        assert_same(&points.join(","), &expected, &found);
        left.retain(|point| !found.reached.contains_key(*point));
        (kills, jobs) = (kills + found.kills, jobs + 1);
        if found.kills == 0 {
            break;
        }
    }
    tell(&format!(
        "upkeep, short: {kills} kills in {jobs} jobs, {:.0} s; fitted: {}",
        began.elapsed().as_secs_f64(),
        expected.tuning
    ));
    assert!(left.is_empty(), "never reached: {left:?}");
    assert_eq!(kills, places().count() as u64);
}

fn refuse_each(refusals: &[(&'static str, u64)], expected: &Left) {
    let (began, restarts) = (Instant::now(), AtomicU64::new(0));
    each_of(refusals, |(how, at), _| {
        let (left, what, _) = run_refused(how, *at);
        println!("{how} {at}: {what:?}, {} restarts", left.kills);
        assert_same(&format!("{how} {at}"), expected, &left);
        restarts.fetch_add(left.kills, Ordering::Relaxed);
    });
    tell(&format!(
        "upkeep: {} operations refused, {} restarts, {:.0} s",
        refusals.len(),
        restarts.into_inner(),
        began.elapsed().as_secs_f64()
    ));
}

#[test]
fn a_fitting_and_a_forgetting_on_a_disk_that_refuses_one_operation_come_to_the_same_end() {
    if !trainer() {
        return;
    }
    let (expected, _, operations) = run_refused("enospc", 0);
    let seed = seed();
    println!("{operations} operations");
    assert!(operations > 200);
    let refusals = HOWS.map(|how| (how, drawn(how, operations, seed, how.len() as u64)));
    let named = env::var("WENGU_UPKEEP_REFUSALS").ok();
    let named = named.map(|these| named_refusals(&these));
    refuse_each(named.as_deref().unwrap_or(&refusals), &expected);
}

#[test]
#[ignore = "hours; `make soak` runs it"]
fn a_fitting_and_a_forgetting_on_a_disk_that_refuses_any_one_operation_come_to_the_same_end() {
    let (expected, _, operations) = run_refused("enospc", 0);
    let refusals = HOWS
        .into_iter()
        .flat_map(|how| (1..=operations).map(move |at| (how, at)));
    let refusals = thinned(refusals.collect());
    refuse_each(&refusals, &expected);
}

#[test]
#[ignore = "minutes; `make soak` runs it"]
fn a_fitting_and_a_forgetting_in_which_threads_panic_come_to_the_same_end() {
    let expected = undisturbed();
    let mut left: Vec<&str> = places().collect();
    while !left.is_empty() {
        let points: Vec<String> = left.iter().map(|point| format!("{point}=panic@1")).collect();
        let found = run(&points.join(","), &mut || None);
        assert_same(&points.join(","), &expected, &found);
        let before = left.len();
        left.retain(|point| !found.reached.contains_key(*point));
        assert!(left.len() < before, "never reached: {left:?}");
    }
}

#[test]
#[ignore = "an hour; `make soak` runs it"]
fn a_fitting_and_a_forgetting_that_are_killed_at_every_place_every_time_come_to_the_same_end() {
    let expected = undisturbed();
    let places: Vec<&str> = places().collect();
    on_every_place(&places, |point, k| {
        let points = format!("{point}=kill@{k}");
        let left = run(&points, &mut || None);
        assert_same(&points, &expected, &left);
        left.kills
    });
}
