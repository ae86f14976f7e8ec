//! Real texts, made into deliveries.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A record. `n` makes copies differ: the same bytes would be taken once.
#[derive(Deserialize, Serialize)]
pub struct Text {
    text: String,
    label: String,
    #[serde(default)]
    n: u64,
}

/// All records with a text and a label in the files of JSON Lines below `folder`.
pub fn read(folder: &Path) -> Result<Vec<Text>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut texts = Vec::new();
    for file in files {
        let lines = BufReader::new(File::open(&file)?).lines();
        for line in lines {
            texts.extend(serde_json::from_str::<Text>(&line?).ok());
        }
    }
    ensure!(!texts.is_empty(), "{} has no labelled texts", folder.display());
    Ok(texts)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    Ok(())
}

/// So many files of one record each. Returns their bytes.
pub fn small(texts: &[Text], folder: &Path, files: usize) -> Result<u64> {
    let mut bytes = 0;
    for n in 0..files {
        let Text { text, label, .. } = &texts[n % texts.len()];
        let line = line(text, label, n as u64)?;
        bytes += line.len() as u64;
        std::fs::write(folder.join(format!("{n:07}.jsonl")), line)?;
    }
    Ok(bytes)
}

/// A file may have 100,000 records: a large one has fewer and longer ones.
const RECORDS_MOST: u64 = 80_000;

/// So many files of so many bytes each. Returns the bytes of all.
pub fn large(texts: &[Text], folder: &Path, files: usize, bytes_each: u64) -> Result<u64> {
    let (mut n, mut all) = (0, 0);
    for file in 0..files {
        let mut out = BufWriter::new(File::create(folder.join(format!("{file}.jsonl")))?);
        let mut bytes = 0;
        while bytes < bytes_each {
            let mut text = String::new();
            let first = n;
            while text.is_empty() || (text.len() as u64) < bytes_each / RECORDS_MOST {
                text += &texts[n as usize % texts.len()].text;
                text.push('\n');
                n += 1;
            }
            let label = &texts[first as usize % texts.len()].label;
            let line = line(&text, label, first)?;
            out.write_all(line.as_bytes())?;
            bytes += line.len() as u64;
        }
        out.flush()?;
        all += bytes;
    }
    Ok(all)
}

fn line(text: &str, label: &str, n: u64) -> Result<String> {
    Ok(serde_json::to_string(&serde_json::json!({"text": text, "label": label, "n": n}))? + "\n")
}
