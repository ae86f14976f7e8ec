//! The reader's process as the kernel sees it, once it has said that it is ready.

mod support;

use nix::libc;
use std::fs;
use support::start;
use wengu_protocol::plugin::Enforcement;
use wengu_protocol::reader::{Limits, Reply};

/// The number of a line of `/proc/PID/status`.
fn status(pid: &str, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// Whether this kernel has Landlock: it says which version.
fn has_landlock() -> bool {
    const VERSION: libc::c_uint = 1;
    let none = std::ptr::null::<libc::c_void>();
    // SAFETY: asks for a number and hands over no memory.
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) >= 1 }
}

#[test]
fn a_reader_is_shut_in_before_it_reads_the_first_byte_of_a_document() {
    let asked = Limits::default();
    let (mut child, ready) = start(asked.clone());
    let Reply::Ready { sandbox, .. } = ready else {
        panic!("{ready:?}");
    };
    let pid = child.id().to_string();
    assert_eq!(status(&pid, "NoNewPrivs"), Some(1));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = |name: &str| -> u64 {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!(limit("Max address space"), asked.memory_bytes);
    assert_eq!(limit("Max cpu time"), u64::from(asked.time_s));
    assert_eq!((limit("Max file size"), limit("Max core file size")), (0, 0));
    assert_eq!(limit("Max open files"), 16);
    match (status("self", "Seccomp_filters"), status(&pid, "Seccomp_filters")) {
        (Some(ours), Some(theirs)) => {
            assert_eq!(sandbox.seccomp, Enforcement::Full);
            assert!(theirs > ours, "{theirs} filters, of which {ours} are inherited");
        }
        _ => println!("skipped: this kernel has no seccomp, or does not tell of it"),
    }
    match has_landlock() {
        true => assert_ne!(sandbox.landlock, Enforcement::None),
        false => println!("skipped: this kernel has no Landlock"),
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}
