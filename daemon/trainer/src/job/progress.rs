//! `progress.jsonl`.

use super::files::write_failed;
use crate::checkpoint::{LossSum, TERMS};
use crate::error::TrainerError;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu_protocol::job::{JOB_SCHEMA, JobEnd, Phase, Progress, layout};

/// Between two lines of one phase.
const INTERVAL: Duration = Duration::from_millis(500);

/// Appends a line at the beginning and the end of each phase and at most two a second between.
#[derive(Debug)]
pub struct ProgressLog {
    path: PathBuf,
    file: File,
    phase: Phase,
    first_step: u64,
    step: u64,
    total: u64,
    began: Instant,
    last_line: Instant,
    tokens: u64,
    loss: LossSum,
    learning_rate: Option<f64>,
    /// Of the phases that are over.
    seconds: BTreeMap<Phase, f64>,
    is_open: bool,
}

impl ProgressLog {
    /// Opens the log in the job directory `root`.
    pub fn open(root: &Path) -> Result<ProgressLog, TrainerError> {
        let path = root.join(layout::PROGRESS);
        let open = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().create(true).read(true).append(true).open(&path)?;
            // A trainer that was killed may have left half a line.
            if file.metadata()?.len() > 0 {
                let mut last = [0];
                file.seek(SeekFrom::End(-1))?;
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(file)
        };
        let file = open().map_err(|e| write_failed(&path, &e))?;
        let now = Instant::now();
        Ok(ProgressLog {
            path,
            file,
            phase: Phase::Load,
            first_step: 0,
            step: 0,
            total: 0,
            began: now,
            last_line: now,
            tokens: 0,
            loss: LossSum::default(),
            learning_rate: None,
            seconds: BTreeMap::new(),
            is_open: false,
        })
    }

    /// A phase begins, with `step` of its `total` steps done already.
    pub fn begin(&mut self, phase: Phase, step: u64, total: u64) -> Result<(), TrainerError> {
        self.close();
        (self.phase, self.is_open) = (phase, true);
        (self.first_step, self.step, self.total) = (step, step, total);
        self.began = Instant::now();
        self.learning_rate = None;
        self.loss = LossSum::default();
        self.tokens = 0;
        self.line()
    }

    /// A step of the phase is done.
    pub fn step(&mut self, tokens: u64) -> Result<(), TrainerError> {
        self.step += 1;
        self.tokens += tokens;
        if self.last_line.elapsed() >= INTERVAL {
            self.line()
        } else {
            Ok(())
        }
    }

    /// An optimizer step is done.
    pub fn train_step(&mut self, tokens: u64, terms: [f64; TERMS], learning_rate: f64) -> Result<(), TrainerError> {
        self.learning_rate = Some(learning_rate);
        // JSON has no NaN.
        if terms.iter().all(|t| t.is_finite()) {
            self.loss.add(terms);
        }
        self.step(tokens)
    }

    /// The phase is over.
    pub fn end(&mut self) -> Result<(), TrainerError> {
        self.close();
        self.line()
    }

    /// Wall seconds of the phases so far, each over all its parts.
    pub fn seconds(&self) -> &BTreeMap<Phase, f64> {
        &self.seconds
    }

    fn close(&mut self) {
        if self.is_open {
            *self.seconds.entry(self.phase).or_default() += self.began.elapsed().as_secs_f64();
            self.is_open = false;
        }
    }

    fn line(&mut self) -> Result<(), TrainerError> {
        let seconds = self.last_line.elapsed().as_secs_f64();
        let done = self.step - self.first_step;
        let eta_s = (done > 0)
            .then(|| self.began.elapsed().as_secs_f64() / done as f64 * self.total.saturating_sub(self.step) as f64);
        let progress = Progress {
            schema: JOB_SCHEMA,
            phase: self.phase,
            step: self.step,
            total: self.total,
            loss: self.loss.mean().map(Into::into),
            learning_rate: self.learning_rate,
            tokens_per_s: (self.tokens > 0 && seconds > 0.0).then(|| self.tokens as f64 / seconds),
            eta_s,
        };
        let mut line =
            serde_json::to_vec(&progress).map_err(|e| TrainerError::new(JobEnd::Internal, format!("progress: {e}")))?;
        line.push(b'\n');
        // One write: a reader never sees half a line of a living trainer.
        self.file.write_all(&line).map_err(|e| write_failed(&self.path, &e))?;
        self.last_line = Instant::now();
        self.tokens = 0;
        self.loss = LossSum::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_closed_and_steps_in_quick_succession_are_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(layout::PROGRESS);
        std::fs::write(&path, "{\"schema\":1,\"ph").unwrap();
        let mut log = ProgressLog::open(dir.path()).unwrap();
        log.begin(Phase::Train, 10, 12).unwrap();
        log.train_step(100, [1.0, 0.5, 0.0, 0.25, 0.0], 1e-3).unwrap();
        log.train_step(100, [3.0, 0.5, 0.0, 0.25, 0.0], 1e-3).unwrap();
        log.end().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<Progress> = text.lines().skip(1).map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].step, lines[1].step, lines[1].total), (10, 12, 12));
        let loss = lines[1].loss.unwrap();
        assert_eq!((loss.new, loss.replay, loss.total), (2.0, 0.5, 2.75));
        assert_eq!(lines[1].eta_s, Some(0.0));
    }

    #[test]
    fn the_seconds_of_a_phase_are_of_all_its_parts_and_of_nothing_between() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = ProgressLog::open(dir.path()).unwrap();
        let wait = || std::thread::sleep(Duration::from_millis(30));
        let began = Instant::now();
        for _ in 0..2 {
            log.begin(Phase::Train, 0, 1).unwrap();
            wait();
            // A phase that another one begins in ends there.
            log.begin(Phase::Validate, 0, 1).unwrap();
            wait();
            log.end().unwrap();
            wait();
            log.end().unwrap();
        }
        let in_all = began.elapsed().as_secs_f64();
        let seconds: Vec<(Phase, f64)> = log.seconds().iter().map(|(phase, s)| (*phase, *s)).collect();
        let [(Phase::Train, train), (Phase::Validate, validate)] = seconds[..] else {
            panic!("{seconds:?}");
        };
        assert!(
            train >= 0.06 && validate >= 0.06 && train + validate <= in_all - 0.06,
            "{seconds:?} of {in_all}"
        );
    }
}
