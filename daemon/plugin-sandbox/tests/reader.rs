//! What a process that reads documents can reach, whatever takes it over.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::getppid;
use std::fs::{self, File};
use std::io;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use wengu_plugin_sandbox::{enter_reader, limit_reader};
use wengu_protocol::plugin::Enforcement;

/// Makes a run of this program the process that is shut in. Its value is a folder.
const SHUT_IN: &str = "WENGU_TEST_SHUT_IN";

/// What a document would have its parser do, and what came of it. In this order all of it can be done by a process that is free.
fn misdeeds(dir: &Path) -> [(&'static str, io::Result<()>); 12] {
    let case = dir.join("case.txt");
    [
        ("open a file", File::open(&case).map(drop)),
        ("open its own memory", File::open("/proc/self/mem").map(drop)),
        ("look at a file", fs::metadata(&case).map(drop)),
        ("list a folder", fs::read_dir(dir).map(drop)),
        ("make a file", File::create(dir.join("new")).map(drop)),
        ("make a folder", fs::create_dir(dir.join("folder"))),
        ("rename a file", fs::rename(dir.join("new"), dir.join("renamed"))),
        ("remove a file", fs::remove_file(&case)),
        ("open a network socket", UdpSocket::bind("127.0.0.1:0").map(drop)),
        ("open a local socket", UnixDatagram::unbound().map(drop)),
        ("run a program", Command::new("/bin/true").status().map(drop)),
        ("signal another process", kill(getppid(), None).map_err(io::Error::from)),
    ]
}

fn shut_in(dir: &Path) -> ! {
    limit_reader(1 << 30, 30).unwrap();
    let sandbox = enter_reader();
    println!("seccomp {:?}", sandbox.seccomp);
    for (misdeed, outcome) in misdeeds(dir) {
        match outcome.map_err(|e| e.raw_os_error().map(Errno::from_raw)) {
            Err(Some(Errno::EPERM | Errno::EACCES)) => {}
            other => println!("could {misdeed}: {other:?}"),
        }
    }
    let bytes = std::thread::spawn(|| vec![7_u8; 1 << 20].len()).join().unwrap();
    println!("computes {bytes}");
    std::process::exit(0);
}

#[test]
fn a_process_that_reads_documents_reaches_no_file_no_network_and_no_other_process() {
    if let Some(dir) = std::env::var_os(SHUT_IN) {
        shut_in(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let case = dir.path().join("case.txt");
    fs::write(&case, "a case file").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--nocapture", "a_process_that_reads_documents"])
        .env(SHUT_IN, dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    if told.contains(&format!("seccomp {:?}", Enforcement::None)) {
        return println!("skipped: this kernel has no seccomp");
    }
    assert!(output.status.success() && !told.contains("could "), "{told}");
    assert!(told.contains("computes 1048576"), "{told}");
    assert!(case.exists());
    for (misdeed, outcome) in misdeeds(dir.path()) {
        assert!(
            outcome.is_ok(),
            "nothing hinders this process, but: {misdeed}: {outcome:?}"
        );
    }
}
