//! One run of the learning benchmark: a stream of deliveries through the product's own planning, memory, training and judging,
//! without the gate's decision: every version is taken on. Streams are made, and runs compared, by `tests/bench/learning.py`.
//!
//! usage: bench_learning STREAM.json SETTINGS.toml OUT_DIR MODEL_DIR TRAINER
//!            [--seed N] [--memory SHARE] [--mode stream|joint|joint_each|head_only] [--precision fp32|bf16] [--keep versions]
//!
//! SETTINGS.toml is the content of a `[domains.NAME.learning]` table; what it leaves out is the default. OUT_DIR/run.json gets
//! for every delivery what the version after it answers to the test sets of all deliveries so far, and the seconds of each phase. `joint` and
//! `head_only` train on all data after the last delivery, `joint_each` after each.

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu::learn::adopt::{Adoption, adopt};
use wengu::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource};
use wengu::learn::manifest::{Item, MANIFEST_SCHEMA, Manifest};
use wengu::learn::memory::Memory;
use wengu::learn::outcome::{Answer, OldWork, judge_job};
use wengu::learn::plan::{History, plan};
use wengu::learn::prepare::{Prepared, prepare_baseline, prepare_update};
use wengu::learn::supervise::{Limits, TrainerEnd, run_trainer};
use wengu_config::Domain;
use wengu_decide::marked::{self, Marked};
use wengu_decide::metrics::{SpanScores, StreamScores, negative_flip_rate, worst_case_accuracy};
use wengu_decide::split::Side;
use wengu_protocol::job::{Phase, Precision, Stability, Task};
use wengu_store::{Hash, Options, Store};

#[derive(Deserialize)]
struct Stream {
    name: String,
    task: Task,
    max_length: u32,
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    train: Vec<Record>,
    test: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    text: String,
    label: String,
}

/// `run.json`.
#[derive(Serialize)]
struct Run {
    stream: String,
    mode: String,
    seed: u64,
    settings: String,
    memory_bytes: u64,
    stream_bytes: u64,
    updates: Vec<Update>,
    /// R[i][j]: accuracy, or span F1, of version i on the test set of delivery j.
    matrix: Vec<Vec<Option<f64>>>,
    scores: Option<StreamScores>,
    /// Share of all last answers that are right.
    overall: f64,
    /// Mean over the updates after the first of the share of answers that were right before and are wrong after.
    negative_flips: Option<f64>,
    /// Mean over the updates of [`Stability::gap`], where it was measured.
    stability_gap: Option<f64>,
    /// WC-ACC after the last update.
    worst_case_accuracy: Option<f64>,
    wall_s: f64,
    peak_memory_bytes: u64,
}

#[derive(Serialize)]
struct Update {
    examples: usize,
    train_s: f64,
    /// Seconds in the EWC penalty, of those in `train_s`.
    penalty_s: f64,
    /// Seconds of each phase of the job.
    phase_s: BTreeMap<Phase, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_work: Option<OldWork>,
    wall_s: f64,
    memory_examples: usize,
    memory_bytes: u64,
    kept_bytes: u64,
    /// What was lost when a new adapter and the one before became one, as a share of what both change.
    adapter_lost: Option<f64>,
    promoted_by_the_gate: bool,
}

struct Arguments {
    stream: PathBuf,
    settings: PathBuf,
    out: PathBuf,
    model: PathBuf,
    trainer: PathBuf,
    seed: u64,
    memory: f64,
    mode: String,
    precision: String,
    /// Leave the versions there, for a closer look.
    keep: bool,
}

fn arguments() -> Result<Arguments> {
    let mut places = Vec::new();
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    let mut all = std::env::args().skip(1);
    while let Some(argument) = all.next() {
        match argument.strip_prefix("--") {
            Some(name) => {
                let value = all.next().with_context(|| format!("--{name} needs a value"))?;
                named.insert(name.to_owned(), value);
            }
            None => places.push(PathBuf::from(argument)),
        }
    }
    let [stream, settings, out, model, trainer] =
        <[PathBuf; 5]>::try_from(places).map_err(|_| anyhow::anyhow!("five paths are needed"))?;
    let mut value = |name: &str, default: &str| named.remove(name).unwrap_or_else(|| default.to_owned());
    let arguments = Arguments {
        stream,
        settings,
        out: std::path::absolute(out)?,
        model: std::path::absolute(model)?,
        trainer: std::path::absolute(trainer)?,
        seed: value("seed", "1").parse()?,
        memory: value("memory", "0.09").parse()?,
        mode: value("mode", "stream"),
        precision: value("precision", "fp32"),
        keep: value("keep", "") == "versions",
    };
    ensure!(named.is_empty(), "unknown: {named:?}");
    Ok(arguments)
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let stream: Stream = serde_json::from_slice(&std::fs::read(&arguments.stream)?).context("the stream")?;
    let settings = std::fs::read_to_string(&arguments.settings)?;
    let (domain, precision) = domain(&settings, &stream, &arguments)?;
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
fn domain(settings: &str, stream: &Stream, arguments: &Arguments) -> Result<(Domain, Precision)> {
    let task = serde_json::to_string(&stream.task)?;
    let (seed, length) = (arguments.seed, stream.max_length);
    let text = format!(
        "state_dir = \"state\"\n[models.base]\npath = {:?}\nprecision = {:?}\ndevice = \"cpu\"\n[domains.bench]\nwatch = [\"inbox\"]\nmodel = \"base\"\ntask = {task}\n\
         [domains.bench.learning]\nseed = {seed}\nmax_length = {length}\n{settings}",
        arguments.model, arguments.precision
    );
    let config = wengu_config::parse(&text, &arguments.settings).map_err(|e| anyhow::anyhow!("{e}"))?;
    let (domain, model) = (config.domains.get("bench"), config.models.get("base"));
    Ok((
        domain.cloned().context("no domain")?,
        model.context("no model")?.precision,
    ))
}

struct Runner {
    stream: Stream,
    stream_bytes: u64,
    domain: Domain,
    precision: Precision,
    arguments: Arguments,
    store: Store,
}

impl Runner {
    fn run(&self, settings: &str) -> Result<Run> {
        let began = Instant::now();
        let files: Vec<(Hash, Examples)> = self
            .stream
            .deliveries
            .iter()
            .map(|delivery| self.put(delivery))
            .collect::<Result<_>>()?;
        let described = wengu::model::describe(&self.arguments.model)?;
        let base = wengu_protocol::job::BaseModel {
            precision: self.precision,
            device: wengu_protocol::job::Device::Cpu,
            ..described
        };
        let (mut ancestors, mut updates, mut matrix) = (Vec::<Manifest>::new(), Vec::new(), Vec::new());
        let mut history = History::default();
        let mut parent: Option<String> = None;
        let (mut flips, mut last): (Vec<f64>, BTreeMap<String, bool>) = (Vec::new(), BTreeMap::new());
        let (mut overall, updates_in_all) = (0.0, files.len());
        for (index, file) in files.iter().enumerate() {
            let started = Instant::now();
            let manifest = self.manifest(index, file, &ancestors, &history, parent.clone(), &base)?;
            // What is trained anew from all data is wanted at the end only.
            let at_end = ["joint", "head_only"].contains(&self.arguments.mode.as_str());
            if at_end && index + 1 < updates_in_all {
                matrix.push(Vec::new());
                history.add(&manifest);
                ancestors.push(manifest);
                continue;
            }
            let (job, result) = self.train(&manifest, &ancestors)?;
            let prepared = self.prepared(&manifest, &ancestors);
            let judgement = judge_job(&self.store, &job, &prepared, result.repeat)?;
            let (version, memory) = match self.arguments.mode.as_str() {
                "head_only" | "joint" | "joint_each" => (None, Memory::default()),
                _ => {
                    let id = adopt(&Adoption {
                        store: &self.store,
                        prepared: &prepared,
                        manifest_hash: Hash::of(b"bench"),
                        job_dir: &job,
                        result: &result,
                        judgement: &judgement,
                        versions_dir: &self.versions(),
                    })?;
                    let memory = Memory::load(&self.versions().join(&id), None)?;
                    (Some(id), memory)
                }
            };
            let kept = |part: &str| match &version {
                Some(id) => size_of(&self.versions().join(id).join(part)),
                None => Ok(0),
            };
            let mut row = vec![None; updates_in_all];
            let mut right = BTreeMap::new();
            for answers in &judgement.answers {
                row[answers.era as usize - 1] = Some(self.score(&answers.items)?);
                right.extend(
                    answers
                        .items
                        .iter()
                        .map(|a| (a.text_id.clone(), a.challenger == a.label)),
                );
            }
            overall = right.values().filter(|right| **right).count() as f64 / right.len().max(1) as f64;
            let (before, after): (Vec<bool>, Vec<bool>) = last
                .iter()
                .filter_map(|(id, before)| Some((*before, *right.get(id)?)))
                .unzip();
            flips.extend(negative_flip_rate(&before, &after));
            last = right;
            matrix.push(row);
            updates.push(Update {
                examples: manifest.train.len(),
                train_s: result.train_seconds,
                penalty_s: result.penalty_seconds,
                old_work: OldWork::of(&result),
                phase_s: result.phase_seconds,
                wall_s: started.elapsed().as_secs_f64(),
                memory_examples: memory.examples.len(),
                memory_bytes: kept("memory")?,
                kept_bytes: kept("")?,
                adapter_lost: result.recompression.as_ref().map(|lost| lost.relative_error),
                promoted_by_the_gate: judgement.verdict.decision == wengu_decide::gate::Decision::Promote,
            });
            std::fs::remove_dir_all(&job)?;
            history.add(&manifest);
            ancestors.push(manifest);
            parent = version;
            eprintln!("  update {}: {:?}", index + 1, matrix.last());
        }
        let gaps: Vec<f64> = stabilities(&updates).map(|stability| stability.gap).collect();
        let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?;
        Ok(Run {
            stream: self.stream.name.clone(),
            mode: self.arguments.mode.clone(),
            seed: self.arguments.seed,
            settings: settings.to_owned(),
            memory_bytes: self.memory_bytes(),
            stream_bytes: self.stream_bytes,
            stability_gap: (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64),
            worst_case_accuracy: worst_case(&updates, &matrix),
            updates,
            scores: StreamScores::of(&matrix, None),
            matrix,
            overall,
            negative_flips: (!flips.is_empty()).then(|| flips.iter().sum::<f64>() / flips.len() as f64),
            wall_s: began.elapsed().as_secs_f64(),
            peak_memory_bytes: usage.max_rss() as u64 * 1024,
        })
    }

    fn versions(&self) -> PathBuf {
        self.arguments.out.join("versions")
    }

    /// The share of the stream that the memory may take, with the logits that belong to its texts.
    fn memory_bytes(&self) -> u64 {
        let examples: usize = self.stream.deliveries.iter().map(|d| d.train.len()).sum();
        let labels: std::collections::BTreeSet<&str> = self
            .stream
            .deliveries
            .iter()
            .flat_map(|d| &d.train)
            .map(|r| r.label.as_str())
            .collect();
        let logits = match self.stream.task {
            Task::SequenceClassification => (4 * labels.len() * examples) as u64,
            _ => 0,
        };
        ((self.stream_bytes + logits) as f64 * self.arguments.memory) as u64
    }

    fn put(&self, delivery: &Delivery) -> Result<(Hash, Examples)> {
        let sides = [(Side::Train, &delivery.train), (Side::Gate, &delivery.test)];
        let records = sides
            .into_iter()
            .flat_map(|(side, records)| records.iter().map(move |r| (side, r)));
        let examples = records.enumerate().map(|(ordinal, (side, record))| Example {
            ordinal: ordinal as u32,
            line: ordinal as u32 + 1,
            place: None,
            case: ordinal.to_string(),
            side,
            text: record.text.as_str().into(),
            label: Some(record.label.clone()),
            source: LabelSource::Gold,
            votes: Vec::new(),
            segments: Vec::new(),
            slices: Vec::new(),
        });
        let examples = Examples {
            schema: EXAMPLES_SCHEMA,
            content: Hash::of(self.stream.name.as_bytes()),
            format: "jsonl".into(),
            encoding: "UTF-8".into(),
            plugin: None,
            voting: None,
            terms: Vec::new(),
            examples: examples.collect(),
            rejected: Vec::new(),
        };
        let hash = self.store.objects().put_bytes(&serde_json::to_vec(&examples)?)?;
        Ok((hash, examples))
    }

    fn manifest(
        &self,
        index: usize,
        file: &(Hash, Examples),
        ancestors: &[Manifest],
        history: &History,
        parent: Option<String>,
        base: &wengu_protocol::job::BaseModel,
    ) -> Result<Manifest> {
        let known = ancestors.last().map(|m| m.labels.clone()).unwrap_or_default();
        let mut planned = plan(std::slice::from_ref(file), self.stream.task, &known, history);
        let learning = &self.domain.learning;
        let seed = learning.seed.wrapping_mul(1_000_003).wrapping_add(index as u64 + 1);
        let validation = planned.take_validation(self.stream.task, learning.validation_percent, seed);
        let mut train = planned.train;
        if self.arguments.mode != "stream" {
            let earlier = ancestors.iter().flat_map(|m| m.train.clone());
            let mut all: BTreeMap<String, Item> = earlier.map(|item| (item.text_id.clone(), item)).collect();
            all.extend(train.into_iter().map(|item| (item.text_id.clone(), item)));
            train = all.into_values().collect();
        }
        Ok(Manifest {
            schema: MANIFEST_SCHEMA,
            domain: "bench".into(),
            task: self.stream.task,
            run: index as u64 + 1,
            replaces: None,
            parent,
            files: BTreeMap::new(),
            labels: planned.labels,
            threshold: None,
            terms: Vec::new(),
            train,
            validation,
            asked: Vec::new(),
            gate: planned.gate,
            reserve: planned.reserve,
            checklist: planned.checklist,
            audit: planned.audit,
            dropped: planned.dropped,
            base: base.clone(),
            method: wengu::model::method(&learning.method, &self.arguments.model)?,
            learning: learning.training.clone(),
            gradient_checkpointing: false,
            max_length: learning.max_length,
            memory_bytes: self.memory_bytes(),
            memory_seed: learning.seed,
            seed,
            threads: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
            gate_rules: self.domain.gate.rules,
            anchor: None,
            baselines: Vec::new(),
            plugins: Vec::new(),
            code_version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    fn prepared<'a>(&self, manifest: &'a Manifest, ancestors: &'a [Manifest]) -> Prepared<'a> {
        let dir = |id: &String| self.versions().join(id);
        let labels = ancestors.last().filter(|_| manifest.parent.is_some());
        Prepared {
            manifest,
            parent_dir: manifest.parent.as_ref().map(dir),
            anchor_dir: None,
            parent_labels: labels.map(|m| m.labels.clone()).unwrap_or_default(),
            parent_terms: 0,
            ancestors,
        }
    }

    fn train(&self, manifest: &Manifest, ancestors: &[Manifest]) -> Result<(PathBuf, wengu_protocol::job::JobResult)> {
        let prepared = self.prepared(manifest, ancestors);
        let job = self.arguments.out.join("jobs").join(manifest.run.to_string());
        match self.arguments.mode.as_str() {
            "head_only" => prepare_baseline(&self.store, &prepared, "head_only", &job)?,
            "joint" | "joint_each" => prepare_baseline(&self.store, &prepared, "plain", &job)?,
            _ => prepare_update(&self.store, &prepared, &job)?,
        }
        let hours = |n: u64| Duration::from_secs(3600 * n);
        let limits = Limits {
            no_progress: hours(1),
            deadline: hours(24),
            stop_grace: Duration::from_secs(10),
        };
        let command = [self.arguments.trainer.display().to_string()];
        match run_trainer(&command, &job, manifest.threads, limits, &|| false, &mut |_| {}) {
            TrainerEnd::Completed(result) => Ok((job, *result)),
            end => bail!("the trainer ended as {}: {}", end.name(), end.message()),
        }
    }

    /// Accuracy, or the F1 of spans.
    fn score(&self, items: &[Answer]) -> Result<f64> {
        if self.stream.task != Task::TokenClassification {
            let right = items.iter().filter(|item| item.challenger == item.label).count();
            return Ok(right as f64 / items.len().max(1) as f64);
        }
        let mut counted = SpanScores::default();
        for item in items {
            let (expected, said) = (marked::parse(&item.label)?, marked::parse(&item.challenger)?);
            counted.add_spans(&spans(&expected), &spans(&said));
        }
        Ok(counted.micro_f1().unwrap_or(0.0))
    }
}

fn spans(marked: &[Marked]) -> std::collections::BTreeSet<(&str, usize, usize)> {
    marked
        .iter()
        .map(|Marked(begin, end, kind)| (kind.as_str(), *begin, *end))
        .collect()
}

fn stabilities(updates: &[Update]) -> impl Iterator<Item = &Stability> {
    let old_work = updates.iter().flat_map(|update| &update.old_work);
    old_work.flat_map(|old_work| &old_work.stability)
}

/// The least that each delivery ever had of its old examples, with what the last version says to the last test set.
fn worst_case(updates: &[Update], matrix: &[Vec<Option<f64>>]) -> Option<f64> {
    let mut minima: BTreeMap<u64, f64> = BTreeMap::new();
    for era in stabilities(updates).flat_map(|stability| &stability.eras) {
        let least = minima.entry(era.run).or_insert(era.minimum);
        *least = least.min(era.minimum);
    }
    let newest = *matrix.last()?.last()?;
    let minimum = minima.values().sum::<f64>() / minima.len() as f64;
    newest
        .filter(|_| !minima.is_empty())
        .map(|newest| worst_case_accuracy(matrix.len(), newest, minimum))
}

fn size_of(path: &Path) -> Result<u64> {
    if path.is_file() {
        return Ok(path.metadata()?.len());
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(path).with_context(|| path.display().to_string())? {
        bytes += size_of(&entry?.path())?;
    }
    Ok(bytes)
}
