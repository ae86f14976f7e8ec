//! What a model said of the items of a set: from the trainer's numbers to labels, spans or scores.

use super::data_files::Objects;
use super::manifest::{Item, Manifest};
use super::memory::read_rows;
use super::prepare::Prepared;
use super::scores::{Said, said, said_set};
use super::task::Encoder;
use anyhow::{Context, Result, ensure};
use std::collections::HashMap;
use std::path::Path;
use wengu_decide::marked;
use wengu_decide::metrics::{Tag, argmax_rows, labels_above};
use wengu_protocol::job::{DEFAULT_THRESHOLD, Task};
use wengu_store::Store;

/// What answers mean that a model gave.
#[derive(Debug, Clone, Copy)]
pub struct Model<'a> {
    /// Its labels, in the order of its logits.
    pub labels: &'a [String],
    /// Of labels that each apply or do not: the probability from which one does.
    pub threshold: f64,
}

impl Manifest {
    /// The model that the run makes.
    pub(super) fn model(&self) -> Model<'_> {
        Model {
            labels: &self.labels,
            threshold: self.threshold.unwrap_or(DEFAULT_THRESHOLD),
        }
    }
}

impl Prepared<'_> {
    /// The version in service.
    pub(super) fn parent_model(&self) -> Model<'_> {
        let threshold = self.ancestors.last().and_then(|manifest| manifest.threshold);
        Model {
            labels: &self.parent_labels,
            threshold: threshold.unwrap_or(DEFAULT_THRESHOLD),
        }
    }
}

/// Reads the predictions of a run's jobs.
pub struct Reader<'a> {
    task: Task,
    objects: Objects<'a>,
    /// For tasks that answer by the token.
    encoder: Option<Encoder>,
}

impl<'a> Reader<'a> {
    /// For a run.
    pub fn new(store: &'a Store, manifest: &Manifest) -> Result<Reader<'a>> {
        let by_token = !manifest.task.is_by_text();
        let load = || Encoder::load(manifest.task, &manifest.base.path, manifest.max_length);
        Ok(Reader {
            task: manifest.task,
            objects: Objects::new(store),
            encoder: by_token.then(load).transpose()?,
        })
    }

    /// What was said of each item; anything that is not a finite number fails the evaluation.
    pub fn read(
        &mut self,
        job_dir: &Path,
        kind: &str,
        set: &str,
        items: &[Item],
        Model { labels, threshold }: Model,
    ) -> Result<Vec<Said>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let path = job_dir.join(kind).join(format!("{set}.safetensors"));
        match &self.encoder {
            None => {
                let (logits, rows, columns) = read_rows(&path, "logits")?;
                self::fits(&path, (rows, columns), (items.len(), labels.len()))?;
                if self.task == Task::MultiLabelClassification {
                    let sets = labels_above(&logits, columns, threshold).with_context(|| path.display().to_string())?;
                    return Ok(sets.iter().map(|set| said_set(set, labels)).collect());
                }
                let best = argmax_rows(&logits, columns).with_context(|| path.display().to_string())?;
                said(&logits, &best, labels)
            }
            Some(encoder) if self.task == Task::TokenClassification => {
                let (logits, rows, columns) = read_rows(&path, "logits")?;
                let best = argmax_rows(&logits, columns).with_context(|| path.display().to_string())?;
                let tags: Vec<Tag> = labels.iter().map(|label| label.parse()).collect::<Result<_, _>>()?;
                let mut places = Vec::with_capacity(items.len());
                for item in items {
                    places.push(encoder.places(&self.objects.remembered(item)?.text)?);
                }
                let asked = places.iter().map(Vec::len).sum();
                self::fits(&path, (rows, columns), (asked, labels.len()))?;
                let mut begin = 0;
                let said = places.iter().map(|places| {
                    let answered = best[begin..begin + places.len()].iter();
                    let tags: Vec<Tag> = answered.map(|&label| tags[label as usize].clone()).collect();
                    begin += places.len();
                    Said {
                        label: marked::line(&marked::of_tags(&tags, places)),
                        confidence: None,
                        score: None,
                    }
                });
                Ok(said.collect())
            }
            Some(encoder) => {
                let (answers, rows, columns) = read_rows(&path, "answers")?;
                let mut asked = Vec::with_capacity(items.len());
                for item in items {
                    let held = self.objects.remembered(item)?;
                    let encoded = encoder.encode(&held.text, &held.segments, &held.label, &HashMap::new())?;
                    asked.push(encoded.answers(self.task) as usize);
                }
                self::fits(&path, (rows, columns), (asked.iter().sum(), 2))?;
                ensure!(
                    answers.iter().all(|value| value.is_finite()),
                    "{}: an answer is not a number",
                    path.display()
                );
                let mut begin = 0;
                let said = asked.iter().map(|&n| {
                    let rows = &answers[2 * begin..2 * (begin + n)];
                    begin += n;
                    let mean = |column: usize| {
                        rows.iter().skip(column).step_by(2).map(|&x| f64::from(x)).sum::<f64>() / n.max(1) as f64
                    };
                    Said {
                        label: format!("{:.3} nats a token", -mean(0)),
                        confidence: None,
                        score: Some(mean(1)),
                    }
                });
                Ok(said.collect())
            }
        }
    }
}

fn fits(path: &Path, found: (usize, usize), expected: (usize, usize)) -> Result<()> {
    ensure!(
        found == expected,
        "{}: there are {} answers of {} numbers, expected {} of {}",
        path.display(),
        found.0,
        found.1,
        expected.0,
        expected.1
    );
    Ok(())
}
