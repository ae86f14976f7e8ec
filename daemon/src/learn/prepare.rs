//! From a run's manifest to a complete job directory. Preparing again gives the same bytes.

use super::examples::{Examples, LabelSource};
use super::manifest::{Item, Manifest};
use super::memory::{Memory, Remembered};
use super::task::{Encoder, weight};
use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use wengu_protocol::job::{self, DataFile, Job, Task, TermToken};
use wengu_store::{Hash, Store, durable};
use wengu_tokenize::Segment;

/// Begins the names of the files that hold evaluation sets in the parent's tokens.
const CHAMPION_SETS: &str = "champion-";

/// A run with what it needs of its ancestors.
pub struct Prepared<'a> {
    /// The run.
    pub manifest: &'a Manifest,
    /// Directory of the parent version.
    pub parent_dir: Option<PathBuf>,
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

/// The name of an era's audit set in the job.
pub fn audit_name(run: u64) -> String {
    format!("audit-{run:04}")
}

/// Writes the job directory of the update itself. `job.json` comes last: where it is, all is.
pub fn prepare_update(store: &Store, prepared: &Prepared, dir: &Path) -> Result<()> {
    let manifest = prepared.manifest;
    let mut writer = Writer::new(store, manifest, &manifest.terms, dir)?;
    let train = writer.items(&manifest.train)?;
    writer.write("train", &train, None)?;
    let validation = writer.validation()?;
    let memory = old_memory(prepared)?;
    let remembered: Vec<Row> = memory.examples.iter().map(Row::from_memory).collect();
    let replay = if memory.examples.is_empty() || manifest.learning.replay_ratio == 0.0 {
        None
    } else {
        let teacher = (memory.labels > 0).then_some((memory.logits.as_slice(), memory.labels));
        Some(writer.write("replay", &remembered, teacher)?)
    };
    let candidates = if manifest.task == Task::CausalLm {
        None
    } else {
        let all: Vec<Row> = remembered.into_iter().chain(train).collect();
        Some(writer.write("candidates", &all, None)?)
    };
    let eval = writer.eval_sets(prepared, "")?;
    let parent = prepared.parent();
    let champion_eval = champion_sets(store, prepared, dir)?;
    writer.finish(Job {
        schema: job::JOB_SCHEMA,
        task: manifest.task,
        job_id: format!("{}/{:04}", manifest.domain, manifest.run),
        seed: manifest.seed,
        threads: manifest.threads,
        base: manifest.base.clone(),
        parent,
        labels: manifest.labels.clone(),
        method: manifest.method.clone(),
        learning: manifest.learning.clone(),
        gradient_checkpointing: manifest.gradient_checkpointing,
        term_tokens: writer.terms.clone(),
        data: job::Data {
            champion_eval,
            train: "data/train.safetensors".into(),
            validation,
            replay,
            eval,
            candidates,
            learned: match manifest.task {
                Task::SequenceClassification => learned(prepared),
                Task::TokenClassification | Task::CausalLm => Vec::new(),
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
        ewc_lambda: 0.0,
        fisher_examples: 0,
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
        labels: manifest.labels.clone(),
        method,
        learning,
        gradient_checkpointing: manifest.gradient_checkpointing,
        term_tokens: writer.terms.clone(),
        data: job::Data {
            champion_eval,
            train: "data/train.safetensors".into(),
            validation,
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
        let (adapter, fisher) = (dir.join("adapter"), dir.join("fisher.safetensors"));
        Some(job::Parent {
            adapter: adapter.exists().then_some(adapter),
            head: (self.manifest.task != Task::CausalLm).then(|| dir.join("head")),
            labels: self.parent_labels.clone(),
            fisher: fisher.exists().then_some(fisher),
            term_tokens: self.parent_terms as u32,
        })
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
fn old_memory(prepared: &Prepared) -> Result<Memory> {
    let Some(parent) = &prepared.parent_dir else {
        return Ok(Memory::default());
    };
    let taught: HashSet<&str> = {
        let manifest = prepared.manifest;
        let taught = manifest.train.iter().chain(&manifest.validation);
        taught.map(|item| item.text_id.as_str()).collect()
    };
    let memory = Memory::load(parent)?.retain(|example| !taught.contains(example.text_id.as_str()));
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

fn label_index(manifest: &Manifest) -> HashMap<&str, i64> {
    let labels = manifest.labels.iter().enumerate();
    labels.map(|(i, label)| (label.as_str(), i as i64)).collect()
}

/// The candidates for the next memory, in the order of the job's candidates file: the old memory, then the new
/// training examples.
pub fn candidates(store: &Store, prepared: &Prepared) -> Result<Vec<Remembered>> {
    let mut all = old_memory(prepared)?.examples;
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

struct Row {
    text: String,
    segments: Vec<Segment>,
    label: String,
    source: LabelSource,
}

impl Row {
    fn from_memory(r: &Remembered) -> Row {
        Row {
            text: r.text.clone(),
            segments: r.segments.clone(),
            label: r.label.clone(),
            source: r.source.clone(),
        }
    }

    /// What is held of each of the job's labels: sums to 1. Labels that the job does not know are left out.
    fn probabilities(&self, labels: &HashMap<&str, i64>) -> Vec<f32> {
        let mut row = vec![0.0; labels.len()];
        if let LabelSource::Weak { probabilities, .. } = &self.source {
            for (label, p) in probabilities {
                if let Some(index) = labels.get(label.as_str()) {
                    row[*index as usize] = *p as f32;
                }
            }
        }
        let sum: f32 = row.iter().sum();
        match (sum > 0.0, labels.get(self.label.as_str())) {
            (true, _) => row.iter_mut().for_each(|p| *p /= sum),
            (false, Some(index)) => row[*index as usize] = 1.0,
            (false, None) => {}
        }
        row
    }

    fn is_soft(&self) -> bool {
        matches!(&self.source, LabelSource::Weak { probabilities, .. } if !probabilities.is_empty())
    }
}

pub(super) struct Objects<'a> {
    store: &'a Store,
    cache: HashMap<Hash, Examples>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Objects {
            store,
            cache: HashMap::new(),
        }
    }

    pub(super) fn remembered(&mut self, item: &Item) -> Result<Remembered> {
        if !self.cache.contains_key(&item.examples) {
            let bytes = self.store.objects().get(&item.examples)?;
            self.cache.insert(item.examples, serde_json::from_slice(&bytes)?);
        }
        let example = self.cache[&item.examples]
            .examples
            .iter()
            .find(|e| e.ordinal == item.ordinal)
            .with_context(|| format!("object {} has no example {}", item.examples, item.ordinal))?;
        Ok(Remembered {
            text_id: item.text_id.clone(),
            text: example.text.clone(),
            segments: example.segments.clone(),
            label: item.label.clone(),
            source: item.source.clone(),
            case: example.case.clone(),
            answers: 1,
        })
    }
}

struct Writer<'a> {
    manifest: &'a Manifest,
    dir: &'a Path,
    encoder: Encoder,
    terms: Vec<TermToken>,
    objects: Objects<'a>,
    label_index: HashMap<&'a str, i64>,
}

impl<'a> Writer<'a> {
    fn new(store: &'a Store, manifest: &'a Manifest, terms: &[String], dir: &'a Path) -> Result<Self> {
        let mut encoder = Encoder::load(manifest.task, &manifest.base.path, manifest.max_length)?;
        let terms = encoder.tokenizer().append_terms(terms)?;
        std::fs::create_dir_all(dir.join("data")).with_context(|| dir.display().to_string())?;
        Ok(Writer {
            manifest,
            dir,
            encoder,
            terms,
            objects: Objects::new(store),
            label_index: label_index(manifest),
        })
    }

    fn items(&mut self, items: &[Item]) -> Result<Vec<Row>> {
        items
            .iter()
            .map(|item| Ok(Row::from_memory(&self.objects.remembered(item)?)))
            .collect()
    }

    /// Writes the validation set, where there is one.
    fn validation(&mut self) -> Result<Option<PathBuf>> {
        if self.manifest.validation.is_empty() {
            return Ok(None);
        }
        let rows = self.items(&self.manifest.validation)?;
        self.write("validation", &rows, None).map(Some)
    }

    /// Writes the gate and audit sets of all eras, to files whose names begin with `prefix`.
    fn eval_sets(&mut self, prepared: &Prepared, prefix: &str) -> Result<BTreeMap<String, PathBuf>> {
        let mut eval = BTreeMap::new();
        for manifest in prepared.ancestors.iter().chain([prepared.manifest]) {
            for (name, items) in [
                (era_name(manifest.run), &manifest.gate),
                (audit_name(manifest.run), &manifest.audit),
            ] {
                if !items.is_empty() {
                    let rows = self.items(items)?;
                    eval.insert(name.clone(), self.write(&format!("{prefix}{name}"), &rows, None)?);
                }
            }
        }
        Ok(eval)
    }

    /// Writes `data/NAME.safetensors` and returns its path inside the job directory.
    fn write(&mut self, name: &str, rows: &[Row], teacher: Option<(&[f32], usize)>) -> Result<PathBuf> {
        let (mut ids, mut offsets, mut labels, mut weights) = (Vec::new(), vec![0i64], Vec::new(), Vec::new());
        let mut token_labels = Vec::new();
        for row in rows {
            let encoded = self
                .encoder
                .encode(&row.text, &row.segments, &row.label, &self.label_index)?;
            ids.extend(encoded.ids);
            token_labels.extend(encoded.token_labels);
            offsets.push(ids.len() as i64);
            labels.push(match self.manifest.task {
                Task::SequenceClassification => *self
                    .label_index
                    .get(row.label.as_str())
                    .with_context(|| format!("label \"{}\"", row.label))?,
                Task::TokenClassification | Task::CausalLm => -1,
            });
            weights.push(weight(&row.source));
        }
        let asked: Vec<u8> = token_labels.iter().flat_map(|x: &i64| x.to_le_bytes()).collect();
        let ids: Vec<u8> = ids.iter().flat_map(|x| x.to_le_bytes()).collect();
        let n = labels.len();
        let offsets: Vec<u8> = offsets.iter().flat_map(|x| x.to_le_bytes()).collect();
        let labels: Vec<u8> = labels.iter().flat_map(|x| x.to_le_bytes()).collect();
        let weights: Vec<u8> = weights.iter().flat_map(|x: &f32| x.to_le_bytes()).collect();
        let (teacher_bytes, soft): (Vec<u8>, Vec<u8>);
        let mut tensors = vec![
            (DataFile::IDS, TensorView::new(Dtype::I32, vec![ids.len() / 4], &ids)?),
            (DataFile::OFFSETS, TensorView::new(Dtype::I64, vec![n + 1], &offsets)?),
            (DataFile::LABELS, TensorView::new(Dtype::I64, vec![n], &labels)?),
            (DataFile::WEIGHTS, TensorView::new(Dtype::F32, vec![n], &weights)?),
        ];
        if self.manifest.task != Task::SequenceClassification {
            let view = TensorView::new(Dtype::I64, vec![token_labels.len()], &asked)?;
            tensors.push((DataFile::TOKEN_LABELS, view));
        }
        if rows.iter().any(Row::is_soft) {
            let all = rows.iter().flat_map(|row| row.probabilities(&self.label_index));
            soft = all.flat_map(f32::to_le_bytes).collect();
            let shape = vec![n, self.label_index.len()];
            tensors.push((
                DataFile::LABEL_PROBABILITIES,
                TensorView::new(Dtype::F32, shape, &soft)?,
            ));
        }
        if let Some((logits, columns)) = teacher {
            teacher_bytes = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
            tensors.push((
                DataFile::TEACHER_LOGITS,
                TensorView::new(Dtype::F32, vec![logits.len() / columns, columns], &teacher_bytes)?,
            ));
        }
        let path = PathBuf::from(format!("data/{name}.safetensors"));
        std::fs::write(self.dir.join(&path), safetensors::serialize(tensors, None)?)
            .with_context(|| self.dir.join(&path).display().to_string())?;
        Ok(path)
    }

    fn finish(&self, job: Job) -> Result<()> {
        Ok(durable::write_file(
            &self.dir.join(job::layout::JOB),
            &serde_json::to_vec_pretty(&job)?,
        )?)
    }
}
