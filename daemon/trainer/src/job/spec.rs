//! `job.json`: read and checked.

use super::files::{sha256_file, sha256_hex};
use crate::error::TrainerError;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wengu_protocol::job::{
    AdapterStart, Bottleneck, DistillLoss, FisherEstimate, JOB_SCHEMA, Job, JobEnd, Learning, Lora, Method,
    PromptTuning, Task, layout, sums,
};

/// A checked job and where it lies.
#[derive(Debug)]
pub struct JobDir {
    /// The job directory.
    pub root: PathBuf,
    /// The job, with all paths made absolute or relative to the working directory.
    pub job: Job,
    /// SHA-256 of `job.json`: a checkpoint of another job is not this job's.
    pub digest: String,
}

impl JobDir {
    /// Reads and checks `job.json`.
    pub fn open(root: &Path) -> Result<JobDir, TrainerError> {
        let path = root.join(layout::JOB);
        let bad = |what: String| TrainerError::new(JobEnd::BadJob, format!("{}: {what}", path.display()));
        match sums::verify(root, layout::SUMS, sha256_file) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                let text = format!(
                    "{}: {e}: it was damaged after it was written; prepare the job again",
                    root.display()
                );
                return Err(TrainerError::new(JobEnd::BadData, text));
            }
            _ => {}
        }
        let bytes = std::fs::read(&path).map_err(|e| bad(e.to_string()))?;
        // The schema first: a job of another version would fail with a puzzle about fields.
        let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|e| bad(format!("not JSON: {e}")))?;
        match value.get("schema").and_then(serde_json::Value::as_u64) {
            Some(found) if found == u64::from(JOB_SCHEMA) => {}
            found => {
                let found = found.map_or("none".to_owned(), |v| v.to_string());
                return Err(bad(format!(
                    "schema {found}, but this trainer reads schema {JOB_SCHEMA}; install daemon and trainer of one release"
                )));
            }
        }
        let mut job: Job = serde_json::from_slice(&bytes).map_err(|e| bad(e.to_string()))?;
        check(&job).map_err(bad)?;
        check_parent_labels(&job, &path)?;
        resolve(&mut job, root);
        Ok(JobDir {
            root: root.to_path_buf(),
            job,
            digest: sha256_hex(&bytes),
        })
    }

    /// A path inside the job directory.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Labels the parent knew: its head is the first rows of the result's.
    pub fn parent_labels(&self) -> usize {
        self.job.parent.as_ref().map_or(0, |p| p.labels.len())
    }
}

fn resolve(job: &mut Job, root: &Path) {
    // `join` of an absolute path is that path.
    let fix = |path: &mut PathBuf| *path = root.join(&*path);
    fix(&mut job.base.path);
    let anchor = job.anchor.as_mut().map(|anchor| &mut anchor.version);
    for version in job.parent.iter_mut().chain(anchor) {
        let folders = version.head.iter_mut().chain(version.adapter.iter_mut());
        let files = version.fisher.iter_mut().chain(version.statistics.iter_mut());
        folders.chain(files).for_each(fix);
    }
    let asked = job.anchor.iter_mut().flat_map(|anchor| anchor.eval.values_mut());
    asked.chain(job.data.fresh.iter_mut()).for_each(fix);
    fix(&mut job.data.train);
    let optional = job.data.replay.iter_mut().chain(job.data.candidates.iter_mut());
    let old = job.data.old_sample.iter_mut().map(|old| &mut old.path);
    let optional = optional.chain(job.data.validation.iter_mut()).chain(old);
    let evaluation = job.data.eval.values_mut().chain(job.data.champion_eval.values_mut());
    optional.chain(evaluation).for_each(fix);
}

fn check_parent_labels(job: &Job, path: &Path) -> Result<(), TrainerError> {
    let Some(parent) = &job.parent else { return Ok(()) };
    for (i, label) in parent.labels.iter().enumerate() {
        if job.labels.get(i) != Some(label) {
            let found = job.labels.get(i).map_or("nothing".to_owned(), |l| format!("`{l}`"));
            let text = format!(
                "{}: label {i} of the parent is `{label}`, of the job {found}; \
                 `labels` has to begin with the parent's labels, in their order",
                path.display()
            );
            return Err(TrainerError::new(JobEnd::UnknownLabel, text));
        }
    }
    Ok(())
}

fn check(job: &Job) -> Result<(), String> {
    ensure(!job.job_id.is_empty(), || "`job_id` is empty".into())?;
    within("threads", f64::from(job.threads), 1.0, 1024.0)?;
    if job.task == Task::CausalLm {
        causal(job)?;
    } else {
        labels("labels", &job.labels)?;
        if let Some(parent) = &job.parent {
            labels("parent.labels", &parent.labels)?;
        }
    }
    let l = &job.learning;
    let exact = l.fisher == FisherEstimate::Exact && l.fisher_examples > 0;
    ensure(job.task.is_by_text() || !exact, || {
        "`learning.fisher` \"exact\" would go through every combination of the tokens' labels; take \"sampled\"".into()
    })?;
    if let Some(threshold) = job.threshold {
        ensure(job.task == Task::MultiLabelClassification, || {
            "`threshold` is for texts with any number of labels; leave it out".into()
        })?;
        ensure(threshold > 0.0 && threshold < 1.0, || {
            format!("`threshold` is {threshold}; it has to be more than 0 and less than 1")
        })?;
    }
    method(&job.method)?;
    learning(&job.learning)?;
    adapter_start(job)?;
    learned(job)?;
    let validated = job.data.validation.is_some();
    ensure(!validated || job.learning.patience > 0, || {
        "`data.validation` is given and `learning.patience` is 0; set it to 1 or more, or leave the file out".into()
    })?;
    ensure(job.data.old_sample.is_none() || job.parent.is_some(), || {
        "`data.old_sample` is of what a parent knows, which the job does not have".into()
    })?;
    term_tokens(job)?;
    anchor(job)?;
    let asked = job.anchor.iter().flat_map(|anchor| anchor.eval.keys());
    for name in job.data.eval.keys().chain(asked) {
        let plain = !name.is_empty() && name.len() <= 200 && !name.starts_with('.') && !name.contains(['/', '\0']);
        ensure(plain, || {
            format!("`data.eval` or `anchor.eval` has the name `{name}`, which cannot be a file name")
        })?;
    }
    Ok(())
}

fn causal(job: &Job) -> Result<(), String> {
    ensure(job.labels.is_empty(), || {
        "a causal model has no `labels`; leave them empty".into()
    })?;
    ensure(job.method != Method::HeadOnly, || {
        "a causal model has no head to train; take another method than \"head_only\"".into()
    })?;
    ensure(job.term_tokens.is_empty(), || {
        "a causal model would have to write `term_tokens` too, which no server can; leave them out".into()
    })?;
    ensure(job.learning.distill_loss == DistillLoss::Kl, || {
        "`learning.distill_loss` \"logits\" matches logits that were kept, and a causal model's are too many; take \"kl\"".into()
    })?;
    ensure(job.data.candidates.is_none(), || {
        "`data.candidates` are of no use to a causal model: its logits are too many to be kept".into()
    })
}

fn learned(job: &Job) -> Result<(), String> {
    let (counts, labels) = (job.data.learned.len(), job.labels.len());
    ensure(counts == 0 || counts == labels, || {
        format!("`data.learned` counts the examples of {counts} labels; the job has {labels}")
    })?;
    for (name, value) in [
        ("prior_correction", job.learning.prior_correction),
        ("discriminant_weight", job.learning.discriminant_weight),
    ] {
        ensure(value <= 0.0 || job.task == Task::SequenceClassification, || {
            format!("`learning.{name}` is for texts with one label; set it to 0")
        })?;
    }
    Ok(())
}

fn anchor(job: &Job) -> Result<(), String> {
    let fresh = job.data.fresh.is_none() || (job.parent.is_some() && !job.data.eval.contains_key(layout::FRESH));
    ensure(fresh, || {
        "`data.fresh` is answered by a parent, which the job does not have, or `data.eval` has its name".into()
    })?;
    let (Some(anchor), Some(parent)) = (&job.anchor, &job.parent) else {
        return ensure(job.anchor.is_none(), || {
            "`anchor` is an ancestor of the parent, which the job does not have".into()
        });
    };
    let older = parent.labels.starts_with(&anchor.version.labels) && anchor.version.term_tokens <= parent.term_tokens;
    ensure(older, || {
        "the labels of `anchor.version` are not the first of the parent's, or it has more term tokens; it has to be an ancestor"
            .into()
    })
}

fn term_tokens(job: &Job) -> Result<(), String> {
    let terms = &job.term_tokens;
    let Some(first) = terms.first() else { return Ok(()) };
    ensure(matches!(job.method, Method::Lora(_)), || {
        "`term_tokens` need the method \"lora\", which carries them".into()
    })?;
    for (term, id) in terms.iter().zip(u64::from(first.id)..) {
        let pieces = !term.pieces.is_empty() && term.pieces.iter().all(|piece| *piece < first.id);
        ensure(u64::from(term.id) == id && pieces, || {
            format!(
                "`term_tokens`: `{}` has the id {} where {id} is next, or no pieces below {}",
                term.text, term.id, first.id
            )
        })?;
    }
    let parent = job.parent.as_ref().map_or(0, |parent| parent.term_tokens as usize);
    let same_sets = job.data.champion_eval.is_empty() || job.data.champion_eval.keys().eq(job.data.eval.keys());
    ensure(parent <= terms.len() && same_sets, || {
        "`parent.term_tokens` is more than `term_tokens`, or `data.champion_eval` has other sets than `data.eval`"
            .into()
    })
}

fn adapter_start(job: &Job) -> Result<(), String> {
    let (start, lambda) = (job.learning.adapter_start, job.learning.orthogonal_lambda);
    let is_sum = matches!(&job.method, Method::Lora(lora) if !lora.use_dora);
    ensure(start == AdapterStart::Continue || is_sum, || {
        "`learning.adapter_start` other than \"continue\" needs the method \"lora\" without `use_dora`".into()
    })?;
    ensure(lambda <= 0.0 || start == AdapterStart::Orthogonal, || {
        "`learning.orthogonal_lambda` needs `learning.adapter_start` \"orthogonal\"; set it to 0".into()
    })
}

fn labels(field: &str, labels: &[String]) -> Result<(), String> {
    ensure(!labels.is_empty(), || format!("`{field}` is empty"))?;
    let mut seen = BTreeSet::new();
    for label in labels {
        ensure(!label.is_empty(), || format!("`{field}` holds an empty label"))?;
        ensure(seen.insert(label), || format!("`{field}` holds `{label}` twice"))?;
    }
    Ok(())
}

fn method(method: &Method) -> Result<(), String> {
    match method {
        Method::Lora(settings) => lora(settings),
        Method::PromptTuning(PromptTuning { virtual_tokens }) => {
            within("method.virtual_tokens", f64::from(*virtual_tokens), 1.0, 4096.0)
        }
        Method::Bottleneck(Bottleneck { reduction_factor, .. }) => {
            within("method.reduction_factor", f64::from(*reduction_factor), 1.0, 65_536.0)
        }
        Method::HeadOnly => Ok(()),
    }
}

fn lora(lora: &Lora) -> Result<(), String> {
    let Lora {
        rank,
        alpha,
        dropout,
        target_modules,
        ..
    } = lora;
    within("method.rank", f64::from(*rank), 1.0, 4096.0)?;
    positive("method.alpha", *alpha)?;
    below_one("method.dropout", *dropout)?;
    for (pattern, rank) in &lora.rank_pattern {
        within(
            &format!("method.rank_pattern.\"{pattern}\""),
            f64::from(*rank),
            1.0,
            4096.0,
        )?;
    }
    for (pattern, alpha) in &lora.alpha_pattern {
        positive(&format!("method.alpha_pattern.\"{pattern}\""), *alpha)?;
    }
    let named = !target_modules.is_empty() && target_modules.iter().all(|m| !m.is_empty());
    ensure(named, || {
        "`method.target_modules` has to name at least one layer, as in [\"query\", \"value\"]".into()
    })
}

fn learning(learning: &Learning) -> Result<(), String> {
    let l = learning;
    for (name, value) in [
        ("epochs", l.epochs),
        ("batch_size", l.batch_size),
        ("accumulation", l.accumulation),
        ("checkpoint_steps", l.checkpoint_steps),
    ] {
        within(&format!("learning.{name}"), f64::from(value), 1.0, 1e9)?;
    }
    ensure(l.accumulation <= l.batch_size, || {
        let (parts, size) = (l.accumulation, l.batch_size);
        format!("`learning.accumulation` is {parts}, more than the {size} examples of a step")
    })?;
    for (name, value) in [
        ("learning_rate", l.learning_rate),
        ("head_learning_rate", l.head_learning_rate),
        ("weight_decay", l.weight_decay),
        ("distill_alpha", l.distill_alpha),
        ("distill_new_alpha", l.distill_new_alpha),
        ("prior_correction", l.prior_correction),
        ("discriminant_weight", l.discriminant_weight),
        ("ewc_lambda", l.ewc_lambda),
        ("orthogonal_lambda", l.orthogonal_lambda),
    ] {
        within(&format!("learning.{name}"), value, 0.0, f64::MAX)?;
    }
    within("learning.warmup_fraction", l.warmup_fraction, 0.0, 1.0)?;
    within("learning.fisher_decay", l.fisher_decay, 0.0, 1.0)?;
    within("learning.replay_ratio", l.replay_ratio, 0.0, 64.0)?;
    if let Some(tolerance) = l.old_loss_tolerance {
        within("learning.old_loss_tolerance", tolerance, 0.0, f64::MAX)?;
    }
    below_one("learning.head_dropout", l.head_dropout)?;
    positive("learning.clip_norm", l.clip_norm)?;
    positive("learning.distill_temperature", l.distill_temperature)
}

fn within(field: &str, value: f64, low: f64, high: f64) -> Result<(), String> {
    ensure(value.is_finite() && (low..=high).contains(&value), || {
        let high = if high == f64::MAX {
            "above".to_owned()
        } else {
            high.to_string()
        };
        format!("`{field}` is {value}; it has to be {low} to {high}")
    })
}

fn below_one(field: &str, value: f64) -> Result<(), String> {
    ensure((0.0..1.0).contains(&value), || {
        format!("`{field}` is {value}; it has to be 0 or more and less than 1")
    })
}

fn positive(field: &str, value: f64) -> Result<(), String> {
    ensure(value.is_finite() && value > 0.0, || {
        format!("`{field}` is {value}; it has to be more than 0")
    })
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(text()) }
}
