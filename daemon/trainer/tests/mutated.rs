//! Files that a job names, changed at random: what is in them is refused by name, or it is good enough to train on. Never does the
//! trainer meet what it has no name for. `WENGU_MUTATIONS` says how many (300), `WENGU_SEED` which; a failure names both.

mod train_support;

use serde_json::Value;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};
use train_support::{Bench, JobDir, digest, labels, toy_rows, write_set};
use wengu_protocol::job::{Job, JobEnd, layout};
use wengu_trainer::data::random::{Purpose, Stream};
use wengu_trainer::job;
use wengu_trainer::train_loop::Cancel;

/// One in so many that pass the check is run to its end.
const RUN_ONE_IN: u64 = 4;

/// What numbers of headers and settings become.
const NUMBERS: [&str; 16] = [
    "0",
    "1",
    "-1",
    "2",
    "3",
    "7",
    "0.5",
    "-0.0",
    "1e308",
    "255",
    "65536",
    "2147483647",
    "2147483648",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// A job whose files are all of a trained one, and the files.
fn job_with_all(bench: &Bench) -> (JobDir, Vec<PathBuf>) {
    let short = |job: &mut Job| {
        job.learning.epochs = 1;
        job.learning.discriminant_weight = 0.3;
        job.learning.fisher_examples = 4;
    };
    let first = bench.job("first", short);
    first.run(JobEnd::Completed);
    let second = bench.job("second", |job| {
        short(job);
        job.parent = Some(first.parent(4));
        job.labels = labels(5);
        job.learning.ewc_lambda = 10.0;
        job.learning.replay_ratio = 0.5;
        job.learning.distill_alpha = 0.5;
        job.learning.distill_new_alpha = 0.25;
        job.learning.prior_correction = 1.0;
        job.data.replay = Some("data/replay.safetensors".into());
        job.data.learned = vec![24, 24, 24, 24, 3];
    });
    let teacher = Tensor::ones([16, 4], (Kind::Float, tch::Device::Cpu));
    write_set(
        &second.root.join("data/replay.safetensors"),
        &toy_rows(4, 4, 2),
        Some(&teacher),
    );
    let mut files = vec![second.root.join(layout::JOB)];
    for folder in [&bench.base.path, &first.root.join("out"), &second.root.join("data")] {
        collect(folder, &mut files);
    }
    files.retain(|path| !path.components().any(|part| part.as_os_str() == "predictions"));
    files.sort();
    (second, files)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

fn mutated(path: &Path, sound: &[u8], random: &mut Stream) -> Vec<u8> {
    let is_json = path.extension().is_some_and(|kind| kind == "json");
    match random.below(if is_json { 4 } else { 6 }) {
        0 => of_bytes(sound, random),
        _ if is_json => changed(sound, random),
        1 => {
            // The length of the header.
            let mut bytes = sound.to_vec();
            bytes[random.below(8) as usize] = random.below(256) as u8;
            bytes
        }
        2 => {
            // A number that is a weight, an id, a label.
            let mut bytes = sound.to_vec();
            let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            let at = header + random.below((bytes.len() - header).max(1) as u64) as usize / 4 * 4;
            for byte in bytes.iter_mut().skip(at).take(4) {
                *byte = [0, 0x7f, 0x80, 0xff][random.below(4) as usize];
            }
            bytes
        }
        _ => {
            let header = 8 + u64::from_le_bytes(sound[..8].try_into().unwrap()) as usize;
            let text = changed(&sound[8..header], random);
            [&(text.len() as u64).to_le_bytes()[..], &text, &sound[header..]].concat()
        }
    }
}

/// A bit, a missing end, a part that comes twice.
fn of_bytes(sound: &[u8], random: &mut Stream) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    let at = random.below(bytes.len() as u64) as usize;
    match random.below(3) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes.truncate(at),
        _ => {
            let part = bytes[at..(at + 16).min(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
    }
    bytes
}

/// JSON in which one value is another, gone, or there under another name.
fn changed(json: &[u8], random: &mut Stream) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(json).unwrap();
    let mut paths = Vec::new();
    walk(&value, "", &mut paths);
    let path = &paths[random.below(paths.len() as u64) as usize];
    let other = value
        .pointer(&paths[random.below(paths.len() as u64) as usize])
        .unwrap()
        .clone();
    let number: Value = serde_json::from_str(NUMBERS[random.below(NUMBERS.len() as u64) as usize]).unwrap();
    let at = value.pointer_mut(path).unwrap();
    let put = match random.below(7) {
        0 => Some(Value::Null),
        1 => Some(Value::String("温故".into())),
        2 => Some(Value::Array(Vec::new())),
        3 => Some(other),
        4 | 5 => Some(number),
        _ => None,
    };
    match (put, path.rsplit_once('/')) {
        (Some(put), _) => *at = put,
        (None, Some((around, name))) => match value.pointer_mut(around).unwrap() {
            Value::Object(members) => drop(members.remove(&name.replace("~1", "/").replace("~0", "~"))),
            Value::Array(items) => drop(items.remove(name.parse::<usize>().unwrap())),
            _ => {}
        },
        (None, None) => *at = Value::Null,
    }
    serde_json::to_vec(&value).unwrap()
}

/// Pointers to all values.
fn walk(value: &Value, at: &str, paths: &mut Vec<String>) {
    paths.push(at.to_owned());
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            walk(
                value,
                &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")),
                paths,
            )
        }),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(i, value)| walk(value, &format!("{at}/{i}"), paths)),
        _ => {}
    }
}

#[test]
fn a_file_that_was_changed_is_refused_by_name_or_good_enough() {
    let bench = Bench::new();
    let (job_dir, files) = job_with_all(&bench);
    let json = std::fs::read(job_dir.root.join(layout::JOB)).unwrap();
    let described: Job = serde_json::from_slice(&json).unwrap();
    assert!(
        job::check(&job_dir.root).is_ok(),
        "{:?}",
        job::check(&job_dir.root).err()
    );
    assert!(files.len() > 10, "{files:?}");
    let (seed, count) = (setting("WENGU_SEED", 1), setting("WENGU_MUTATIONS", 300));
    let (mut refused, mut run, mut nameless) = (0, 0, Vec::new());
    for n in 0..count {
        let mut random = Stream::new(seed, Purpose::Shuffle, n);
        let path = &files[random.below(files.len() as u64) as usize];
        let sound = std::fs::read(path).unwrap();
        let bytes = mutated(path, &sound, &mut random);
        std::fs::write(path, &bytes).unwrap();
        let mut described = described.clone();
        for (name, sha256) in &mut described.base.sha256 {
            *sha256 = digest(&described.base.path.join(name));
        }
        if !path.ends_with(layout::JOB) {
            job_dir.write(&described);
        }
        // If the process ends here, this says at what.
        std::fs::write(
            bench.folder.path().join("mutation"),
            format!("{seed} {n} {}", path.display()),
        )
        .unwrap();
        let told = match job::check(&job_dir.root) {
            Err(error) => {
                refused += 1;
                (error.end == JobEnd::Internal).then_some(error.message)
            }
            Ok(_) if n % RUN_ONE_IN == 0 => {
                run += 1;
                let end = job::run(&job_dir.root, &Cancel::default());
                (end == JobEnd::Internal).then(|| job_dir.result().message)
            }
            Ok(_) => None,
        };
        if let Some(message) = told {
            let name = path.strip_prefix(bench.folder.path()).unwrap().display().to_string();
            nameless.push(format!("WENGU_SEED={seed}, number {n}, {name}: {message}"));
        }
        for made in [layout::RESULT, layout::RESULT_SUM, layout::PROGRESS] {
            let _ = std::fs::remove_file(job_dir.root.join(made));
        }
        for made in ["out", "checkpoint"] {
            let _ = std::fs::remove_dir_all(job_dir.root.join(made));
        }
        std::fs::write(path, sound).unwrap();
        std::fs::write(job_dir.root.join(layout::JOB), &json).unwrap();
    }
    println!("{count} changed files: {refused} refused, {run} trained on");
    assert!(
        nameless.is_empty(),
        "{} without a name:\n{}",
        nameless.len(),
        nameless.join("\n")
    );
    assert!(refused > count / 4 && run > 0);
}
