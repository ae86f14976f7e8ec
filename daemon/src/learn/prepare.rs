//! From a run's manifest to a complete job directory. Preparing again gives the same bytes.

use super::data_files::{Objects, Row, Writer, label_index};
use super::manifest::Manifest;
use super::memory::{Memory, Remembered};
use super::task::Encoder;
use super::watched;
use crate::digest;
use anyhow::Result;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use wengu_protocol::job::{self, Job, Task};
use wengu_store::Store;

/// Begins the names of the files that hold evaluation sets in the parent's tokens.
const CHAMPION_SETS: &str = "champion-";

/// A run with what it needs of its ancestors.
pub struct Prepared<'a> {
    /// The run.
    pub manifest: &'a Manifest,
    /// Directory of the parent version.
    pub parent_dir: Option<PathBuf>,
    /// Directory of the anchor, where the run has one.
    pub anchor_dir: Option<PathBuf>,
    /// Labels of the parent version.
    pub parent_labels: Vec<String>,
    /// Terms with a token of their own in the parent version.
    pub parent_terms: usize,
    /// Manifests of the accepted runs that led to the parent, oldest first.
    pub ancestors: &'a [Manifest],
}

/// The name of an era's gate set in the job.
pub fn era_name(run: u64) -> String {
    format!("era-{run:04}")
}

/// The name of an era's part of the reserve in the job.
pub fn reserve_name(run: u64) -> String {
    format!("reserve-{run:04}")
}

/// The name of an era's part of the checklist in the job.
pub fn checklist_name(run: u64) -> String {
    format!("checklist-{run:04}")
}

/// The name of an era's audit set in the job.
pub fn audit_name(run: u64) -> String {
    format!("audit-{run:04}")
}

/// Whether a job directory is complete and as it was written. One that is not is prepared anew, which gives the same bytes: it may have
/// been damaged, or the power failed before its data files were on the disk.
pub fn is_prepared(dir: &Path) -> bool {
    if !dir.join(job::layout::JOB).exists() {
        return false;
    }
    let verified = job::sums::verify(dir, job::layout::SUMS, digest::sha256_file);
    if let Err(error) = &verified {
        tracing::warn!(dir = %dir.display(), %error, "job_prepared_anew");
    }
    verified.is_ok()
}

/// Writes the job directory of the update itself. `job.json` comes last: where it is, all is.
pub fn prepare_update(store: &Store, prepared: &Prepared, dir: &Path) -> Result<()> {
    let manifest = prepared.manifest;
    let mut writer = Writer::new(store, manifest, &manifest.terms, dir)?;
    let train = writer.items(&manifest.train)?;
    writer.write("train", &train, None)?;
    let validation = writer.validation()?;
    let old_sample = writer.old_sample(prepared)?;
    let memory = old_memory(store, prepared)?;
    let remembered: Vec<Row> = memory.examples.iter().map(Row::from_memory).collect();
    let replay = if memory.examples.is_empty() || manifest.learning.replay_ratio == 0.0 {
        None
    } else {
        let teacher = (memory.labels > 0).then_some((memory.logits.as_slice(), memory.labels));
        Some(writer.write("replay", &remembered, teacher)?)
    };
    let candidates = if manifest.keeps_logits() {
        let all: Vec<Row> = remembered.into_iter().chain(train).collect();
        Some(writer.write("candidates", &all, None)?)
    } else {
        None
    };
    let eval = writer.eval_sets(prepared, "")?;
    let parent = prepared.parent();
    if manifest.learning.ewc_lambda > 0.0 && parent.as_ref().is_some_and(|parent| parent.fisher.is_none()) {
        let (domain, parent) = (manifest.domain.as_str(), manifest.parent.as_deref());
        // It was trained with `fisher_examples = 0`: this update is held by nothing, the next one will be.
        tracing::warn!(domain, run = manifest.run, parent, "no_ewc_as_the_parent_has_no_fisher");
    }
    let champion_eval = champion_sets(store, prepared, dir)?;
    let (fresh, anchor) = watched::write(store, prepared, dir)?;
    writer.finish(Job {
        schema: job::JOB_SCHEMA,
        task: manifest.task,
        job_id: format!("{}/{:04}", manifest.domain, manifest.run),
        seed: manifest.seed,
        threads: manifest.threads,
        base: manifest.base.clone(),
        parent,
        anchor,
        labels: manifest.labels.clone(),
        threshold: manifest.threshold,
        method: manifest.method.clone(),
        learning: manifest.learning.clone(),
        gradient_checkpointing: manifest.gradient_checkpointing,
        term_tokens: writer.terms.clone(),
        data: job::Data {
            champion_eval,
            fresh,
            train: "data/train.safetensors".into(),
            validation,
            old_sample,
            replay,
            eval,
            candidates,
            learned: match manifest.task {
                Task::SequenceClassification => learned(prepared),
                _ => Vec::new(),
            },
        },
    })
}

/// Writes the job directory of a comparison that is measured beside the update and never promoted:
/// `head_only` leaves the base model as it is and trains a head; `plain` fine-tunes the parent on the delivery alone.
pub fn prepare_baseline(store: &Store, prepared: &Prepared, baseline: &str, dir: &Path) -> Result<()> {
    let manifest = prepared.manifest;
    // A head alone cannot carry tokens.
    let terms: &[String] = if baseline == "head_only" { &[] } else { &manifest.terms };
    let mut writer = Writer::new(store, manifest, terms, dir)?;
    let train = writer.items(&manifest.train)?;
    writer.write("train", &train, None)?;
    let validation = writer.validation()?;
    let eval = writer.eval_sets(prepared, "")?;
    let mut learning = job::Learning {
        replay_ratio: 0.0,
        distill_alpha: 0.0,
        distill_new_alpha: 0.0,
        prior_correction: 0.0,
        discriminant_weight: 0.0,
        ewc_lambda: 0.0,
        adapter_start: job::AdapterStart::Continue,
        orthogonal_lambda: 0.0,
        fisher_examples: 0,
        old_loss_tolerance: None,
        stability_steps: 0,
        ..manifest.learning.clone()
    };
    let mut champion_eval = BTreeMap::new();
    let (method, parent) = if baseline == "head_only" {
        // Embeddings are computed once, so that passes cost nothing and the head can be trained to the end.
        learning.epochs = learning.epochs.max(60);
        (job::Method::HeadOnly, None)
    } else {
        champion_eval = champion_sets(store, prepared, dir)?;
        (manifest.method.clone(), prepared.parent())
    };
    writer.finish(Job {
        schema: job::JOB_SCHEMA,
        task: manifest.task,
        job_id: format!("{}/{:04}-{baseline}", manifest.domain, manifest.run),
        seed: manifest.seed,
        threads: manifest.threads,
        base: manifest.base.clone(),
        parent,
        anchor: None,
        labels: manifest.labels.clone(),
        threshold: manifest.threshold,
        method,
        learning,
        gradient_checkpointing: manifest.gradient_checkpointing,
        term_tokens: writer.terms.clone(),
        data: job::Data {
            champion_eval,
            fresh: None,
            train: "data/train.safetensors".into(),
            validation,
            old_sample: None,
            replay: None,
            eval,
            candidates: None,
            learned: Vec::new(),
        },
    })
}

impl Prepared<'_> {
    /// What the job continues.
    fn parent(&self) -> Option<job::Parent> {
        let dir = self.parent_dir.as_ref()?;
        Some(self.version(dir, &self.parent_labels, self.parent_terms))
    }

    /// A version as a job names it.
    pub(super) fn version(&self, dir: &Path, labels: &[String], terms: usize) -> job::Parent {
        let (adapter, fisher) = (dir.join("adapter"), dir.join("fisher.safetensors"));
        let statistics = dir.join("statistics.safetensors");
        job::Parent {
            adapter: adapter.exists().then_some(adapter),
            head: (self.manifest.task != Task::CausalLm).then(|| dir.join("head")),
            labels: labels.to_vec(),
            fisher: fisher.exists().then_some(fisher),
            statistics: statistics.exists().then_some(statistics),
            term_tokens: terms as u32,
        }
    }
}

/// The evaluation sets in the parent's own tokens, where it has fewer than this run: a champion is asked in those.
fn champion_sets(store: &Store, prepared: &Prepared, dir: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let (manifest, known) = (prepared.manifest, prepared.parent_terms);
    if prepared.parent_dir.is_none() || known == manifest.terms.len() {
        return Ok(BTreeMap::new());
    }
    Writer::new(store, manifest, &manifest.terms[..known], dir)?.eval_sets(prepared, CHAMPION_SETS)
}

/// How many examples of each label this run and those that led to it learn.
fn learned(prepared: &Prepared) -> Vec<u64> {
    let manifest = prepared.manifest;
    let runs = prepared.ancestors.iter().chain([manifest]);
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for item in runs.flat_map(|run| &run.train) {
        *counts.entry(item.label.as_str()).or_default() += 1;
    }
    let labels = manifest.labels.iter();
    labels
        .map(|label| counts.get(label.as_str()).copied().unwrap_or(0))
        .collect()
}

/// The parent's memory without the texts that this run teaches anew: a corrected label replaces the remembered one.
fn old_memory(store: &Store, prepared: &Prepared) -> Result<Memory> {
    let Some(parent) = &prepared.parent_dir else {
        return Ok(Memory::default());
    };
    let taught: HashSet<&str> = {
        let manifest = prepared.manifest;
        let taught = manifest.train.iter().chain(&manifest.validation);
        taught.map(|item| item.text_id.as_str()).collect()
    };
    let memory = Memory::load(parent, store.objects().key().map(AsRef::as_ref))?
        .retain(|example| !taught.contains(example.text_id.as_str()));
    if prepared.manifest.task != Task::TokenClassification {
        return Ok(memory);
    }
    // Logits belong to tokens: with another length limit, some of them are of other tokens.
    let counter = Counter::new(prepared.manifest)?;
    let mut failed = None;
    let memory = memory.retain(|example| match counter.answers(example) {
        Ok(answers) => answers == example.answers,
        Err(error) => {
            failed = Some(error);
            false
        }
    });
    failed.map_or(Ok(memory), Err)
}

/// Counts the answers that the run's model gives to an example.
struct Counter<'a> {
    manifest: &'a Manifest,
    encoder: Encoder,
    labels: HashMap<&'a str, i64>,
}

impl<'a> Counter<'a> {
    fn new(manifest: &'a Manifest) -> Result<Counter<'a>> {
        Ok(Counter {
            manifest,
            encoder: Encoder::load(manifest.task, &manifest.base.path, manifest.max_length)?,
            labels: label_index(manifest),
        })
    }

    fn answers(&self, example: &Remembered) -> Result<u32> {
        let encoded = self
            .encoder
            .encode(&example.text, &example.segments, &example.label, &self.labels)?;
        Ok(encoded.answers(self.manifest.task))
    }
}

/// The candidates for the next memory, in the order of the job's candidates file: the old memory, then the new
/// training examples.
pub fn candidates(store: &Store, prepared: &Prepared) -> Result<Vec<Remembered>> {
    let mut all = old_memory(store, prepared)?.examples;
    let mut objects = Objects::new(store);
    let by_token = prepared.manifest.task == Task::TokenClassification;
    let counter = by_token.then(|| Counter::new(prepared.manifest)).transpose()?;
    for item in &prepared.manifest.train {
        let mut example = objects.remembered(item)?;
        if let Some(counter) = &counter {
            example.answers = counter.answers(&example)?;
        }
        all.push(example);
    }
    Ok(all)
}
