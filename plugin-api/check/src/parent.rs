//! Starts a process for each case, and judges how it ends.

use crate::bench::{Finding, Verdict};
use crate::cases::{About, CASES, Case, Runs};
use crate::child::{Job, Message, RUN_CASE};
use crate::report::{CaseReport, Outcome, Report};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wengu_plugin_package::{Installed, Keys, Package, PackageError, PluginFolder};

/// The names of the cases that load nothing: judged by this process.
pub const WITHOUT_PROCESS: [&str; 4] = [MANIFEST.0, WRONG_HASH.0, UNSIGNED.0, SWAPPED.0];

/// What is checked.
#[derive(Debug, Clone)]
pub struct Subject {
    /// A folder with manifest.toml, a `.tar.gz` of one, or the library in one.
    pub package: PathBuf,
    /// The library, where it is not in the folder.
    pub library: Option<PathBuf>,
}

impl Subject {
    fn read(&self) -> Result<Package, PackageError> {
        Package::read(&self.package, self.library.as_deref())
    }
}

/// How it is checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// A program that begins with [`crate::run_case_if_asked`].
    pub runner: PathBuf,
    /// The cases to run; all where it is empty.
    pub only: Vec<String>,
    /// What is random follows from it.
    pub seed: u64,
    /// Documents of the `fuzz` case.
    pub fuzz_rounds: u32,
    /// Time for each case's process; then it is killed, with all that it has started.
    pub timeout: Duration,
    /// Texts of the plugin's domain, shown to it after the validator's own.
    pub documents: Vec<PathBuf>,
    /// Keys that may sign it; none: its signature is not judged.
    pub keys: Option<Keys>,
}

impl Options {
    /// All cases, run by this program, with the command's defaults.
    pub fn new(runner: PathBuf) -> Options {
        Options {
            runner,
            only: Vec::new(),
            seed: 1,
            fuzz_rounds: 300,
            timeout: Duration::from_secs(30),
            documents: Vec::new(),
            keys: None,
        }
    }
}

/// Cases that need no process, since they load nothing.
const MANIFEST: (&str, &str) = ("manifest", "the manifest is complete, and each value is allowed");
const WRONG_HASH: (&str, &str) = ("wrong-hash", "the library has the SHA-256 that the manifest names");
const UNSIGNED: (&str, &str) = ("unsigned", "the manifest is signed with a key that is trusted");
const SWAPPED: (&str, &str) = ("swapped", "the package is the same when the check is over");

/// Checks a plugin. `tell` hears of each case when it is over.
///
/// # Errors
/// What is no package at all, and a runner that cannot be started. What is wrong with a package is in the report.
pub fn check(subject: &Subject, options: &Options, tell: &mut dyn FnMut(&CaseReport)) -> Result<Report, CheckError> {
    let mut run = Run {
        options,
        tell,
        cases: Vec::new(),
        stopped: None,
    };
    let package = match subject.read() {
        Ok(package) => package,
        Err(e) => {
            let wrong_hash = matches!(e, PackageError::Digest { .. } | PackageError::NoDigest(_));
            match e {
                PackageError::Manifest { .. } => run.found(MANIFEST, Outcome::Failed, e.to_string()),
                _ if wrong_hash => {
                    run.found(MANIFEST, Outcome::Passed, String::new());
                    run.found(WRONG_HASH, Outcome::Failed, e.to_string());
                }
                _ => return Err(CheckError::Package(e)),
            }
            run.stopped = run.cases.last().map(|case| case.name);
            CASES.iter().for_each(|case| run.case(case, None));
            return Ok(run.report(None, options.seed));
        }
    };
    run.found(MANIFEST, Outcome::Passed, String::new());
    run.found(WRONG_HASH, Outcome::Passed, String::new());
    // What is checked is a copy that nobody else knows of.
    let folder = tempfile::tempdir().map_err(|source| CheckError::System {
        doing: "making a folder",
        source,
    })?;
    let keys = options.keys.clone().unwrap_or_default();
    let plugins = PluginFolder::new(folder.path().to_owned(), keys);
    let installed = plugins.install(&package, false).map(|done| done.installed);
    let (installed, signed) = match (installed, &options.keys) {
        (Ok(installed), _) => (installed, (Outcome::Passed, String::new())),
        (Err(e @ (PackageError::Unsigned { .. } | PackageError::UnknownKey { .. })), keys) => {
            let installed = PluginFolder::new(folder.path().join("u"), Keys::default()).install(&package, true);
            let outcome = if keys.is_some() {
                Outcome::Failed
            } else {
                Outcome::Skipped
            };
            let detail = match keys {
                Some(_) => e.to_string(),
                None => "name the keys that may sign it with --key to have this judged".into(),
            };
            (
                installed.map(|done| done.installed).map_err(CheckError::Package)?,
                (outcome, detail),
            )
        }
        (Err(e), _) => return Err(CheckError::Package(e)),
    };
    run.found(UNSIGNED, signed.0, signed.1);
    for case in CASES {
        run.case(case, Some(&installed));
    }
    let now = subject.read().map(|package| package.manifest().clone());
    match now {
        Ok(now) if now == installed.manifest => run.found(SWAPPED, Outcome::Passed, String::new()),
        Ok(_) => run.found(
            SWAPPED,
            Outcome::Failed,
            "the package was changed while it was checked".into(),
        ),
        Err(e) => run.found(SWAPPED, Outcome::Failed, format!("while it was checked: {e}")),
    };
    Ok(run.report(Some(&installed), options.seed))
}

/// Why nothing could be checked.
#[derive(Debug)]
pub enum CheckError {
    /// There is no package.
    Package(PackageError),
    /// The system refused something that the validator needs.
    System {
        /// What it was doing.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl std::error::Error for CheckError {}
impl std::fmt::Display for CheckError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            CheckError::Package(e) => e.fmt(f),
            CheckError::System { doing, source } => write!(f, "{doing}: {source}"),
        }
    }
}

struct Run<'a> {
    options: &'a Options,
    tell: &'a mut dyn FnMut(&CaseReport),
    cases: Vec<CaseReport>,
    /// The case after which nothing more can be judged.
    stopped: Option<&'static str>,
}

impl Run<'_> {
    fn wanted(&self, name: &str) -> bool {
        self.options.only.is_empty() || self.options.only.iter().any(|only| only == name)
    }

    /// A case that needs no process. What stops the rest is told even where it was not asked for.
    fn found(&mut self, (name, rule): (&'static str, &'static str), outcome: Outcome, detail: String) {
        let case = CaseReport {
            name,
            rule,
            outcome,
            detail,
            stderr: String::new(),
            duration_ms: 0,
        };
        let stops = outcome.is_broken() && (name == MANIFEST.0 || name == WRONG_HASH.0);
        if stops || self.wanted(name) {
            (self.tell)(&case);
            self.cases.push(case);
        }
    }

    fn case(&mut self, case: &'static Case, installed: Option<&Installed>) {
        if !self.wanted(case.name) {
            return;
        }
        let broken = |name: &&&'static str| self.cases.iter().any(|c| c.name == **name && c.outcome.is_broken());
        let because = self.stopped.or_else(|| case.after.iter().find(broken).copied());
        let begun = Instant::now();
        let (outcome, detail, stderr) = match (because, installed) {
            (Some(because), _) => (Outcome::Skipped, format!("because of {because}"), String::new()),
            (None, None) => (Outcome::Skipped, "there is nothing to load".into(), String::new()),
            (None, Some(installed)) => self.processes(case, installed),
        };
        if case.stops
            && (outcome.is_broken()
                || (outcome == Outcome::Skipped && self.stopped.is_none() && case.about == About::Anything))
        {
            self.stopped.get_or_insert(case.name);
        }
        let duration_ms = begun.elapsed().as_millis() as u64;
        let report = CaseReport {
            name: case.name,
            rule: case.rule,
            outcome,
            detail,
            stderr,
            duration_ms,
        };
        (self.tell)(&report);
        self.cases.push(report);
    }

    fn processes(&self, case: &Case, installed: &Installed) -> (Outcome, String, String) {
        let first = match self.process(case, installed) {
            Ok(ended) => ended,
            Err(e) => {
                return (
                    Outcome::Skipped,
                    format!("no process could be started: {e}"),
                    String::new(),
                );
            }
        };
        let then = match case.runs {
            Runs::Once => None,
            Runs::Twice => self.process(case, installed).ok(),
        };
        let stderr = first.stderr.clone();
        let (outcome, detail) = match (&first.end, then.as_ref().map(|then| &then.end)) {
            (End::Answered(Ok(one)), Some(End::Answered(Ok(two)))) if one != two => {
                let at = one
                    .split(' ')
                    .zip(two.split(' '))
                    .position(|(a, b)| a != b)
                    .unwrap_or(0);
                (
                    Outcome::Failed,
                    format!("two processes answered document {at} of the validator differently"),
                )
            }
            _ => first.judge(case),
        };
        match outcome {
            Outcome::Passed | Outcome::Skipped => (outcome, detail, String::new()),
            _ => (outcome, detail, stderr),
        }
    }

    fn process(&self, case: &Case, installed: &Installed) -> io::Result<Ended> {
        let job = Job {
            case: case.name.to_owned(),
            dir: installed.dir.clone(),
            package_sha256: installed.package_sha256.clone(),
            seed: self.options.seed,
            rounds: self.options.fuzz_rounds,
            documents: self.options.documents.clone(),
            cpu_seconds: 2 * self.options.timeout.as_secs() + 5,
        };
        run_process(
            &self.options.runner,
            &serde_json::to_string(&job)?,
            self.options.timeout,
        )
    }

    fn report(self, installed: Option<&Installed>, seed: u64) -> Report {
        Report {
            plugin: installed.map(|i| i.manifest.id.clone()),
            version: installed.map(|i| i.manifest.version.clone()),
            seed,
            passed: !self.cases.iter().any(|case| case.outcome.is_broken()),
            cases: self.cases,
        }
    }
}

/// How a case's process ended.
enum End {
    Answered(Verdict),
    TimedOut,
    Died(ExitStatus),
}

struct Ended {
    end: End,
    /// What it was about to try.
    at: Option<String>,
    output: Vec<u8>,
    stderr: String,
}

fn run_process(runner: &std::path::Path, job: &str, timeout: Duration) -> io::Result<Ended> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(runner)
        .args([RUN_CASE, job])
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let group = Pid::from_raw(child.id() as i32);
    let output = child.stdout.take().map(|pipe| std::thread::spawn(|| read_some(pipe)));
    let errors = child.stderr.take().map(|pipe| std::thread::spawn(|| read_some(pipe)));
    let messages = std::thread::spawn(move || read_messages(ours));
    let begun = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if begun.elapsed() > timeout => break None,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    // Whatever it has started goes with it; without that, its pipes would never close.
    let _ = killpg(group, Signal::SIGKILL);
    let killed = child.wait()?;
    let joined = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| {
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    };
    let (output, errors) = (joined(output), joined(errors));
    let (at, done) = messages.join().unwrap_or_default();
    let end = match (status, done) {
        (None, _) => End::TimedOut,
        (Some(status), Some(verdict)) if status.success() => End::Answered(verdict),
        (Some(_), _) => End::Died(killed),
    };
    Ok(Ended {
        end,
        at,
        output,
        stderr: last_lines(&errors),
    })
}

/// The first bytes that come, until the end: a plugin may write without end.
fn read_some(mut pipe: impl Read) -> Vec<u8> {
    const BYTES_MAX: usize = 64 << 10;
    let (mut kept, mut buffer) = (Vec::new(), [0; 8192]);
    while let Ok(n @ 1..) = pipe.read(&mut buffer) {
        let room = BYTES_MAX.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    kept
}

fn read_messages(channel: UnixStream) -> (Option<String>, Option<Verdict>) {
    let (mut at, mut done) = (None, None);
    for line in BufReader::new(channel).split(b'\n').map_while(Result::ok) {
        match serde_json::from_slice(&line) {
            Ok(Message::At(now)) => at = Some(now),
            Ok(Message::Done(verdict)) => done = Some(verdict),
            // Not of this validator: the plugin wrote into a descriptor that is not its own.
            Err(_) => {}
        }
    }
    (at, done)
}

fn last_lines(bytes: &[u8]) -> String {
    const LINES: usize = 5;
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

impl Ended {
    fn judge(&self, case: &Case) -> (Outcome, String) {
        let at = self.at.as_ref().map(|at| format!(", at {at}")).unwrap_or_default();
        let elsewhere = |case: &str| (Outcome::Skipped, format!("because of {case}"));
        let (about, told) = match &self.end {
            End::Answered(_) if case.about == About::Output && !self.output.is_empty() => {
                let shown: String = String::from_utf8_lossy(&self.output).chars().take(60).collect();
                return (
                    Outcome::Failed,
                    format!("it wrote {} bytes or more: {shown:?}", self.output.len()),
                );
            }
            End::Answered(Ok(_)) => return (Outcome::Passed, String::new()),
            End::Answered(Err(Finding::Failed(why))) => return (Outcome::Failed, why.clone()),
            End::Answered(Err(Finding::Warned(why))) => return (Outcome::Warned, why.clone()),
            End::Answered(Err(Finding::Skipped(why))) => return (Outcome::Skipped, why.clone()),
            End::TimedOut => (About::EndlessLoop, format!("it was killed at the time limit{at}")),
            End::Died(status) => self.death(*status, &at),
        };
        let outcome = match about {
            About::EndlessLoop => Outcome::TimedOut,
            About::Forbidden => Outcome::Failed,
            _ => Outcome::Crashed,
        };
        match case.about {
            // The cases that are about an end tell that one, and leave the others to theirs.
            About::Anything => (outcome, told),
            own if own == about => (outcome, told),
            _ => elsewhere(match about {
                About::Abort => "abort",
                About::Segfault => "segfault",
                About::StackOverflow => "stack-overflow",
                About::EndlessLoop => "endless-loop",
                About::Forbidden => "forbidden-call",
                _ => "exit",
            }),
        }
    }

    fn death(&self, status: ExitStatus, at: &str) -> (About, String) {
        // The words of Rust's runtime, whose handler tells the stack's guard page from other addresses.
        let overflow = self.stderr.contains("has overflowed its stack");
        let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
        let about = match signal {
            Some(_) if overflow => About::StackOverflow,
            Some(Signal::SIGSEGV | Signal::SIGBUS) => About::Segfault,
            Some(Signal::SIGXCPU) => About::EndlessLoop,
            Some(Signal::SIGSYS) => About::Forbidden,
            Some(_) => About::Abort,
            None => About::Exit,
        };
        let told = match (about, signal) {
            (About::StackOverflow, _) => format!("the stack overflowed{at}"),
            (About::Forbidden, _) => format!("it made a system call that a plugin may not make{at}"),
            (_, Some(signal)) => format!("the process ended by {signal}{at}"),
            (_, None) => format!(
                "the process ended with exit code {}{at}",
                status.code().unwrap_or_default()
            ),
        };
        (about, told)
    }
}
