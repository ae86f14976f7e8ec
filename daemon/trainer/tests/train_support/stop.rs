//! Jobs that are stopped and killed.

use super::JobDir;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use wengu_protocol::job::{JobEnd, layout};

/// Starts the job.
pub fn start(dir: &JobDir) -> Child {
    dir.command("run").stderr(Stdio::null()).spawn().unwrap()
}

/// The checkpoints that are there, oldest first.
pub fn checkpoints(dir: &JobDir) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.root.join("checkpoint")) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    found.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with("step-"));
    found.sort();
    found
}

/// Waits until a checkpoint of at least this step is there.
pub fn wait_for_step(dir: &JobDir, step: u64) {
    let began = Instant::now();
    let name = OsString::from(format!("step-{step:012}"));
    while !checkpoints(dir).iter().any(|path| *path.file_name().unwrap() >= *name) {
        assert!(
            began.elapsed() < Duration::from_secs(120),
            "no checkpoint of step {step}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill")
        .arg(name)
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(status.success());
}

/// Starts the job, stops it by SIGTERM after the step, and leaves it with a checkpoint and no result.
pub fn stop_at(dir: &JobDir, step: u64) {
    let mut child = start(dir);
    wait_for_step(dir, step);
    signal(&child, "-TERM");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(i32::from(JobEnd::Cancelled.exit_code())));
    assert!(!dir.root.join(layout::RESULT).exists());
    assert!(!checkpoints(dir).is_empty());
}
