//! What the system says of the daemon.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fs;

/// `USER_HZ`, the same on every Linux.
const TICKS_A_SECOND: f64 = 100.0;

/// A look at a process.
pub struct Process {
    pub rss_mib: f64,
    pub peak_rss_mib: f64,
    pub cpu_s: f64,
    /// By thread, how often it has gone to sleep by itself: once for each time that it had been woken.
    sleeps: BTreeMap<String, u64>,
}

impl Process {
    pub fn threads(&self) -> usize {
        self.sleeps.len()
    }

    /// How often its threads have been woken since an earlier look; those that have ended meanwhile are not known.
    pub fn wakes_since(&self, before: &Process) -> u64 {
        let of_thread =
            |(thread, now): (&String, &u64)| now - before.sleeps.get(thread).copied().unwrap_or(0).min(*now);
        self.sleeps.iter().map(of_thread).sum()
    }
}

pub fn look(pid: u32) -> Result<Process> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let number = |text: &str, key: &str| -> Result<u64> {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .with_context(|| key.to_owned())?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name, which may hold anything: fields 14 and 15 are ticks in user and kernel mode.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    let mut sleeps = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        // It may have ended.
        if let Ok(status) = fs::read_to_string(task.path().join("status")) {
            let slept = number(&status, "voluntary_ctxt_switches")?;
            sleeps.insert(task.file_name().to_string_lossy().into_owned(), slept);
        }
    }
    Ok(Process {
        rss_mib: number(&status, "VmRSS")? as f64 / 1024.0,
        peak_rss_mib: number(&status, "VmHWM")? as f64 / 1024.0,
        cpu_s: ticks as f64 / TICKS_A_SECOND,
        sleeps,
    })
}
