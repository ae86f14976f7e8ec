//! A byte of a file of the version in service is flipped while the daemon is down, or the file ends early: it is named, and the
//! version is served again only when it is whole. A job that is damaged is prepared anew, and a result that is damaged is none.

use crate::job::{self, Job};
use crate::{Tally, tell, trainer, undisturbed};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.path().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

fn problems(status: &Value) -> String {
    status["domains"][0]["problems"].to_string()
}

/// Flips a bit in the middle of a file.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// Each time the trainer is killed, and the daemon with it, something of the job is not what was written.
#[test]
fn a_job_or_a_result_that_is_damaged_is_made_anew() {
    if !trainer() {
        return;
    }
    let (began, mut tally) = (Instant::now(), Tally::default());
    let mut files = vec![
        "result.json",
        "data/replay.safetensors",
        "job.json",
        "data/train.safetensors",
    ];
    let found = job::run_damaging(
        "train.loaded=kill_both@1,train.step=kill_both@1,train.result=kill_both@1",
        |dir| {
            let listed = fs::read_to_string(dir.join("SHA256SUMS")).unwrap();
            for entry in fs::read_dir(dir.join("data")).unwrap().map(Result::unwrap) {
                let name = format!("data/{}", entry.file_name().to_str().unwrap());
                assert!(listed.contains(&name), "{name} has no digest");
            }
            let file = loop {
                let file = dir.join(files.pop().expect("there is something to damage"));
                if file.exists() {
                    break file;
                }
            };
            flip(&file);
        },
    );
    tally.add(&undisturbed(), &found);
    assert_eq!((found.kills, files.len()), (3, 0));
    tally.report("damaged jobs and results", began);
}

#[test]
fn a_version_that_is_damaged_is_named_and_not_served() {
    if !trainer() {
        return;
    }
    let undisturbed = &mut || None;
    let mut job = Job::new("", "");
    job.start();
    job.deliver(1);
    job.until(undisturbed, "a version serves", |s| {
        s["domains"][0]["last_run"]["run"] == 1
    });
    job.stop();
    let link = job.path("state/versions/contracts/current");
    let mut found = Vec::new();
    files(&fs::canonicalize(&link).unwrap(), &mut found);
    found.sort();
    let mut damages = 0;
    for file in &found {
        let sound = fs::read(file).unwrap();
        // In the middle, and of the lineage, which no digest covers, at several places.
        let is_lineage = file.ends_with("lineage.json");
        let mut bad: Vec<Vec<u8>> = (1..if is_lineage { 6 } else { 2 })
            .map(|part| {
                let mut bytes = sound.clone();
                let at = bytes.len() * part / 6;
                bytes[at] ^= 0x04;
                bytes
            })
            .collect();
        bad.push(sound[..sound.len() / 2].to_vec());
        for bytes in bad {
            fs::write(file, bytes).unwrap();
            job.check_champion = false;
            job.start();
            let name = file.file_name().unwrap().to_str().unwrap();
            job.until(undisturbed, "the damage is named", |s| {
                problems(s).contains("is damaged")
            });
            // A lineage that was changed may tell of a file that it is not what it was.
            job.until(undisturbed, "the file is named", |s| {
                is_lineage || problems(s).contains(name)
            });
            assert!(fs::symlink_metadata(&link).is_err(), "{name} is damaged and served");
            job.stop();
            damages += 1;
        }
        fs::write(file, sound).unwrap();
    }
    job.start();
    job.until(undisturbed, "it is served again", |s| problems(s) == "[]");
    assert!(link.exists());
    job.stop();
    tell(&format!(
        "{damages} damages of {} files, all named and none served",
        found.len()
    ));
}
