//! TCP is TLS, or nothing.

use super::client::{Reachable, answer, request, socket};
use crate::harness::Site;
use nix::sys::socket::{setsockopt, sockopt};
use rustls::version::{TLS12, TLS13};
use std::fs;
use std::io::{Read, Write};

#[test]
fn tls_1_2_and_1_3_are_spoken_and_plain_text_is_told_so() {
    let reachable = Reachable::started("");
    let token = reachable.token("ci", &["--role", "viewer"]);
    let status = request("GET", "/v1/status", Some(&token), "");
    for (version, negotiated) in [
        (&TLS12, rustls::ProtocolVersion::TLSv1_2),
        (&TLS13, rustls::ProtocolVersion::TLSv1_3),
    ] {
        let mut stream = reachable.tls_with(&[version]);
        stream.write_all(status.as_bytes()).unwrap();
        assert_eq!(answer(&mut stream).status, 200);
        assert_eq!(stream.conn.protocol_version(), Some(negotiated));
    }
    let mut plain = reachable.tcp();
    plain.write_all(status.as_bytes()).unwrap();
    let told = answer(&mut plain);
    assert_eq!(told.status, 400);
    assert!(
        told.error().contains("HTTPS") && !told.body.contains(&token),
        "{told:?}"
    );
    // What is neither closes, and soon.
    for garbage in [&b"\x16\x03\x01\xff\xffgarbage"[..], b"\x00\x00\x00\x00"] {
        let mut stream = reachable.tcp();
        stream.write_all(garbage).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    }
    assert_eq!(reachable.ask("GET", "/v1/status", Some(&token), "").status, 200);
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_not_trusted_by_the_command_line() {
    let reachable = Reachable::started("");
    let token = reachable.token("ci", &["--role", "viewer"]);
    assert!(reachable.elsewhere(&token, &["status"]).status.success());
    // The token may stand in the environment; commands about files of the daemon's machine are for that machine.
    let (url, ca) = (
        format!("https://localhost:{}", reachable.port),
        reachable.site.path("tls.pem"),
    );
    let remote = ["--url", &url, "--ca-file", ca.to_str().unwrap()];
    let with = |token: Option<&str>, command: &[&str]| {
        let mut wengu = reachable.site.bare(&[&remote, command].concat());
        wengu
            .env_remove("WENGU_TOKEN")
            .envs(token.map(|token| ("WENGU_TOKEN", token)));
        let output = wengu.output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(with(Some(&token), &["status"]).0, Some(0));
    let (code, why) = with(None, &["status"]);
    assert!(code == Some(1) && why.contains("--token-file"), "{why}");
    let (code, why) = with(Some(&token), &["audit", "export"]);
    assert!(code == Some(1) && why.contains("run it there, without --url"), "{why}");
    let (code, why) = with(Some(&token), &["store", "backup", "/nowhere"]);
    assert!(code == Some(77) && why.contains("needs the role admin"), "{why}");

    let other = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    fs::write(reachable.site.path("tls.pem"), other.cert.pem()).unwrap();
    let refused = reachable.elsewhere(&token, &["status"]);
    assert_eq!(refused.status.code(), Some(69), "{refused:?}");
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains("certificate"), "{why}");
}

#[test]
fn nothing_starts_on_tcp_without_a_certificate_and_its_key() {
    let refused = |site: &Site, words: &str| {
        for command in ["check", "run"] {
            let output = site.wengu(&[command]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(78), "{command}: {said}");
            assert!(said.contains(words), "{command}: {said}");
        }
    };
    refused(
        &Site::new("[api.tcp]\nlisten = \"127.0.0.1:0\"\n"),
        "without TLS nothing is served over TCP",
    );
    let reachable = Reachable::new("");
    let other = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    fs::write(reachable.site.path("tls.key"), other.signing_key.serialize_pem()).unwrap();
    refused(&reachable.site, "api.tcp");
    fs::write(reachable.site.path("tls.key"), "no key at all").unwrap();
    refused(&reachable.site, "holds no private key");
}

#[test]
fn peers_that_leave_before_their_answer_do_not_end_the_daemon() {
    let reachable = Reachable::started("");
    let token = reachable.token("ci", &["--role", "viewer"]);
    let status = request("GET", "/v1/status", Some(&token), "");
    // A write to a peer that has left raises SIGPIPE, sometimes.
    let process = fs::read_to_string(format!("/proc/{}/status", reachable.site.daemon_pid())).unwrap();
    let ignored = process.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    let ignored = u64::from_str_radix(ignored.trim(), 16).unwrap();
    assert_eq!(ignored >> (nix::libc::SIGPIPE - 1) & 1, 1, "SIGPIPE is not ignored");
    for round in 0..40 {
        let mut stream = reachable.tls();
        stream.write_all(status.as_bytes()).unwrap();
        if round % 2 == 0 {
            // A reset, and not a polite end.
            let now = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream.sock, sockopt::Linger, &now).unwrap();
        }
        drop(stream);
        let mut stream = socket(&reachable.site);
        stream
            .write_all(request("GET", "/v1/status", None, "").as_bytes())
            .unwrap();
        drop(stream);
    }
    assert_eq!(reachable.ask("GET", "/v1/status", Some(&token), "").status, 200);
    reachable.site.json(&["status"]);
}
