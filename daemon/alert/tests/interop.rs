//! Signatures, verified by the public `standardwebhooks` packages of Python and JavaScript.
//!
//! `tests/interop/run` installs the packages into .deps/interop and runs this. Without them the test says that it was
//! skipped; with WENGU_REQUIRE_INTEROP it fails.

mod common;

use chrono::{TimeDelta, Utc};
use common::every_event;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wengu_alert::client::Endpoint;
use wengu_alert::event::CloudEvent;
use wengu_alert::format::{Format, Message, Stored, compose};
use wengu_alert::secret::Secret;
use wengu_alert::text::Language;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The verifiers that are installed: a name, a program and its script.
fn verifiers() -> Vec<(&'static str, PathBuf, PathBuf)> {
    let deps = root().join(".deps/interop");
    let scripts = root().join("tests/interop");
    let mut found = Vec::new();
    let python = deps.join("venv/bin/python");
    if python.exists() {
        found.push(("python", python, scripts.join("verify.py")));
    }
    if deps.join("node_modules/standardwebhooks").exists() {
        // Node looks for packages beside the script.
        let script = deps.join("verify.mjs");
        std::fs::copy(scripts.join("verify.mjs"), &script).unwrap();
        found.push(("javascript", "node".into(), script));
    }
    found
}

fn accepts(program: &Path, script: &Path, secret: &Secret, message: &Message) -> bool {
    let headers: serde_json::Map<String, Value> = message
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.as_str().into()))
        .collect();
    let mut child = Command::new(program)
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!({ "secret": secret.reveal(), "headers": headers, "body": message.body });
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.code() {
        Some(0) => true,
        Some(1) if !output.stdout.is_empty() => false,
        _ => panic!("{script:?} ended with {}", output.status),
    }
}

#[test]
fn public_libraries_accept_what_is_signed_and_refuse_what_was_changed() {
    let verifiers = verifiers();
    if verifiers.len() < 2 {
        let missing = "the standardwebhooks packages of Python and JavaScript (tests/interop/run installs them)";
        assert!(std::env::var_os("WENGU_REQUIRE_INTEROP").is_none(), "needs {missing}");
        println!("skipped: needs {missing}");
        return;
    }
    let (new, old) = (Secret::generate().unwrap(), Secret::generate().unwrap());
    let endpoint = Endpoint {
        id: "hook".into(),
        url: "https://hooks.example/".into(),
        format: Format::Standard,
        language: Language::English,
        prefix: None,
        secrets: vec![new.clone(), old.clone()],
        key: None,
        allow_addresses: vec![],
        allow_http: false,
        ca_file: None,
        proxy: None,
        timeout: Duration::from_secs(1),
    };
    let sign = |event: &CloudEvent, at| {
        let body = event.body();
        let stored = Stored {
            id: &event.id,
            body: &body,
        };
        compose(&endpoint, &endpoint.url.parse().unwrap(), &[stored], at).unwrap()
    };
    for (name, program, script) in verifiers {
        let accepts = |secret: &Secret, message: &Message| accepts(&program, &script, secret, message);
        for (i, event) in every_event().iter().enumerate() {
            let event = CloudEvent::new(&format!("evt_{i}"), "主机-1", Utc::now(), event);
            assert!(accepts(&new, &sign(&event, Utc::now())), "{name}: {}", event.kind);
        }
        let event = CloudEvent::new("evt_0", "host-1", Utc::now(), &every_event()[0]);
        let good = sign(&event, Utc::now());
        assert!(accepts(&old, &good), "{name}: the old secret, while both sign");
        assert!(!accepts(&Secret::generate().unwrap(), &good), "{name}: another secret");
        let mut changed = good.clone();
        changed.body = changed.body.replace("430", "431");
        assert!(!accepts(&new, &changed), "{name}: another body");
        for (header, value) in [("webhook-id", "evt_1"), ("webhook-timestamp", "1")] {
            let mut changed = good.clone();
            let found = changed.headers.iter_mut().find(|(name, _)| *name == header).unwrap();
            found.1 = value.into();
            assert!(!accepts(&new, &changed), "{name}: another {header}");
        }
        let late = sign(&event, Utc::now() - TimeDelta::minutes(6));
        assert!(!accepts(&new, &late), "{name}: six minutes old");
        println!("{name}: verified");
    }
}
