use super::asked::Asked;
use super::batch::{Lines, arrange, fill};
use crate::error::TrainerError;
use crate::model::Batch;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::path::Path;
use tch::Tensor;
use wengu_protocol::job::{DataFile, JobEnd, Task};

/// What a set is for; it decides what the file must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// New examples: at least one, all with labels.
    Train,
    /// Replay examples, all with labels; with teacher logits where the job distils.
    Replay {
        /// The job has a distillation term.
        distil: bool,
    },
    /// Evaluation sets and candidates: labels may be missing.
    Answer,
}

/// What the job and the model allow in a set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What the model answers.
    pub task: Task,
    /// Token ids are below this.
    pub vocab_size: usize,
    /// Rows have at most this many tokens.
    pub max_tokens: usize,
    /// Tokens that the model puts before each row.
    pub virtual_tokens: usize,
    /// Labels are below this.
    pub labels: usize,
    /// Teacher logits have at most this many columns.
    pub teacher_labels: usize,
}

/// A checked data file.
#[derive(Debug)]
pub struct TokenSet {
    ids: Vec<i64>,
    offsets: Vec<usize>,
    limits: Limits,
    lines: Lines,
    asked: Option<Asked>,
    /// One a row; -1 where there is none.
    pub labels: Vec<i64>,
    /// What the label of each row is, where that is not certain: F32 [n, labels], rows summing to 1. Where a row has several labels:
    /// the probability of each.
    pub probabilities: Option<Tensor>,
    /// Weight of each row's loss.
    pub weights: Vec<f32>,
    /// The champion's logits, F32 [n, labels it knew].
    pub teacher: Option<Tensor>,
}

impl TokenSet {
    /// Reads and checks a data file.
    pub fn read(path: &Path, role: Role, limits: Limits) -> Result<TokenSet, TrainerError> {
        let bad = |what: String| {
            TrainerError::new(
                JobEnd::BadData,
                format!("{}: {what}; write the data file again", path.display()),
            )
        };
        // Read, not mapped: a mapped file that someone truncates ends the process with SIGBUS.
        let bytes = std::fs::read(path).map_err(|e| bad(e.to_string()))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("not a safetensors file: {e}")))?;
        let required = |name| {
            file.tensor(name)
                .map_err(|_| bad(format!("there is no tensor `{name}`")))
        };

        let ids = numbers(&required(DataFile::IDS)?, DataFile::IDS, Dtype::I32, i32::from_le_bytes).map_err(bad)?;
        let offsets = numbers(
            &required(DataFile::OFFSETS)?,
            DataFile::OFFSETS,
            Dtype::I64,
            i64::from_le_bytes,
        )
        .map_err(bad)?;
        let offsets = check_offsets(&offsets, ids.len(), limits.max_tokens).map_err(bad)?;
        let n = offsets.len() - 1;
        if let Some(at) = ids.iter().position(|&id| id < 0 || id as usize >= limits.vocab_size) {
            let row = offsets.partition_point(|&o| o <= at) - 1;
            let (id, vocab) = (ids[at], limits.vocab_size);
            return Err(bad(format!(
                "row {row} holds token id {id}, but the model's vocabulary has {vocab} entries; \
                 encode with the tokenizer of the base model"
            )));
        }

        let labels = numbers(
            &required(DataFile::LABELS)?,
            DataFile::LABELS,
            Dtype::I64,
            i64::from_le_bytes,
        )
        .map_err(bad)?;
        same_rows(DataFile::LABELS, labels.len(), n).map_err(bad)?;
        let by_token = !limits.task.is_by_text();
        let asked = match (by_token, file.tensor(DataFile::TOKEN_LABELS)) {
            (false, Err(_)) => {
                if limits.task == Task::SequenceClassification {
                    check_labels(&labels, role, limits.labels, path)?;
                }
                None
            }
            (false, Ok(_)) => {
                let name = DataFile::TOKEN_LABELS;
                return Err(bad(format!(
                    "there is a tensor `{name}`, which the job's task does not take"
                )));
            }
            (true, view) => {
                let view = view.map_err(|_| bad(format!("there is no tensor `{}`", DataFile::TOKEN_LABELS)))?;
                Some(asked(&view, &ids, &offsets, limits).map_err(bad)?)
            }
        };
        let rows_of_others = asked.as_ref().map_or(n, Asked::len);

        let probabilities = match file.tensor(DataFile::LABEL_PROBABILITIES) {
            Err(_) if limits.task == Task::MultiLabelClassification && role != Role::Answer => {
                let name = DataFile::LABEL_PROBABILITIES;
                return Err(bad(format!(
                    "there is no tensor `{name}`, which says what labels each row has"
                )));
            }
            Err(_) => None,
            Ok(view) => Some(label_probabilities(&view, rows_of_others, limits).map_err(bad)?),
        };

        let weights = match file.tensor(DataFile::WEIGHTS) {
            Err(_) => vec![1.0; n],
            Ok(view) => numbers(&view, DataFile::WEIGHTS, Dtype::F32, f32::from_le_bytes).map_err(bad)?,
        };
        same_rows(DataFile::WEIGHTS, weights.len(), n).map_err(bad)?;
        if let Some(row) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
            return Err(bad(format!(
                "row {row} has the weight {}; weights are finite and not negative",
                weights[row]
            )));
        }

        let teacher = match (role, file.tensor(DataFile::TEACHER_LOGITS)) {
            (Role::Replay { .. }, Ok(view)) => {
                Some(teacher_logits(&view, rows_of_others, limits.teacher_labels).map_err(bad)?)
            }
            (Role::Replay { distil: true }, Err(_)) if n > 0 => {
                let name = DataFile::TEACHER_LOGITS;
                return Err(bad(format!(
                    "there is no tensor `{name}`, which `distill_alpha` above 0 needs"
                )));
            }
            _ => None,
        };
        if role == Role::Train && n == 0 {
            return Err(bad("there is no example to train on".into()));
        }
        let ids = ids.into_iter().map(i64::from).collect();
        Ok(TokenSet {
            ids,
            offsets,
            limits,
            lines: match limits.task {
                Task::CausalLm => Lines::Packed,
                _ => Lines::OneRow,
            },
            asked,
            labels,
            probabilities,
            weights,
            teacher,
        })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of a row.
    pub fn row(&self, row: usize) -> &[i64] {
        &self.ids[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Number of tokens of each row.
    pub fn lengths(&self) -> Vec<usize> {
        self.offsets.windows(2).map(|w| w[1] - w[0]).collect()
    }

    /// Rows as a batch.
    pub fn batch(&self, rows: &[usize]) -> Result<Batch, TrainerError> {
        let tokens: Vec<&[i64]> = rows.iter().map(|&row| self.row(row)).collect();
        let lengths: Vec<usize> = tokens.iter().map(|row| row.len()).collect();
        let (places, lines, width) = arrange(&lengths, self.lines, &self.limits);
        let mut batch = fill(&tokens, &places, lines, width)?;
        if let Some(asked) = &self.asked {
            batch.items = Some(Tensor::f_from_slice(&asked.places(rows, &places, width))?);
        }
        Ok(batch)
    }

    /// Answers that the set asks for: one a row, or one a token that is asked for.
    pub fn answers(&self) -> usize {
        self.asked.as_ref().map_or(self.len(), Asked::len)
    }

    /// Which of them these rows ask for, in order.
    pub fn answers_of(&self, rows: &[usize]) -> Vec<usize> {
        match &self.asked {
            None => rows.to_vec(),
            Some(asked) => rows.iter().flat_map(|&row| asked.of(row)).collect(),
        }
    }

    /// What they should be; -1 where that is not known.
    pub fn answer_labels(&self, rows: &[usize]) -> Vec<i64> {
        match &self.asked {
            None => rows.iter().map(|&row| self.labels[row]).collect(),
            Some(asked) => asked.labels(rows),
        }
    }

    /// How much of each of `labels` labels every row holds, times the row's weight, [rows, labels]. For texts with one label.
    pub fn label_shares(&self, labels: usize) -> Result<Tensor, TrainerError> {
        let all: Vec<usize> = (0..self.len()).collect();
        let weights = Tensor::f_from_slice(&self.answer_weights(&all))?.f_unsqueeze(1)?;
        let shares = match &self.probabilities {
            Some(probabilities) => probabilities.shallow_clone(),
            None => Tensor::f_from_slice(&self.answer_labels(&all))?
                .f_one_hot(labels as i64)?
                .f_to_kind(tch::Kind::Float)?,
        };
        Ok(shares.f_mul(&weights)?)
    }

    /// How much of each of `labels` labels the answers hold, in examples.
    pub fn label_counts(&self, labels: usize) -> Result<Vec<f64>, TrainerError> {
        if let Some(probabilities) = &self.probabilities {
            let sums = probabilities.f_sum_dim_intlist(0, false, tch::Kind::Double)?;
            return Ok(Vec::try_from(&sums)?);
        }
        let all: Vec<usize> = (0..self.len()).collect();
        let mut counts = vec![0.0; labels];
        for label in self.answer_labels(&all) {
            counts[label as usize] += 1.0;
        }
        Ok(counts)
    }

    /// The weights of their losses.
    pub fn answer_weights(&self, rows: &[usize]) -> Vec<f32> {
        match &self.asked {
            None => rows.iter().map(|&row| self.weights[row]).collect(),
            Some(asked) => {
                let of = |&row: &usize| std::iter::repeat_n(self.weights[row], asked.of(row).len());
                rows.iter().flat_map(of).collect()
            }
        }
    }
}

/// The values of a one-dimensional tensor.
fn numbers<T, const N: usize>(
    view: &TensorView<'_>,
    name: &str,
    dtype: Dtype,
    parse: fn([u8; N]) -> T,
) -> Result<Vec<T>, String> {
    if view.dtype() != dtype || view.shape().len() != 1 {
        let (found, shape) = (view.dtype(), view.shape());
        return Err(format!(
            "`{name}` is {found:?} {shape:?}; it has to be {dtype:?} with one dimension"
        ));
    }
    let (values, _) = view.data().as_chunks::<N>();
    Ok(values.iter().map(|&bytes| parse(bytes)).collect())
}

/// The tokens that are asked for, checked.
fn asked(view: &TensorView<'_>, ids: &[i32], offsets: &[usize], limits: Limits) -> Result<Asked, String> {
    let name = DataFile::TOKEN_LABELS;
    let labels = numbers(view, name, Dtype::I64, i64::from_le_bytes)?;
    if labels.len() != ids.len() {
        return Err(format!("`{name}` has {} values for {} tokens", labels.len(), ids.len()));
    }
    let wrong = |(label, id): (&i64, &i32)| match limits.task {
        Task::CausalLm => *label != -1 && *label != i64::from(*id),
        _ => *label < -1 || *label >= limits.labels as i64,
    };
    if let Some(at) = labels.iter().zip(ids).position(wrong) {
        let row = offsets.partition_point(|&o| o <= at) - 1;
        let (found, id, labels) = (labels[at], ids[at], limits.labels);
        return Err(match limits.task {
            Task::CausalLm => format!("`{name}` of row {row} asks for token {found} where token {id} stands"),
            _ => format!("`{name}` of row {row} has the label {found}; the job has {labels}"),
        });
    }
    Asked::new(limits.task, &labels, offsets)
}

fn same_rows(name: &str, found: usize, n: usize) -> Result<(), String> {
    if found == n {
        Ok(())
    } else {
        Err(format!("`{name}` has {found} values for {n} rows"))
    }
}

fn check_offsets(offsets: &[i64], tokens: usize, max_tokens: usize) -> Result<Vec<usize>, String> {
    if offsets.first() != Some(&0) || offsets.last() != Some(&(tokens as i64)) {
        return Err(format!(
            "`offsets` has to begin with 0 and end with the number of tokens, {tokens}"
        ));
    }
    for (row, pair) in offsets.windows(2).enumerate() {
        if pair[1] <= pair[0] {
            return Err(format!(
                "row {row} is empty or `offsets` falls there ({} to {})",
                pair[0], pair[1]
            ));
        }
        let length = pair[1] - pair[0];
        if length > max_tokens as i64 {
            return Err(format!(
                "row {row} has {length} tokens; the model takes {max_tokens}: truncate it"
            ));
        }
    }
    // They rise from 0 to the number of tokens, so each fits.
    Ok(offsets.iter().map(|&o| o as usize).collect())
}

fn check_labels(labels: &[i64], role: Role, declared: usize, path: &Path) -> Result<(), TrainerError> {
    let path = path.display();
    for (row, &label) in labels.iter().enumerate() {
        if label == -1 && role != Role::Answer {
            let text = format!("{path}: row {row} has no label; leave unlabelled examples out of training and replay");
            return Err(TrainerError::new(JobEnd::BadData, text));
        }
        if label < -1 || label >= declared as i64 {
            let text = format!(
                "{path}: row {row} has label {label}, but the job declares {declared} labels (0 to {}); \
                 add the label to `labels` in job.json or leave the row out",
                declared as i64 - 1
            );
            return Err(TrainerError::new(JobEnd::UnknownLabel, text));
        }
    }
    Ok(())
}

fn teacher_logits(view: &TensorView<'_>, n: usize, known: usize) -> Result<Tensor, String> {
    let name = DataFile::TEACHER_LOGITS;
    let (found, shape) = (view.dtype(), view.shape());
    let &[rows, width] = shape else {
        return Err(format!("`{name}` has the shape {shape:?}; it has to be [rows, labels]"));
    };
    if found != Dtype::F32 || rows != n || width == 0 || width > known {
        return Err(format!(
            "`{name}` is {found:?} {shape:?}; it has to be F32 [{n}, 1 to {known}], one column for each of the first \
             labels that the teacher knew"
        ));
    }
    let values = floats(view);
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(format!("`{name}` of row {} is {}", at / width, values[at]));
    }
    matrix(&values, rows, width)
}

fn label_probabilities(view: &TensorView<'_>, n: usize, limits: Limits) -> Result<Tensor, String> {
    // Summed in f32 by whoever wrote it.
    const SUM_TOLERANCE: f32 = 1e-4;
    let labels = limits.labels;
    let name = DataFile::LABEL_PROBABILITIES;
    if view.dtype() != Dtype::F32 || view.shape() != [n, labels] {
        let (found, shape) = (view.dtype(), view.shape());
        return Err(format!(
            "`{name}` is {found:?} {shape:?}; it has to be F32 [{n}, {labels}]"
        ));
    }
    let values = floats(view);
    for (row, p) in values.chunks(labels).enumerate() {
        let sum: f32 = p.iter().sum();
        let apart = limits.task == Task::MultiLabelClassification;
        if p.iter().any(|p| !(0.0..=1.0 + SUM_TOLERANCE).contains(p)) || (!apart && (sum - 1.0).abs() > SUM_TOLERANCE) {
            return Err(format!("`{name}` of row {row} sums to {sum} or leaves 0..1"));
        }
    }
    matrix(&values, n, labels)
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    let (values, _) = view.data().as_chunks::<4>();
    values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

fn matrix(values: &[f32], rows: usize, width: usize) -> Result<Tensor, String> {
    Tensor::f_from_slice(values)
        .and_then(|t| t.f_reshape([rows as i64, width as i64]))
        .map_err(|e| e.to_string())
}
