//! The watcher without any hints, and with hints that are lost: scans alone must find everything.

use super::*;
use std::collections::BTreeSet;
use std::time::Instant;

fn receive_until(
    receiver: &mut mpsc::Receiver<WatchEvent>,
    mut is_last: impl FnMut(&WatchEvent) -> bool,
) -> Vec<WatchEvent> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut events = Vec::new();
    while Instant::now() < deadline {
        match receiver.try_recv() {
            Ok(event) => {
                events.push(event);
                if is_last(events.last().unwrap()) {
                    return events;
                }
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    panic!("waited in vain; got {events:?}");
}

#[test]
fn without_any_events_files_are_found_by_polling() {
    let root = tempfile::tempdir().unwrap();
    let (handle, mut receiver) = Watcher::spawn_with(
        vec![root.path().to_owned().into()],
        Duration::from_millis(50),
        Duration::from_secs(3600),
        Box::new(|_, _| false),
        Hints::None,
    );
    let events = receive_until(&mut receiver, |event| matches!(event, WatchEvent::ScanDone { .. }));
    assert!(
        matches!(&events[0], WatchEvent::Degraded { reason, .. } if reason.contains("max_user_watches")),
        "{events:?}"
    );
    std::fs::create_dir_all(root.path().join("a/b")).unwrap();
    let file = root.path().join("a/b/c.txt");
    std::fs::write(&file, "x").unwrap();
    let events = receive_until(&mut receiver, |event| matches!(event, WatchEvent::Settled { .. }));
    assert!(
        matches!(&events[..], [WatchEvent::Settled { path, .. }] if *path == file),
        "{events:?}"
    );
    std::fs::remove_file(&file).unwrap();
    let events = receive_until(&mut receiver, |event| matches!(event, WatchEvent::Removed { .. }));
    assert_eq!(
        events,
        [WatchEvent::Removed { path: file.clone() }],
        "degraded is told once, polls are not announced"
    );
    std::fs::write(&file, "y").unwrap();
    receive_until(&mut receiver, |event| matches!(event, WatchEvent::Settled { .. }));
    std::fs::remove_dir_all(root.path().join("a")).unwrap();
    let events = receive_until(&mut receiver, |event| matches!(event, WatchEvent::Removed { .. }));
    assert_eq!(
        events,
        [WatchEvent::Removed { path: file }],
        "a folder that is gone takes its files along"
    );
    drop(handle);
}

#[test]
fn dropping_the_handle_ends_the_thread_though_nobody_reads() {
    let root = tempfile::tempdir().unwrap();
    for index in 0..CHANNEL_CAPACITY + 100 {
        std::fs::write(root.path().join(format!("{index}.txt")), "x").unwrap();
    }
    let (handle, mut receiver) = Watcher::spawn(
        vec![root.path().to_owned().into()],
        Duration::from_millis(10),
        Duration::from_secs(3600),
        |_, _| false,
    );
    while receiver.len() < CHANNEL_CAPACITY {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!handle.is_idle());
    drop(handle);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match receiver.try_recv() {
            Err(mpsc::error::TryRecvError::Disconnected) => break,
            _ => assert!(Instant::now() < deadline, "the thread goes on"),
        }
    }
}

#[test]
fn files_whose_events_did_not_fit_the_systems_queue_are_found_by_a_scan() {
    let limit = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 1_000_000 {
        return println!("skipped: a queue of {limit} events takes too long to fill");
    }
    let root = tempfile::tempdir().unwrap();
    let (handle, mut receiver) = Watcher::spawn(
        vec![root.path().to_owned().into()],
        Duration::from_millis(50),
        Duration::from_secs(3600),
        |_, _| false,
    );
    receive_until(&mut receiver, |event| matches!(event, WatchEvent::ScanDone { .. }));
    let names = [".a", ".b"].map(|name| root.path().join(name));
    std::fs::write(&names[0], "").unwrap();
    let lost: BTreeSet<PathBuf> = (0..50).map(|i| root.path().join(format!("{i}.txt"))).collect();
    // Who reads the events cannot hand them on meanwhile. A rename is two of them.
    handle.shared.change(|_| {
        for i in 0..limit / 2 + 2000 {
            std::fs::rename(&names[i % 2], &names[(i + 1) % 2]).unwrap();
        }
        for path in &lost {
            std::fs::write(path, "x").unwrap();
        }
    });
    let mut settled = BTreeSet::new();
    let events = receive_until(&mut receiver, |event| {
        if let WatchEvent::Settled { path, .. } = event {
            settled.insert(path.clone());
        }
        settled.len() == lost.len()
    });
    assert_eq!(settled, lost);
    let scan = WatchEvent::ScanDone {
        root: root.path().to_owned(),
        files: lost.len(),
    };
    assert!(events.contains(&scan), "no event was lost: {events:?}");
}
