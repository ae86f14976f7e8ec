//! What a process that runs a plugin may reach and use: no network, no new or changed files, no other process, and of what is on disk its own
//! folder and the system's libraries.
//!
//! Two layers that overlap on purpose. Landlock (Linux 5.13 and later) decides by path; seccomp decides by system call
//! and is there on kernels without Landlock. Both hold for every thread and cannot be taken back. What is forbidden
//! fails with EPERM or EACCES rather than ending the process: C libraries probe for what they may do.
//!
//! A process that reads documents ([`enter_reader`]) gets less of both.

mod reader;

pub use reader::{enter_reader, limit_reader};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};
use std::collections::BTreeMap;
use std::path::Path;
use wengu_protocol::plugin::{Enforcement, Sandbox};

/// What a library may need while it is loaded and run; paths that are not there are left out.
const READABLE: [&str; 11] = [
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/nix/store",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/null",
    "/dev/urandom",
];

/// Open files that a plugin may have; its library's descriptor lies below it.
const OPEN_FILES_MAX: u64 = 256;

/// What becomes of a forbidden system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// It fails with EPERM, as in service.
    Fails,
    /// It ends the process with SIGSYS, so that it is seen.
    Kills,
}

/// Limits for the rest of the process's life: address space, open files, no core file.
///
/// # Errors
/// The system's.
pub fn limit(memory_mib: u32) -> nix::Result<()> {
    let memory = u64::from(memory_mib) << 20;
    nix::sys::prctl::set_no_new_privs()?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    setrlimit(Resource::RLIMIT_AS, memory, memory)
}

/// Shuts the process in for good. What the kernel lacks is said on standard error and in the result, and is no error.
pub fn enter(plugin_dir: &Path, forbidden: Forbidden) -> Sandbox {
    let readable: Vec<&Path> = READABLE.iter().map(Path::new).chain([plugin_dir]).collect();
    let landlock = landlock(&readable).unwrap_or_else(|e| {
        eprintln!("<4>landlock: {e}");
        Enforcement::None
    });
    let seccomp = match seccomp(forbidden) {
        Ok(()) => Enforcement::Full,
        Err(e) => {
            eprintln!("<4>seccomp: {e}");
            Enforcement::None
        }
    };
    Sandbox { landlock, seccomp }
}

fn landlock(paths: &[&Path]) -> Result<Enforcement, RulesetError> {
    // The newest that is asked for; an older kernel enforces what it knows.
    let abi = ABI::V6;
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(paths, AccessFs::from_read(abi)))?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Enforcement::Full,
        RulesetStatus::PartiallyEnforced => Enforcement::Partial,
        RulesetStatus::NotEnforced => Enforcement::None,
    })
}

fn seccomp(forbidden: Forbidden) -> Result<(), Box<dyn std::error::Error>> {
    let action = match forbidden {
        Forbidden::Fails => SeccompAction::Errno(libc::EPERM as u32),
        Forbidden::Kills => SeccompAction::KillProcess,
    };
    install(rules()?, action)?;
    // Their arguments lie in memory that a filter cannot see; C libraries fall back to the older calls.
    let unseen = [libc::SYS_clone3, libc::SYS_openat2].map(|call| (call, Vec::new()));
    install(BTreeMap::from(unseen), SeccompAction::Errno(libc::ENOSYS as u32))
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn install(rules: Rules, refuse: SeccompAction) -> Result<(), Box<dyn std::error::Error>> {
    let arch = std::env::consts::ARCH.try_into()?;
    let program: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()?;
    Ok(apply_filter_all_threads(&program)?)
}

/// A call with this argument.
fn argument(index: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(index, SeccompCmpArgLen::Dword, op, value)?;
    SeccompRule::new(vec![condition])
}

/// What is refused. An empty list refuses the call whatever its arguments.
fn rules() -> Result<Rules, seccompiler::BackendError> {
    let mut rules: Rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    #[cfg(target_arch = "x86_64")]
    rules.extend(REFUSED_X86.iter().map(|call| (*call, Vec::new())));
    let bits = |index, mask: i32, value: i32| argument(index, SeccompCmpOp::MaskedEq(mask as u64), value as u64);
    let writes = |flags| {
        [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT]
            .map(|bit| bits(flags, bit, bit))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()
    };
    rules.insert(libc::SYS_openat, writes(2)?);
    #[cfg(target_arch = "x86_64")]
    rules.insert(libc::SYS_open, writes(1)?);
    // Threads, but no processes.
    rules.insert(libc::SYS_clone, vec![bits(0, libc::CLONE_THREAD, 0)?]);
    let own = u64::from(std::process::id());
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![argument(0, SeccompCmpOp::Ne, own)?]);
    }
    Ok(rules)
}

const REFUSED: [i64; 44] = [
    // Network. The channel was open before.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Programs and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_tkill,
    libc::SYS_kcmp,
    // Names of files, and what is known of them.
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_linkat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_truncate,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_utimensat,
    // Ways around this filter, and the kernel's rarely used corners.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_reboot,
    libc::SYS_setpgid,
];

/// Calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
const REFUSED_X86: [i64; 12] = [
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_creat,
    libc::SYS_mkdir,
    libc::SYS_mknod,
    libc::SYS_symlink,
    libc::SYS_link,
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_unlink,
    libc::SYS_rmdir,
    libc::SYS_chmod,
];
