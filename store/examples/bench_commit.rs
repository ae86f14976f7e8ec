//! Durable commits a second, beside what the disk gives for bare appends and fsyncs.
//!
//! `cargo run -p wengu-store --example bench_commit --release [DIRECTORY]`

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use wengu_store::{Batch, Options, Record, Store};

const SLICES: usize = 25;
const SLICE: Duration = Duration::from_millis(100);
const THREADS: [u64; 3] = [1, 4, 16];

/// About as large as the record of a case file.
#[derive(Serialize, Deserialize)]
struct File {
    path: String,
    hash: String,
    state: String,
    bytes: u64,
}

impl Record for File {
    const TABLE: &'static str = "file";
    const VERSION: u16 = 1;
}

fn file(n: u64) -> File {
    let hash = wengu_store::Hash::of(&n.to_le_bytes()).to_string();
    File {
        path: format!("/srv/cases/2024/病历-{n}.txt"),
        hash,
        state: "ingested".to_string(),
        bytes: n,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = parent.join(format!("wengu-bench-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let measured = measure(&dir);
    fs::remove_dir_all(&dir)?;
    measured
}

fn measure(dir: &Path) -> Result<(), Box<dyn Error>> {
    let (store, _) = Store::open(&dir.join("store"), Options::default())?;
    // The disk may have other users: short slices take turns, and the medians are compared.
    let mut floors = Vec::new();
    let mut rates = [const { Vec::new() }; 3];
    let mut raw = OpenOptions::new().create_new(true).append(true).open(dir.join("raw"))?;
    for _ in 0..SLICES {
        floors.push(floor(&mut raw)?);
        for (rates, threads) in rates.iter_mut().zip(THREADS) {
            rates.push(commits(&store, threads));
        }
    }
    let floor = median(floors);
    println!("append of 330 bytes + fdatasync: {floor:.0} /s");
    for (rates, threads) in rates.into_iter().zip(THREADS) {
        let rate = median(rates);
        println!(
            "durable commits, {threads:>2} threads: {rate:>6.0} /s ({:.2} of the above)",
            rate / floor
        );
    }
    let count = store.count::<File>("")?;
    let started = Instant::now();
    let reads = 100_000;
    for n in 0..reads {
        store.get::<File>(&format!("0/{}", n % 100))?;
    }
    println!("get: {:.0} /s", f64::from(reads) / started.elapsed().as_secs_f64());
    let started = Instant::now();
    store.scan::<File>("")?;
    println!("scan of {count} records: {:?}", started.elapsed());
    let commits = store.last_seq();
    drop(store);
    let started = Instant::now();
    let (store, _) = Store::open(&dir.join("store"), Options::default())?;
    println!(
        "open with all checks ({commits} commits, {count} records): {:?}",
        started.elapsed()
    );
    drop(store);
    let started = Instant::now();
    let (store, report) = Store::open(
        &dir.join("store"),
        Options {
            rebuild_index: true,
            ..Options::default()
        },
    )?;
    println!(
        "rebuild of the index ({} commits): {:?}",
        report.replayed,
        started.elapsed()
    );
    drop(store);
    Ok(())
}

/// What one thread gets from the disk.
fn floor(file: &mut fs::File) -> std::io::Result<f64> {
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < SLICE {
        file.write_all(&[b'x'; 330])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn commits(store: &Store, threads: u64) -> f64 {
    let started = Instant::now();
    let before = store.last_seq();
    thread::scope(|scope| {
        for t in 0..threads {
            scope.spawn(move || {
                for n in 0.. {
                    if started.elapsed() > SLICE {
                        break;
                    }
                    let batch = Batch::new("file.ingested").put(&format!("{t}/{n}"), &file(n));
                    store
                        .commit(batch.expect("the record is small"))
                        .expect("the disk is sound");
                }
            });
        }
    });
    (store.last_seq() - before) as f64 / started.elapsed().as_secs_f64()
}
