//! From the start of a daemon to its readiness, with many known files: their records, and the files themselves in the
//! watched folder.
//!
//! `cargo run -p wengu-store --example bench_restart --release PROGRAM [FILES]`, where PROGRAM is `wengu`

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wengu_store::records::{ContentRecord, Counts, CurrentRecord, FileRecord, FileState, How, Seen, VersionRecord};
use wengu_store::{Batch, Hash, IndexKind, Options, Store};

const FILES_A_BATCH: usize = 500;
const STARTS: usize = 3;
const VERSION: &str = "0001-000000000000";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("name the program wengu")?;
    let files: usize = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    for (name, index) in [("sled", IndexKind::Sled), ("redb", IndexKind::Redb)] {
        let dir = tempfile::tempdir()?;
        let config = format!(
            "state_dir = \"state\"\n[models.base]\npath = \"model\"\n[store]\nindex = \"{name}\"\n\
             [domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"base\"\n"
        );
        fs::write(dir.path().join("wengu.toml"), config)?;
        fs::create_dir(dir.path().join("model"))?;
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::write(dir.path().join("model").join(file), "")?;
        }
        let began = Instant::now();
        fill(dir.path(), files, index)?;
        println!(
            "{name}: {files} files recorded in {:.1} s",
            began.elapsed().as_secs_f64()
        );
        for end in ["stopped", "killed"] {
            let (mut ready, mut cpu) = (Vec::new(), Vec::new());
            for _ in 0..STARTS {
                let (mut daemon, seconds) = start(&program, dir.path())?;
                ready.push(seconds);
                cpu.push(cpu_seconds(daemon.id())?);
                leave(&mut daemon, end)?;
            }
            ready.sort_by(f64::total_cmp);
            cpu.sort_by(f64::total_cmp);
            let (median, worst, cpu) = (ready[STARTS / 2], ready[STARTS - 1], cpu[STARTS / 2]);
            println!(
                "{name}, {end} before the next start: ready after {median:.2} s, the median of {STARTS} (worst {worst:.2} s), \
                 with {cpu:.2} s of processor time"
            );
        }
    }
    Ok(())
}

/// A domain whose files have all been learned.
fn fill(dir: &Path, files: usize, index: IndexKind) -> Result<(), Box<dyn Error>> {
    let options = Options {
        index,
        ..Options::default()
    };
    let (store, _) = Store::open(&dir.join("state/store"), options)?;
    let object = store.objects().put_bytes(b"examples")?;
    let version = VersionRecord {
        domain: "contracts".into(),
        id: VERSION.into(),
        run: 1,
        parent: None,
        decision: "promote".into(),
        labels: 2,
        accuracy: 0.9,
        created_ms: 1,
        promoted: true,
    };
    let current = CurrentRecord {
        version: VERSION.into(),
        since_ms: 1,
        how: How::Promoted,
        reason: None,
    };
    let batch = Batch::new("bench").put(&VersionRecord::key("contracts", VERSION), &version)?;
    store.commit(batch.put("contracts", &current)?)?;
    fs::create_dir_all(dir.join("state/versions/contracts").join(VERSION))?;
    let numbers: Vec<usize> = (0..files).collect();
    for chunk in numbers.chunks(FILES_A_BATCH) {
        let mut batch = Batch::new("bench");
        for n in chunk {
            // A thousand in a folder.
            let folder = dir.join(format!("inbox/{:03}", n / 1000));
            fs::create_dir_all(&folder)?;
            let path = folder.join(format!("病历-{n:06}.txt"));
            fs::write(&path, format!("{n}"))?;
            let about = path.metadata()?;
            let key = format!(
                "contracts/{}",
                &Hash::of(path.as_os_str().as_encoded_bytes()).to_string()[..32]
            );
            let record = FileRecord {
                domain: "contracts".into(),
                case_key: path.strip_prefix(dir.join("inbox"))?.display().to_string(),
                path: path.display().to_string(),
                revision: 1,
                content: Some(object),
                sidecars: Vec::new(),
                seen: Some(Seen {
                    size: about.len(),
                    mtime_ns: i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec()),
                    inode: about.ino(),
                }),
                read_with: Some("0123456789abcdef".into()),
                first_seen_ms: 1,
                updated_ms: 1,
                present: true,
                state: FileState::Learned {
                    examples: object,
                    counts: Counts::default(),
                    version: VERSION.into(),
                },
            };
            let content = Hash::of(&n.to_le_bytes());
            batch = batch
                .put(&key, &record)?
                .put(&format!("contracts/{content}"), &ContentRecord { file: key.clone() })?;
        }
        store.commit(batch)?;
    }
    Ok(())
}

/// Starts it and waits for its first answer. Returns the seconds until then.
fn start(program: &str, dir: &Path) -> Result<(Child, f64), Box<dyn Error>> {
    let began = Instant::now();
    let mut daemon = Command::new(program)
        .arg("--config")
        .arg(dir.join("wengu.toml"))
        .arg("run")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    while !answers(&dir.join("state/wengu.sock")) {
        if let Some(status) = daemon.try_wait()? {
            return Err(format!("the daemon left: {status}").into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok((daemon, began.elapsed().as_secs_f64()))
}

/// What a process has used so far; on a machine that is busy with other things this is what is its own.
fn cpu_seconds(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // proc(5): utime and stime are the 14th and 15th field, in ticks, of which there are 100 a second.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

fn answers(socket: &Path) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = UnixStream::connect(socket)?;
        stream.write_all(b"GET /v1/incidents HTTP/1.1\r\nHost: wengu\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn leave(daemon: &mut Child, end: &str) -> Result<(), Box<dyn Error>> {
    match end {
        "killed" => daemon.kill()?,
        _ => {
            let pid = nix::unistd::Pid::from_raw(daemon.id() as i32);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?;
        }
    }
    daemon.wait()?;
    Ok(())
}
