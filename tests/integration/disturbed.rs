//! Files that are too large, change, move or cannot be read while they are to be taken.

use crate::harness::Site;
use nix::libc;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use wengu_store::Hash;

fn explained(site: &Site, path: &str) -> Value {
    site.json(&["files", "explain", &site.path(path).display().to_string()])
}

/// Files that have this state.
fn wait_for(site: &Site, expected: &[(&str, usize)]) {
    let expected = expected.iter().map(|(state, n)| (state.to_string(), *n)).collect();
    site.until(&format!("the files are {expected:?}"), |s| s.files() == expected);
}

#[test]
fn a_file_above_the_limit_is_set_aside_by_name_and_its_neighbours_are_taken() {
    let mut site = Site::new("");
    site.rewrite("settle_ms = 200", "settle_ms = 200\nmax_file_mib = 1");
    site.start();
    let record = |text: &str| format!("{}\n", json!({"text": text, "label": "a"}));
    let padded = |text: &str, bytes: usize| {
        let mut file = record(text).into_bytes();
        file.resize(bytes, b'\n');
        file
    };
    site.drop_file("above.jsonl", &padded("too much", (1 << 20) + 1));
    site.drop_file("at the limit.jsonl", &padded("just enough", 1 << 20));
    site.drop_file("small.jsonl", record("little").as_bytes());
    wait_for(&site, &[("pooled", 2), ("quarantined", 1)]);
    let above = explained(&site, "inbox/above.jsonl");
    assert_eq!(
        (&above["file"]["state"], &above["content"]),
        (&json!("quarantined"), &Value::Null)
    );
    let why = above["file"]["explanation"].as_str().unwrap();
    assert!(why.contains("limit of 1 MiB") && why.contains("max_file_mib"), "{why}");
}

/// Runs a command without root's right to read what it may not.
fn without_privilege(command: &mut Command) {
    let give_up = || {
        // linux/capability.h
        for capability in [1, 2] {
            // SAFETY: a system call whose arguments are numbers.
            if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    if nix::unistd::geteuid().is_root() {
        // SAFETY: system calls only.
        unsafe { command.pre_exec(give_up) };
    }
}

#[test]
fn what_may_not_be_read_is_set_aside_with_the_reason_and_taken_when_it_may() {
    let mut site = Site::new("");
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let outside = site.path("outgoing");
    fs::write(&outside, format!("{}\n", json!({"text": "one", "label": "a"}))).unwrap();
    allow(&outside, 0);
    let mut reads = Command::new("cat");
    without_privilege(reads.arg(&outside));
    match reads.output() {
        Ok(output) if !output.status.success() => {}
        _ => return println!("skipped: this process cannot give up the right to read every file"),
    }
    site.start_as(without_privilege);
    let file = site.path("inbox/closed.jsonl");
    fs::rename(&outside, &file).unwrap();
    let folder = site.path("closed");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("inside.jsonl"),
        format!("{}\n", json!({"text": "two", "label": "a"})),
    )
    .unwrap();
    allow(&folder, 0);
    fs::rename(&folder, site.path("inbox/folder")).unwrap();
    site.deliver("open.jsonl", &[json!({"text": "three", "label": "a"})]);
    wait_for(&site, &[("pooled", 1), ("quarantined", 2)]);
    for (path, reason) in [
        (
            "inbox/closed.jsonl",
            "Permission denied (os error 13); give wengu's user the right to read it",
        ),
        ("inbox/folder", "the folder cannot be read"),
    ] {
        let why = explained(&site, path)["file"]["explanation"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(why.contains(reason), "{path}: {why}");
    }

    allow(&file, 0o600);
    allow(&site.path("inbox/folder"), 0o700);
    for path in ["inbox/closed.jsonl", "inbox/folder/inside.jsonl"] {
        site.until(&format!("{path} is taken"), |s| {
            let output = s.wengu(&["--json", "files", "explain", &s.path(path).display().to_string()]);
            let file: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            file["file"]["state"] == "pooled" && file["examples"].as_array().unwrap().len() == 1
        });
    }
    site.until("the folder itself is no file any more", |s| {
        explained(s, "inbox/folder")["file"]["present"] == false
    });
}

/// Holds the daemon up when it has opened the file and read nothing of it, and calls `disturb`.
fn once_opened(site: &Site, name: &str, disturb: impl FnOnce(&Path)) {
    let path = site.path("inbox").join(name);
    site.until("nothing else is under way", |s| {
        s.json(&["status"])["domains"][0]["intake_busy"] == false
    });
    // Who reaches a named place writes it down first.
    let places = fs::File::open(site.path("places")).unwrap();
    places.lock().unwrap();
    site.drop_file(name, &text(&format!("{name} at first")));
    let descriptors = format!("/proc/{}/fd", site.daemon_pid());
    site.until(&format!("{name} is opened"), |_| {
        let mut open = fs::read_dir(&descriptors).unwrap().filter_map(Result::ok);
        open.any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
    });
    // It has looked at what it opened.
    std::thread::sleep(Duration::from_millis(200));
    disturb(&path);
}

fn text(text: &str) -> Vec<u8> {
    format!("{}\n", json!({"text": text, "label": "a"})).into_bytes()
}

#[test]
fn a_file_that_is_renamed_replaced_or_written_to_while_it_is_read_is_taken_once_as_it_is_then() {
    if cfg!(not(debug_assertions)) {
        return println!("skipped: a release build has no places to hold it up at");
    }
    let mut site = Site::new("");
    // This test's own pauses are no standing still.
    site.rewrite("settle_ms = 200", "settle_ms = 1000");
    let places = site.path("places");
    site.start_with(&[("WENGU_FAILPOINTS_LOG", &places.display().to_string())]);
    site.drop_file("first.jsonl", &text("the first"));
    wait_for(&site, &[("pooled", 1)]);
    let copied = || {
        let places = fs::read_to_string(&places).unwrap();
        places.lines().filter(|place| *place == "ingest.copied").count()
    };

    once_opened(&site, "old name.jsonl", |path| {
        fs::rename(path, path.with_file_name("renamed.jsonl")).unwrap();
    });
    wait_for(&site, &[("pooled", 2)]);

    once_opened(&site, "replaced.jsonl", |_| {
        site.drop_file("replaced.jsonl", &text("replaced"))
    });
    wait_for(&site, &[("pooled", 3)]);

    let before = copied();
    let began = Instant::now();
    once_opened(&site, "written.jsonl", |path| {
        fs::write(path, text("before the copy")).unwrap()
    });
    while copied() == before {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it is not copied\n{}",
            site.log()
        );
    }
    fs::write(site.path("inbox/written.jsonl"), text("after the copy")).unwrap();
    wait_for(&site, &[("pooled", 4)]);

    for (name, expected) in [
        ("renamed", "old name.jsonl at first"),
        ("replaced", "replaced"),
        ("written", "after the copy"),
    ] {
        let file = explained(&site, &format!("inbox/{name}.jsonl"));
        assert_eq!(file["content"], Hash::of(&text(expected)).to_string(), "{name}");
        assert_eq!(file["file"]["revision"], 1, "{name} was taken once: {file:#}");
        assert_eq!(file["examples"][0]["text"], expected, "{name}");
    }
}

#[test]
fn a_file_moved_to_another_domains_folder_is_gone_from_the_one_and_taken_in_the_other() {
    let mut site = Site::new(
        "[domains.leases]\nwatch = [\"leases\"]\nmodel = \"base\"\n[domains.leases.intake]\nsettle_ms = 200\n",
    );
    fs::create_dir(site.path("leases")).unwrap();
    site.start();
    site.deliver("case.jsonl", &[json!({"text": "one", "label": "a"})]);
    wait_for(&site, &[("pooled", 1)]);
    fs::rename(site.path("inbox/case.jsonl"), site.path("leases/case.jsonl")).unwrap();
    wait_for(&site, &[("pooled", 2)]);
    site.until("its absence is known", |s| {
        explained(s, "inbox/case.jsonl")["file"]["present"] == false
    });
    let (left, arrived) = (
        explained(&site, "inbox/case.jsonl"),
        explained(&site, "leases/case.jsonl"),
    );
    assert_eq!(
        (&left["file"]["domain"], &arrived["file"]["domain"]),
        (&json!("contracts"), &json!("leases"))
    );
    assert_eq!(arrived["file"]["present"], true);
    assert_eq!(arrived["content"], left["content"]);
    for file in [left, arrived] {
        assert_eq!(file["examples"][0]["text"], "one", "{file:#}");
    }
}
