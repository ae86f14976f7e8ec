//! The events as receivers see them.

use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use wengu_alert::event::{CloudEvent, Event, NAME_HASHES_MAX, Scores, name_hash};

fn scores() -> Scores {
    Scores {
        items: 430,
        champion_accuracy: Some(0.8325),
        challenger_accuracy: 0.7725,
        difference_points: -6.0,
        interval95_points: (-9.1, -3.2),
        p_value: 0.0003,
    }
}

fn every_event() -> Vec<Event> {
    let domain = || "legal-zh".to_string();
    vec![
        Event::VersionPromoted {
            domain: domain(),
            version: "0007-3fa9c1".into(),
            previous: Some("0006-b2c4d7".into()),
            run: "run-0012".into(),
            scores: scores(),
        },
        Event::GateRegressed {
            domain: domain(),
            challenger: "0007-3fa9c1".into(),
            champion: "0006-b2c4d7".into(),
            run: "run-0012".into(),
            scores: scores(),
            eras: vec!["2026-03".into()],
        },
        Event::GateHold {
            domain: domain(),
            challenger: "0001-9d1e02".into(),
            champion: None,
            run: "run-0001".into(),
            scores: None,
            decision: "no_data".into(),
        },
        Event::TrainingFailed {
            domain: domain(),
            run: "run-0013".into(),
            end: "out_of_memory".into(),
            failures: 2,
        },
        Event::VersionRolledBack {
            domain: domain(),
            from: "0007-3fa9c1".into(),
            to: "0006-b2c4d7".into(),
            automatic: false,
        },
        Event::PluginQuarantined {
            plugin: "org.example.contracts".into(),
            version: "1.2.0".into(),
            failure: "crashed".into(),
            failures: 3,
        },
        Event::FilesQuarantined {
            domain: domain(),
            files: 2,
            reasons: BTreeMap::from([("not_text".into(), 1), ("too_large".into(), 1)]),
            name_hashes: vec![name_hash(&[b'k'; 32], "病例/张三.txt")],
        },
        Event::WebhookTest {
            endpoint: "on-call".into(),
        },
    ]
}

fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

#[test]
fn events_keep_their_written_form() {
    let mut kinds = BTreeSet::new();
    for event in every_event() {
        let cloud = CloudEvent::new("evt_0001", "host-1", time(), &event);
        let text = serde_json::to_string_pretty(&cloud).unwrap() + "\n";
        let path = format!(
            "{}/../../tests/golden/alerts/{}.json",
            env!("CARGO_MANIFEST_DIR"),
            cloud.kind
        );
        if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            text,
            std::fs::read_to_string(&path).unwrap(),
            "receivers read this: {}",
            cloud.kind
        );
        assert_eq!(cloud.event().as_ref(), Some(&event), "{}", cloud.kind);
        assert_eq!(serde_json::from_str::<CloudEvent>(&cloud.body()).unwrap(), cloud);
        kinds.insert(cloud.kind);
    }
    assert_eq!(kinds.len(), 8);
}

#[test]
fn required_attributes_and_what_they_hold() {
    for event in every_event() {
        let cloud = CloudEvent::new("2026.01/é x", "host-1", time(), &event);
        assert_eq!((cloud.specversion.as_str(), cloud.id.as_str()), ("1.0", "2026_01___x"));
        assert_eq!(DateTime::parse_from_rfc3339(&cloud.time).unwrap(), time());
        assert!(cloud.source.starts_with("/wengu/host-1"));
    }
    let source = |event: &Event| CloudEvent::new("e", "host-1", time(), event).source;
    assert_eq!(source(&every_event()[0]), "/wengu/host-1/legal-zh");
    assert_eq!(source(&every_event()[7]), "/wengu/host-1");
}

#[test]
fn names_of_files_are_not_in_events_and_bodies_stay_small() {
    let names: Vec<String> = (0..NAME_HASHES_MAX).map(|i| format!("病例/张三-{i}.txt")).collect();
    let event = Event::FilesQuarantined {
        domain: "medical-zh".into(),
        files: 5000,
        reasons: BTreeMap::from([("not_text".into(), 5000)]),
        name_hashes: names
            .iter()
            .map(|name| name_hash(b"key of this machine", name))
            .collect(),
    };
    let body = CloudEvent::new("e", "h", time(), &event).body();
    assert!(!body.contains("张三") && body.len() < 20_000);
    // By Python's hmac. Another key, another hash: hashing a list of names tells an outsider nothing.
    assert_eq!(name_hash(&[b'k'; 32], "病例/张三.txt"), "99fb528d1198e482");
    assert_ne!(name_hash(&[b'l'; 32], "病例/张三.txt"), "99fb528d1198e482");
}

#[test]
fn sentences_say_what_happened() {
    let sentences: Vec<String> = every_event().iter().map(Event::sentence).collect();
    let expected = [
        "legal-zh: version 0007-3fa9c1 serves now in place of 0006-b2c4d7. It answers 77.2 % of 430 items right, against \
         83.2 %: -6.0 points (95 % interval -9.1 to -3.2).",
        "legal-zh: version 0007-3fa9c1 is worse than 0006-b2c4d7 and was refused; 0006-b2c4d7 keeps serving. It answers \
         77.2 % of 430 items right, against 83.2 %: -6.0 points (95 % interval -9.1 to -3.2). It is worse on 2026-03.",
        "legal-zh: version 0001-9d1e02 was not promoted, as there was nothing to judge it by; nothing serves yet.",
        "legal-zh: training run run-0013 ended as out_of_memory (2 failed in a row). What served, serves.",
        "legal-zh: an operator went back from version 0007-3fa9c1 to 0006-b2c4d7.",
        "Plugin org.example.contracts 1.2.0 failed 3 times, last as crashed, and is not started any more.",
        "legal-zh: 2 case files were set aside (not_text 1, too_large 1).",
        "A test of endpoint on-call: webhooks arrive.",
    ];
    assert_eq!(sentences, expected);
}
