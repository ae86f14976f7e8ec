//! A trainer goes last: whatever else the machine is for, it is for that first.

use nix::libc;

/// Added to the daemon's own niceness (0 to 19): whatever else wants the processor goes first.
const NICE: i32 = 10;
/// Where memory runs out, the kernel ends the trainer before the daemon and before what else the machine is for (0 to
/// 1000, nothing without this).
const OOM_SCORE: &[u8] = b"500";

/// Puts the calling process behind all others in the queues for processor and memory. System calls only, for use
/// between fork and exec. What is refused is left: a trainer that is in the way is better than none.
pub fn give_way() {
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
