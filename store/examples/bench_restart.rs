//! From the start of a daemon to its readiness, with many known files: their records, and the files themselves in the
//! watched folder. Beside it the floor: the bytes of journal and index read bare, just before each start, so that both
//! find the same page cache and the same neighbours. At last what the daemon takes when it has looked at every file and has
//! nothing to do.
//!
//! `cargo run -p wengu-store --example bench_restart --release PROGRAM [FILES] [sled|redb]`, where PROGRAM is `wengu`

use std::error::Error;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wengu_store::records::{ContentRecord, Counts, CurrentRecord, FileRecord, FileState, How, Seen, VersionRecord};
use wengu_store::{Batch, Hash, IndexKind, Options, Store};

/// As the daemon settles them after a verdict.
const FILES_A_BATCH: usize = 1000;
/// Files that are recorded at the same time, as fsyncs are what takes the time.
const THREADS: usize = 32;
const STARTS: usize = 5;
/// A process that takes less than a hundredth of this time is at rest.
const REST: Duration = Duration::from_secs(10);
const VERSION: &str = "0001-000000000000";

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().ok_or("name the program wengu")?;
    let files: usize = arguments.next().map_or(Ok(100_000), |n| n.parse())?;
    let only = arguments.next();
    let mut kinds = vec![("sled", IndexKind::Sled), ("redb", IndexKind::Redb)];
    kinds.retain(|(name, _)| only.as_deref().is_none_or(|only| only == *name));
    if kinds.is_empty() {
        return Err("the index is `sled` or `redb`".into());
    }
    for (name, index) in kinds {
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
        // The one object is nothing beside journal and index.
        let read = [dir.path().join("state/store")];
        // What agrees with the version in service is not known yet: every file is looked at.
        let (mut daemon, seconds) = start(&program, dir.path())?;
        println!("{name}, first: ready after {seconds:.2} s");
        leave(&mut daemon, "stopped")?;
        for end in ["stopped", "killed"] {
            let (mut ready, mut cpu, mut floors) = (Vec::new(), Vec::new(), Vec::new());
            let mut bytes = 0;
            for _ in 0..STARTS {
                let began = Instant::now();
                bytes = read_all(&read)?;
                floors.push(began.elapsed().as_secs_f64());
                let (mut daemon, seconds) = start(&program, dir.path())?;
                ready.push(seconds);
                cpu.push(cpu_seconds(daemon.id())?);
                leave(&mut daemon, end)?;
            }
            let (median, worst, cpu) = (middle(&mut ready), ready[STARTS - 1], middle(&mut cpu));
            let floor = middle(&mut floors);
            println!(
                "{name}, {end} before the next start: ready after {median:.2} s, the median of {STARTS} (worst {worst:.2} s), \
                 with {cpu:.2} s of processor time; {:.0} times the bare reading of the same {} MiB ({:.0} ms)",
                median / floor,
                bytes >> 20,
                floor * 1000.0
            );
        }
        let (mut daemon, _) = start(&program, dir.path())?;
        println!("{name}, at rest: {}", at_rest(daemon.id())?);
        leave(&mut daemon, "stopped")?;
    }
    Ok(())
}

/// Waits until a process has nothing to do, and tells what it takes then.
fn at_rest(pid: u32) -> Result<String, Box<dyn Error>> {
    let began = Instant::now();
    let mut cpu = cpu_seconds(pid)?;
    let woken = loop {
        let woken = times_woken(pid)?;
        thread::sleep(REST);
        let before = std::mem::replace(&mut cpu, cpu_seconds(pid)?);
        if cpu - before < REST.as_secs_f64() / 100.0 {
            break (times_woken(pid)? - woken) as f64 / REST.as_secs_f64();
        }
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mib = |key| Ok::<u64, Box<dyn Error>>(number(&status, key)? >> 10);
    Ok(format!(
        "after {:.0} s, with {cpu:.1} s of processor time; {} MiB resident, {} of them not mapped from files; woken {woken:.1} times a second",
        began.elapsed().as_secs_f64(),
        mib("VmRSS:")?,
        mib("RssAnon:")?
    ))
}

/// How often a thread of the process has waited and was woken.
fn times_woken(pid: u32) -> Result<u64, Box<dyn Error>> {
    let mut woken = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that ends meanwhile is left out.
        if let Ok(status) = fs::read_to_string(thread?.path().join("status")) {
            woken += number(&status, "voluntary_ctxt_switches:")?;
        }
    }
    Ok(woken)
}

/// The number behind a key of proc(5)'s `status`.
fn number(status: &str, key: &str) -> Result<u64, Box<dyn Error>> {
    let value = status.lines().find_map(|line| line.strip_prefix(key));
    let number = value.and_then(|value| value.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("no {key} in the status of a process"))?
        .parse()?)
}

/// Sorts them.
fn middle(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// Reads all files below, and nothing more. Returns the bytes.
fn read_all(paths: &[PathBuf]) -> std::io::Result<u64> {
    let (mut bytes, mut buffer) = (0, vec![0; 1 << 16]);
    for path in paths {
        if path.is_dir() {
            let inside: std::io::Result<Vec<PathBuf>> = fs::read_dir(path)?.map(|e| e.map(|e| e.path())).collect();
            bytes += read_all(&inside?)?;
            continue;
        }
        let mut file = fs::File::open(path)?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => bytes += n as u64,
            }
        }
    }
    Ok(bytes)
}

/// A domain whose files have all been learned, with the commits that the daemon makes for them: one where each is taken, one
/// where it was read, and the settling of many.
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
    let each = |first: usize| -> Result<(), String> {
        for n in (first..files).step_by(THREADS) {
            deliver(&store, dir, n, object).map_err(|e| e.to_string())?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let each = &each;
        let threads: Vec<_> = (0..THREADS).map(|first| scope.spawn(move || each(first))).collect();
        let mut ends = threads.into_iter();
        ends.try_for_each(|thread| thread.join().expect("a thread has panicked"))
    })?;
    let pooled = store.scan::<FileRecord>("")?;
    for chunk in pooled.chunks(FILES_A_BATCH) {
        let mut batch = Batch::new("files.settled");
        for (key, file) in chunk {
            let state = FileState::Learned {
                examples: object,
                counts: Counts::default(),
                version: VERSION.into(),
            };
            batch = batch.put(key, &FileRecord { state, ..file.clone() })?;
        }
        store.commit(batch)?;
    }
    Ok(())
}

fn deliver(store: &Store, dir: &Path, n: usize, object: Hash) -> Result<(), Box<dyn Error>> {
    // A thousand in a folder.
    let folder = dir.join(format!("inbox/{:03}", n / 1000));
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("病历-{n:06}.txt"));
    fs::write(&path, format!("{n}"))?;
    let about = path.metadata()?;
    let hash = Hash::of(path.as_os_str().as_encoded_bytes()).to_string();
    let key = format!("contracts/{}", &hash[..32]);
    let taken = FileRecord {
        salt: String::new(),
        domain: "contracts".into(),
        case_key: path.strip_prefix(dir.join("inbox"))?.display().to_string(),
        path: path.display().to_string(),
        path_bytes: Vec::new(),
        revision: 1,
        content: Some(object),
        sidecars: Vec::new(),
        seen: Some(Seen {
            size: about.len(),
            mtime_ns: i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec()),
            inode: about.ino(),
        }),
        read_with: None,
        first_seen_ms: 1,
        updated_ms: 1,
        present: true,
        state: FileState::Ingested,
    };
    let content = format!("contracts/{}", Hash::of(&n.to_le_bytes()));
    let batch = Batch::new("file.ingested").put(&key, &taken)?;
    store.commit(batch.put(&content, &ContentRecord { file: key.clone() })?)?;
    let read = FileRecord {
        read_with: Some("0123456789abcdef".into()),
        state: FileState::Pooled {
            examples: object,
            counts: Counts::default(),
            tried_in_run: None,
        },
        ..taken
    };
    store.commit(Batch::new("file.read").put(&key, &read)?)?;
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
