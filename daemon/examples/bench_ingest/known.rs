//! What files cost that have been known for long: the store is filled directly, with files that lie in the folder as they are recorded.

use crate::site::Site;
use crate::{Args, process};
use anyhow::Result;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};
use wengu_store::records::{Counts, FileRecord, FileState, Seen};
use wengu_store::{Batch, Options, Store};

/// Files in one folder, and in one commit.
const TOGETHER: usize = 1000;

/// A daemon that knows so many files and has nothing to do.
#[derive(Serialize)]
pub struct Known {
    files: usize,
    /// From its start until it answers.
    ready_s: f64,
    /// From its start until it has looked at every file.
    idle_s: f64,
    rss_mib: f64,
    peak_rss_mib: f64,
    threads: usize,
    /// Times that a thread was woken, a second.
    wakes_a_second: f64,
    /// Share of one core, in percent.
    cpu_percent: f64,
}

pub fn measure(args: &Args, files: usize) -> Result<Known> {
    let mut site = Site::new(&args.wengu, &args.dir, 200)?;
    fill(&site, files)?;
    let began = Instant::now();
    let ready = site.start()?;
    while site.status()?.domains[0].intake_busy {
        std::thread::sleep(Duration::from_millis(500));
    }
    let idle = began.elapsed();
    std::thread::sleep(Duration::from_secs(5));
    let before = process::look(site.pid())?;
    let watched = Instant::now();
    std::thread::sleep(Duration::from_secs(args.idle_s));
    let after = process::look(site.pid())?;
    let seconds = watched.elapsed().as_secs_f64();
    site.stop()?;
    let known = Known {
        files,
        ready_s: ready.as_secs_f64(),
        idle_s: idle.as_secs_f64(),
        rss_mib: after.rss_mib,
        peak_rss_mib: after.peak_rss_mib,
        threads: after.threads(),
        wakes_a_second: after.wakes_since(&before) as f64 / seconds,
        cpu_percent: 100.0 * (after.cpu_s - before.cpu_s) / seconds,
    };
    println!(
        "{files} known files: answers after {:.2} s, idle after {:.1} s; idle {:.1} MiB (at most {:.1}), {} threads, {:.1} wake-ups/s, \
         {:.2} % of a core",
        known.ready_s,
        known.idle_s,
        known.rss_mib,
        known.peak_rss_mib,
        known.threads,
        known.wakes_a_second,
        known.cpu_percent
    );
    Ok(known)
}

fn fill(site: &Site, files: usize) -> Result<()> {
    std::fs::create_dir_all(site.path("state"))?;
    let (store, _) = Store::open(&site.path("state/store"), Options::default())?;
    let content = store.objects().put_bytes(b"{\"text\": \"x\", \"label\": \"y\"}")?;
    for begin in (0..files).step_by(TOGETHER) {
        let folder = site.path(&format!("inbox/{:04}", begin / TOGETHER));
        std::fs::create_dir(&folder)?;
        let mut batch = Batch::new("file.read");
        for n in begin..files.min(begin + TOGETHER) {
            let path = folder.join(format!("案卷-{n:07}.jsonl"));
            std::fs::write(&path, b"x")?;
            let metadata = std::fs::metadata(&path)?;
            let seen = Seen {
                size: metadata.size(),
                mtime_ns: i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec()),
                inode: metadata.ino(),
            };
            let record = FileRecord {
                salt: format!("{n:032x}"),
                domain: "bench".into(),
                path: path.display().to_string(),
                path_bytes: Vec::new(),
                case_key: format!("{:04}/案卷-{n:07}.jsonl", begin / TOGETHER),
                revision: 1,
                content: Some(content),
                sidecars: Vec::new(),
                seen: Some(seen),
                read_with: Some("0123456789abcdef".into()),
                first_seen_ms: 1_700_000_000_000,
                updated_ms: 1_700_000_000_000,
                present: true,
                state: FileState::Learned {
                    examples: content,
                    counts: Counts {
                        train: 1,
                        ..Counts::default()
                    },
                    version: "0001-0123456789ab".into(),
                },
            };
            let key = format!("bench/{}", &blake3::hash(path.as_os_str().as_bytes()).to_hex()[..32]);
            batch = batch.put(&key, &record)?;
        }
        store.commit(batch)?;
    }
    Ok(())
}
