//! The deliveries one after the other, through the product's own planning, memory, training and judging.

use crate::arguments::Arguments;
use crate::files::{Delivery, Run, Stream, Update};
use crate::scores::{right, score, score_before, stabilities, worst_case};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu::learn::adopt::{Adoption, adopt};
use wengu::learn::examples::{EXAMPLES_SCHEMA, Example, Examples, LabelSource};
use wengu::learn::manifest::{Item, MANIFEST_SCHEMA, Manifest};
use wengu::learn::memory::Memory;
use wengu::learn::outcome::{OldWork, judge_job};
use wengu::learn::plan::{History, plan};
use wengu::learn::prepare::{Prepared, prepare_baseline, prepare_update};
use wengu::learn::supervise::{Limits, TrainerEnd, run_trainer};
use wengu_config::Domain;
use wengu_decide::marked;
use wengu_decide::metrics::{StreamScores, chance_score, negative_flip_rate};
use wengu_decide::split::Side;
use wengu_protocol::job::{Device, Precision, Task};
use wengu_store::{Hash, Store};

pub struct Runner {
    pub stream: Stream,
    pub stream_bytes: u64,
    pub domain: Domain,
    pub precision: Precision,
    pub device: Device,
    pub arguments: Arguments,
    pub store: Store,
}

impl Runner {
    pub fn run(&self, settings: &str) -> Result<Run> {
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
            device: self.device,
            ..described
        };
        let (mut ancestors, mut updates, mut matrix) = (Vec::<Manifest>::new(), Vec::new(), Vec::new());
        let mut history = History::default();
        let mut parent: Option<String> = None;
        let (mut flips, mut last): (Vec<f64>, BTreeMap<String, bool>) = (Vec::new(), BTreeMap::new());
        let (mut overall, updates_in_all) = (0.0, files.len());
        // What the version before said to each delivery, and what guessing would score.
        let (mut in_advance, mut chance) = (Vec::new(), Vec::new());
        for (index, file) in files.iter().enumerate() {
            let started = Instant::now();
            let manifest = self.manifest(index, file, &ancestors, &history, parent.clone(), &base)?;
            // What is trained anew from all data is wanted at the end only.
            let at_end = ["joint", "head_only"].contains(&self.arguments.mode.as_str());
            if at_end && index + 1 < updates_in_all {
                matrix.push(Vec::new());
                in_advance.push(None);
                chance.push(chance_score(self.stream.task, manifest.labels.len()));
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
            let mut rights = BTreeMap::new();
            let own = judgement.answers.iter().find(|answers| answers.era == manifest.run);
            let before = own.map(|own| score_before(self.stream.task, &own.items)).transpose()?;
            in_advance.push(before.flatten());
            chance.push(chance_score(self.stream.task, manifest.labels.len()));
            for answers in &judgement.answers {
                row[answers.era as usize - 1] = Some(score(self.stream.task, &answers.items)?);
                rights.extend(answers.items.iter().map(|a| (a.text_id.clone(), right(a))));
            }
            overall = rights.values().filter(|right| **right).count() as f64 / rights.len().max(1) as f64;
            let (before, after): (Vec<bool>, Vec<bool>) = last
                .iter()
                .filter_map(|(id, before)| Some((*before, *rights.get(id)?)))
                .unzip();
            flips.extend(negative_flip_rate(&before, &after));
            last = rights;
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
            learning: self.domain.learning.training.clone(),
            memory_bytes: self.memory_bytes(),
            stream_bytes: self.stream_bytes,
            stability_gap: (!gaps.is_empty()).then(|| gaps.iter().sum::<f64>() / gaps.len() as f64),
            worst_case_accuracy: worst_case(&updates, &matrix),
            updates,
            scores: StreamScores::with_answers_in_advance(&matrix, &in_advance, &chance),
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
        let records = || self.stream.deliveries.iter().flat_map(|d| &d.train);
        let logits = match self.stream.task {
            Task::SequenceClassification => {
                let labels: BTreeSet<&str> = records().map(|r| r.label.as_str()).collect();
                4 * labels.len() * records().count()
            }
            Task::TokenClassification => {
                let kinds: BTreeSet<String> = records().flat_map(|r| marked::kinds(&r.label)).collect();
                let words: usize = records().map(|r| r.text.split_whitespace().count()).sum();
                4 * marked::tags(kinds).len() * words
            }
            _ => 0,
        } as u64;
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
            memory_bytes: None,
        };
        let command = [self.arguments.trainer.display().to_string()];
        match run_trainer(&command, &job, manifest.threads, limits, &|| false, &mut |_| {}) {
            TrainerEnd::Completed(result) => Ok((job, *result)),
            end => bail!("the trainer ended as {}: {}", end.name(), end.message()),
        }
    }
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
