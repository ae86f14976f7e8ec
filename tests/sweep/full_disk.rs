//! The state directory's file system fills up under a daemon that works, and is freed again.

use crate::job::Job;
use crate::{tell, trainer};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const DISK_MIB: u64 = 96;
const CONFIG: &str = "[disk]\nstop_training_free_mib = 40\nstop_ingest_free_mib = 24\nreserve_mib = 8\n";

/// A file system of its own; None where this user may not mount one.
struct Mounted(PathBuf);

impl Mounted {
    fn on(dir: &Path) -> Option<Mounted> {
        fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={DISK_MIB}m,mode=700"));
        let mounted = mount
            .arg("tmpfs")
            .arg(dir)
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then(|| Mounted(dir.to_path_buf()))
    }

    fn free_mib(&self) -> u64 {
        let stat = nix::sys::statvfs::statvfs(&self.0).unwrap();
        (stat.blocks_available() * stat.fragment_size()) >> 20
    }

    /// Fills it until so much is free.
    fn fill(&self, name: &str, free_mib: u64) {
        let mut ballast = File::create(self.0.join(name)).unwrap();
        let chunk = vec![1; 64 << 10];
        while free_mib == 0 || self.free_mib() > free_mib {
            if ballast.write_all(&chunk).is_err() {
                assert_eq!(free_mib, 0, "full too early");
                return;
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn problem(status: &Value) -> &str {
    status["disk_problem"].as_str().unwrap_or_default()
}

fn files(status: &Value, state: &str) -> u64 {
    status["domains"][0]["files"][state].as_u64().unwrap_or_default()
}

#[test]
fn a_full_disk_stops_training_then_ingest_and_both_go_on_when_it_is_freed() {
    if !trainer() {
        return;
    }
    let mut job = Job::new("", CONFIG);
    let Some(disk) = Mounted::on(&job.path("state")) else {
        println!("skipped: a small file system can be mounted by root alone");
        return;
    };
    let undisturbed = &mut || None;
    job.start();
    job.deliver(1);
    job.until(undisturbed, "run 1 has ended", |s| {
        s["domains"][0]["last_run"]["run"] == 1
    });
    assert!(job.path("state/reserve").exists());

    disk.fill("ballast-1", 30);
    job.until(undisturbed, "training has stopped", |s| {
        problem(s).contains("no training is begun")
    });
    job.deliver(2);
    job.until(undisturbed, "files are still taken", |s| files(s, "pooled") == 6);
    std::thread::sleep(Duration::from_secs(2));
    job.until(undisturbed, "no run has begun", |s| s["domains"][0]["run"].is_null());

    disk.fill("ballast-2", 0);
    job.until(undisturbed, "ingest has stopped", |s| {
        problem(s).contains("no file is taken")
    });
    job.deliver(3);
    let told = job.told();
    let firing = || told("wengu.incident.firing");
    job.until(undisturbed, "it is told and recorded on the full disk", |s| {
        firing() == 2 && s["alerts"]["waiting"] == 0
    });
    assert!(!job.path("state/reserve").exists(), "the reserve was given up");
    job.kill();
    job.until(undisturbed, "it starts on a full disk", |s| {
        problem(s).contains("no file is taken")
    });
    std::thread::sleep(Duration::from_secs(2));
    job.until(undisturbed, "nothing was taken", |s| {
        files(s, "learned") + files(s, "pooled") == 12
    });
    assert_eq!(firing(), 2, "a restart tells nothing twice");

    fs::remove_file(job.path("state/ballast-1")).unwrap();
    fs::remove_file(job.path("state/ballast-2")).unwrap();
    let freed = Instant::now();
    job.until(undisturbed, "files are taken again", |s| {
        let domain = &s["domains"][0]["files"];
        domain
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum::<u64>()
            == 18
    });
    let ingest = freed.elapsed();
    job.until(undisturbed, "all is learned", |s| files(s, "learned") == 18);
    let learned = freed.elapsed();
    tell(&format!(
        "after the disk was freed: files were taken within {ingest:.1?}, and learned within {learned:.1?}"
    ));
    assert!(learned < Duration::from_secs(60));
    job.until(undisturbed, "that it is over is told", |s| {
        told("wengu.incident.resolved") == 1 && s["disk_problem"].is_null()
    });
    assert!(job.path("state/reserve").exists());
    job.stop();
}
