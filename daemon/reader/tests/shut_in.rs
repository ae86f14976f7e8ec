//! The reader's process as the kernel sees it, once it has said that it is ready.

use nix::libc;
use std::fs;
use std::process::{Command, Stdio};
use wengu_protocol::plugin::{Enforcement, read_frame};
use wengu_protocol::reader::{Limits, READER_COOKIE, READER_PROTOCOL, Reply, Request};

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
    let request = Request {
        protocol: READER_PROTOCOL,
        file_name: "case.txt".into(),
        encoding: None,
        limits: Limits::default(),
        skip: Vec::new(),
    };
    let mut child = Command::new(env!("CARGO_BIN_EXE_wengu-reader"))
        .arg(serde_json::to_string(&request).unwrap())
        .env(READER_COOKIE.0, READER_COOKIE.1)
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready: Reply = read_frame(child.stdout.as_mut().unwrap()).unwrap();
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
    assert_eq!(limit("Max address space"), request.limits.memory_bytes);
    assert_eq!(limit("Max cpu time"), u64::from(request.limits.time_s));
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
