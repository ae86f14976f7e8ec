//! The daemon's children: they give way to the machine, and none outlives the daemon.

use crate::harness::{Site, clauses, model, program, root};
use crate::plugins::{install, use_plugin};
use std::fs;
use std::time::{Duration, Instant};

/// A process whose program has this name, started below `site`'s daemon. `/proc` has 15 bytes of the name.
fn child(site: &Site, name: &str) -> Option<u32> {
    let parent = site.daemon_pid();
    let of = |pid: u32| -> Option<(String, u32)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let after = stat.rsplit_once(") ")?.1.split_whitespace().nth(1)?;
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        Some((exe.file_name()?.to_str()?.to_string(), after.parse().ok()?))
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .find(|pid| of(*pid) == Some((name.to_string(), parent)))
}

/// Niceness and oom_score_adj of a process.
fn gives_way(pid: u32) -> (i32, i32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Field 19 of proc(5); the name in field 2 may hold spaces.
    let nice = stat.rsplit_once(") ").unwrap().1.split_whitespace().nth(16).unwrap();
    let score = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    (nice.parse().unwrap(), score.trim().parse().unwrap())
}

fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
}

/// Waits until a process is gone, which a dying daemon has no part in any more.
fn gone(pid: u32, what: &str) {
    let began = Instant::now();
    while runs(pid) {
        assert!(began.elapsed() < Duration::from_secs(20), "{what} outlives the daemon");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Gives the daemon a trainer that ignores every signal it can, and never ends.
fn stubborn(site: &Site) {
    let script = "#!/bin/sh\ntrap '' TERM HUP INT\necho $$ > \"$2/pid\"\nwhile :; do sleep 1; done\n";
    let path = site.path("stubborn");
    fs::write(&path, script).unwrap();
    let mut mode = fs::metadata(&path).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&path, mode).unwrap();
    site.rewrite(
        "[trainer]\n",
        &format!("[trainer]\ncommand = [\"{}\"]\n", path.display()),
    );
}

#[test]
fn a_trainer_gives_way_and_dies_with_a_killed_daemon_whatever_it_ignores() {
    if model().is_none() {
        return;
    }
    let mut site = Site::new("");
    stubborn(&site);
    site.start();
    let daemon = site.daemon_pid();
    let own = gives_way(daemon);
    site.deliver("clauses.jsonl", &clauses("1-first-delivery/clauses-a.jsonl", 5, 20));
    let found = std::cell::Cell::new(None);
    let job = site.path("state/jobs/contracts/0001/pid");
    site.until("the trainer runs", |_| {
        found.set(
            fs::read_to_string(&job)
                .ok()
                .and_then(|pid| pid.trim().parse::<u32>().ok()),
        );
        found.get().is_some()
    });
    let trainer = found.get().unwrap();
    assert_eq!(
        gives_way(trainer),
        ((own.0 + 10).min(19), 500),
        "the daemon has {own:?}"
    );
    assert_eq!(gives_way(daemon), own, "the daemon itself stays as it was");
    site.kill();
    gone(trainer, "the trainer");
}

#[test]
fn a_program_that_reads_pictures_gives_way_and_dies_with_a_killed_daemon() {
    let mut site = Site::new("");
    let told = site.path("pid");
    let ocr = format!(
        "[reader]\nocr_command = [\"sh\", \"-c\", \"echo $$ > {}; while :; do sleep 1; done\"]\n",
        told.display()
    );
    site.rewrite("[trainer]", &format!("{ocr}[trainer]"));
    site.start();
    let own = gives_way(site.daemon_pid());
    let scan = root().join("daemon/reader/test-data/scanned.pdf");
    site.drop_file("scanned.pdf", &fs::read(scan).unwrap());
    let pid = || fs::read_to_string(&told).ok()?.trim().parse().ok();
    site.until("the program runs", |_| pid().is_some());
    let pid: u32 = pid().unwrap();
    assert_eq!(gives_way(pid), ((own.0 + 10).min(19), 500));
    site.kill();
    gone(pid, "the program that reads pictures");
}

#[test]
fn a_plugin_host_gives_way_and_dies_with_a_killed_daemon() {
    let mut site = Site::new("");
    let package = site.path("package");
    let library = program("libwengu_plugin_legal_en.so");
    let packed = site.wengu(&[
        "plugin",
        "pack",
        root().join("plugins/legal-en").to_str().unwrap(),
        "--library",
        library.to_str().unwrap(),
        "--out",
        package.to_str().unwrap(),
    ]);
    assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
    install(&site, &package);
    use_plugin(&site, "dev.wengu.legal-en");
    if !root().join(".deps/models/all-MiniLM-L6-v2/model.safetensors").exists() {
        return println!("skipped: needs .deps/models/all-MiniLM-L6-v2 (`make setup`)");
    }
    site.start();
    let own = gives_way(site.daemon_pid());
    site.drop_file(
        "clause.txt",
        b"This Agreement shall be governed by the laws of the State of New York.",
    );
    let found = std::cell::Cell::new(None);
    site.until("a host runs", |site| {
        found.set(child(site, "wengu-plugin-host"));
        // It has been started, and then made itself small.
        found.get().is_some_and(|pid| gives_way(pid).1 == 300)
    });
    let host = found.get().unwrap();
    assert_eq!(gives_way(host), ((own.0 + 5).min(19), 300), "the daemon has {own:?}");
    site.kill();
    gone(host, "the plugin host");
}
