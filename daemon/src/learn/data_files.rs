//! The data files of a job directory: from examples to tokens, labels and teachers.

use super::examples::{Example, Examples, LabelSource};
use super::manifest::{Item, Manifest};
use super::memory::Remembered;
use super::old_sample::{Taught, old_sample};
use super::prepare::{Prepared, audit_name, checklist_name, era_name, reserve_name};
use super::task::{Encoder, weight};
use crate::digest;
use anyhow::{Context, Result};
use safetensors::tensor::{Dtype, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use wengu_decide::label_set;
use wengu_failpoint::hit;
use wengu_protocol::CaseText;
use wengu_protocol::job::{self, DataFile, Job, OldSample, Task, TermToken};
use wengu_store::{Hash, Store, durable};
use wengu_tokenize::Segment;

/// Each label's number.
pub(super) fn label_index(manifest: &Manifest) -> HashMap<&str, i64> {
    let labels = manifest.labels.iter().enumerate();
    labels.map(|(i, label)| (label.as_str(), i as i64)).collect()
}

/// An example as the data files have it.
pub(super) struct Row {
    text: CaseText,
    segments: Vec<Segment>,
    label: String,
    source: LabelSource,
}

impl Row {
    /// A remembered one.
    pub(super) fn from_memory(r: &Remembered) -> Row {
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

    /// Of each of the job's labels, 1 where it applies to the text, and 0 where it does not.
    fn indicators(&self, labels: &HashMap<&str, i64>) -> Result<Vec<f32>> {
        let mut row = vec![0.0; labels.len()];
        for label in label_set::parse(&self.label)? {
            let index = labels
                .get(label.as_str())
                .with_context(|| format!("label \"{label}\""))?;
            row[*index as usize] = 1.0;
        }
        Ok(row)
    }

    fn is_soft(&self) -> bool {
        matches!(&self.source, LabelSource::Weak { probabilities, .. } if !probabilities.is_empty())
    }
}

/// Examples by the objects that they stand in, each read once.
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

    /// An example by its place; None: the object has none there.
    pub(super) fn example(&mut self, examples: &Hash, ordinal: u32) -> Result<Option<&Example>> {
        if !self.cache.contains_key(examples) {
            self.cache.insert(*examples, Examples::read(self.store, examples)?);
        }
        let mut held = self.cache[examples].examples.iter();
        Ok(held.find(|example| example.ordinal == ordinal))
    }

    pub(super) fn remembered(&mut self, item: &Item) -> Result<Remembered> {
        let example = self
            .example(&item.examples, item.ordinal)?
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

/// Writes the data files of a job directory, and its `job.json`.
pub(super) struct Writer<'a> {
    manifest: &'a Manifest,
    dir: &'a Path,
    encoder: Encoder,
    /// Terms with a token of their own.
    pub(super) terms: Vec<TermToken>,
    objects: Objects<'a>,
    label_index: HashMap<&'a str, i64>,
}

impl<'a> Writer<'a> {
    /// For a run, with these of its terms.
    pub(super) fn new(store: &'a Store, manifest: &'a Manifest, terms: &[String], dir: &'a Path) -> Result<Self> {
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

    /// Examples of a run.
    pub(super) fn items<'i>(&mut self, items: impl IntoIterator<Item = &'i Item>) -> Result<Vec<Row>> {
        items
            .into_iter()
            .map(|item| Ok(Row::from_memory(&self.objects.remembered(item)?)))
            .collect()
    }

    /// Writes the validation set, where there is one.
    pub(super) fn validation(&mut self) -> Result<Option<PathBuf>> {
        if self.manifest.validation.is_empty() {
            return Ok(None);
        }
        let rows = self.items(&self.manifest.validation)?;
        self.write("validation", &rows, None).map(Some)
    }

    /// Writes the old examples that are watched, where the run asks for some and its ancestors set some apart.
    pub(super) fn old_sample(&mut self, prepared: &Prepared) -> Result<Option<OldSample>> {
        let learning = &self.manifest.learning;
        let watched = learning.old_loss_tolerance.is_some() || learning.stability_steps > 0;
        let before = prepared.ancestors.iter().map(Taught::from);
        let sample = old_sample(before.filter(|_| watched), self.manifest.into());
        if sample.is_empty() || prepared.parent_dir.is_none() {
            return Ok(None);
        }
        let rows = self.items(sample.values().flatten().copied())?;
        Ok(Some(OldSample {
            path: self.write("old", &rows, None)?,
            eras: sample.iter().map(|(run, items)| (*run, items.len() as u64)).collect(),
        }))
    }

    /// Writes the gate, reserve and audit sets and the checklist of all eras, to files whose names begin with `prefix`.
    pub(super) fn eval_sets(&mut self, prepared: &Prepared, prefix: &str) -> Result<BTreeMap<String, PathBuf>> {
        let mut eval = BTreeMap::new();
        for manifest in prepared.ancestors.iter().chain([prepared.manifest]) {
            for (name, items) in [
                (era_name(manifest.run), &manifest.gate),
                (reserve_name(manifest.run), &manifest.reserve),
                (audit_name(manifest.run), &manifest.audit),
                (checklist_name(manifest.run), &manifest.checklist),
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
    pub(super) fn write(&mut self, name: &str, rows: &[Row], teacher: Option<(&[f32], usize)>) -> Result<PathBuf> {
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
                _ => -1,
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
        if !self.manifest.task.is_by_text() {
            let view = TensorView::new(Dtype::I64, vec![token_labels.len()], &asked)?;
            tensors.push((DataFile::TOKEN_LABELS, view));
        }
        let several = self.manifest.task == Task::MultiLabelClassification;
        if several || rows.iter().any(Row::is_soft) {
            let all = rows.iter().map(|row| match several {
                true => row.indicators(&self.label_index),
                false => Ok(row.probabilities(&self.label_index)),
            });
            let all: Vec<Vec<f32>> = all.collect::<Result<_>>()?;
            soft = all.into_iter().flatten().flat_map(f32::to_le_bytes).collect();
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
        hit("prepare.data_written");
        Ok(path)
    }

    /// `job.json` comes last: where it is, all is. Data files may not be on the disk yet; their digests are.
    pub(super) fn finish(&self, job: Job) -> Result<()> {
        hit("prepare.before_job");
        let bytes = serde_json::to_vec_pretty(&job)?;
        let mut sums = job::sums::line(job::layout::JOB, &digest::sha256(&bytes));
        for path in job.data_files() {
            let sha256 = digest::sha256_file(&self.dir.join(path)).with_context(|| path.display().to_string())?;
            sums += &job::sums::line(&path.to_string_lossy(), &sha256);
        }
        durable::write_file(&self.dir.join(job::layout::SUMS), sums.as_bytes())?;
        durable::write_file(&self.dir.join(job::layout::JOB), &bytes)?;
        hit("prepare.ready");
        Ok(())
    }
}
