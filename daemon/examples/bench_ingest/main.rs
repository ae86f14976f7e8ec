//! What taking files in costs, through the real daemon, beside the same copies and fsyncs done bare; and what the daemon costs while
//! nothing comes in. No update starts: the threshold is out of reach.
//!
//! usage: bench_ingest WENGU --texts FOLDER [--encryption] [--files N] [--large-mib M] [--known N,N] [--idle-s S] [--dir DIR] [--out FILE]

mod encryption;
mod floor;
mod known;
mod process;
mod site;
mod texts;

use anyhow::{Context, Result};
use clap::Parser;
use serde::Serialize;
use site::Site;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Files whose way is timed one by one.
const TIMED: usize = 300;
/// Large files in one delivery.
const LARGE: usize = 3;

#[derive(Parser)]
struct Args {
    /// The program `wengu`
    wengu: PathBuf,
    /// Folder with files of JSON Lines whose records have "text" and "label"
    #[arg(long)]
    texts: PathBuf,
    /// Measure nothing but what a key costs
    #[arg(long)]
    encryption: bool,
    /// Small files in one delivery
    #[arg(long, default_value_t = 100_000)]
    files: usize,
    /// Size of a large file
    #[arg(long, default_value_t = 200)]
    large_mib: u64,
    /// Numbers of files that are known already
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    known: Vec<usize>,
    /// For how long an idle daemon is looked at
    #[arg(long, default_value_t = 60)]
    idle_s: u64,
    /// Where to work; on the disk that is to be measured
    #[arg(long, default_value = "target")]
    dir: PathBuf,
    /// Where the numbers go as JSON
    #[arg(long, default_value = "target/bench-ingest.json")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Report {
    /// Of the bench, which is built as the daemon is.
    release_build: bool,
    cores: usize,
    /// One-minute load before the start.
    load_before: f64,
    small: Delivery,
    large: Delivery,
    latency: Latency,
    growth: Vec<known::Known>,
}

/// A delivery of many files at once.
#[derive(Serialize)]
struct Delivery {
    files: usize,
    bytes: u64,
    /// From the rename of their folder to the last acknowledged record, the settle time taken off.
    seconds: f64,
    files_a_second: f64,
    mib_a_second: f64,
    /// The same copies and fsyncs, one after the other, and nothing else.
    floor_seconds: f64,
    /// Most that the daemon had in memory.
    peak_rss_mib: f64,
    daemon_cpu_s: f64,
}

/// Milliseconds from the rename of one file into the folder of an idle daemon, the settle time being 0.
#[derive(Serialize)]
struct Latency {
    files: usize,
    /// To a durable copy and its acknowledged record.
    durable_p50_ms: f64,
    durable_p99_ms: f64,
    /// To its examples being pooled.
    pooled_p50_ms: f64,
    pooled_p99_ms: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    std::fs::create_dir_all(&args.dir)?;
    let load_before = std::fs::read_to_string("/proc/loadavg")?;
    let texts = texts::read(&args.texts)?;
    println!("{} texts of {}", texts.len(), args.texts.display());
    let small = |folder: &Path| texts::small(&texts, folder, args.files);
    let large = |folder: &Path| texts::large(&texts, folder, LARGE, args.large_mib << 20);
    if args.encryption {
        let found = encryption::measure(&args, &small)?;
        std::fs::write(&args.out, serde_json::to_vec_pretty(&found)?)?;
        println!("written to {}", args.out.display());
        return Ok(());
    }
    let report = Report {
        release_build: !cfg!(debug_assertions),
        cores: std::thread::available_parallelism()?.get(),
        load_before: load_before.split(' ').next().unwrap_or_default().parse()?,
        small: deliver(&args, "small files", &small, false)?,
        large: deliver(&args, "large files", &large, false)?,
        latency: latency(&args, &texts)?,
        growth: args
            .known
            .iter()
            .map(|&files| known::measure(&args, files))
            .collect::<Result<_>>()?,
    };
    std::fs::write(&args.out, serde_json::to_vec_pretty(&report)?)?;
    println!("written to {}", args.out.display());
    Ok(())
}

fn deliver(args: &Args, what: &str, make: &dyn Fn(&Path) -> Result<u64>, is_sealed: bool) -> Result<Delivery> {
    let mut site = Site::new(&args.wengu, &args.dir, 200)?;
    if is_sealed {
        site.encrypt()?;
    }
    let outgoing = site.path("outgoing");
    std::fs::create_dir(&outgoing)?;
    let bytes = make(&outgoing)?;
    // What was just written is not to be paid for by the daemon or by the floor.
    nix::unistd::sync();
    let floor_seconds = floor::copies(&outgoing, &site.path("floor"))?.as_secs_f64();
    let files = std::fs::read_dir(&outgoing)?.count();
    site.start()?;
    let began = Instant::now();
    let began_at = std::time::SystemTime::now();
    std::fs::rename(&outgoing, site.path("inbox/delivery"))?;
    let ended_at = site.until_quiet(files as u64)?;
    let settle = Duration::from_millis(site.settle_ms);
    let seconds = ended_at
        .duration_since(began_at)
        .unwrap_or(began.elapsed())
        .saturating_sub(settle);
    let process = process::look(site.pid())?;
    let delivery = Delivery {
        files,
        bytes,
        seconds: seconds.as_secs_f64(),
        files_a_second: files as f64 / seconds.as_secs_f64(),
        mib_a_second: bytes as f64 / f64::from(1 << 20) / seconds.as_secs_f64(),
        floor_seconds,
        peak_rss_mib: process.peak_rss_mib,
        daemon_cpu_s: process.cpu_s,
    };
    println!(
        "{what}: {files} of {:.1} MiB together: {:.1} s, {:.0} files/s, {:.1} MiB/s; bare copies and fsyncs {floor_seconds:.1} s; \
         processor {:.1} s, at most {:.0} MiB",
        bytes as f64 / f64::from(1 << 20),
        delivery.seconds,
        delivery.files_a_second,
        delivery.mib_a_second,
        delivery.daemon_cpu_s,
        delivery.peak_rss_mib
    );
    Ok(delivery)
}

fn latency(args: &Args, texts: &[texts::Text]) -> Result<Latency> {
    let mut site = Site::new(&args.wengu, &args.dir, 0)?;
    site.start()?;
    let outgoing = site.path("outgoing");
    std::fs::create_dir(&outgoing)?;
    texts::small(texts, &outgoing, TIMED)?;
    let client = site.client()?;
    let (mut durable, mut pooled) = (Vec::new(), Vec::new());
    for (before, entry) in (0u64..).zip(std::fs::read_dir(&outgoing)?) {
        let entry = entry?;
        let to = site.path("inbox").join(entry.file_name());
        let began = Instant::now();
        std::fs::rename(entry.path(), &to)?;
        let mut is_durable = false;
        loop {
            let (records, read) = site.taken(&client)?;
            if records > before && !is_durable {
                is_durable = true;
                durable.push(began.elapsed());
            }
            if read > before {
                pooled.push(began.elapsed());
                break;
            }
            anyhow::ensure!(
                began.elapsed() < Duration::from_secs(60),
                "{} was not taken",
                to.display()
            );
        }
        // The next one finds it idle.
        std::thread::sleep(Duration::from_millis(150));
    }
    let percentile = |times: &mut Vec<Duration>, percent: usize| {
        times.sort();
        let last = times.len().checked_sub(1).context("nothing was timed")?;
        anyhow::Ok(times[last * percent / 100].as_secs_f64() * 1e3)
    };
    let latency = Latency {
        files: TIMED,
        durable_p50_ms: percentile(&mut durable, 50)?,
        durable_p99_ms: percentile(&mut durable, 99)?,
        pooled_p50_ms: percentile(&mut pooled, 50)?,
        pooled_p99_ms: percentile(&mut pooled, 99)?,
    };
    println!(
        "one file into an idle daemon: durable after {:.1} ms (p50), {:.1} ms (p99); pooled after {:.1} ms, {:.1} ms",
        latency.durable_p50_ms, latency.durable_p99_ms, latency.pooled_p50_ms, latency.pooled_p99_ms
    );
    Ok(latency)
}
