//! What sealing costs: the same bytes hashed, written and fsynced as the store does, plain and sealed, in turns in one run.
//!
//!     cargo run --release -p wengu-seal --example bench_seal [FOLDER]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;
use wengu_seal::{Key, Opener, Sealer, generate};

const ROUNDS: usize = 5;

/// Seconds that this thread has been on a processor: what others do on the machine is not in it.
fn processor_s() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let ns: f64 = text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("a number");
    ns / 1e9
}

fn put(path: &Path, bytes: &[u8], key: Option<&Key>) {
    let file = File::create(path).unwrap();
    let mut hasher = blake3::Hasher::new();
    hasher.update(bytes);
    let file = match key {
        None => {
            let mut file = file;
            bytes.chunks(256 << 10).for_each(|part| file.write_all(part).unwrap());
            file
        }
        Some(key) => {
            let mut sealer = Sealer::new(key, "object", file).unwrap();
            bytes.chunks(256 << 10).for_each(|part| sealer.write_all(part).unwrap());
            sealer.finish().unwrap()
        }
    };
    file.sync_all().unwrap();
    std::hint::black_box(hasher.finalize());
}

fn get(path: &Path, key: Option<&Key>) {
    let mut file = File::open(path).unwrap();
    let mut bytes = Vec::with_capacity(file.metadata().unwrap().len() as usize);
    match key {
        None => file.read_to_end(&mut bytes).unwrap(),
        Some(key) => Opener::new(key, "object", file)
            .unwrap()
            .read_to_end(&mut bytes)
            .unwrap(),
    };
    std::hint::black_box(blake3::hash(&bytes));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".into());
    let path = Path::new(&folder).join(".bench_seal");
    let key = Key::parse(&generate().unwrap()).unwrap();
    println!("file        what      put: wall ms, processor ms   get: processor ms   (medians of {ROUNDS} rounds)");
    for (bytes, files) in [(2 << 10, 200), (64 << 20, 1)] {
        let content: Vec<u8> = (0..bytes).map(|i| (i * 7 % 251) as u8).collect();
        let mut found: [[Vec<f64>; 3]; 2] = Default::default();
        for _ in 0..ROUNDS {
            for (found, key) in found.iter_mut().zip([None, Some(&key)]) {
                let (wall, processor) = (Instant::now(), processor_s());
                (0..files).for_each(|_| put(&path, &content, key));
                found[0].push(wall.elapsed().as_secs_f64());
                found[1].push(processor_s() - processor);
                let processor = processor_s();
                (0..files).for_each(|_| get(&path, key));
                found[2].push(processor_s() - processor);
            }
        }
        for (found, what) in found.into_iter().zip(["plain", "sealed"]) {
            let [wall, put, get] = found.map(|values| 1e3 * median(values) / f64::from(files));
            println!("{bytes:>9} B {what:>7} {wall:>18.3} {put:>12.3} {get:>19.3}");
        }
    }
    fs::remove_file(path).unwrap();
}
