//! A reader whose daemon is gone.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wengu_protocol::plugin::read_frame;
use wengu_protocol::reader::{Limits, READER_COOKIE, READER_PROTOCOL, Reply, Request};

#[test]
fn a_reader_leaves_when_nobody_reads_it_any_more() {
    let request = Request {
        protocol: READER_PROTOCOL,
        file_name: "case.txt".into(),
        encoding: None,
        limits: Limits::default(),
        skip: Vec::new(),
    };
    let start = || {
        let mut child = Command::new(env!("CARGO_BIN_EXE_wengu-reader"))
            .arg(serde_json::to_string(&request).unwrap())
            .env(READER_COOKIE.0, READER_COOKIE.1)
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It waits for a document whose end does not come.
        child.stdin.as_mut().unwrap().write_all(b"half of a document").unwrap();
        let ready: Reply = read_frame(child.stdout.as_mut().unwrap()).unwrap();
        assert!(matches!(ready, Reply::Ready { .. }), "{ready:?}");
        child
    };
    let mut left = start();
    drop(left.stdout.take());
    let begun = Instant::now();
    while left.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it stays");
        std::thread::sleep(Duration::from_millis(10));
    }
    // One that is read stays, and ends with its document.
    let mut heard = start();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(heard.try_wait().unwrap(), None);
    drop(heard.stdin.take());
    let mut rest = Vec::new();
    heard.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty() && heard.wait().unwrap().success());
}
