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
    site_with(port, "")
}

/// A site with a webhook and what else its configuration says.
pub fn site_with(port: u16, config: &str) -> Site {
    use std::os::unix::fs::OpenOptionsExt;
    let site = Site::new(&format!(
        "{config}[webhooks.oncall]\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = \"webhook.secret\"\n\
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

/// A file that only its owner reads.
fn private(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn secrets_come_from_a_systemd_credential_and_an_address_from_a_file() {
    let port = free_port();
    let hook = |allow: &str| format!("[webhooks.oncall]\nurl_file = \"url\"\nsecret_credential = \"hook\"\n{allow}");
    let mut site = Site::new(&hook("allow_addresses = [\"127.0.0.1\"]\n"));
    std::fs::create_dir(site.path("credentials")).unwrap();
    let secret = String::from_utf8(site.wengu(&["webhook", "secret"]).stdout).unwrap();
    private(&site.path("credentials/hook"), &secret);
    private(&site.path("webhook.secret"), &secret);
    private(&site.path("url"), &format!("http://127.0.0.1:{port}/\n"));
    let credentials = site.path("credentials").display().to_string();
    let mut receiver = listen(&site, port, "1");
    site.start_with(&[("CREDENTIALS_DIRECTORY", &credentials)]);
    assert!(site.wengu(&["webhook", "test"]).status.success());
    assert!(receiver.wait().unwrap().success());
    site.until("it counts as delivered", |s| {
        s.json(&["webhook", "list"])[0]["delivered"] == 1
    });
    let listed = String::from_utf8(site.wengu(&["webhook", "list"]).stdout).unwrap();
    assert!(
        !listed.contains(&port.to_string()),
        "an address from a file is not shown: {listed}"
    );
    site.kill();

    // Without the setting, the address is refused wherever it stands.
    let site = Site::new(&hook("").replace("secret_credential = \"hook\"", "secret_file = \"secret\""));
    private(&site.path("secret"), &secret);
    private(&site.path("url"), "https://127.0.0.1/");
    let checked = site.wengu(&["check"]);
    let problems = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        problems.contains("a loopback address; webhooks reach it only if `allow_addresses` names it"),
        "{problems}"
    );
    private(&site.path("url"), "https://alerts.example.org/");
    assert!(!String::from_utf8_lossy(&site.wengu(&["check"]).stderr).contains("webhooks.oncall"));
    std::fs::set_permissions(site.path("url"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let open = String::from_utf8_lossy(&site.wengu(&["check"]).stderr).into_owned();
    assert!(
        open.contains("webhooks.oncall.url_file") && open.contains("open to every user"),
        "{open}"
    );
}
