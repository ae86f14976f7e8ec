//! What tokens of their own for a plugin's terms change in tokens per document:
//! `bench_terms HOST LIBRARY MANIFEST TEXTS_JSONL TOKENIZER_FOLDER...`

use std::error::Error;
use std::path::{Path, PathBuf};
use wengu_plugin_client::{Options, PluginClient};
use wengu_plugin_package::{Keys, Package, PluginFolder};
use wengu_tokenize::Tokenizer;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || {
        arguments
            .next()
            .ok_or("usage: bench_terms HOST LIBRARY MANIFEST TEXTS_JSONL TOKENIZER_FOLDER...")
    };
    let (host, library, manifest, texts) = (next()?, next()?, next()?, next()?);
    let dir = tempfile::tempdir()?;
    let package = Package::read(&manifest, Some(&library))?;
    let folder = PluginFolder::new(dir.path().to_owned(), Keys::default());
    let installed = folder.install(&package, true)?.installed;
    let client = PluginClient::start(&host, &installed, Options::default()).await?;
    let terms = client.ready().terms.clone();
    client.stop().await;
    let texts = read(&texts)?;
    println!(
        "{}: {} terms; {} documents",
        installed.manifest.id,
        terms.len(),
        texts.len()
    );
    println!(
        "{:24} {:>9} {:>12} {:>12} {:>8}",
        "tokenizer", "new terms", "tokens a doc", "with terms", "saved"
    );
    for folder in arguments {
        let plain = Tokenizer::load(&folder)?;
        let mut extended = Tokenizer::load(&folder)?;
        let new = extended.append_terms(&plain.new_terms(&terms)?)?;
        let per_document = |tokenizer: &Tokenizer| -> Result<f64, Box<dyn Error>> {
            let counts = texts.iter().map(|text| tokenizer.token_count_plain(text));
            let all: usize = counts.sum::<Result<usize, _>>()?;
            Ok(all as f64 / texts.len() as f64)
        };
        let (before, after) = (per_document(&plain)?, per_document(&extended)?);
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let saved = 100.0 * (before - after) / before;
        println!("{name:24} {:>9} {before:>12.1} {after:>12.1} {saved:>6.1} %", new.len());
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let mut texts = Vec::new();
    for line in text.lines() {
        let row: serde_json::Value = serde_json::from_str(line)?;
        let text = ["text", "input", "output"].iter().find_map(|key| row[*key].as_str());
        // Sets of marked tokens: English has spaces between them, Chinese has not.
        let joined = row["tokens"].as_array().map(|tokens| {
            let tokens: Vec<&str> = tokens.iter().filter_map(|t| t.as_str()).collect();
            let spaced = tokens.iter().all(|t| t.is_ascii());
            tokens.join(if spaced { " " } else { "" })
        });
        texts.push(text.map(str::to_owned).or(joined).ok_or("a line without text")?);
    }
    Ok(texts)
}
