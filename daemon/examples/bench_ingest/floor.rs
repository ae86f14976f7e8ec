//! What the disk asks for the same: for each file a durable copy and a durable record of it, then its examples and a record of these.

use anyhow::Result;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// About what the daemon's journal takes for one record of a file.
const RECORD_BYTES: usize = 900;
/// About what the examples of a record take beyond its text.
const EXAMPLE_BYTES: usize = 500;

/// Copies every file of `from`, one after the other.
pub fn copies(from: &Path, to: &Path) -> Result<Duration> {
    for shard in 0..256 {
        fs::create_dir_all(to.join(format!("{shard:02x}")))?;
    }
    let mut journal = File::create(to.join("journal"))?;
    let began = Instant::now();
    for (n, entry) in fs::read_dir(from)?.enumerate() {
        let path = entry?.path();
        let mut bytes = Vec::new();
        File::open(&path)?.read_to_end(&mut bytes)?;
        put(to, 2 * n, &bytes)?;
        record(&mut journal)?;
        bytes.extend([b'x'; EXAMPLE_BYTES]);
        put(to, 2 * n + 1, &bytes)?;
        record(&mut journal)?;
    }
    let took = began.elapsed();
    fs::remove_dir_all(to)?;
    Ok(took)
}

fn put(to: &Path, n: usize, bytes: &[u8]) -> Result<()> {
    let temporary = to.join("temporary");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let shard = to.join(format!("{:02x}", n % 256));
    fs::rename(&temporary, shard.join(n.to_string()))?;
    File::open(&shard)?.sync_all()?;
    Ok(())
}

fn record(journal: &mut File) -> Result<()> {
    journal.write_all(&[b'x'; RECORD_BYTES])?;
    journal.sync_data()?;
    Ok(())
}
