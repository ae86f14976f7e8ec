//! Commands that write, refused by the disk or killed at its operations: what they leave is what was there or what was to be, and the
//! same command then does it.

use crate::job::Job;
use crate::refuse::Refusal;
use crate::{HOWS, drawn, each_of, seed, tell, trainer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Instant;

/// Of each command and each how, in the short form.
const SAMPLED: u64 = 3;

/// A command, and how it is known that it was done.
struct Case {
    name: &'static str,
    arguments: &'static [&'static str],
    /// What it is told where it was done already.
    already: &'static str,
    /// What it makes, which is whole or not there; empty: it changes the state directory.
    makes: &'static str,
}

const CASES: [Case; 10] = [
    Case {
        name: "backup",
        arguments: &["store", "backup", "@saved"],
        already: "already",
        makes: "saved",
    },
    Case {
        name: "restore",
        arguments: &["store", "restore", "@backup"],
        already: "already",
        makes: "state/versions",
    },
    Case {
        name: "encrypt",
        arguments: &["store", "encrypt"],
        already: "",
        makes: "",
    },
    Case {
        name: "compact",
        arguments: &["store", "compact"],
        already: "",
        makes: "",
    },
    Case {
        name: "rebuild",
        arguments: &["store", "rebuild"],
        already: "",
        makes: "",
    },
    Case {
        name: "export --adapter",
        arguments: &["export", "contracts", "--adapter", "@adapter"],
        already: "already",
        makes: "adapter",
    },
    Case {
        name: "export --merged",
        arguments: &["export", "contracts", "--merged", "@merged"],
        already: "already",
        makes: "merged",
    },
    Case {
        name: "init",
        arguments: &["init", "@clinic"],
        already: "already",
        makes: "clinic",
    },
    Case {
        name: "webhook rotate-secret",
        arguments: &["webhook", "rotate-secret", "second"],
        already: "",
        makes: "second.secret",
    },
    Case {
        name: "key new",
        arguments: &["key", "new", "@another.key"],
        already: "already",
        makes: "another.key",
    },
];

/// A folder with a store that has learned a delivery, a backup of it, and a key.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<Job> = OnceLock::new();
    let job = TEMPLATE.get_or_init(|| {
        let mut job = Job::new("", "");
        job.start();
        job.deliver(1);
        job.until(&mut || None, "run 1 has ended", |status| {
            status["domains"][0]["last_run"]["run"] == 1
        });
        job.until(&mut || None, "all has been told", |status| {
            status["alerts"]["waiting"] == 0
        });
        job.stop();
        for arguments in [["store", "backup", "@backup"], ["key", "new", "@wengu.key"]] {
            let done = wengu(&job.path(""), &arguments).output().unwrap();
            assert!(done.status.success(), "{arguments:?}: {}", said(&done));
        }
        job
    });
    Box::leak(job.path("").into_boxed_path())
}

/// Paths in the folder begin with `@`: only absolute ones are known to be in it where the disk refuses.
fn wengu(site: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(crate::support::program("wengu"));
    command.current_dir(site).arg("--config").arg(site.join("wengu.toml"));
    for argument in arguments {
        match argument.strip_prefix('@') {
            Some(inside) => command.arg(site.join(inside)),
            None => command.arg(argument),
        };
    }
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A copy of the template as the case needs it.
fn site(case: &Case) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(template(), dir.path());
    match case.name {
        "restore" => fs::remove_dir_all(dir.path().join("state")).unwrap(),
        "encrypt" => configure(dir.path(), "[encryption]\nkey_file = \"wengu.key\"\n"),
        "webhook rotate-secret" => {
            let secret = wengu(dir.path(), &["webhook", "secret"]).output().unwrap().stdout;
            let path = dir.path().join("second.secret");
            fs::write(&path, secret).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            configure(
                dir.path(),
                "[webhooks.second]\nurl = \"https://example.org/\"\nsecret_file = \"second.secret\"\n",
            );
        }
        _ => {}
    }
    dir
}

fn configure(site: &Path, more: &str) {
    let config = site.join("wengu.toml");
    let text = fs::read_to_string(&config).unwrap() + more;
    fs::write(config, text).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&path, &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&path).unwrap(), &to).unwrap();
        } else if kind.is_file() {
            fs::copy(&path, &to).unwrap();
        }
    }
}

/// Files below a path with their digests; keys and what names this very folder count by their being there.
fn digests(path: &Path, name: &str, found: &mut BTreeMap<String, String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let inside = format!("{name}/{}", entry.file_name().to_string_lossy());
            digests(&entry.path(), &inside, found);
        }
        return;
    }
    let bytes = fs::read(path).unwrap();
    let differs = ["key", "secret", "json", "toml"].map(|kind| path.extension().is_some_and(|of| of == kind));
    let digest = match differs.contains(&true) {
        true => format!("{} bytes", bytes.len().min(1)),
        false => format!("{:x?}", Sha256::digest(&bytes)),
    };
    found.insert(name.to_owned(), digest);
}

/// What is there once the command was done.
#[derive(Debug, PartialEq)]
struct Done {
    /// What it has made.
    made: BTreeMap<String, String>,
    /// Names beside each other in the folder.
    names: Vec<String>,
    /// The last commit, its hash, and what does not agree.
    store: String,
    /// Files of the state directory that hold text of a case.
    in_clear: Vec<PathBuf>,
}

fn look(case: &Case, site: &Path) -> Done {
    let mut made = BTreeMap::new();
    if !case.makes.is_empty() && site.join(case.makes).exists() {
        digests(&site.join(case.makes), case.makes, &mut made);
    }
    let names = fs::read_dir(site).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    let verified = [["store", "verify"], ["audit", "verify"]].map(|arguments| {
        let output = wengu(site, &arguments).arg("--json").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &said(&output)
    });
    let mut in_clear = Vec::new();
    holding(&site.join("state/store/objects"), "甲 合同".as_bytes(), &mut in_clear);
    let inside = |path: PathBuf| path.strip_prefix(site).unwrap().to_path_buf();
    Done {
        made,
        names,
        store: verified.concat(),
        in_clear: in_clear.into_iter().map(inside).collect(),
    }
}

fn holding(dir: &Path, text: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            holding(&path, text, found);
        } else if fs::read(&path).unwrap().windows(text.len()).any(|part| part == text) {
            found.push(path);
        }
    }
}

/// Runs the command on a disk that refuses its `at`th operation, or kills it there; 0: neither. Then again, if it was not done. What is
/// there then, what it was that was refused, and how many operations there were.
fn run(case: &Case, how: &'static str, at: u64) -> (Done, Option<String>, u64) {
    let (dir, beside) = (site(case), tempfile::tempdir().unwrap());
    let refusal = Refusal::new(how, at, beside.path().join("count"));
    let mut command = wengu(dir.path(), case.arguments);
    refusal.preload(&mut command, dir.path());
    let output = command.output().unwrap();
    let what = refusal.refused();
    let context = format!("{} with {how} {at} ({what:?})", case.name);
    let told = said(&output);
    assert!(!told.contains("panicked"), "{context}: {told}");
    match output.status.signal() {
        Some(signal) => assert_eq!((how, signal), ("kill", 9), "{context}"),
        None if what.is_none() => assert!(output.status.success(), "{context}: {told}"),
        None => assert!(
            output.status.success() || !told.trim().is_empty(),
            "{context}: it failed and says nothing"
        ),
    }
    let again = wengu(dir.path(), case.arguments).output().unwrap();
    let done = !case.already.is_empty() && said(&again).contains(case.already);
    assert!(again.status.success() || done, "{context}, again: {}", said(&again));
    (look(case, dir.path()), what, refusal.operations())
}

/// Each of these, by the number of the case, how, and at which operation.
fn each(these: &[(usize, &'static str, u64)], expected: &[Done]) {
    let began = Instant::now();
    each_of(these, |(case, how, at), _| {
        let (done, what, _) = run(&CASES[*case], how, *at);
        assert_eq!(
            done, expected[*case],
            "{} with {how} {at} ({what:?})",
            CASES[*case].name
        );
    });
    tell(&format!(
        "commands: {} refused operations and kills, {:.0} s",
        these.len(),
        began.elapsed().as_secs_f64()
    ));
}

/// What each comes to undisturbed, and in how many operations.
fn undisturbed() -> (Vec<Done>, Vec<u64>) {
    let run = |case: &Case| {
        let (done, _, operations) = run(case, "enospc", 0);
        println!("{}: {operations} operations", case.name);
        assert!(operations > 1, "{}", case.name);
        (done, operations)
    };
    CASES.iter().map(run).unzip()
}

#[test]
fn a_command_that_is_refused_or_killed_leaves_what_was_or_what_was_to_be() {
    if !trainer() {
        return;
    }
    let (expected, operations) = undisturbed();
    let seed = seed();
    let mut these = Vec::new();
    for (case, operations) in operations.into_iter().enumerate() {
        for (h, how) in HOWS.into_iter().enumerate() {
            let at = |n| drawn(how, operations, seed, (case as u64 * 10 + h as u64) * 100 + n);
            these.extend((0..SAMPLED).map(|n| (case, how, at(n))));
        }
    }
    each(&these, &expected);
}

#[test]
#[ignore = "an hour; `make soak` runs it"]
fn a_command_that_is_refused_or_killed_at_any_operation_leaves_what_was_or_what_was_to_be() {
    let (expected, operations) = undisturbed();
    let of_case = |(case, operations)| {
        HOWS.into_iter()
            .flat_map(move |how| (1..=operations).map(move |at| (case, how, at)))
    };
    let these: Vec<_> = operations.into_iter().enumerate().flat_map(of_case).collect();
    each(&these, &expected);
}
