//! The versions that the result is compared with: the parent, asked in part a second time, and the anchor.

use super::files::{self, sha256_file};
use super::pipeline::{prediction, write_answers};
use super::progress::ProgressLog;
use super::spec::JobDir;
use super::tensors;
use crate::error::TrainerError;
use crate::model::Model;
use crate::train_loop::{Cancel, Inputs};
use std::collections::BTreeMap;
use tch::Tensor;
use wengu_protocol::job::{Job, JobEnd, Parent, Phase, Repeat, Task, layout};

/// So many batches of the parent's answers are asked for again, one of each set before a second of any.
const REPEATED_BATCHES: usize = 8;

/// The parent answers the sets that `kept` does not hold yet; where a causal model has none, the base model does. All files with their
/// digests, and what came of asking again.
pub fn predict_champion(
    dir: &JobDir,
    sets: &BTreeMap<&str, &Inputs>,
    mut kept: BTreeMap<String, String>,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<(BTreeMap<String, String>, Option<Repeat>), TrainerError> {
    if dir.job.parent.is_none() && dir.job.task != Task::CausalLm {
        return Ok((BTreeMap::new(), None));
    }
    let file = |name: &str| format!("{}/{name}.safetensors", layout::CHAMPION);
    let names = sets.keys().copied();
    let missing: Vec<&str> = names.filter(|name| !kept.contains_key(&file(name))).collect();
    let steps = missing.iter().map(|name| Inputs::answer_steps(sets[name].set()));
    let steps: u64 = steps.sum();
    let again = repeated(sets);
    let more = again.values().map(|batches| *batches as u64).sum::<u64>();
    progress.begin(Phase::PredictChampion, 0, steps + more)?;
    let mut champion = load(dir, dir.job.parent.as_ref())?;
    if dir.job.parent.is_none() {
        // A fresh prompt has its say already.
        champion = champion.without_adapter();
    }
    for name in missing {
        let logits = sets[name].answers(&champion, progress, cancel)?;
        let path = prediction(dir, layout::CHAMPION, name);
        write_answers(dir, &path, &logits)?;
        kept.insert(
            file(name),
            sha256_file(&path).map_err(|e| files::write_failed(&path, &e))?,
        );
    }
    let mut repeat = Repeat::default();
    for (name, batches) in again {
        let path = prediction(dir, layout::CHAMPION, name);
        let bytes = std::fs::read(&path).map_err(|e| TrainerError::at(JobEnd::Internal, &path, e))?;
        let (said, _) = tensors::decode(&bytes).map_err(|e| TrainerError::at(JobEnd::Internal, &path, e))?;
        let said = said.into_values().next();
        let said = said.ok_or_else(|| TrainerError::at(JobEnd::Internal, &path, "holds no answers"))?;
        for (rows, now) in sets[name].first_answers(&champion, batches, progress, cancel)? {
            let before = said.f_index_select(0, &rows)?;
            let same = decision(&dir.job, &before)?.f_eq_tensor(&decision(&dir.job, &now)?)?;
            repeat.answers += same.numel() as u64;
            repeat.differ += same.numel() as u64 - same.f_sum(tch::Kind::Int64)?.f_int64_value(&[])? as u64;
        }
    }
    progress.end()?;
    Ok((kept, Some(repeat)))
}

/// What a row of answers decides: the likeliest label, whether each label applies, or, of a causal model, whether the token was the
/// likeliest.
fn decision(job: &Job, answers: &Tensor) -> Result<Tensor, TrainerError> {
    Ok(match job.task {
        Task::MultiLabelClassification => answers.f_sigmoid()?.f_ge(job.label_threshold())?,
        Task::CausalLm => answers.f_select(1, 1)?,
        Task::SequenceClassification | Task::TokenClassification => answers.f_argmax(1, false)?,
    })
}

/// How many batches of each set are asked again.
fn repeated<'a>(sets: &BTreeMap<&'a str, &Inputs>) -> BTreeMap<&'a str, usize> {
    let mut again: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left = REPEATED_BATCHES;
    for round in 1..=REPEATED_BATCHES as u64 {
        for (name, inputs) in sets {
            if left > 0 && Inputs::answer_steps(inputs.set()) >= round {
                *again.entry(name).or_default() += 1;
                left -= 1;
            }
        }
    }
    again
}

/// The anchor answers its sets.
pub fn predict_anchor(
    dir: &JobDir,
    sets: &BTreeMap<String, Inputs>,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<(), TrainerError> {
    let Some(anchor) = &dir.job.anchor else { return Ok(()) };
    let steps = sets.values().map(|inputs| Inputs::answer_steps(inputs.set())).sum();
    progress.begin(Phase::PredictChampion, 0, steps)?;
    let model = load(dir, Some(&anchor.version))?;
    for (name, inputs) in sets {
        let logits = inputs.answers(&model, progress, cancel)?;
        write_answers(dir, &prediction(dir, layout::ANCHOR, name), &logits)?;
    }
    progress.end()
}

/// A version with its own labels: the answers are its own, not those of a head that has grown since.
fn load(dir: &JobDir, version: Option<&Parent>) -> Result<Model, TrainerError> {
    let job = &dir.job;
    let known = version.map_or(0, |version| version.term_tokens as usize);
    Model::load(
        job.task,
        &job.base,
        version,
        version.map_or(&[], |version| &version.labels),
        &job.method,
        &job.term_tokens[..known],
        0.0,
        job.seed,
    )
}
