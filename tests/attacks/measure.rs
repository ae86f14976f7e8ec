//! One attack through the real reader: once as the daemon does it, once alone, to see what memory it had.
//!
//! Not by `wait4`: what it tells of a child begins with what the test itself had when it started it.

use crate::Attack;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wengu_protocol::reader::{READER_COOKIE, READER_PROTOCOL, Request};
use wengu_reader_client::{Failure, read as have_read};

/// Between looks at the memory of a process, which only ever rises: what the last of them may miss is what a parser
/// takes in so short a time.
const LOOK: Duration = Duration::from_micros(300);

/// What became of an attack.
pub struct Outcome {
    /// `read`, a verdict, or `read, VERDICT`.
    pub fate: String,
    /// The words with it.
    pub reason: String,
    /// The longer of two runs.
    pub time: Duration,
    /// Largest resident size of the process.
    pub peak_bytes: u64,
}

/// Runs an attack.
pub fn read(attack: &Attack) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let began = Instant::now();
    let found = runtime.block_on(have_read(&reader(), attack.file, &attack.bytes, None, &attack.limits));
    let first = began.elapsed();
    let (fate, reason) = match found {
        Err(Failure::File(refusal)) => (refusal.verdict.as_str().to_owned(), refusal.reason),
        Err(failure @ Failure::Reader(_)) => ("no reader".to_owned(), failure.to_string()),
        Ok(found) => match (found.parts.is_empty(), found.refused.first()) {
            (false, None) => ("read".to_owned(), String::new()),
            (false, Some((member, refusal))) => (
                format!("read, {}", refusal.verdict.as_str()),
                format!("{member}: {}", refusal.reason),
            ),
            (true, Some((member, refusal))) => (
                refusal.verdict.as_str().to_owned(),
                format!("{member}: {}", refusal.reason),
            ),
            (true, None) => ("nothing".to_owned(), String::new()),
        },
    };
    let (second, peak_bytes) = alone(attack);
    Outcome {
        fate,
        reason,
        time: first.max(second),
        peak_bytes,
    }
}

fn reader() -> PathBuf {
    program("wengu-reader")
}

/// Where the workspace builds a program.
pub fn place(program: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap();
    deps.parent().unwrap().parent().unwrap().join(program)
}

/// A program that the workspace builds.
pub fn program(name: &str) -> PathBuf {
    let path = place(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build --workspace --bins --lib",
        path.display()
    );
    path
}

/// Time and peak memory of one process.
fn alone(attack: &Attack) -> (Duration, u64) {
    let request = Request {
        protocol: READER_PROTOCOL,
        file_name: attack.file.to_owned(),
        encoding: None,
        limits: attack.limits.clone(),
        skip: Vec::new(),
    };
    let mut document = tempfile::tempfile().unwrap();
    document.write_all(&attack.bytes).unwrap();
    document.rewind().unwrap();
    let began = Instant::now();
    let mut child = Command::new(reader())
        .arg(serde_json::to_string(&request).unwrap())
        .env_clear()
        .env(READER_COOKIE.0, READER_COOKIE.1)
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(document)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut frames = child.stdout.take().unwrap();
    let listener = std::thread::spawn(move || std::io::copy(&mut frames, &mut std::io::sink()).unwrap());
    let (_, peak_bytes) = wait(&mut child, Duration::MAX);
    listener.join().unwrap();
    (began.elapsed(), peak_bytes)
}

/// How a process ends, and its peak memory. It is killed after `longest`.
pub fn wait(child: &mut Child, longest: Duration) -> (ExitStatus, u64) {
    let began = Instant::now();
    let mut peak_bytes = 0;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak_bytes);
        }
        peak_bytes = high_water(child.id()).unwrap_or(0).max(peak_bytes);
        if began.elapsed() > longest {
            child.kill().unwrap();
        }
        std::thread::sleep(LOOK);
    }
}

/// The largest resident size that a process has had so far.
fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Reads a whole decoder, for the builders of the corpus.
pub fn all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}
