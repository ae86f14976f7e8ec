//! The phases of a job, in order.

use super::champion::{predict_anchor, predict_champion};
use super::files::{self, sha256_file, sync_tree};
use super::memory;
use super::outcome::Summary;
use super::progress::ProgressLog;
use super::spec::JobDir;
use super::tensors;
use crate::checkpoint::{Checkpoints, LoopState};
use crate::data::{Limits, Role, TokenSet};
use crate::discriminant::{ClassStatistics, Kept};
use crate::error::TrainerError;
use crate::fisher::{FisherState, Provenance};
use crate::model::Model;
use crate::model::compute::Compute;
use crate::objective::Ewc;
use crate::train_loop::{
    Cancel, Inputs, Old, Teacher, Texts, Training, add_discriminant, answers_to, class_statistics, estimate_fisher,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;
use wengu_failpoint::hit;
use wengu_protocol::job::{JobEnd, Method, Phase, Task, layout};

/// Everything the job names, read and checked.
struct Sets<T> {
    train: T,
    validation: Option<T>,
    old: Option<T>,
    replay: Option<T>,
    eval: BTreeMap<String, T>,
    /// What the champion answers, where that is in other tokens than what the challenger answers.
    champion_eval: BTreeMap<String, T>,
    /// New examples that only the parent answers.
    fresh: Option<T>,
    /// What the anchor answers.
    anchor: BTreeMap<String, T>,
    candidates: Option<T>,
}

struct Loaded {
    model: Model,
    sets: Sets<TokenSet>,
    fisher: Option<FisherState>,
    statistics: Option<ClassStatistics>,
}

/// Runs all phases.
pub fn execute(dir: &JobDir, cancel: &Cancel) -> Result<Summary, TrainerError> {
    let learning = &dir.job.learning;
    let mut progress = ProgressLog::open(&dir.root)?;
    progress.begin(Phase::Load, 0, 0)?;
    let Loaded {
        mut model,
        sets,
        fisher,
        statistics,
    } = load(dir)?;
    cancel.check()?;
    hit("train.loaded");
    let checkpoints = Checkpoints::new(&dir.root, &dir.digest);
    let saved = checkpoints.newest()?;
    let kept = clean_out(dir, saved.as_ref().map(|s| &s.state))?;
    let mut sets = sets.prepare(dir, &model, &mut progress, cancel)?;
    progress.end()?;

    let (champion, repeat) = predict_champion(dir, &sets.asked_of_the_parent(), kept, &mut progress, cancel)?;
    predict_anchor(dir, &sets.anchor, &mut progress, cancel)?;

    // Before the first step, and before a checkpoint is restored, the model answers as its parent does.
    let before = match &statistics {
        Some(_) if learning.discriminant_weight > 0.0 => {
            let texts = sets.texts();
            Some(texts.vectors(&model, None, Phase::Teach, &mut progress, cancel)?)
        }
        _ => None,
    };
    let replays = learning.replay_ratio > 0.0 && sets.replay.as_ref().is_some_and(|replay| !replay.set().is_empty());
    let teacher = teach(
        dir,
        &model,
        &mut sets.train,
        before.as_ref(),
        replays,
        &mut progress,
        cancel,
    )?;

    let ewc = match &fisher {
        Some(parent) if learning.ewc_lambda > 0.0 => Some(Ewc::new(learning.ewc_lambda, parent, &model.held()?)?),
        _ => None,
    };
    let replay = sets.replay.as_ref().filter(|_| replays);
    let (train, ewc) = (&sets.train, ewc.as_ref());
    let old = sets
        .old
        .as_ref()
        .map(|old| Old::new(&dir.job, old, dir.parent_labels()));
    let old = old.transpose()?.flatten();
    let training = Training {
        job: &dir.job,
        model: &model,
        train,
        validation: sets.validation.as_ref(),
        old: old.as_ref(),
        replay,
        teacher: teacher.as_ref(),
        ewc,
        checkpoints: &checkpoints,
        cancel,
    };
    let state = training.run(saved, champion, &mut progress)?;
    let (mixing, stability) = old.as_ref().map_or((None, None), |old| old.told(&dir.job, &state.old));
    // From here on the model has the one adapter that is written.
    let recompression = model.join_parent()?;

    let accumulated = match learning.fisher_examples {
        0 => None,
        _ => Some(accumulate_fisher(
            dir,
            &model,
            train,
            fisher.as_ref(),
            &mut progress,
            cancel,
        )?),
    };

    // The class statistics are of vectors, most often those of the same texts.
    let mut seen = None;
    if let Some(candidates) = &sets.candidates {
        progress.begin(Phase::Candidates, 0, Inputs::answer_steps(candidates.set()))?;
        let logits = if dir.job.task == Task::SequenceClassification {
            let vectors = candidates.vectors(&model, &mut progress, cancel)?;
            let logits = answers_to(&vectors, &model)?;
            seen = Some((candidates, vectors));
            logits
        } else {
            candidates.answers(&model, &mut progress, cancel)?
        };
        write_answers(dir, &dir.path(layout::CANDIDATES), &logits)?;
        progress.end()?;
    }

    // Fisher and memory are those of what was trained; from here on the model is what serves.
    let kept = match learning.discriminant_weight {
        factor if factor > 0.0 => {
            let (texts, seen) = (sets.texts(), seen.as_ref().map(|(texts, vectors)| (*texts, vectors)));
            let now = texts.vectors(&model, seen, Phase::Statistics, &mut progress, cancel)?;
            let statistics = class_statistics(statistics, before.as_ref(), &now, texts, &model)?;
            add_discriminant(&model, statistics, factor)?
        }
        _ => None,
    };

    let steps = sets
        .eval
        .values()
        .map(|inputs| Inputs::answer_steps(inputs.set()))
        .sum();
    progress.begin(Phase::PredictChallenger, 0, steps)?;
    for (name, inputs) in &sets.eval {
        let logits = inputs.answers(&model, &mut progress, cancel)?;
        write_answers(dir, &prediction(dir, layout::CHALLENGER, name), &logits)?;
    }
    progress.end()?;

    hit("train.answered");
    cancel.check()?;
    progress.begin(Phase::Write, 0, 0)?;
    model.save_adapter(&dir.path(layout::ADAPTER))?;
    model.save_head(&dir.path(layout::HEAD))?;
    if let Some((fisher, provenance)) = accumulated {
        fisher.write(&dir.path(layout::FISHER), &provenance)?;
    }
    if let Some(kept) = kept {
        kept.write(&dir.path(layout::STATISTICS))?;
    }
    sync_tree(&dir.path("out"))?;
    hit("train.written");
    progress.end()?;
    Ok(Summary {
        steps: state.step,
        repeat,
        skipped_steps: state.skipped,
        train_seconds: state.train_seconds,
        penalty_seconds: state.penalty_seconds,
        phase_seconds: progress.seconds().clone(),
        last_epoch_loss: state.last_epoch_loss.map(Into::into),
        best_epoch: state.stopping.best().map(|(epoch, _)| epoch),
        validation_score: state.stopping.best().map(|(_, score)| score),
        mixing,
        stability,
        recompression,
    })
}

/// Reads and checks all that the job names.
pub fn check(dir: &JobDir) -> Result<String, TrainerError> {
    let Loaded {
        model, sets, fisher, ..
    } = load(dir)?;
    if let Some(fisher) = &fisher {
        Ewc::new(dir.job.learning.ewc_lambda, fisher, &model.held()?)?;
    }
    let parameters: usize = model.trainable().iter().map(|(_, tensor, _)| tensor.numel()).sum();
    Ok(format!(
        "job {} can run: {} new examples, {} in replay, {} evaluation sets, {} labels, {parameters} trained parameters",
        dir.job.job_id,
        sets.train.len(),
        sets.replay.as_ref().map_or(0, TokenSet::len),
        sets.eval.len(),
        dir.job.labels.len(),
    ))
}

fn load(dir: &JobDir) -> Result<Loaded, TrainerError> {
    let job = &dir.job;
    tch::set_num_threads(job.threads as i32);
    memory::limit(Compute::of(&job.base)?.device, job.threads)?;
    let mut model = Model::load(
        job.task,
        &job.base,
        job.parent.as_ref(),
        &job.labels,
        &job.method,
        &job.term_tokens,
        job.learning.head_dropout,
        job.seed,
    )?;
    if job.begins_beside_parent() {
        model.begin_beside_parent(job.seed)?;
    }
    let limits = Limits {
        task: job.task,
        vocab_size: model.vocab_size() as usize,
        max_tokens: model.limits().max_tokens as usize,
        virtual_tokens: model.virtual_tokens() as usize,
        labels: job.labels.len(),
        teacher_labels: match dir.parent_labels() {
            0 => job.labels.len(),
            known => known,
        },
    };
    let read = |path: &PathBuf, role| TokenSet::read(path, role, limits);
    let answered = |sets: &BTreeMap<String, PathBuf>| -> Result<BTreeMap<String, TokenSet>, TrainerError> {
        let read = sets
            .iter()
            .map(|(name, path)| Ok((name.clone(), read(path, Role::Answer)?)));
        read.collect()
    };
    let kept = job.task != Task::CausalLm;
    let distil = kept && job.learning.distill_alpha > 0.0 && job.learning.replay_ratio > 0.0;
    let sets = Sets {
        train: read(&job.data.train, Role::Train)?,
        validation: job
            .data
            .validation
            .as_ref()
            .map(|path| read(path, Role::Train))
            .transpose()?,
        old: job
            .data
            .old_sample
            .as_ref()
            .map(|old| read(&old.path, Role::Train))
            .transpose()?,
        replay: job
            .data
            .replay
            .as_ref()
            .map(|path| read(path, Role::Replay { distil }))
            .transpose()?,
        eval: answered(&job.data.eval)?,
        champion_eval: answered(&job.data.champion_eval)?,
        fresh: job
            .data
            .fresh
            .as_ref()
            .map(|path| read(path, Role::Answer))
            .transpose()?,
        anchor: match &job.anchor {
            Some(anchor) => answered(&anchor.eval)?,
            None => BTreeMap::new(),
        },
        candidates: job
            .data
            .candidates
            .as_ref()
            .map(|path| read(path, Role::Answer))
            .transpose()?,
    };
    let fisher = job.parent.as_ref().and_then(|parent| parent.fisher.as_ref());
    let fisher = fisher.map(|path| FisherState::read(path)).transpose()?;
    let kept = job.parent.as_ref().and_then(|parent| parent.statistics.as_ref());
    let statistics = match kept {
        Some(path) => {
            let kept = Kept::read(path, dir.parent_labels() as i64, model.limits().hidden_size)?;
            model.set_head_rows(&kept.weight, &kept.bias)?;
            Some(kept.statistics)
        }
        None => None,
    };
    Ok(Loaded {
        model,
        sets,
        fisher,
        statistics,
    })
}

impl Sets<Inputs> {
    /// The evaluation sets in the parent's tokens, and what is asked of it alone.
    fn asked_of_the_parent(&self) -> BTreeMap<&str, &Inputs> {
        let eval = if self.champion_eval.is_empty() {
            &self.eval
        } else {
            &self.champion_eval
        };
        let eval = eval.iter().map(|(name, inputs)| (name.as_str(), inputs));
        eval.chain(self.fresh.iter().map(|fresh| (layout::FRESH, fresh)))
            .collect()
    }

    /// What class statistics are made of.
    fn texts(&self) -> Texts<'_> {
        Texts {
            train: &self.train,
            replay: self.replay.as_ref().filter(|replay| !replay.set().is_empty()),
        }
    }
}

impl Sets<TokenSet> {
    /// Tokens as they are, or, where only the head is trained, their embeddings under the frozen encoder.
    fn prepare(
        self,
        dir: &JobDir,
        model: &Model,
        progress: &mut ProgressLog,
        cancel: &Cancel,
    ) -> Result<Sets<Inputs>, TrainerError> {
        let embed = matches!(dir.job.method, Method::HeadOnly);
        if embed {
            let all = self
                .eval
                .values()
                .chain(&self.validation)
                .chain(&self.old)
                .chain(&self.replay)
                .chain(&self.candidates);
            let steps = Inputs::answer_steps(&self.train) + all.map(Inputs::answer_steps).sum::<u64>();
            progress.begin(Phase::Load, 0, steps)?;
        }
        let mut inputs = |set: TokenSet| {
            if embed {
                Inputs::embedded(set, model, progress, cancel)
            } else {
                Ok(Inputs::tokens(set))
            }
        };
        Ok(Sets {
            train: inputs(self.train)?,
            validation: self.validation.map(&mut inputs).transpose()?,
            old: self.old.map(&mut inputs).transpose()?,
            replay: self.replay.map(&mut inputs).transpose()?,
            eval: self
                .eval
                .into_iter()
                .map(|(name, set)| Ok((name, inputs(set)?)))
                .collect::<Result<_, TrainerError>>()?,
            champion_eval: as_tokens(self.champion_eval),
            fresh: self.fresh.map(Inputs::tokens),
            anchor: as_tokens(self.anchor),
            candidates: self.candidates.map(&mut inputs).transpose()?,
        })
    }
}

/// As other versions than the one that is trained take them.
fn as_tokens(sets: BTreeMap<String, TokenSet>) -> BTreeMap<String, Inputs> {
    let sets = sets.into_iter();
    sets.map(|(name, set)| (name, Inputs::tokens(set))).collect()
}

/// Empties `out/` but for the champion's predictions that the checkpoint vouches for; gives those.
fn clean_out(dir: &JobDir, state: Option<&LoopState>) -> Result<BTreeMap<String, String>, TrainerError> {
    let listed = state.map(|state| state.champion.clone()).unwrap_or_default();
    let mut kept = BTreeMap::new();
    for (name, digest) in listed {
        if sha256_file(&dir.path(&name)).is_ok_and(|found| found == digest) {
            kept.insert(name, digest);
        }
    }
    if kept.is_empty() {
        files::remove(&dir.path("out"))?;
    }
    for path in files::files_under(&dir.path("out"))? {
        if !kept.keys().any(|name| dir.path(name) == path) {
            files::remove(&path)?;
        }
    }
    files::create_dirs(&dir.path("out"))?;
    Ok(kept)
}

/// The parent as the teacher: of the new examples (whose vectors may be there already) in advance, or, where its answers are too many to be kept, step by step.
fn teach(
    dir: &JobDir,
    model: &Model,
    train: &mut Inputs,
    vectors: Option<&Tensor>,
    replays: bool,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<Option<Teacher>, TrainerError> {
    let learning = &dir.job.learning;
    if dir.job.parent.is_none() {
        return Ok(None);
    }
    if dir.job.task == Task::CausalLm {
        let distils = learning.distill_alpha > 0.0 || learning.distill_new_alpha > 0.0;
        return Ok(distils.then(|| Teacher::new(model)));
    }
    if learning.distill_new_alpha > 0.0 {
        let answers = match vectors {
            Some(vectors) => {
                let _guard = tch::no_grad_guard();
                model.answer(&vectors.f_narrow(0, 0, train.set().len() as i64)?, None)?
            }
            None => {
                progress.begin(Phase::Teach, 0, Inputs::answer_steps(train.set()))?;
                let answers = train.answers(model, progress, cancel)?;
                progress.end()?;
                answers
            }
        };
        // What memory keeps need not be kept by mistakes on texts that the teacher has not seen. Without one they are all that there is, and a token
        // that it calls something else than its data does may be what only earlier data marked.
        let leave_mistakes_out = replays && dir.job.task == Task::SequenceClassification;
        train.teach(&answers, dir.parent_labels() as i64, leave_mistakes_out)?;
    }
    Ok(None)
}

fn accumulate_fisher(
    dir: &JobDir,
    model: &Model,
    train: &Inputs,
    parent: Option<&FisherState>,
    progress: &mut ProgressLog,
    cancel: &Cancel,
) -> Result<(FisherState, Provenance), TrainerError> {
    let learning = &dir.job.learning;
    let (mean, examples) = estimate_fisher(&dir.job, model, train, progress, cancel)?;
    let state = FisherState::accumulate(parent, learning.fisher_decay, &mean, &model.held()?)?;
    let provenance = Provenance {
        estimator: learning.fisher,
        examples,
        labels: dir.job.labels.len() as u64,
        decay: learning.fisher_decay,
        accumulated: parent.is_some(),
        factored: state.factored().count() as u64,
    };
    Ok((state, provenance))
}

pub(super) fn prediction(dir: &JobDir, folder: &str, name: &str) -> PathBuf {
    dir.path(folder).join(format!("{name}.safetensors"))
}

pub(super) fn write_answers(dir: &JobDir, path: &Path, answers: &Tensor) -> Result<(), TrainerError> {
    let name = match dir.job.task {
        Task::CausalLm => "answers",
        _ => "logits",
    };
    tensors::write(path, [(name.to_owned(), answers)], None).map_err(|e| {
        if e.end == JobEnd::Internal {
            e.context(path.display())
        } else {
            e
        }
    })
}
