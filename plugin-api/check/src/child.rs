//! The process of one case.

use crate::bench::{Bench, Finding, Verdict, failed};
use crate::cases::{About, Case};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use wengu_plugin_package::Installed;
use wengu_plugin_sandbox::{Forbidden, enter, limit};

/// The first argument of a case's process; the second is its [`Job`].
pub(crate) const RUN_CASE: &str = "--run-one-case";

/// What a case's process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub case: String,
    pub dir: PathBuf,
    pub package_sha256: String,
    pub seed: u64,
    pub rounds: u32,
    pub documents: Vec<PathBuf>,
    /// Processor time, after which the process ends even if its parent is gone.
    pub cpu_seconds: u64,
}

/// What it says, a line each, on the socket that was its standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// What it is about to try.
    At(String),
    /// What it found.
    Done(Verdict),
}

/// Runs a case, where this process was started for one. Every program that calls [`crate::check`] with itself as the
/// runner begins with this.
pub fn run_case_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != RUN_CASE {
        return None;
    }
    let job = arguments.next().unwrap_or_default();
    Some(match run(&job.to_string_lossy()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{RUN_CASE} is for the validator's own use: {e}");
            ExitCode::from(64)
        }
    })
}

fn run(job: &str) -> io::Result<()> {
    let job: Job = serde_json::from_str(job)?;
    let case = Case::named(&job.case).ok_or_else(|| io::Error::other("there is no such case"))?;
    let channel: UnixStream = io::stdin().as_fd().try_clone_to_owned()?.into();
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    let say = move |message: &Message| {
        let mut line = serde_json::to_vec(message).unwrap_or_default();
        line.push(b'\n');
        (&channel).write_all(&line)
    };
    let status = File::open("/proc/self/status")?;
    let process_status = || {
        (&status).rewind()?;
        io::read_to_string(&status)
    };
    let verdict = prepare(&job, case).and_then(|(installed, own)| {
        let at = |at: &str| drop(say(&Message::At(at.to_owned())));
        let (seed, rounds) = (job.seed, job.rounds);
        let bench = Bench {
            installed,
            seed,
            rounds,
            own,
            at: &at,
            process_status: &process_status,
            library: OnceLock::new(),
        };
        (case.body)(&bench)
    });
    // SAFETY: flushes what the plugin has left in C's buffers, so that none of it is overlooked.
    unsafe { libc::fflush(std::ptr::null_mut()) };
    say(&Message::Done(verdict))
}

/// Reads what must be read, then shuts the process in.
fn prepare(job: &Job, case: &Case) -> Result<(Installed, Vec<String>), Finding> {
    let installed = Installed::open(&job.dir, &job.package_sha256).map_err(|e| Finding::Failed(e.to_string()))?;
    let mut own = Vec::new();
    for path in &job.documents {
        match std::fs::read_to_string(path) {
            Ok(text) => own.push(text),
            Err(e) => return failed(format!("{} cannot be read as UTF-8: {e}", path.display())),
        }
    }
    let forbidden = match case.about {
        About::Forbidden => Forbidden::Kills,
        _ => Forbidden::Fails,
    };
    let limited = limit(installed.manifest.limits.memory_mib)
        .and_then(|()| setrlimit(Resource::RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + 1));
    limited.map_err(|e| Finding::Failed(format!("the process's limits cannot be set: {e}")))?;
    enter(&installed.dir, forbidden);
    Ok((installed, own))
}
