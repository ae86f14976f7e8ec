//! Every file of the corpus goes through its target, without a fuzzer: what was found once stays found. So does what comes of each
//! by a few random changes; WENGU_FUZZ_SECONDS gives each target so long.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu_fuzz_targets::{TARGETS, Target};

/// For the slowest file on a busy machine, without optimisation.
const PATIENCE: Duration = Duration::from_secs(60);
/// Changed copies of each file.
const ROUNDS: u64 = 20;

fn files((name, _): Target) -> Vec<(PathBuf, Vec<u8>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    let paths = std::fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn survives((name, target): Target, what: &str, data: &[u8]) {
    let began = Instant::now();
    if let Err(panic) = std::panic::catch_unwind(|| target(data)) {
        let kept = std::env::temp_dir().join(format!("wengu-fuzz-{name}-{}", std::process::id()));
        std::fs::write(&kept, data).unwrap();
        eprintln!("{name} does not survive {what}: {}", kept.display());
        std::panic::resume_unwind(panic);
    }
    assert!(
        began.elapsed() < PATIENCE,
        "{name} took {:?} for {what}",
        began.elapsed()
    );
}

#[test]
fn every_file_of_the_corpus_is_survived() {
    for target in TARGETS {
        let files = files(target);
        assert!(!files.is_empty(), "the corpus of {} is empty", target.0);
        for (path, data) in files {
            survives(target, &path.display().to_string(), &data);
        }
    }
}

#[test]
fn every_file_of_the_corpus_is_survived_with_changes() {
    let seconds = std::env::var("WENGU_FUZZ_SECONDS").map_or(0, |seconds| seconds.parse().unwrap());
    for target in TARGETS {
        let (files, began) = (files(target), Instant::now());
        let mut round = 0;
        while round < ROUNDS || began.elapsed() < Duration::from_secs(seconds) {
            for (place, (path, data)) in files.iter().enumerate() {
                let mut random = Random(round * 1_000_003 + place as u64);
                let other = &files[random.below(files.len())].1;
                let changed = change(data.clone(), other, &mut random);
                survives(target, &format!("{} changed, round {round}", path.display()), &changed);
            }
            round += 1;
        }
        println!(
            "{}: {} inputs in {:.1?}",
            target.0,
            round * files.len() as u64,
            began.elapsed()
        );
    }
}

#[test]
fn the_corpus_has_no_folder_without_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for entry in std::fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "{name} is no target");
    }
}

/// SplitMix64 (Steele et al. 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// One to four changes: bytes are set, removed, repeated, or taken from another file.
fn change(mut data: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    const BYTES: [u8; 12] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'[', b'<', b'\n', b'9', b'-'];
    for _ in 0..=random.below(4) {
        let at = random.below(data.len());
        let end = data.len().min(at + 1 + random.below(64));
        match random.below(6) {
            0 if at < data.len() => data[at] = BYTES[random.below(BYTES.len())],
            1 if at < data.len() => data[at] ^= 1 << random.below(8),
            2 => data.truncate(at),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                for _ in 0..=random.below(50) {
                    data.splice(at..at, piece.iter().copied());
                }
            }
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..other.len().min(from + random.below(256))];
                data.splice(at..end, piece.iter().copied());
            }
        }
    }
    data
}
