//! One trainer process: started in its own group, watched by its progress, stopped by a ladder, and every way in which
//! it can end has a name.

use crate::children;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wengu_protocol::job::{self, JobEnd, JobResult, Progress};

/// How long a trainer may be silent, live, and take to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Without a new line of progress.
    pub no_progress: Duration,
    /// In all.
    pub deadline: Duration,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// Its data's, where it computes on the processor; none: no limit.
    pub memory_bytes: Option<u64>,
}

/// How a trainer ended.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainerEnd {
    /// All outputs are there and have the digests that the result names.
    Completed(Box<JobResult>),
    /// The trainer itself named another end.
    Reported(JobEnd, String),
    /// The program could not be started.
    CouldNotStart {
        /// Why.
        why: String,
        /// It is the system's fault (a full disk, no process left), not that of the command that is configured.
        may_pass: bool,
    },
    /// Killed by a signal that we did not send.
    Signalled(i32),
    /// Left with an exit code and without a result.
    ExitedWithoutResult(i32),
    /// Wrote no progress for too long, and was killed.
    NoProgress(Duration),
    /// Ran for too long, and was killed.
    PastDeadline(Duration),
    /// The result does not parse, or an output does not have its digest.
    BadResult(String),
    /// Stopped because the daemon stops; the job goes on at the next start.
    StoppedByUs,
}

impl TrainerEnd {
    /// Whether memory was short, or most likely was.
    pub fn wants_memory(&self) -> bool {
        matches!(
            self,
            TrainerEnd::Reported(JobEnd::OutOfMemory, _) | TrainerEnd::Signalled(KILLED | ABORTED)
        )
    }

    /// The name in logs, metrics and alerts.
    pub fn name(&self) -> &'static str {
        match self {
            TrainerEnd::Completed(_) => "completed",
            TrainerEnd::Reported(end, _) => match end {
                JobEnd::Completed => "completed",
                JobEnd::Cancelled => "cancelled",
                JobEnd::BadJob => "bad_job",
                JobEnd::BadModel => "bad_model",
                JobEnd::BadData => "bad_data",
                JobEnd::UnknownLabel => "unknown_label",
                JobEnd::NanLoss => "nan_loss",
                JobEnd::OutOfMemory => "out_of_memory",
                JobEnd::WriteFailed => "write_failed",
                JobEnd::Internal => "internal",
            },
            TrainerEnd::CouldNotStart { .. } => "could_not_start",
            TrainerEnd::Signalled(_) => "signalled",
            TrainerEnd::ExitedWithoutResult(_) => "exited_without_result",
            TrainerEnd::NoProgress(_) => "no_progress",
            TrainerEnd::PastDeadline(_) => "past_deadline",
            TrainerEnd::BadResult(_) => "bad_result",
            TrainerEnd::StoppedByUs => "stopped",
        }
    }

    /// What happened and what to do, for people.
    pub fn message(&self) -> String {
        match self {
            TrainerEnd::Completed(_) => String::new(),
            TrainerEnd::Reported(_, message) => message.clone(),
            TrainerEnd::CouldNotStart { why, may_pass: true } => format!("the trainer could not be started: {why}"),
            TrainerEnd::CouldNotStart { why, .. } => {
                format!("the trainer could not be started: {why}; see [trainer] command in the configuration")
            }
            TrainerEnd::Signalled(KILLED) => {
                "the trainer was killed (SIGKILL), most often because the machine ran out of \
                 memory; lower batch_size or raise accumulation, and see the kernel log"
                    .into()
            }
            TrainerEnd::Signalled(ABORTED) => {
                "the trainer aborted (SIGABRT), most often because it was refused memory; its \
                 output is in trainer.log of the job directory"
                    .into()
            }
            TrainerEnd::Signalled(signal) => {
                format!("the trainer died of signal {signal}; its output is in trainer.log of the job directory")
            }
            TrainerEnd::ExitedWithoutResult(code) => format!(
                "the trainer left with code {code} and no result; its output is in trainer.log of the job directory"
            ),
            TrainerEnd::NoProgress(d) => format!(
                "the trainer wrote no progress for {} s and was stopped; raise [trainer] no_progress_s if the machine \
                 is that slow",
                d.as_secs()
            ),
            TrainerEnd::PastDeadline(d) => format!(
                "the trainer ran for more than {} min and was stopped; raise [trainer] deadline_minutes or train on less",
                d.as_secs() / 60
            ),
            TrainerEnd::BadResult(e) => format!("the trainer's result does not verify: {e}"),
            TrainerEnd::StoppedByUs => "stopped with the daemon; the job goes on at the next start".into(),
        }
    }

    /// Whether the same job may end otherwise when it is tried again.
    pub fn may_be_retried(&self) -> bool {
        match self {
            TrainerEnd::Reported(end, _) => {
                matches!(end, JobEnd::OutOfMemory | JobEnd::WriteFailed | JobEnd::Cancelled)
            }
            TrainerEnd::Signalled(_)
            | TrainerEnd::ExitedWithoutResult(_)
            | TrainerEnd::NoProgress(_)
            | TrainerEnd::BadResult(_) => true,
            TrainerEnd::CouldNotStart { may_pass, .. } => *may_pass,
            TrainerEnd::Completed(_) | TrainerEnd::PastDeadline(_) | TrainerEnd::StoppedByUs => false,
        }
    }
}

const KILLED: i32 = Signal::SIGKILL as i32;
const ABORTED: i32 = Signal::SIGABRT as i32;
const POLL: Duration = Duration::from_millis(50);

/// Runs the trainer on `job_dir` until it ends, `stop` says so, or a limit is reached. Must be called from a thread that
/// outlives the child: the kernel kills the child when the thread that started it ends.
pub fn run_trainer(
    command: &[String],
    job_dir: &Path,
    threads: u32,
    limits: Limits,
    stop: &dyn Fn() -> bool,
    on_progress: &mut dyn FnMut(Progress),
) -> TrainerEnd {
    let mut child = match start(command, job_dir, threads, limits.memory_bytes) {
        Ok(child) => child,
        Err((why, may_pass)) => return TrainerEnd::CouldNotStart { why, may_pass },
    };
    let group = Pid::from_raw(child.id() as i32);
    let started = Instant::now();
    let mut progress = ProgressTail::new(job_dir);
    let mut last_progress = Instant::now();
    let mut stopping: Option<(Instant, TrainerEnd)> = None;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) => {}
            Err(e) => {
                return TrainerEnd::CouldNotStart {
                    why: format!("waiting for it failed: {e}"),
                    may_pass: true,
                };
            }
        }
        if progress.read(on_progress) {
            last_progress = Instant::now();
        }
        match &stopping {
            Some((since, _)) if since.elapsed() > limits.stop_grace => {
                let _ = killpg(group, Signal::SIGKILL);
            }
            Some(_) => {}
            None => {
                let why = if stop() {
                    Some(TrainerEnd::StoppedByUs)
                } else if last_progress.elapsed() > limits.no_progress {
                    Some(TrainerEnd::NoProgress(limits.no_progress))
                } else if started.elapsed() > limits.deadline {
                    Some(TrainerEnd::PastDeadline(limits.deadline))
                } else {
                    None
                };
                if let Some(why) = why {
                    let _ = killpg(group, Signal::SIGTERM);
                    stopping = Some((Instant::now(), why));
                }
            }
        }
        std::thread::sleep(POLL);
    };
    // Whatever the trainer itself had started must not outlive it.
    let _ = killpg(group, Signal::SIGKILL);
    progress.read(on_progress);
    name_end(job_dir, status, stopping.map(|(_, why)| why))
}

/// An error says why it could not be started, and whether that may pass.
fn start(command: &[String], job_dir: &Path, threads: u32, memory_bytes: Option<u64>) -> Result<Child, (String, bool)> {
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| ("the command is empty".to_owned(), false))?;
    let log = File::options()
        .create(true)
        .append(true)
        .open(job_dir.join("trainer.log"))
        .map_err(|e| (format!("{}: {e}", job_dir.join("trainer.log").display()), true))?;
    let err = log.try_clone().map_err(|e| (e.to_string(), true))?;
    let mut cmd = Command::new(program);
    cmd.args(arguments)
        .arg("run")
        .arg(job_dir)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(err)
        .env("OMP_NUM_THREADS", threads.max(1).to_string())
        // Some microseconds of waiting, then sleep: most of the speed of spinning, and the processor is free for others.
        .env("GOMP_SPINCOUNT", "10000")
        .env("MALLOC_ARENA_MAX", "2")
        .env("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        .env("LRU_CACHE_CAPACITY", "64")
        .process_group(0);
    match memory_bytes {
        Some(bytes) => cmd.env(job::MEMORY_LIMIT_ENV, bytes.to_string()),
        None => cmd.env_remove(job::MEMORY_LIMIT_ENV),
    };
    let daemon = std::process::id();
    // SAFETY: what is called between fork and exec is made for that.
    unsafe { cmd.pre_exec(move || children::follow(daemon)) };
    cmd.spawn().map_err(|e| {
        let is_wrong = matches!(e.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied);
        (format!("{program}: {e}"), !is_wrong)
    })
}

fn name_end(job_dir: &Path, status: ExitStatus, stopped: Option<TrainerEnd>) -> TrainerEnd {
    // A result that was renamed into place is a result, even where we had just asked the trainer to stop.
    if let Some(end) = read_result(job_dir) {
        return end;
    }
    if let Some(why) = stopped {
        return why;
    }
    match (status.signal(), status.code()) {
        (Some(signal), _) => TrainerEnd::Signalled(signal),
        (None, code) => TrainerEnd::ExitedWithoutResult(code.unwrap_or(-1)),
    }
}

/// The end that `result.json` tells, with its outputs verified; None where there is none.
pub fn read_result(job_dir: &Path) -> Option<TrainerEnd> {
    let bytes = match std::fs::read(job_dir.join(job::layout::RESULT)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => return Some(TrainerEnd::BadResult(format!("result.json: {e}"))),
    };
    if let Err(error) = job::sums::verify(job_dir, job::layout::RESULT_SUM, crate::digest::sha256_file) {
        return Some(TrainerEnd::BadResult(error.to_string()));
    }
    let result: JobResult = match serde_json::from_slice(&bytes) {
        Ok(result) => result,
        Err(e) => return Some(TrainerEnd::BadResult(format!("result.json: {e}"))),
    };
    if result.schema != job::JOB_SCHEMA {
        return Some(TrainerEnd::BadResult(format!(
            "result.json has schema {}, this wengu reads {}",
            result.schema,
            job::JOB_SCHEMA
        )));
    }
    if result.end != JobEnd::Completed {
        return Some(TrainerEnd::Reported(result.end, result.message));
    }
    for (name, expected) in &result.outputs {
        match crate::digest::sha256_file(&job_dir.join(name)) {
            Ok(found) if &found == expected => {}
            Ok(found) => {
                return Some(TrainerEnd::BadResult(format!(
                    "{name} has SHA-256 {found}, expected {expected}"
                )));
            }
            Err(e) => return Some(TrainerEnd::BadResult(format!("{name}: {e}"))),
        }
    }
    Some(TrainerEnd::Completed(Box::new(result)))
}

/// Reads the lines that were added to progress.jsonl.
struct ProgressTail {
    path: std::path::PathBuf,
    offset: u64,
}

impl ProgressTail {
    fn new(job_dir: &Path) -> Self {
        let path = job_dir.join(job::layout::PROGRESS);
        let offset = std::fs::metadata(&path).map(|m| m.len()).unwrap_or(0);
        ProgressTail { path, offset }
    }

    /// Whether there was anything new. A line that does not parse is still a sign of life.
    fn read(&mut self, on_progress: &mut dyn FnMut(Progress)) -> bool {
        let Ok(mut file) = File::open(&self.path) else {
            return false;
        };
        if file.seek(SeekFrom::Start(self.offset)).is_err() {
            return false;
        }
        let mut reader = BufReader::new(file);
        let mut any = false;
        let mut line = String::new();
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(n) if n > 0 && line.ends_with('\n') => {
                    self.offset += n as u64;
                    any = true;
                    if let Ok(progress) = serde_json::from_str(&line) {
                        on_progress(progress);
                    }
                }
                _ => return any,
            }
        }
    }
}
