//! A byte of a file of the version in service is flipped while the daemon is down, or the file ends early: it is named, and the
//! version is served again only when it is whole.

use crate::job::Job;
use crate::{tell, trainer};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

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
