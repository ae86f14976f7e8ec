//! What a process for each document costs: `bench_documents READER FOLDER`, medians of 50 readings of each file there. The
//! empty text is what starting, shutting in and ending a process costs by itself.

use std::path::Path;
use std::time::Instant;
use wengu_protocol::reader::Limits;
use wengu_reader_client::read;

const READINGS: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(reader), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench_documents READER FOLDER".into());
    };
    let mut documents = vec![("nothing.txt".to_owned(), b"x".to_vec())];
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".expected") {
            documents.push((name, std::fs::read(path)?));
        }
    }
    documents[1..].sort();
    println!("{:<24} {:>9} {:>8}", "document", "bytes", "ms");
    for (name, bytes) in documents {
        let mut times = Vec::new();
        for _ in 0..READINGS {
            let began = Instant::now();
            let _ = read(Path::new(&reader), &name, &bytes, None, &Limits::default()).await;
            times.push(began.elapsed());
        }
        times.sort();
        println!(
            "{name:<24} {:>9} {:>8.2}",
            bytes.len(),
            times[READINGS / 2].as_secs_f64() * 1e3
        );
    }
    Ok(())
}
