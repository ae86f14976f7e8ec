//! What one request and one peer may take; who is slow holds nobody up.

use super::client::{Reachable, answer, request, socket};
use crate::harness::Site;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const STATUS: &str = "GET /v1/status HTTP/1.1\r\nhost: wengu\r\n\r\n";

/// The beginning of a TLS handshake that is longer than what is sent of it.
const HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00";

fn site(limits: &str) -> Site {
    let mut site = Site::new(&format!("[api.limits]\n{limits}\n"));
    site.start();
    site
}

#[test]
fn heads_and_bodies_have_a_size() {
    let site = site("max_head_kib = 2\nmax_body_kib = 1\nhead_s = 30");
    let ask = |text: &str| {
        let mut stream = socket(&site);
        // It may be refused before all of it is taken.
        let _ = stream.write_all(text.as_bytes());
        answer(&mut stream)
    };
    assert_eq!(ask(STATUS).status, 200);
    let padded = |bytes: usize| {
        format!(
            "GET /v1/status HTTP/1.1\r\nhost: wengu\r\nx: {}\r\n\r\n",
            "a".repeat(bytes)
        )
    };
    assert_eq!(ask(&padded(1900)).status, 200);
    let long = ask(&padded(2100));
    assert!(
        long.status == 431 && long.error().contains("more than 2 KiB"),
        "{long:?}"
    );
    assert_eq!(ask(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(100_000))).status, 431);
    let train = |padding: usize| format!("{{\"domain\":\"contracts\"{}}}", " ".repeat(padding));
    assert_eq!(ask(&request("POST", "/v1/train", None, &train(900))).status, 200);
    let large = ask(&request("POST", "/v1/train", None, &train(1100)));
    assert!(
        large.status == 413 && large.error().contains("more than 1 KiB"),
        "{large:?}"
    );
    // One that does not say how long it will be, and one of which much is on its way when it is refused.
    let head = "POST /v1/train HTTP/1.1\r\nhost: w\r\ncontent-type: application/json\r\n";
    let chunked = ask(&format!(
        "{head}transfer-encoding: chunked\r\n\r\n800\r\n{}\r\n",
        " ".repeat(0x800)
    ));
    assert_eq!(chunked.status, 413, "{chunked:?}");
    assert_eq!(ask(&request("POST", "/v1/train", None, &train(5_000_000))).status, 413);
    // What HTTP's own rules refuse.
    assert_eq!(ask("NONSENSE\r\n\r\n").status, 400);
    assert_eq!(
        ask(&format!("{head}content-length: 5\r\ncontent-length: 6\r\n\r\n{{}}")).status,
        400
    );
    site.json(&["status"]);
}

#[test]
fn who_is_slow_is_told_so_and_holds_nobody_up() {
    let reachable =
        Reachable::started("head_s = 8\nrequest_s = 10\nmax_connections = 40\nmax_connections_of_peer = 40");
    let token = reachable.token("ci", &["--role", "viewer"]);
    let began = Instant::now();
    let mut on_socket: Vec<_> = (0..20).map(|_| socket(&reachable.site)).collect();
    let mut in_handshake: Vec<_> = (0..10).map(|_| reachable.tcp()).collect();
    let mut in_head: Vec<_> = (0..10).map(|_| reachable.tls()).collect();
    let mut in_body = socket(&reachable.site);
    in_body
        .write_all(b"POST /v1/train HTTP/1.1\r\nhost: w\r\ncontent-length: 50\r\n\r\n{")
        .unwrap();
    // A byte now and then, for nearly as long as they have. Later, what they still sent would reset the connection.
    for (byte, handshake) in STATUS.bytes().zip(HELLO.iter().cycle()) {
        for stream in &mut on_socket {
            stream.write_all(&[byte]).unwrap();
        }
        for stream in &mut in_head {
            stream.write_all(&[byte]).unwrap();
        }
        for stream in &mut in_handshake {
            stream.write_all(&[*handshake]).unwrap();
        }
        let before = Instant::now();
        reachable.site.json(&["status"]);
        assert_eq!(reachable.ask("GET", "/v1/status", Some(&token), "").status, 200);
        assert!(
            before.elapsed() < Duration::from_secs(4),
            "others waited {:?}",
            before.elapsed()
        );
        if began.elapsed() > Duration::from_secs(3) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    for stream in &mut on_socket {
        let told = answer(stream);
        assert!(told.status == 408 && told.error().contains("after 8 s"), "{told:?}");
    }
    for stream in &mut in_head {
        assert_eq!(answer(stream).status, 408);
    }
    for stream in &mut in_handshake {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP"));
    }
    let told = answer(&mut in_body);
    assert!(told.status == 408 && told.error().contains("after 10 s"), "{told:?}");
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn connections_are_counted_by_peer_and_in_all() {
    for (limits, status, words) in [
        ("max_connections_of_peer = 3", 429, "of this peer"),
        ("max_connections = 3", 503, "too many connections are open"),
    ] {
        let site = site(&format!("{limits}\nhead_s = 20"));
        let held: Vec<_> = (0..3).map(|_| socket(&site)).collect();
        // They are counted when the daemon has taken them.
        let began = Instant::now();
        let refused = loop {
            let mut stream = socket(&site);
            stream.write_all(STATUS.as_bytes()).unwrap();
            let told = answer(&mut stream);
            if told.status != 200 {
                break told;
            }
            assert!(began.elapsed() < Duration::from_secs(10));
        };
        assert!(
            refused.status == status && refused.error().contains(words),
            "{refused:?}"
        );
        assert!(refused.head.contains("retry-after: 1"), "{refused:?}");
        drop(held);
        site.until("there is room again", |site| site.wengu(&["status"]).status.success());
    }
}

#[test]
fn a_stop_does_not_wait_for_who_is_slow() {
    let mut reachable = Reachable::started("head_s = 600\nrequest_s = 600");
    let token = reachable.token("ci", &["--role", "operator"]);
    let mut slow = socket(&reachable.site);
    slow.write_all(b"GET /v1/sta").unwrap();
    let mut in_body = reachable.tls();
    let head =
        format!("POST /v1/train HTTP/1.1\r\nhost: w\r\nauthorization: Bearer {token}\r\ncontent-length: 50\r\n\r\n{{");
    in_body.write_all(head.as_bytes()).unwrap();
    in_body.flush().unwrap();
    let _in_handshake = reachable.tcp();
    std::thread::sleep(Duration::from_millis(500));
    let took = reachable.site.stop();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(answer(&mut in_body).status, 503);
}
