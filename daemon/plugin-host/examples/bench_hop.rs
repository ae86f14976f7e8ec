//! What it costs to ask a plugin in a process of its own, beside asking it in this one, and beside the tokenization of
//! the same texts.
//!
//! `make bench-plugin`: contract clauses of the demo, the bundled `legal-en`, segmented and labelled.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu_plugin_client::{LabelInput, Options, PluginClient, PluginEnd};
use wengu_plugin_loader::{HostCalls, Plugin};
use wengu_plugin_package::{Keys, Package, PluginFolder};
use wengu_tokenize::Tokenizer;

const DOCUMENTS: usize = 512;
/// A record with one clause, a page, and a short contract.
const CLAUSES_EACH: [usize; 3] = [1, 10, 50];
const BATCHES: [usize; 3] = [1, 32, 512];
/// Each way is timed so often, in turns, and the median counts.
const ROUNDS: usize = 15;

struct Quiet;
impl HostCalls for Quiet {
    fn log(&self, _: i32, _: &str) {}
    fn keep_going(&self, _: u64, _: u64) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [host, library, manifest, clauses, model] = args.as_slice() else {
        return Err("usage: bench_hop HOST LIBRARY MANIFEST CLAUSES_JSONL MODEL_FOLDER".into());
    };
    let package = Package::read(manifest, Some(library))?;
    for clauses_each in CLAUSES_EACH {
        let texts = texts(clauses, clauses_each)?;
        let bytes: usize = texts.iter().map(String::len).sum();
        println!(
            "{} documents of {clauses_each} clauses, {} bytes on average; microseconds a document",
            texts.len(),
            bytes / texts.len()
        );
        let dir = std::env::temp_dir().join(format!("wengu-bench-{}", std::process::id()));
        let measured = measure(host, &package, &dir, model, &texts);
        std::fs::remove_dir_all(&dir)?;
        measured?;
    }
    Ok(())
}

/// Documents of so many clauses, repeated until there are enough.
fn texts(path: &Path, clauses_each: usize) -> Result<Vec<String>, Box<dyn Error>> {
    let lines = std::fs::read_to_string(path)?;
    let mut texts = Vec::new();
    for line in lines.lines() {
        let record: serde_json::Value = serde_json::from_str(line)?;
        texts.push(record["text"].as_str().ok_or("a clause without text")?.to_owned());
    }
    let documents: Vec<String> = texts.chunks(clauses_each).map(|clauses| clauses.join("\n")).collect();
    Ok(documents.iter().cycle().take(DOCUMENTS).cloned().collect())
}

fn measure(host: &Path, package: &Package, dir: &Path, model: &Path, texts: &[String]) -> Result<(), Box<dyn Error>> {
    let folder = PluginFolder::new(dir.to_owned(), Keys::default());
    let installed = folder.install(package, true)?.installed;
    let tokenizer = Tokenizer::load(model)?;
    let mut direct = Plugin::load(&installed, "{}", Box::new(Quiet))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut client = runtime.block_on(PluginClient::start(host, &installed, Options::default()))?;
    let input = |text: &String| LabelInput {
        text: text.as_str().into(),
        metadata: "{}".into(),
        seed: 0,
    };
    let inputs: Vec<LabelInput> = texts.iter().map(input).collect();
    println!(
        "{:>6} {:>10} {:>11} {:>11} {:>8} {:>18}",
        "batch", "tokenize", "in-process", "process", "hop", "hop of tokenizing"
    );
    for batch in BATCHES {
        let (mut tokenize, mut inside, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for text in texts {
                tokenizer.encode(text, &[], tokenizer.default_max_length())?;
            }
            tokenize.push(begun.elapsed());
            let begun = Instant::now();
            for text in texts {
                direct.segment(text)?;
                direct.label(text, "{}", 0)?;
            }
            inside.push(begun.elapsed());
            let begun = Instant::now();
            runtime.block_on(async {
                for inputs in inputs.chunks(batch) {
                    client.read(inputs, true, true).await?;
                }
                Ok::<_, PluginEnd>(())
            })?;
            outside.push(begun.elapsed());
        }
        let each = |times: &mut Vec<Duration>| {
            times.sort();
            times[times.len() / 2].as_secs_f64() * 1e6 / texts.len() as f64
        };
        let (tokenize, inside, outside) = (each(&mut tokenize), each(&mut inside), each(&mut outside));
        let hop = outside - inside;
        println!(
            "{batch:>6} {tokenize:>10.1} {inside:>11.1} {outside:>11.1} {hop:>8.1} {:>17.1}%",
            100.0 * hop / tokenize
        );
    }
    runtime.block_on(client.stop());
    Ok(())
}
