//! A reader whose daemon is gone.

mod support;

use std::io::{Read, Write};
use std::time::{Duration, Instant};
use support::start;
use wengu_protocol::reader::{Limits, Reply};

#[test]
fn a_reader_leaves_when_nobody_reads_it_any_more() {
    let start = || {
        let (mut child, ready) = start(Limits::default());
        assert!(matches!(ready, Reply::Ready { .. }), "{ready:?}");
        // It waits for a document whose end does not come.
        child.stdin.as_mut().unwrap().write_all(b"half of a document").unwrap();
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
