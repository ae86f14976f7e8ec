//! Roles on the socket: real users of this machine, as the kernel tells of them.

use super::client::said;
use crate::harness::Site;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Output;

/// Users that every Debian has.
const VIEWER: u32 = 1;
const OPERATOR: u32 = 2;
const ADMIN: u32 = 3;
const STRANGER: u32 = 5;

/// Runs the command line as another user with these groups.
fn wengu_as(site: &Site, uid: u32, groups: &'static [u32], arguments: &[&str]) -> Output {
    let mut command = site.command(arguments);
    let become_them = move || {
        let groups: Vec<_> = groups.iter().map(|gid| nix::unistd::Gid::from_raw(*gid)).collect();
        nix::unistd::setgroups(&groups)?;
        nix::unistd::setgid(nix::unistd::Gid::from_raw(uid))?;
        Ok(nix::unistd::setuid(nix::unistd::Uid::from_raw(uid))?)
    };
    // SAFETY: system calls only, and one small allocation in a child of a process that holds no lock of the allocator then.
    unsafe { command.pre_exec(become_them) };
    command.output().unwrap()
}

/// A started daemon with roles for other users; None, and a line that says so, where this process cannot become them.
fn site_with_roles() -> Option<Site> {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can ask as another user");
        return None;
    }
    let mut site = Site::new("[api]\nviewers = [\"daemon\"]\noperators = [\"bin\"]\nadmins = [\"@sys\"]\n");
    site.start();
    // Who may open the socket is another matter than what they may then do.
    for (path, mode) in [
        ("", 0o755),
        ("wengu.toml", 0o644),
        ("state", 0o755),
        ("state/wengu.sock", 0o666),
    ] {
        fs::set_permissions(site.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    Some(site)
}

#[test]
fn each_user_may_what_its_role_may() {
    let Some(site) = site_with_roles() else { return };
    let train = ["train", "contracts"];
    let anchor = ["gate", "anchor", "contracts", "--reason", "test"];
    for (uid, groups, may) in [
        (0, &[][..], [true, true, true]),
        (VIEWER, &[], [true, false, false]),
        (OPERATOR, &[], [true, true, false]),
        (ADMIN, &[], [true, true, true]),
        // By a group that is not their first.
        (STRANGER, &[60, 3], [true, true, true]),
        (STRANGER, &[60], [false, false, false]),
        (VIEWER, &[60], [true, false, false]),
    ] {
        for (arguments, may) in [&["status"][..], &train, &anchor].into_iter().zip(may) {
            let output = wengu_as(&site, uid, groups, arguments);
            let denied = output.status.code() == Some(77);
            assert_eq!(denied, !may, "{uid} {groups:?} {arguments:?}: {output:?}");
            if denied {
                let why = said(&output);
                assert!(
                    why.contains(&format!("(uid {uid})")) && why.contains("needs the role"),
                    "{why}"
                );
            }
        }
    }
    let stranger = said(&wengu_as(&site, STRANGER, &[], &["status"]));
    assert!(
        stranger.contains("user games (uid 5) has no role; GET /v1/status needs the role viewer"),
        "{stranger}"
    );
}

#[test]
fn what_was_asked_is_in_the_log_with_who_asked_and_what_came_of_it() {
    let Some(mut site) = site_with_roles() else { return };
    assert!(
        wengu_as(&site, OPERATOR, &[], &["train", "contracts", "--no-wait"])
            .status
            .success()
    );
    assert_eq!(
        wengu_as(&site, VIEWER, &[], &["train", "contracts"]).status.code(),
        Some(77)
    );
    let promoted = site.wengu(&[
        "promote",
        "contracts",
        "0009-nothing",
        "--force",
        "--reason",
        "the old labels were wrong",
    ]);
    assert_eq!(promoted.status.code(), Some(1));
    site.wengu(&["status"]);
    let told = |site: &Site| -> Vec<Value> {
        let exported = site.wengu(&["audit", "export", "--json"]).stdout;
        let lines = String::from_utf8(exported).unwrap();
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events
            .filter(|event| event["event"].as_str().unwrap().starts_with("api."))
            .collect()
    };
    let events = told(&site);
    let of = |who: &str, kind: &str| -> Vec<&Value> {
        let by = |event: &&Value| event["event"] == kind && event["note"]["by"]["user"] == who;
        events.iter().filter(by).collect()
    };
    let trained = of("bin", "api.asked");
    let note = &trained[0]["note"];
    assert_eq!(
        (
            &note["by"]["uid"],
            &note["role"],
            &note["what"],
            &note["request"]["domain"]
        ),
        (
            &2.into(),
            &"operator".into(),
            &"POST /v1/train".into(),
            &"contracts".into()
        )
    );
    let came_of = |asked: &Value| {
        let answers = |event: &&Value| event["event"] == "api.answered" && event["note"]["asked"] == asked["seq"];
        events
            .iter()
            .find(answers)
            .unwrap_or_else(|| panic!("nothing came of {asked}"))["note"]
            .clone()
    };
    assert_eq!(came_of(trained[0])["status"], 200);
    let refused = of("daemon", "api.refused");
    assert!(
        refused.len() == 1
            && refused[0]["note"]["error"]
                .as_str()
                .unwrap()
                .contains("needs the role operator"),
        "{refused:?}"
    );
    let forced = of("root", "api.asked");
    assert_eq!(forced.len(), 1, "{forced:?}");
    assert_eq!(forced[0]["note"]["request"]["reason"], "the old labels were wrong");
    let failed = came_of(forced[0]);
    assert!(
        failed["status"] == 422 && failed["error"].as_str().unwrap().contains("0009-nothing"),
        "{failed}"
    );
    // It is the journal: whole, chained, and as it was after a kill.
    assert!(site.json(&["audit", "verify"])["head"].is_string());
    site.kill();
    site.start();
    assert_eq!(told(&site), events);
    let people = String::from_utf8(site.wengu(&["audit", "export"]).stdout).unwrap();
    assert!(
        people
            .lines()
            .any(|line| line.contains("api.asked") && line.contains("\"user\":\"bin\"")),
        "{people}"
    );
}

#[test]
fn names_that_the_machine_does_not_know_are_told_at_once_and_nothing_starts() {
    let site = Site::new("[api]\nviewers = [\"no-such-user\", \"root\"]\nadmins = [\"@no-such-group\", \"nobody\"]\n");
    for command in ["check", "run"] {
        let output = site.wengu(&[command]);
        assert_eq!(output.status.code(), Some(78), "{command}: {}", said(&output));
        let said = said(&output);
        for words in ["no user no-such-user", "no group no-such-group", "the user nobody"] {
            assert!(said.contains(words), "{command}: {said}");
        }
    }
    assert!(!site.path("state").exists());
}
