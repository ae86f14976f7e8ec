//! How a job ends, and what is left behind for each end.

use super::files::{files_under, sha256_file, write_failed, write_json};
use super::pipeline;
use super::spec::JobDir;
use crate::error::TrainerError;
use crate::train_loop::Cancel;
use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use wengu_failpoint::hit;
use wengu_protocol::job::{JOB_SCHEMA, JobEnd, JobResult, LossTerms, Recompression, Repeat, layout};

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
    /// Mean loss of the last epoch.
    pub last_epoch_loss: Option<LossTerms>,
    /// The epoch whose weights these are, where there is a validation set.
    pub best_epoch: Option<u32>,
    /// Its score there.
    pub validation_score: Option<f64>,
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

/// A panic is a bug, and the job says so instead of vanishing.
fn guarded<T>(work: impl FnOnce() -> Result<T, TrainerError>) -> Result<T, TrainerError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a text");
        // libtorch's texts end in a backtrace of its own.
        let first = text.lines().next().unwrap_or_default();
        Err(TrainerError::new(
            JobEnd::Internal,
            format!("a bug in the trainer: {first}; please report it"),
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
        last_epoch_loss: summary.last_epoch_loss,
        best_epoch: summary.best_epoch,
        recompression: summary.recompression.clone(),
        repeat: summary.repeat,
        validation_score: summary.validation_score,
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
        last_epoch_loss: None,
        best_epoch: None,
        validation_score: None,
        recompression: None,
        repeat: None,
        outputs: BTreeMap::new(),
    };
    save(root, &result)
}

fn save(root: &Path, result: &JobResult) -> Result<(), TrainerError> {
    write_json(&root.join(layout::RESULT), result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_internal_end_with_its_text() {
        let error = guarded::<()>(|| panic!("index out of {}\nbacktrace", "range")).unwrap_err();
        assert_eq!(error.end, JobEnd::Internal);
        assert!(error.message.contains("index out of range") && !error.message.contains("backtrace"));
        assert_eq!(guarded::<()>(|| panic!("plain")).unwrap_err().end, JobEnd::Internal);
    }
}
