//! The watcher without any hints: scans alone must find everything.

use super::*;
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
