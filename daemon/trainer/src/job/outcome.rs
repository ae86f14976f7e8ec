//! How a job ends, and what is left behind for each end.

use super::files::{self, files_under, sha256_file, write_failed};
use super::memory;
use super::pipeline;
use super::spec::JobDir;
use crate::error::TrainerError;
use crate::train_loop::Cancel;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wengu_failpoint::hit;
use wengu_protocol::job::{
    JOB_SCHEMA, JobEnd, JobResult, LossTerms, Mixing, Phase, Recompression, Repeat, Stability, layout, sums,
};

/// What the steps of a completed job leave to say.
#[derive(Debug, Default)]
pub struct Summary {
    /// Optimizer steps taken.
    pub steps: u64,
    /// What the parent said when it was asked again.
    pub repeat: Option<Repeat>,
    /// Steps skipped.
    pub skipped_steps: u64,
    /// Seconds in the train phase.
    pub train_seconds: f64,
    /// Of those, seconds in the EWC penalty.
    pub penalty_seconds: f64,
    /// Seconds of each phase.
    pub phase_seconds: BTreeMap<Phase, f64>,
    /// Mean loss of the last epoch.
    pub last_epoch_loss: Option<LossTerms>,
    /// The epoch whose weights these are, where there is a validation set.
    pub best_epoch: Option<u32>,
    /// Its score there.
    pub validation_score: Option<f64>,
    /// How the share of new examples was moved.
    pub mixing: Option<Mixing>,
    /// Accuracy on old examples meanwhile.
    pub stability: Option<Stability>,
    /// What was lost when a new adapter and the parent's became one.
    pub recompression: Option<Recompression>,
}

/// Runs the job in `root` to its end, and writes `result.json` unless it was cancelled. A job that has a result
/// already is left as it is.
pub fn run(root: &Path, cancel: &Cancel) -> JobEnd {
    let _lock = match lock(root) {
        Ok(lock) => lock,
        Err(error) => return say(&error),
    };
    match existing_result(root) {
        Ok(Some(end)) => return end,
        Ok(None) => {}
        Err(error) => return say(&error),
    }
    let outcome = guarded(|| {
        let dir = JobDir::open(root)?;
        let summary = pipeline::execute(&dir, cancel)?;
        write_result(&dir, &summary)
    });
    let Err(mut error) = outcome else {
        return JobEnd::Completed;
    };
    if error.end == JobEnd::OutOfMemory {
        error.message += "; lower `batch_size`, raise `accumulation`, or give the trainer more memory";
        error.message += &memory::told();
    }
    if error.end != JobEnd::Cancelled
        && let Err(second) = write_failure(root, &error)
    {
        say(&second);
    }
    say(&error)
}

/// Reads and checks the job, its model and its data, and changes nothing. A line on what was found, or the error.
pub fn check(root: &Path) -> Result<String, TrainerError> {
    guarded(|| pipeline::check(&JobDir::open(root)?))
}

fn say(error: &TrainerError) -> JobEnd {
    eprintln!("wengu-trainer: {}", error.message);
    error.end
}

/// A panic is a bug, and the job says so instead of vanishing. Of its words only libtorch's are told, which are about shapes: others
/// may hold text of a case.
fn guarded<T>(work: impl FnOnce() -> Result<T, TrainerError>) -> Result<T, TrainerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .filter(|text| text.contains(": Torch(\""));
        // These go on with a backtrace; the text is written as Rust writes strings.
        let first = text.and_then(|text| text.split("\\n").next());
        let first = first.map(|first| format!(", {first}")).unwrap_or_default();
        let place = wengu_protocol::last_panic();
        Err(TrainerError::new(
            JobEnd::Internal,
            format!("a bug in the trainer, at {place}{first}; please report it"),
        ))
    })
}

/// Two trainers in one directory would write over each other. A file system that has no locks does without.
fn lock(root: &Path) -> Result<File, TrainerError> {
    let dir = File::open(root).map_err(|e| TrainerError::at(JobEnd::BadJob, root, e))?;
    if let Err(TryLockError::WouldBlock) = dir.try_lock() {
        let text = "another trainer works in this directory; wait for its end";
        return Err(TrainerError::at(JobEnd::Internal, root, text));
    }
    Ok(dir)
}

fn existing_result(root: &Path) -> Result<Option<JobEnd>, TrainerError> {
    let path = root.join(layout::RESULT);
    let bytes = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| TrainerError::at(JobEnd::Internal, &path, e))?,
    };
    let result: JobResult = serde_json::from_slice(&bytes)
        .map_err(|e| TrainerError::at(JobEnd::Internal, &path, format!("{e}; remove it to run the job again")))?;
    Ok(Some(result.end))
}

/// The result of a completed job: everything under `out/` with its digest, written last.
fn write_result(dir: &JobDir, summary: &Summary) -> Result<(), TrainerError> {
    let mut outputs = BTreeMap::new();
    for path in files_under(&dir.path("out"))? {
        let digest = sha256_file(&path).map_err(|e| write_failed(&path, &e))?;
        let name = path
            .strip_prefix(&dir.root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        outputs.insert(name, digest);
    }
    let result = JobResult {
        schema: JOB_SCHEMA,
        job_id: dir.job.job_id.clone(),
        end: JobEnd::Completed,
        message: String::new(),
        steps: summary.steps,
        skipped_steps: summary.skipped_steps,
        train_seconds: summary.train_seconds,
        penalty_seconds: summary.penalty_seconds,
        phase_seconds: summary.phase_seconds.clone(),
        last_epoch_loss: summary.last_epoch_loss,
        best_epoch: summary.best_epoch,
        recompression: summary.recompression.clone(),
        repeat: summary.repeat,
        validation_score: summary.validation_score,
        mixing: summary.mixing.clone(),
        stability: summary.stability.clone(),
        outputs,
    };
    hit("train.before_result");
    save(&dir.root, &result)?;
    hit("train.result");
    // The result stands; what is left over does no harm.
    let _ = std::fs::remove_dir_all(dir.path(crate::checkpoint::FOLDER));
    Ok(())
}

fn write_failure(root: &Path, error: &TrainerError) -> Result<(), TrainerError> {
    // A job.json that cannot be read may still say which job it is.
    let job_id = std::fs::read(root.join(layout::JOB))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|job| Some(job.get("job_id")?.as_str()?.to_owned()))
        .unwrap_or_default();
    let result = JobResult {
        schema: JOB_SCHEMA,
        job_id,
        end: error.end,
        message: error.message.clone(),
        steps: 0,
        skipped_steps: 0,
        train_seconds: 0.0,
        penalty_seconds: 0.0,
        phase_seconds: BTreeMap::new(),
        last_epoch_loss: None,
        best_epoch: None,
        validation_score: None,
        mixing: None,
        stability: None,
        recompression: None,
        repeat: None,
        outputs: BTreeMap::new(),
    };
    save(root, &result)
}

fn save(root: &Path, result: &JobResult) -> Result<(), TrainerError> {
    let path = root.join(layout::RESULT);
    let text = files::json(&path, result)?;
    let sum = sums::line(layout::RESULT, &files::sha256_hex(&text));
    files::write_durable(&root.join(layout::RESULT_SUM), sum.as_bytes())?;
    files::write_durable(&path, &text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn a_panic_is_an_internal_end_and_only_libtorchs_words_are_told() {
        let ones = |length: i64| Tensor::ones([length], (Kind::Float, Device::Cpu));
        let shapes = || {
            let _ = ones(2) + ones(3);
            Ok(())
        };
        let error = guarded(shapes).unwrap_err();
        assert_eq!(error.end, JobEnd::Internal);
        assert!(error.message.contains("size of tensor a"), "{}", error.message);
        assert!(!error.message.contains("frame #"), "{}", error.message);
        let error = guarded::<()>(|| panic!("no char boundary in {}", "text of a case")).unwrap_err();
        assert_eq!(error.end, JobEnd::Internal);
        assert!(!error.message.contains("text of a case"), "{}", error.message);
    }
}
