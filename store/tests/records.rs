//! Golden records: what a version of wengu wrote, every later one reads, and today's writes the same bytes.
//! WENGU_UPDATE_GOLDEN=1 writes the files anew; a changed file means a new record version.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::path::Path;
use wengu_store::records::*;
use wengu_store::{Hash, Record};

fn check<R: Record + Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, record: R) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!(
        "test-data/records/{}-v{}-{name}.json",
        R::TABLE,
        R::VERSION
    ));
    let written = serde_json::to_string_pretty(&record).unwrap() + "\n";
    if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &written).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, golden, "{}", path.display());
    assert_eq!(
        serde_json::from_str::<R>(&golden).unwrap(),
        record,
        "{}",
        path.display()
    );
}

fn file(state: FileState) -> FileRecord {
    FileRecord {
        domain: "合同".into(),
        path: "/srv/inbox/合同/案件 17.txt".into(),
        path_bytes: Vec::new(),
        case_key: "案件 17.txt".into(),
        revision: 2,
        content: Some(Hash::of(b"content")),
        sidecars: vec![Sidecar {
            name: "案件 17.txt.label".into(),
            content: Hash::of(b"label"),
        }],
        seen: Some(Seen {
            size: 1200,
            mtime_ns: 1_790_000_000_123_456_789,
            inode: 42,
        }),
        read_with: Some("0123456789abcdef".into()),
        first_seen_ms: 1_790_000_000_000,
        updated_ms: 1_790_000_001_000,
        present: true,
        salt: String::new(),
        state,
    }
}

#[test]
fn every_file_state() {
    let counts = Counts {
        train: 7,
        gate: 2,
        reserve: 0,
        audit: 1,
        checklist: 0,
        unlabelled: 3,
        rejected: 4,
    };
    let examples = Hash::of(b"examples");
    check("ingested", file(FileState::Ingested));
    check(
        "pooled",
        file(FileState::Pooled {
            examples,
            counts,
            tried_in_run: None,
        }),
    );
    check(
        "pooled-again",
        file(FileState::Pooled {
            examples,
            counts,
            tried_in_run: Some(3),
        }),
    );
    check(
        "learned",
        file(FileState::Learned {
            examples,
            counts,
            version: "0003-0123456789ab".into(),
        }),
    );
    check(
        "held-back",
        file(FileState::HeldBack {
            examples,
            counts,
            run: 4,
        }),
    );
    check("unlabelled", file(FileState::Unlabelled { examples, counts }));
    check(
        "quarantined",
        file(FileState::Quarantined {
            reason: "no text in it".into(),
        }),
    );
    check(
        "duplicate",
        file(FileState::Duplicate {
            of: "/srv/inbox/a.txt".into(),
        }),
    );
    check(
        "content",
        ContentRecord {
            file: "合同/0123".into(),
        },
    );
}

#[test]
fn every_run_state() {
    let run = |state| RunRecord {
        domain: "contracts".into(),
        run: 3,
        reason: "cron".into(),
        manifest: Hash::of(b"manifest"),
        parent: Some("0002-0123456789ab".into()),
        train_examples: 210,
        new_gate_items: 57,
        state,
        attempts: 1,
        planned_ms: 1_790_000_000_000,
        ended_ms: Some(1_790_000_100_000),
        verdict: Some(Hash::of(b"verdict")),
        decision: Some("promote".into()),
        accuracy: Some(Hash::of(b"accuracy")),
    };
    check("planned", run(RunState::Planned));
    check("settling", run(RunState::Settling));
    check("comparing", run(RunState::Comparing));
    check("finished", run(RunState::Finished));
    check(
        "failed",
        run(RunState::Failed {
            end: "nan_loss".into(),
            message: "lower learning_rate".into(),
        }),
    );
}

#[test]
fn versions_and_schedules() {
    check(
        "promoted",
        VersionRecord {
            domain: "contracts".into(),
            id: "0003-0123456789ab".into(),
            run: 3,
            parent: Some("0002-0123456789ab".into()),
            decision: "promote".into(),
            labels: 15,
            accuracy: 0.875,
            created_ms: 1_790_000_100_000,
            promoted: true,
        },
    );
    let current = |how| CurrentRecord {
        version: "0003-0123456789ab".into(),
        since_ms: 1_790_000_100_000,
        how,
        reason: (how == How::Forced).then(|| "the old labels were wrong".to_owned()),
    };
    check("promoted", current(How::Promoted));
    check("rolled-back", current(How::RolledBack));
    check("forced", current(How::Forced));
    let split = |reserve_percent| SplitRecord {
        gate_percent: 20,
        reserve_percent,
        audit_percent: 10,
    };
    check("fixed", split(0));
    check("with-reserve", split(10));
    check(
        "quarantined",
        PluginRecord {
            quarantined_ms: 1_790_000_000_000,
            version: "1.2.0".into(),
            failures: 3,
            reason: "was ended by signal 11".into(),
        },
    );
    check("new", ScheduleRecord::default());
    check(
        "busy",
        ScheduleRecord {
            mark_ms: Some(1_790_000_000_000),
            mark_schedule: "0 2 * * * Asia/Shanghai".into(),
            asked: true,
            failures_in_a_row: 2,
            last_failure_ms: Some(1_790_000_000_500),
        },
    );
}

#[test]
fn tokens() {
    let token = |domains: &[&str], revoked_ms| TokenRecord {
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        role: Role::Operator,
        domains: domains.iter().map(ToString::to_string).collect(),
        created_ms: 1_790_000_000_000,
        expires_ms: 1_792_592_000_000,
        revoked_ms,
    };
    check("whole", token(&[], None));
    check("scoped", token(&["contracts", "合同"], None));
    check("revoked", token(&[], Some(1_790_000_001_000)));
    assert!(token(&[], None).counts(1_792_591_999_999));
    assert!(!token(&[], None).counts(1_792_592_000_000));
    assert!(!token(&[], Some(1_790_000_001_000)).counts(1_790_000_000_500));
    assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
}
