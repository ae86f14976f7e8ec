//! What it costs to ask a plugin in a process of its own, beside asking it in the asking process, and beside the
//! tokenization of the same texts.
//!
//! `make bench-plugin`: contract clauses of the demo, the bundled `legal-en`, segmented and labelled. Where a plugin's
//! tables come to lie in memory makes one process slower than the next by more than the hop costs, so every round has
//! new processes for both ways, and medians over the rounds are compared.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use wengu_plugin_client::{LabelInput, Options, PluginClient, PluginEnd};
use wengu_plugin_loader::{HostCalls, Plugin};
use wengu_plugin_package::{Installed, Keys, Package, PluginFolder};
use wengu_tokenize::Tokenizer;

const DOCUMENTS: usize = 512;
/// A record with one clause, a page, and a short contract; and the rounds of each.
const CLAUSES_EACH: [(usize, usize); 3] = [(1, 51), (10, 21), (50, 9)];
const BATCHES: [usize; 3] = [1, 32, 512];
/// How this program is asked to be the process that asks the plugin without a hop.
const INSIDE: &str = "inside";

struct Quiet;
impl HostCalls for Quiet {
    fn log(&self, _: i32, _: &str) {}
    fn keep_going(&self, _: u64, _: u64) -> bool {
        true
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match args.as_slice() {
        [host, library, manifest, clauses, model] => beside(host, library, manifest, clauses, model),
        [inside, manifest, library, plugins, clauses, model, clauses_each] if inside == Path::new(INSIDE) => {
            let installed = install(manifest, library, plugins)?;
            let texts = texts(clauses, clauses_each.to_string_lossy().parse()?)?;
            let (tokenize, ask) = without_hop(&installed, model, &texts)?;
            println!("{tokenize} {ask}");
            Ok(())
        }
        _ => Err("usage: bench_hop HOST LIBRARY MANIFEST CLAUSES_JSONL MODEL_FOLDER".into()),
    }
}

fn beside(host: &Path, library: &Path, manifest: &Path, clauses: &Path, model: &Path) -> Result<(), Box<dyn Error>> {
    let plugins = std::env::temp_dir().join(format!("wengu-bench-{}", std::process::id()));
    let installed = install(manifest, library, &plugins)?;
    for (clauses_each, rounds) in CLAUSES_EACH {
        let texts = texts(clauses, clauses_each)?;
        let bytes: usize = texts.iter().map(String::len).sum();
        println!(
            "{} documents of {clauses_each} clauses, {} bytes on average, {rounds} rounds; microseconds a document",
            texts.len(),
            bytes / texts.len()
        );
        let (mut tokenize, mut inside) = (Vec::new(), Vec::new());
        let mut outside = BATCHES.map(|_| Vec::new());
        for _ in 0..rounds {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg(INSIDE).args([manifest, library, &plugins, clauses, model]);
            let output = command.arg(clauses_each.to_string()).output()?;
            let printed = String::from_utf8(output.stdout)?;
            let (a, b) = printed
                .trim()
                .split_once(' ')
                .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
            tokenize.push(a.parse::<f64>()?);
            inside.push(b.parse::<f64>()?);
            for (times, time) in outside.iter_mut().zip(with_hop(host, &installed, &texts)?) {
                times.push(time);
            }
        }
        let (tokenize, inside) = (median(&mut tokenize), median(&mut inside));
        println!("tokenizing {tokenize:.1}, asked in the same process {inside:.1}");
        println!(
            "{:>6} {:>9} {:>6} {:>18}",
            "batch", "process", "hop", "hop of tokenizing"
        );
        for (batch, times) in BATCHES.into_iter().zip(&mut outside) {
            let outside = median(times);
            let hop = outside - inside;
            println!("{batch:>6} {outside:>9.1} {hop:>6.1} {:>17.1}%", 100.0 * hop / tokenize);
        }
    }
    Ok(std::fs::remove_dir_all(&plugins)?)
}

fn install(manifest: &Path, library: &Path, plugins: &Path) -> Result<Installed, Box<dyn Error>> {
    let package = Package::read(manifest, Some(library))?;
    let folder = PluginFolder::new(plugins.to_owned(), Keys::default());
    Ok(folder.install(&package, true)?.installed)
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

/// Microseconds a document: to tokenize, and to segment and label.
fn without_hop(installed: &Installed, model: &Path, texts: &[String]) -> Result<(f64, f64), Box<dyn Error>> {
    let tokenizer = Tokenizer::load(model)?;
    let mut plugin = Plugin::load(installed, "{}", Box::new(Quiet))?;
    let mut ask = || {
        for text in texts {
            plugin.segment(text)?;
            plugin.label(text, "{}", 0)?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let tokenize = || {
        for text in texts {
            tokenizer.encode(text, &[], tokenizer.default_max_length())?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    // Once to warm up, and then for the clock.
    let timed = |run: &mut dyn FnMut() -> Result<(), Box<dyn Error>>| {
        run()?;
        let begun = Instant::now();
        run()?;
        Ok::<_, Box<dyn Error>>(each(begun.elapsed(), texts))
    };
    Ok((timed(&mut { tokenize })?, timed(&mut ask)?))
}

/// Microseconds a document to segment and label, for each size of a batch.
fn with_hop(host: &Path, installed: &Installed, texts: &[String]) -> Result<Vec<f64>, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let input = |text: &String| LabelInput {
        text: text.as_str().into(),
        metadata: "{}".into(),
        seed: 0,
    };
    let inputs: Vec<LabelInput> = texts.iter().map(input).collect();
    runtime
        .block_on(async {
            let mut client = PluginClient::start(host, installed, Options::default()).await?;
            client.read(&inputs, true, true).await?;
            let mut times = Vec::new();
            for batch in BATCHES {
                let begun = Instant::now();
                for inputs in inputs.chunks(batch) {
                    client.read(inputs, true, true).await?;
                }
                times.push(each(begun.elapsed(), texts));
            }
            client.stop().await;
            Ok::<_, PluginEnd>(times)
        })
        .map_err(Into::into)
}

fn each(time: Duration, texts: &[String]) -> f64 {
    time.as_secs_f64() * 1e6 / texts.len() as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
