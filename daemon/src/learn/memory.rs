//! The replay memory that a version carries: `memory/examples.jsonl` and, row by row, the version's own logits on them
//! in `memory/logits.safetensors`.

use super::examples::LabelSource;
use crate::sealing::{self, EXAMPLES};
use anyhow::{Context, Result, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;
use wengu_protocol::CaseText;
use wengu_protocol::job::Task;
use wengu_seal::Key;

/// One remembered example. The text itself is kept, so that a change of tokenizer loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// [`super::examples::text_id`].
    pub text_id: String,
    /// The text.
    pub text: CaseText,
    /// The plugin's segments.
    pub segments: Vec<wengu_tokenize::Segment>,
    /// Its label.
    pub label: String,
    /// Where the label comes from.
    pub source: LabelSource,
    /// The case file it stood in; empty in memories from before it was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub case: String,
    /// Rows of the logits: one, or one for each token that the model is asked.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub answers: u32,
}

fn one() -> u32 {
    1
}

fn is_one(n: &u32) -> bool {
    *n == 1
}

/// A memory with the logits of the version that carries it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Memory {
    /// The examples.
    pub examples: Vec<Remembered>,
    /// F32 [answers of all examples, labels of the version], row-major.
    pub logits: Vec<f32>,
    /// Labels of the version; 0 where no logits are kept.
    pub labels: usize,
}

/// Where the logits of each example are.
fn ranges(examples: &[Remembered], labels: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    examples.iter().scan(0, move |end, example| {
        let begin = *end;
        *end += example.answers as usize * labels;
        Some(begin..*end)
    })
}

impl Memory {
    /// Reads a version's memory. A version without one has an empty memory.
    pub fn load(version_dir: &Path, key: Option<&Key>) -> Result<Memory> {
        let dir = version_dir.join("memory");
        let path = version_dir.join(EXAMPLES);
        let Some(bytes) = sealing::read(version_dir, EXAMPLES, key)? else {
            return Ok(Memory::default());
        };
        let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
        let examples: Vec<Remembered> = text
            .lines()
            .enumerate()
            .map(|(i, line)| serde_json::from_str(line).with_context(|| format!("{} line {}", path.display(), i + 1)))
            .collect::<Result<_>>()?;
        let path = dir.join("logits.safetensors");
        if !path.exists() {
            return Ok(Memory {
                examples,
                ..Memory::default()
            });
        }
        let (logits, rows, labels) = read_rows(&path, "logits")?;
        let answers: u32 = examples.iter().map(|example| example.answers).sum();
        ensure!(
            rows == answers as usize,
            "{}: {rows} rows of logits for {answers} answers",
            dir.display(),
        );
        Ok(Memory {
            examples,
            logits,
            labels,
        })
    }

    /// How many examples a version remembers, without reading their logits.
    pub fn count(version_dir: &Path, key: Option<&Key>) -> Result<u64> {
        let bytes = sealing::read(version_dir, EXAMPLES, key)?.unwrap_or_default();
        Ok(bytes.iter().filter(|byte| **byte == b'\n').count() as u64)
    }

    /// Writes the memory into a version directory that is still being built.
    pub fn save(&self, version_dir: &Path, key: Option<&Key>) -> Result<()> {
        let dir = version_dir.join("memory");
        std::fs::create_dir_all(&dir)?;
        let mut text = String::new();
        for example in &self.examples {
            text.push_str(&serde_json::to_string(example)?);
            text.push('\n');
        }
        sealing::write(version_dir, EXAMPLES, key, text.as_bytes())?;
        if self.labels == 0 {
            return Ok(());
        }
        let rows = self.logits.len() / self.labels;
        write_logits(&dir.join("logits.safetensors"), &self.logits, rows, self.labels)
    }

    /// The examples that `keep` holds for, with their logits.
    pub fn retain(self, mut keep: impl FnMut(&Remembered) -> bool) -> Memory {
        let mut kept = Memory {
            labels: self.labels,
            ..Memory::default()
        };
        let ranges: Vec<_> = ranges(&self.examples, self.labels).collect();
        for (example, range) in self.examples.into_iter().zip(ranges) {
            if keep(&example) {
                kept.examples.push(example);
                kept.logits.extend_from_slice(&self.logits[range]);
            }
        }
        kept
    }

    /// The memory of the next version: a class-balanced reservoir over `candidates`, within `capacity_bytes`.
    /// `logits` are the next version's, F32 [answers of all candidates, labels].
    pub fn choose(
        task: Task,
        candidates: Vec<Remembered>,
        logits: &[f32],
        labels: usize,
        capacity_bytes: u64,
        seed: u64,
    ) -> Result<Memory> {
        let ranges: Vec<_> = ranges(&candidates, labels).collect();
        ensure!(
            logits.len() == ranges.last().map_or(0, |range| range.end),
            "logits of {} candidates do not fit",
            candidates.len()
        );
        let classes = super::task::classes(task, candidates.iter().map(|c| c.label.as_str()));
        let offered: Vec<wengu_decide::memory::Candidate> = candidates
            .iter()
            .zip(classes)
            .map(|(c, class)| wengu_decide::memory::Candidate {
                id: c.text_id.clone(),
                class,
                bytes: (c.text.len() + c.answers as usize * labels * 4) as u64,
                source: c.case.clone(),
                fingerprint: Some(wengu_decide::near::fingerprint(&c.text)),
            })
            .collect();
        let chosen = wengu_decide::memory::select(capacity_bytes, &[], &offered, seed);
        let row_of: HashMap<&str, usize> = candidates
            .iter()
            .enumerate()
            .map(|(i, c)| (c.text_id.as_str(), i))
            .collect();
        let mut memory = Memory {
            labels,
            ..Memory::default()
        };
        for id in &chosen {
            let row = *row_of
                .get(id.as_str())
                .context("the reservoir named an unknown example")?;
            memory.examples.push(candidates[row].clone());
            memory.logits.extend_from_slice(&logits[ranges[row].clone()]);
        }
        Ok(memory)
    }
}

/// Reads a tensor, F32 [rows, columns].
pub fn read_rows(path: &Path, name: &str) -> Result<(Vec<f32>, usize, usize)> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let file = SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
    let view = file.tensor(name).with_context(|| path.display().to_string())?;
    ensure!(
        view.dtype() == Dtype::F32 && view.shape().len() == 2,
        "{}: {name} must be F32 [n, columns]",
        path.display()
    );
    let values = view
        .data()
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    Ok((values, view.shape()[0], view.shape()[1]))
}

fn write_logits(path: &Path, logits: &[f32], rows: usize, labels: usize) -> Result<()> {
    let bytes: Vec<u8> = logits.iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![rows, labels], &bytes)?;
    std::fs::write(path, safetensors::serialize([("logits", view)], None)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let examples: Vec<Remembered> = (0..3)
            .map(|i| Remembered {
                text_id: format!("t{i}"),
                text: ["不可抗力", "争议解决与管辖", "保密义务"][i].into(),
                segments: vec![],
                label: "甲".into(),
                source: LabelSource::Gold,
                case: format!("case {i}"),
                answers: 1,
            })
            .collect();
        let logits: Vec<f32> = (0..6).map(|x| x as f32 / 7.0).collect();
        let memory = Memory::choose(Task::SequenceClassification, examples, &logits, 2, 1 << 20, 1).unwrap();
        assert_eq!(memory.examples.len(), 3);
        let key = Key::parse(&"07".repeat(32)).unwrap();
        for key in [None, Some(&key)] {
            memory.save(dir.path(), key).unwrap();
            assert_eq!(Memory::load(dir.path(), key).unwrap(), memory);
            assert_eq!(Memory::count(dir.path(), key).unwrap(), 3);
            let absent = dir.path().join("absent");
            assert_eq!(Memory::count(&absent, key).unwrap(), 0);
            assert_eq!(Memory::load(&absent, key).unwrap(), Memory::default());
        }
        let bytes = std::fs::read(dir.path().join(EXAMPLES)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("不可抗力"));
        let refused = Memory::load(dir.path(), None).unwrap_err().to_string();
        assert!(refused.contains(&key.id().to_string()), "{refused}");
    }
}
