//! Programs that the daemon starts, trainers above all: they go last, since whatever else the machine is for, it is for that first;
//! and they end with it.

use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Added to the daemon's own niceness (0 to 19): whatever else wants the processor goes first.
const NICE: i32 = 10;
/// Where memory runs out, the kernel ends the trainer before the daemon and before what else the machine is for (0 to
/// 1000, nothing without this).
const OOM_SCORE: &[u8] = b"500";

/// Has the calling process give way, and be killed when the thread that started it ends: one that lives as long as the daemon has to start
/// it. Async-signal-safe calls only (and `_exit` through the error), for use between fork and exec; `daemon` is the process that forks.
///
/// # Errors
/// The daemon has ended meanwhile.
pub fn follow(daemon: u32) -> std::io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid().as_raw() as u32 != daemon {
        return Err(std::io::Error::other("the daemon ended"));
    }
    give_way();
    Ok(())
}

/// Puts the calling process behind all others in the queues for processor and memory. System calls only, for use
/// between fork and exec. What is refused is left: a trainer that is in the way is better than none.
fn give_way() {
    // SAFETY: plain system calls; the path ends in a zero byte, the buffer outlives the call, the descriptor is ours.
    unsafe {
        libc::nice(NICE);
        let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, OOM_SCORE.as_ptr().cast(), OOM_SCORE.len());
            libc::close(fd);
        }
    }
}
