//! Every rule has a plugin that breaks it, and fails exactly the case that is named after the rule.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use wengu_plugin_check::{Options, Outcome, Report, Subject, check};
use wengu_plugin_package::Keys;

const RUNNER: &str = env!("CARGO_BIN_EXE_wengu-plugin-check");

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The source folder of a plugin with this misdeed, with its library.
fn build(misdeed: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = repository().join("tests/plugins/misbehaving");
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused",
            "-O1",
            "-fPIC",
            "-shared",
        ])
        .args([
            "-fvisibility=hidden",
            "-pthread",
            "-DWITH_ALL",
            &format!("-DMISDEED_{misdeed}"),
            "-I",
        ])
        .arg(repository().join("plugin-api/include"))
        .arg("-o")
        .args([dir.path().join("libmisbehaves.so"), root.join("misbehaves.c")])
        .output()
        .expect("the tests need a C compiler named cc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let manifest = std::fs::read_to_string(root.join("manifest.toml")).unwrap();
    let all = r#"provides = ["wengu.segmenter/1", "wengu.labeler/1", "wengu.evaluator/1"]"#;
    let manifest = manifest.replace(r#"provides = ["wengu.labeler/1"]"#, all);
    assert!(manifest.contains(all));
    std::fs::write(dir.path().join("manifest.toml"), manifest).unwrap();
    dir
}

fn options() -> Options {
    Options {
        // Long for the slowest honest case, short for the one that loops.
        timeout: Duration::from_secs(20),
        ..Options::new(RUNNER.into())
    }
}

fn report(package: &Path, options: &Options) -> Report {
    let subject = Subject {
        package: package.to_owned(),
        library: None,
    };
    check(&subject, options, &mut |_| {}).unwrap()
}

fn told(report: &Report) -> String {
    report.cases.iter().map(|case| format!("{case}\n")).collect()
}

/// The one case that is not passed, with what is said of it.
#[track_caller]
fn breaks_only(report: &Report, case: &str, outcome: Outcome, words: &str) {
    assert_eq!(report.broken(), [case], "{}", told(report));
    let found = report.cases.iter().find(|c| c.name == case).unwrap();
    assert_eq!(found.outcome, outcome, "{}", told(report));
    assert!(found.detail.contains(words), "{found}");
    assert!(!report.passed);
}

macro_rules! misdeeds {
    ($($test:ident: $misdeed:literal breaks $case:literal, $outcome:ident, $words:literal;)*) => {$(
        #[test]
        fn $test() {
            let dir = build($misdeed);
            breaks_only(&report(dir.path(), &options()), $case, Outcome::$outcome, $words);
        }
    )*};
}

misdeeds! {
    undefined_symbol: "NEEDS_WHAT_NOBODY_HAS" breaks "opens", Failed, "nobody_has_this";
    other_symbol: "NO_SYMBOL" breaks "symbol", Failed, "wengu_entry_v1";
    null_entry: "NULL_ENTRY" breaks "entry", Failed, "0x0";
    new_tables: "NEW_TABLES" breaks "entry", Failed, "static";
    smaller_entry: "LIES_ABOUT_SIZE" breaks "smaller-structs", Failed, "wengu_entry.size is 8";
    smaller_descriptor: "SMALL_DESCRIPTOR" breaks "smaller-structs", Failed, "wengu_descriptor.size is 16";
    wrong_major: "WRONG_MAJOR" breaks "abi-major", Failed, "9";
    larger_entry: "LARGE_ENTRY" breaks "larger-structs", Failed, "sizeof";
    null_text: "NULL_DESCRIPTOR_TEXT" breaks "descriptor", Failed, "name is null";
    lying_manifest: "OTHER_VERSION" breaks "lying-manifest", Failed, "2.0.0";
    null_capability: "BREAKS_ITS_PROMISE" breaks "null-capability", Failed, "NULL";
    null_function: "INCOMPLETE_TABLE" breaks "null-capability", Failed, "null function";
    knows_everything: "KNOWS_EVERYTHING" breaks "unknown-capability", Failed, "nothing-has-this";
    create_fails: "CREATE_FAILS" breaks "creates", Failed, "no licence file";
    create_lies: "CREATE_LIES" breaks "creates", Failed, "no instance";
    invalid_utf_8: "NON_UTF8" breaks "invalid-utf-8", Failed, "caf";
    repeated_names: "REPEATS_NAMES" breaks "names", Failed, "twice";
    aborts: "ABORTS" breaks "abort", Crashed, "SIGABRT";
    segfaults: "SEGFAULTS" breaks "segfault", Crashed, "SIGSEGV";
    overflows: "OVERFLOWS" breaks "stack-overflow", Crashed, "stack overflowed";
    exits: "EXITS" breaks "exit", Crashed, "exit code 0";
    gives_up: "GIVES_UP" breaks "answers", Failed, "WENGU_E_POISONED";
    gives_no_reason: "GIVES_NO_REASON" breaks "error-message", Failed, "empty";
    hates_emptiness: "HATES_EMPTINESS" breaks "empty-document", Crashed, "SIGABRT";
    hates_length: "HATES_LENGTH" breaks "long-document", Crashed, "SIGABRT";
    hates_repetition: "HATES_REPETITION" breaks "repetitive-document", Crashed, "stack overflowed";
    reads_past_the_end: "READS_PAST_THE_END" breaks "input-borders", Crashed, "SIGSEGV";
    hates_metadata: "HATES_METADATA" breaks "metadata", Crashed, "SIGABRT";
    out_of_range: "OUT_OF_RANGE" breaks "offsets-out-of-range", Failed, "bytes";
    splits_characters: "SPLITS_CHARACTERS" breaks "split-character", Failed, "inside a character";
    leaves_gaps: "LEAVES_GAPS" breaks "tiling", Failed, "kind 3";
    votes_for_nothing: "VOTES_FOR_NOTHING" breaks "unknown-name", Failed, "label 1 of 1";
    too_sure: "TOO_SURE" breaks "confidence", Failed, "1.5";
    not_a_number: "SCORES_NOT_A_NUMBER" breaks "scores", Failed, "NaN";
    hates_odd_answers: "HATES_ODD_ANSWERS" breaks "odd-items", Crashed, "SIGABRT";
    non_deterministic: "IS_RANDOM" breaks "non-deterministic", Failed, "another call";
    remembers: "REMEMBERS" breaks "order", Failed, "another order";
    knows_instances: "KNOWS_INSTANCES" breaks "instances", Failed, "another instance";
    knows_threads: "KNOWS_THREADS" breaks "threads", Failed, "another thread";
    knows_processes: "KNOWS_PROCESSES" breaks "processes", Failed, "two processes";
    chokes_on_config: "CHOKES_ON_CONFIG" breaks "bad-config", Crashed, "not json";
    ignores_a_full_sink: "IGNORES_A_FULL_SINK" breaks "refused-sink", Failed, "label()";
    ignores_cancel: "IGNORES_CANCEL" breaks "cancel", Crashed, "SIGABRT";
    wants_this_host: "WANTS_THIS_HOST" breaks "larger-host", Failed, "WENGU_E_INTERNAL";
    lives_alone: "LIVES_ALONE" breaks "many-instances", Crashed, "instance 17";
    writes_to_stdout: "SHOUTS" breaks "writes-to-stdout", Failed, "own words";
    forks: "FORKS" breaks "forbidden-call", Failed, "system call";
    leaks_descriptors: "LEAKS_DESCRIPTORS" breaks "descriptor-leak", Failed, "descriptors more";
    leaks_memory: "LEAKS_MEMORY" breaks "memory-leak", Failed, "grew by";
    leaks_threads: "LEAKS_THREADS" breaks "thread-leak", Failed, "threads more";
    changes_the_environment: "CHANGES_THE_ENVIRONMENT" breaks "process-state", Failed, "environment";
    breaks_when_fuzzed: "BREAKS_WHEN_FUZZED" breaks "fuzz", Failed, "of seed 1";
}

#[test]
fn endless_loop_is_killed_at_the_limit() {
    let dir = build("SPINS");
    let options = Options {
        timeout: Duration::from_secs(3),
        ..options()
    };
    breaks_only(
        &report(dir.path(), &options),
        "endless-loop",
        Outcome::TimedOut,
        "time limit",
    );
}

#[test]
fn one_that_breaks_no_rule_passes() {
    let dir = build("NONE");
    let report = report(dir.path(), &options());
    assert!(report.passed, "{}", told(&report));
    assert!(report.cases.len() >= 25);
    // The config is ignored by the C plugin, which is worth a word; nobody asked for its signature.
    let not_passed: Vec<_> = report
        .cases
        .iter()
        .filter(|c| c.outcome != Outcome::Passed)
        .map(|c| c.name)
        .collect();
    assert_eq!(not_passed, ["unsigned", "bad-config"], "{}", told(&report));
}

#[test]
fn wrong_hash_loads_nothing() {
    let dir = build("ABORTS");
    let manifest = dir.path().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let named = text.replace("[limits]", &format!("sha256 = \"{}\"\n[limits]", "0".repeat(64)));
    std::fs::write(&manifest, named).unwrap();
    let report = report(dir.path(), &options());
    breaks_only(&report, "wrong-hash", Outcome::Failed, "sha256");
    assert!(report.cases.iter().filter(|c| c.duration_ms > 0).count() == 0);
}

#[test]
fn a_manifest_that_is_wrong_is_told() {
    let dir = build("NONE");
    let manifest = dir.path().join("manifest.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("1.0.0", "one")).unwrap();
    breaks_only(&report(dir.path(), &options()), "manifest", Outcome::Failed, "version");
}

#[test]
fn unsigned_where_a_key_is_asked_for() {
    let dir = build("NONE");
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let keys = Keys::parse(&[pair.pk.to_base64()]).unwrap();
    let only = vec!["unsigned".into(), "opens".into(), "answers".into()];
    let options = Options {
        keys: Some(keys),
        only,
        ..options()
    };
    breaks_only(&report(dir.path(), &options), "unsigned", Outcome::Failed, "not signed");
}

#[test]
fn swapped_while_it_is_checked() {
    let (dir, other) = (build("NONE"), build("ABORTS"));
    let subject = Subject {
        package: dir.path().to_owned(),
        library: None,
    };
    let report = check(&subject, &options(), &mut |case| {
        if case.name == "symbol" {
            std::fs::rename(
                other.path().join("libmisbehaves.so"),
                dir.path().join("libmisbehaves.so"),
            )
            .unwrap();
        }
    });
    // What was read is what was checked: the library that aborts was never loaded.
    breaks_only(&report.unwrap(), "swapped", Outcome::Failed, "changed");
}

#[test]
fn the_command_tells_people_and_machines() {
    let dir = build("SHOUTS");
    let run = |arguments: &[&str]| {
        let output = Command::new(RUNNER).arg(dir.path()).args(arguments).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text, _) = run(&["--only", "writes-to-stdout", "--only", "abort"]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("FAILED    writes-to-stdout") && text.contains("2 cases: 1 passed, 1 failed"),
        "{text}"
    );
    let (code, text, _) = run(&["--only", "answers", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["passed"]), (Some(0), &true.into()));
    assert_eq!(json["cases"][0]["outcome"], "passed");
    let (code, _, errors) = run(&["--only", "anser"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("no case \"anser\""), "{errors}");
}

#[test]
fn the_page_names_every_case() {
    let page = std::fs::read_to_string(repository().join("plugin-api/VALIDATOR.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
    let cases = wengu_plugin_check::CASES.iter();
    let cases: Vec<String> = cases
        .map(|case| format!("| `{}` | {} |", case.name, case.rule))
        .collect();
    assert_eq!(rows, cases);
}
