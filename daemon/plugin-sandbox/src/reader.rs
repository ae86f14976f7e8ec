//! A process that reads other people's documents. Its code is known and needs no file: what is not allowed is refused.

use crate::{Rules, argument, landlock};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompCmpOp, SeccompFilter, apply_filter_all_threads};
use wengu_protocol::plugin::{Enforcement, Sandbox};

/// The document, the channel, and what the runtime keeps.
const OPEN_FILES_MAX: u64 = 16;

/// Limits for the rest of the process's life. Beyond the processor time SIGXCPU ends it.
///
/// # Errors
/// The system's.
pub fn limit_reader(memory_bytes: u64, cpu_s: u32) -> nix::Result<()> {
    nix::sys::prctl::set_no_new_privs()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_FSIZE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    // At the hard limit the signal is SIGKILL, which could be anybody's.
    setrlimit(Resource::RLIMIT_CPU, cpu_s.into(), u64::from(cpu_s) + 1)?;
    setrlimit(Resource::RLIMIT_AS, memory_bytes, memory_bytes)
}

/// Shuts the process in for good: no path, no network, no process, and of the system calls those that a Rust program
/// needs to read, compute and write. What the kernel lacks is said on standard error and in the result.
pub fn enter_reader() -> Sandbox {
    let landlock = landlock(&[]).unwrap_or_else(|e| {
        eprintln!("<4>landlock: {e}");
        Enforcement::None
    });
    let seccomp = match allow_only(&ALLOWED) {
        Ok(()) => Enforcement::Full,
        Err(e) => {
            eprintln!("<4>seccomp: {e}");
            Enforcement::None
        }
    };
    Sandbox { landlock, seccomp }
}

fn allow_only(calls: &[i64]) -> Result<(), Box<dyn std::error::Error>> {
    let mut rules: Rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let is_thread = argument(
        0,
        SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64),
        libc::CLONE_THREAD as u64,
    )?;
    rules.insert(libc::SYS_clone, vec![is_thread]);
    // Its arguments lie in memory that a filter cannot see. A filter of its own says that it is not there, and the C
    // library falls back to clone; where two filters refuse, the later one's number would be told.
    let clone3: Rules = [(libc::SYS_clone3, Vec::new())].into();
    crate::install(clone3.clone(), SeccompAction::Errno(libc::ENOSYS as u32))?;
    rules.extend(clone3);
    let arch = std::env::consts::ARCH.try_into()?;
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let program: BpfProgram = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?.try_into()?;
    Ok(apply_filter_all_threads(&program)?)
}

const ALLOWED: [i64; 33] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_tgkill,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_prctl,
    // For the thread that waits for the daemon's end; `poll` itself is not on every machine.
    libc::SYS_ppoll,
    libc::SYS_restart_syscall,
    libc::SYS_clock_nanosleep,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_prlimit64,
];
