//! The daemon as systemd sees it.

use crate::harness::Site;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

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
