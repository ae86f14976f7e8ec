//! Trainers that fail, one after the other.

use crate::harness::{QUICK_LEARNING, clauses, model};
use crate::webhook::{free_port, listen, site_with};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;

#[test]
fn a_trainer_that_always_fails_is_told_once_for_three_attempts_and_the_pause_grows() {
    if model().is_none() {
        return;
    }
    let port = free_port();
    let mut site = site_with(port, QUICK_LEARNING);
    let mut receiver = listen(&site, port, "1000");
    let (sender, told) = mpsc::channel::<Value>();
    let lines = BufReader::new(receiver.stdout.take().unwrap()).lines();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["type"] == "wengu.training.failed" && sender.send(event).is_err() {
                return;
            }
        }
    });
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 16));
    let (run, code) = site.train();
    assert_eq!((code, run["decision"].as_str()), (0, Some("promote")), "{run:#}");
    let champion = run["version"].clone();
    let link = fs::read_link(site.path("state/versions/contracts/current")).unwrap();

    let script = site.path("failing");
    let count = site.path("starts");
    fs::write(&script, format!("#!/bin/sh\necho x >> '{}'\nexit 1\n", count.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    site.stop();
    site.rewrite(
        "[trainer]\n",
        &format!("[trainer]\ncommand = [\"{}\"]\n", script.display()),
    );
    site.start();
    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 3, 20));
    for failures in [1_u64, 2] {
        if failures > 1 {
            // Who asks does not wait for the end of the pause.
            assert!(site.wengu(&["train", "contracts", "--no-wait"]).status.success());
        }
        for attempt in 1..=3 {
            let starts = (failures as usize - 1) * 3 + attempt;
            site.until(&format!("trainer {starts} has ended"), |s| {
                let log = fs::read_to_string(s.path("daemon.log")).unwrap();
                log.matches("trainer_ended").count() == 1 + starts
            });
            if attempt < 3 {
                // A start of the daemon ends the pause between two attempts, and their count goes on.
                site.stop();
                site.start();
            }
        }
        site.until("the run has failed", |s| {
            let run = &s.json(&["status"])["domains"][0]["last_run"];
            run["run"] == failures + 1 && run["state"]["name"] == "failed"
        });
        let event = told.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
        let data = &event["data"];
        assert_eq!(
            (&data["domain"], &data["failures"]),
            (&"contracts".into(), &failures.into()),
            "{event:#}"
        );
        let domain = site.json(&["status"])["domains"][0].clone();
        let ended_ms = domain["last_run"]["ended_ms"].as_u64().unwrap();
        // A minute, then two.
        let minute = (ended_ms / 60_000 + failures) % (24 * 60);
        let again = format!("pausing after {failures} failed updates; looks again at ");
        let next = domain["next"].as_str().unwrap();
        assert!(
            next.starts_with(&again) && next.ends_with(&format!("{:02}:{:02} UTC", minute / 60, minute % 60)),
            "{next}"
        );
        assert_eq!(domain["serving"]["version"], champion);
        let now = fs::read_link(site.path("state/versions/contracts/current")).unwrap();
        assert_eq!(now, link);
        assert_eq!(site.files().get("pooled"), Some(&1), "what was delivered waits");
    }
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 6);
    assert!(told.try_recv().is_err(), "each failure is told once");
    receiver.kill().unwrap();
    receiver.wait().unwrap();
}

#[test]
fn a_trainer_that_wants_more_memory_than_it_may_have_fails_by_name_and_the_champion_serves_on() {
    if model().is_none() {
        return;
    }
    let mut site = crate::harness::Site::new(QUICK_LEARNING);
    site.start();
    site.deliver("first.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 4, 16));
    let (run, code) = site.train();
    assert_eq!((code, run["decision"].as_str()), (0, Some("promote")), "{run:#}");
    let link = fs::read_link(site.path("state/versions/contracts/current")).unwrap();

    site.stop();
    site.rewrite("[trainer]\n", "[trainer]\nmemory_mib = 16\n");
    site.start();
    site.deliver("second.jsonl", &clauses("2-new-clause-types/clauses.jsonl", 3, 20));
    site.until("the trainer has been refused memory", |s| {
        let log = fs::read_to_string(s.path("daemon.log")).unwrap();
        log.lines()
            .any(|line| line.contains("trainer_ended") && line.contains("out_of_memory"))
    });
    let log = fs::read_to_string(site.path("daemon.log")).unwrap();
    assert!(log.contains("than 16 MiB (`memory_mib` of [trainer]"), "{log}");
    assert_eq!(
        fs::read_link(site.path("state/versions/contracts/current")).unwrap(),
        link
    );

    // With what it needs the same run goes on.
    site.stop();
    site.rewrite("memory_mib = 16\n", "");
    site.start();
    site.until("the second run has ended", |s| {
        let run = &s.json(&["status"])["domains"][0]["last_run"];
        run["run"] == 2 && run["state"]["name"] == "finished"
    });
}
