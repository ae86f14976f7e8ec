//! What the process may do, and when it must go.

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, UsageWho, getrusage, rlim_t, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{SFlag, fstat};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Processor time for one batch, over all threads; then SIGXCPU ends the process. The daemon's clock ends most before.
const BATCH_CPU_SECONDS: u64 = 300;
/// Time to destroy the instance after the daemon has closed the channel.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a host looks for its next request before it sleeps: about what waking it costs, and no more is ever wasted.
const SPIN: Duration = Duration::from_micros(100);

/// Added to the daemon's niceness: case files can wait for what people wait for.
const NICE: i32 = 5;
/// Where memory runs out, a host goes before the daemon, and a trainer (500) before a host.
const OOM_SCORE: &str = "300";

/// Puts this process behind others in the queues for processor and memory. What is refused is left as it is.
pub fn give_way() {
    // SAFETY: a plain system call.
    unsafe { libc::nice(NICE) };
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
}

/// Whether standard input is a socket, as the daemon makes it.
pub fn stdin_is_socket() -> bool {
    fstat(io::stdin().as_fd()).is_ok_and(|s| SFlag::from_bits_truncate(s.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK)
}

/// Moves the channel from standard input to a private descriptor. A plugin that reads standard input finds its end.
pub fn take_channel() -> io::Result<UnixStream> {
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    Ok(channel.into())
}

/// Ends the process when the daemon is gone, whatever the plugin is doing.
///
/// Not `PR_SET_PDEATHSIG`: that signal comes when the *thread* that started the process ends, and the daemon's runtime
/// ends threads at its leisure. The channel closes when the daemon's process does.
pub fn die_with(channel: UnixStream) -> io::Result<()> {
    let watch = move || {
        // A hang-up is reported without being asked for.
        let mut fds = [PollFd::new(channel.as_fd(), PollFlags::empty())];
        while !matches!(poll(&mut fds, PollTimeout::NONE), Ok(n) if n > 0) {}
        std::thread::sleep(FAREWELL);
        // SIGKILL: exit handlers of the plugin could hang too.
        let _ = kill(nix::unistd::getpid(), Signal::SIGKILL);
    };
    std::thread::Builder::new()
        .name("watch".into())
        .stack_size(64 << 10)
        .spawn(watch)
        .map(drop)
}

/// Returns when there is something to read, or soon after.
pub fn spin_until_readable(channel: &UnixStream) {
    let begun = Instant::now();
    let mut fds = [PollFd::new(channel.as_fd(), PollFlags::POLLIN)];
    while poll(&mut fds, PollTimeout::ZERO) == Ok(0) && begun.elapsed() < SPIN {
        std::thread::yield_now();
    }
}

/// Gives the next batch its processor time.
pub fn renew_cpu() -> io::Result<()> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let used = (usage.user_time().tv_sec() + usage.system_time().tv_sec()) as u64;
    Ok(setrlimit(Resource::RLIMIT_CPU, used + BATCH_CPU_SECONDS, rlim_t::MAX)?)
}
