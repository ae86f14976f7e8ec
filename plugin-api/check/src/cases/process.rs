use crate::bench::{Bench, Finding, Verdict, failed, warned};
use crate::cases::documents::call_all;
use crate::raw::Instance;
use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};
use std::time::{Duration, Instant};

fn all_texts(bench: &Bench, instance: &Instance) -> Result<(), Finding> {
    bench.texts().try_for_each(|text| call_all(bench, instance, text))
}

pub fn descriptors(bench: &Bench) -> Verdict {
    // Without /proc: a sandbox does not let it be listed.
    // SAFETY: asks for the flags of a descriptor, open or not.
    let is_open = |fd: &i32| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0;
    let open = || (0..256).filter(is_open).count();
    {
        // What is opened once and kept is no leak.
        let instance = bench.instance()?;
        all_texts(bench, &instance)?;
    }
    let before = open();
    for _ in 0..3 {
        let instance = bench.instance()?;
        all_texts(bench, &instance)?;
    }
    match open().checked_sub(before) {
        None | Some(0) => Ok(String::new()),
        Some(more) => failed(format!(
            "{more} descriptors more are open after three instances and their documents"
        )),
    }
}

pub fn memory(bench: &Bench) -> Verdict {
    const TIME_MAX: Duration = Duration::from_secs(5);
    const ROUNDS: u32 = 400;
    const FAILED_KIB: u64 = 4096;
    const FAST_KIB: u64 = 64 << 10;
    // The peak: the sandbox keeps /proc out of reach, and a leak raises the peak for ever.
    let peak_kib = || -> Result<u64, Finding> {
        let usage = getrusage(UsageWho::RUSAGE_SELF);
        let usage = usage.map_err(|e| Finding::Skipped(format!("getrusage(): {e}")))?;
        Ok(usage.max_rss() as u64)
    };
    let (begun, mut rounds, mut calls) = (Instant::now(), 0, bench.texts().count() as u64);
    let instance = bench.instance()?;
    let mut at = Vec::new();
    // Memory that is reused settles in the first half; what grows in the second half grows for ever.
    while rounds < ROUNDS && begun.elapsed() < TIME_MAX {
        all_texts(bench, &instance)?;
        rounds += 1;
        at.push(peak_kib()?);
        // A fast leak would reach the process's limit before the second half, and then grow no more.
        if at[at.len() - 1] - at[0] > FAST_KIB {
            break;
        }
    }
    calls *= u64::from(rounds);
    let (half, last) = (at[at.len() / 2], at[at.len() - 1]);
    let grown = last.saturating_sub(half);
    let told = format!("the process grew by {grown} KiB in the second half of {calls} documents");
    match grown {
        FAILED_KIB.. => failed(told),
        _ if rounds > 20 && grown > 512 => warned(told),
        _ => Ok(String::new()),
    }
}

pub fn threads(bench: &Bench) -> Verdict {
    let threads = || -> Result<u32, Finding> {
        let text = (bench.process_status)().map_err(|e| Finding::Skipped(format!("/proc/self/status: {e}")))?;
        let threads = text
            .lines()
            .find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok());
        threads.ok_or_else(|| Finding::Skipped("/proc/self/status names no threads".into()))
    };
    {
        // A pool that is started once and kept is no leak.
        let instance = bench.instance()?;
        all_texts(bench, &instance)?;
    }
    let before = threads()?;
    for _ in 0..3 {
        let instance = bench.instance()?;
        all_texts(bench, &instance)?;
    }
    // Threads that were told to end need a moment.
    let begun = Instant::now();
    let mut more = threads()?.saturating_sub(before);
    while more > 0 && begun.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(20));
        more = threads()?.saturating_sub(before);
    }
    match more {
        0 => Ok(String::new()),
        more => failed(format!(
            "{more} threads more run after three instances and their documents"
        )),
    }
}

/// What a library shares with the process that it is loaded into.
#[derive(PartialEq)]
struct State {
    directory: Option<std::path::PathBuf>,
    environment: Vec<(std::ffi::OsString, std::ffi::OsString)>,
    handlers: Vec<usize>,
    rounding: f64,
    decimal_point: u8,
}

impl State {
    fn now() -> State {
        let handler = |signal| {
            let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: asks for the action of a signal, into memory of its size.
            unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
            // SAFETY: zeroed, or written by the call.
            unsafe { action.assume_init() }.sa_sigaction
        };
        // SAFETY: the pointer is valid until the next call; the byte is copied.
        let decimal_point = unsafe { libc::localeconv().as_ref() }
            .and_then(|l| unsafe { l.decimal_point.as_ref() })
            .map_or(0, |c| *c as u8);
        State {
            directory: std::env::current_dir().ok(),
            environment: std::env::vars_os().collect(),
            handlers: (1..32).map(handler).collect(),
            rounding: std::hint::black_box(1.0) / std::hint::black_box(3.0),
            decimal_point,
        }
    }
}

pub fn state(bench: &Bench) -> Verdict {
    let before = State::now();
    {
        let instance = bench.instance()?;
        all_texts(bench, &instance)?;
    }
    let now = State::now();
    let changed = [
        ("the working directory", before.directory != now.directory),
        ("the environment", before.environment != now.environment),
        ("a signal's handler", before.handlers != now.handlers),
        (
            "the rounding of floating-point numbers",
            before.rounding.to_bits() != now.rounding.to_bits(),
        ),
        ("the locale's decimal point", before.decimal_point != now.decimal_point),
    ];
    match changed.iter().find(|(_, changed)| *changed) {
        None => Ok(String::new()),
        Some((what, _)) => failed(format!(
            "the plugin changed {what}, which other code in its process relies on"
        )),
    }
}
