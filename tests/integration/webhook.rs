//! Alerts arrive, signed, across a restart, and however late the receiver is.

use crate::harness::{Site, program};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

pub fn listen(site: &Site, port: u16, count: &str) -> Child {
    listen_with(site, port, count, "webhook.secret")
}

/// A receiver that knows the secrets in this file.
fn listen_with(site: &Site, port: u16, count: &str, secret_file: &str) -> Child {
    Command::new(program("wengu"))
        .args([
            "--json",
            "webhook",
            "listen",
            "--count",
            count,
            "--port",
            &port.to_string(),
            "--secret-file",
        ])
        .arg(site.path(secret_file))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

pub fn site_with_webhook(port: u16) -> Site {
    use std::os::unix::fs::OpenOptionsExt;
    let site = Site::new(&format!(
        "[webhooks.oncall]\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = \"webhook.secret\"\n\
         allow_addresses = [\"127.0.0.1\"]\n"
    ));
    let secret = site.wengu(&["webhook", "secret"]).stdout;
    let mut file = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(site.path("webhook.secret"))
        .unwrap();
    std::io::Write::write_all(&mut file, &secret).unwrap();
    site
}

#[test]
fn an_alert_survives_kills_of_the_daemon_and_a_receiver_that_is_late() {
    let port = free_port();
    let mut site = site_with_webhook(port);
    site.start();
    assert!(site.wengu(&["webhook", "test"]).status.success());
    site.until("an attempt has failed", |s| {
        !s.json(&["status"])["alerts"]["last_error"].is_null()
    });
    site.kill();
    site.start();
    assert_eq!(
        site.json(&["status"])["alerts"]["waiting"],
        1,
        "the outbox outlives the daemon"
    );
    let mut receiver = listen(&site, port, "1");
    let mut line = String::new();
    BufReader::new(receiver.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(receiver.wait().unwrap().success());
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["type"], "wengu.webhook.test");
    assert_eq!(event["specversion"], "1.0");
    site.until("it counts as delivered", |s| {
        s.json(&["status"])["alerts"]["delivered"] == 1
    });
}

#[test]
fn a_quarantined_delivery_is_told_once_without_names() {
    let port = free_port();
    let mut site = site_with_webhook(port);
    let mut receiver = listen(&site, port, "1");
    site.start();
    site.drop_file("Zhang San.pdf", b"%PDF-1.7");
    let mut line = String::new();
    BufReader::new(receiver.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    receiver.wait().unwrap();
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&event["type"], &event["data"]["files"]),
        (&"wengu.files.quarantined".into(), &1.into())
    );
    assert!(!line.contains("Zhang"), "{line}");
}

#[test]
fn endpoints_are_listed_and_a_rotated_secret_signs_beside_the_old_one_without_a_restart() {
    let port = free_port();
    let mut site = site_with_webhook(port);
    let old = std::fs::read_to_string(site.path("webhook.secret")).unwrap();
    site.start();
    let listed = site.json(&["webhook", "list"]);
    assert_eq!(listed[0]["name"], "oncall");
    assert_eq!(
        (&listed[0]["format"], &listed[0]["pending"]),
        (&"standard".into(), &0.into())
    );
    let human = String::from_utf8(site.wengu(&["webhook", "list"]).stdout).unwrap();
    assert!(human.contains("oncall") && human.contains("none yet"), "{human}");

    let rotated = site.json(&["webhook", "rotate-secret", "oncall", "--overlap-hours", "2"]);
    let new = rotated["secret"].as_str().unwrap();
    let file = std::fs::read_to_string(site.path("webhook.secret")).unwrap();
    let until = rotated["old_signs_until"].as_str().unwrap();
    assert_eq!(file, format!("{new}\n{} until {until}\n", old.trim()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&site.path("webhook.secret").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    // Receivers with either secret take it: the one that has not changed yet, and the one that has.
    for secret in [old.trim(), new] {
        std::fs::write(site.path("theirs"), secret).unwrap();
        std::fs::set_permissions(site.path("theirs"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let mut receiver = listen_with(&site, port, "1", "theirs");
        assert!(site.wengu(&["webhook", "test", "oncall"]).status.success());
        assert!(receiver.wait().unwrap().success());
        // The port is free again before the next one takes it.
        drop(receiver);
    }
    site.until("both count as delivered", |s| {
        s.json(&["webhook", "list"])[0]["delivered"] == 2
    });
    assert_eq!(site.json(&["webhook", "replay"])["replayed"], 0);
    let unknown = site.wengu(&["webhook", "test", "nobody"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no webhook nobody; configured are: oncall"));
    assert!(!site.wengu(&["webhook", "rotate-secret", "nobody"]).status.success());
}
