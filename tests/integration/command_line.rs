//! The command line as a person meets it.

use crate::harness::{Site, program};
use std::process::Command;

#[test]
fn check_names_six_mistakes_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wengu.toml");
    let config = "state_dir = \"state\"\n\
        [models.base]\npath = \"model\"\n\
        [domains.contracts]\nwatch = [\"inbox\"]\nmodel = \"bsae\"\n\
        [domains.contracts.schedule]\ncron = \"61 2 * * *\"\ntimezone = \"Europe/Berln\"\nmin_new_exampels = 3\n\
        [domains.contracts.learning]\nepochs = \"four\"\n\
        [domains.contracts.gate]\naccuracy_floor = 2.0\n";
    std::fs::write(&path, config).unwrap();
    let output = Command::new(program("wengu"))
        .arg("--config")
        .arg(&path)
        .arg("check")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    for (line, key) in [
        (6, "domains.contracts.model"),
        (8, "domains.contracts.schedule.cron"),
        (9, "domains.contracts.schedule.timezone"),
        (10, "domains.contracts.schedule.min_new_exampels"),
        (12, "domains.contracts.learning.epochs"),
        (14, "domains.contracts.gate.accuracy_floor"),
    ] {
        let found = said
            .lines()
            .any(|l| l.contains(&format!("wengu.toml:{line}:")) && l.contains(key));
        assert!(found, "line {line}, key {key} is missing in:\n{said}");
    }
    assert!(
        said.contains("min_new_examples"),
        "the nearest known key is not named:\n{said}"
    );
}

#[test]
fn exit_codes_are_what_the_help_says() {
    let site = Site::new("");
    assert_eq!(site.wengu(&["status"]).status.code(), Some(69), "no daemon");
    assert_eq!(
        site.wengu(&["no-such-command"]).status.code(),
        Some(2),
        "no such command"
    );
    std::fs::write(site.path("wengu.toml"), "state_dir = 3\n").unwrap();
    assert_eq!(
        site.wengu(&["run"]).status.code(),
        Some(78),
        "a bad configuration opens nothing"
    );
    assert!(!site.path("state").exists());
}

#[test]
fn init_makes_a_configuration_that_passes_and_does_not_overwrite_it() {
    let dir = tempfile::tempdir().unwrap();
    let wengu = |arguments: &[&str]| {
        Command::new(program("wengu"))
            .current_dir(dir.path())
            .args(arguments)
            .output()
            .unwrap()
    };
    let made = wengu(&["init", "--domain", "合同"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(dir.path().join("inbox/合同").is_dir());
    let again = wengu(&["init"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
    // All that is missing is the model, which was not named.
    let checked = String::from_utf8(wengu(&["check"]).stderr).unwrap();
    assert!(
        checked.contains("models.base.path") && !checked.contains("domains"),
        "{checked}"
    );
}

#[test]
fn a_second_daemon_on_one_state_directory_is_refused() {
    let mut site = Site::new("");
    site.start();
    let second = site.wengu(&["run"]);
    assert_eq!(second.status.code(), Some(75));
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(said.contains("in use by process"), "{said}");
    assert!(site.stop().as_secs() < 30);
}

#[test]
fn the_gate_can_be_tried_before_there_is_a_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let wengu = |arguments: &[&str]| {
        let mut command = Command::new(program("wengu"));
        command
            .current_dir(dir.path())
            .args(["gate", "simulate", "--repeats", "50"]);
        command.args(arguments).output().unwrap()
    };
    let said = String::from_utf8(wengu(&["--items", "500", "--drop", "5", "--churn", "10"]).stdout).unwrap();
    assert!(
        said.contains("regressed") && said.contains("Two stages: 500 items at level 0.1"),
        "{said}"
    );
    let output = wengu(&["--json", "--drop", "8", "--reserve", "1000"]);
    let simulated: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(simulated["regressed"]["share"].as_f64().unwrap() > 0.9, "{simulated}");
    let refused = wengu(&["--drop", "12", "--churn", "10"]);
    assert_eq!(refused.status.code(), Some(1));
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(why.contains("a drop of 12 points at a churn of 10 %"), "{why}");
}
