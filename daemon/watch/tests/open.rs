//! Opening a released file.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use wengu_watch::{OpenError, Snapshot, open_regular, scan};

#[test]
fn opens_files_and_nothing_else_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::write(path("file"), "text").unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
    nix::unistd::mkfifo(&path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(path("socket")).unwrap();

    let (mut file, snapshot) = open_regular(&path("file")).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), snapshot.size), ("text", 4));
    for name in ["folder", "link", "pipe", "socket"] {
        let error = open_regular(&path(name)).unwrap_err();
        assert!(matches!(error, OpenError::NotRegular { .. }), "{name}: {error}");
    }
    assert!(open_regular(std::path::Path::new("/dev/null")).is_err());
    assert!(matches!(open_regular(&path("none")), Err(OpenError::Io { .. })));

    let found = scan(dir.path());
    assert_eq!(
        found.files,
        [(path("file"), snapshot)],
        "reading does not change a snapshot"
    );
    let mut skipped: Vec<_> = found
        .skipped
        .iter()
        .map(|(path, reason)| (path.file_name().unwrap(), *reason))
        .collect();
    skipped.sort();
    assert_eq!(skipped.len(), 3);
    assert!(skipped[0].1.contains("symbolic link") && skipped[1].1.contains("pipe") && skipped[2].1.contains("socket"));
}

#[test]
fn a_write_while_reading_shows_in_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    std::fs::write(&path, "one").unwrap();
    let (file, before) = open_regular(&path).unwrap();
    // Time stamps advance with the kernel's tick.
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all(b"two")
        .unwrap();
    assert_ne!(
        Snapshot::of(&file.metadata().unwrap()),
        before,
        "same size, other content"
    );
}
