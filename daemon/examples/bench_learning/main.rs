//! One run of the learning benchmark: a stream of deliveries through the product's own planning, memory, training and judging,
//! without the gate's decision: every version is taken on. Streams are made, and runs compared, by `tests/bench/learning.py`.
//!
//! usage: bench_learning STREAM.json SETTINGS.toml OUT_DIR MODEL_DIR TRAINER
//!            [--seed N] [--memory SHARE] [--mode stream|joint|joint_each|head_only] [--precision fp32|bf16]
//!            [--device cpu|cuda:N] [--keep versions]
//!
//! SETTINGS.toml is the content of a `[domains.NAME.learning]` table; what it leaves out is the default. OUT_DIR/run.json gets
//! for every delivery what the version after it answers to the test sets of all deliveries so far, and the seconds of each phase. `joint` and
//! `head_only` train on all data after the last delivery, `joint_each` after each.

mod arguments;
mod files;
mod runner;
mod scores;

use anyhow::{Context, Result};
use arguments::{Arguments, arguments};
use files::Stream;
use runner::Runner;
use wengu_config::Domain;
use wengu_protocol::job::{Device, Precision};
use wengu_store::{Options, Store};

fn main() -> Result<()> {
    let arguments = arguments()?;
    let stream: Stream = serde_json::from_slice(&std::fs::read(&arguments.stream)?).context("the stream")?;
    let settings = std::fs::read_to_string(&arguments.settings)?;
    let (domain, precision, device) = domain(&settings, &stream, &arguments)?;
    if arguments.out.exists() {
        std::fs::remove_dir_all(&arguments.out)?;
    }
    std::fs::create_dir_all(&arguments.out)?;
    let (store, _) = Store::open(&arguments.out.join("store"), Options::default())?;
    let stream_bytes = stream
        .deliveries
        .iter()
        .flat_map(|d| &d.train)
        .map(|r| r.text.len() as u64);
    let run = Runner {
        stream_bytes: stream_bytes.sum(),
        stream,
        domain,
        precision,
        device,
        arguments,
        store,
    };
    let result = run.run(&settings)?;
    let path = run.arguments.out.join("run.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&result)?)?;
    for leftover in ["store", "jobs", "versions"] {
        if run.arguments.keep && leftover == "versions" {
            continue;
        }
        let path = run.arguments.out.join(leftover);
        if path.exists() {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}

/// The domain as the product reads it from a configuration.
fn domain(settings: &str, stream: &Stream, arguments: &Arguments) -> Result<(Domain, Precision, Device)> {
    let task = serde_json::to_string(&stream.task)?;
    let (seed, length) = (arguments.seed, stream.max_length);
    let text = format!(
        "state_dir = \"state\"\n[models.base]\npath = {:?}\nprecision = {:?}\ndevice = {:?}\n[domains.bench]\nwatch = [\"inbox\"]\nmodel = \"base\"\ntask = {task}\n\
         [domains.bench.learning]\nseed = {seed}\nmax_length = {length}\n{settings}",
        arguments.model, arguments.precision, arguments.device
    );
    let config = wengu_config::parse(&text, &arguments.settings).map_err(|e| anyhow::anyhow!("{e}"))?;
    let (domain, model) = (config.domains.get("bench"), config.models.get("base"));
    let model = model.context("no model")?;
    Ok((domain.cloned().context("no domain")?, model.precision, model.device))
}
