//! The daemon as systemd sees it.

use crate::harness::Site;
use serde_json::json;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn it_says_that_it_is_ready_alive_and_stopping() {
    let mut site = Site::new("");
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let path = site.path("notify").display().to_string();
    site.start_with(&[("NOTIFY_SOCKET", &path), ("WATCHDOG_USEC", "900000")]);
    let next = || {
        let mut buffer = [0; 512];
        let n = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).trim().to_string()
    };
    assert_eq!(next(), "READY=1");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    site.stop();
    let rest: Vec<String> = std::iter::from_fn(|| Some(next()))
        .take_while(|m| m != "STOPPING=1")
        .collect();
    assert!(rest.iter().all(|m| m == "WATCHDOG=1"), "{rest:?}");
}

#[test]
fn a_daemon_that_cannot_commit_does_not_say_that_it_is_alive() {
    if cfg!(not(debug_assertions)) {
        return println!("skipped: a release build has no places to hold it up at");
    }
    let mut site = Site::new("");
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    let [notify, places] = ["notify", "places"].map(|name| site.path(name).display().to_string());
    site.start_with(&[
        ("NOTIFY_SOCKET", &notify),
        ("WATCHDOG_USEC", "900000"),
        ("WENGU_FAILPOINTS_LOG", &places),
    ]);
    site.deliver("case.jsonl", &[json!({"text": "one", "label": "a"})]);
    site.until("the file is pooled", |s| s.files().get("pooled") == Some(&1));
    let is_alive = |within: Duration| {
        socket.set_read_timeout(Some(within)).unwrap();
        let mut buffer = [0; 512];
        socket.recv(&mut buffer).is_ok()
    };
    // Who reaches a place writes it down first: as on a disk that no longer answers, the next commit does not end.
    let held = fs::File::open(&places).unwrap();
    held.lock().unwrap();
    fs::remove_file(site.path("inbox/case.jsonl")).unwrap();
    let began = Instant::now();
    // Where all is well some five seconds pass between two rounds of the scheduler.
    while is_alive(Duration::from_secs(8)) {
        assert!(began.elapsed() < Duration::from_secs(40), "it says that it is alive");
    }
    assert!(site.log().contains("watchdog_withheld"), "{}", site.log());
    drop(held);
    assert!(is_alive(Duration::from_secs(60)), "{}", site.log());
}
