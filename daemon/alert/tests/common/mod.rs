//! One event of each type.

#![allow(dead_code)] // Each test file uses a part.

pub mod hook;

use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use wengu_alert::event::{Event, Incident, Scores, name_hash};

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

pub fn incident() -> Incident {
    Incident {
        domain: "legal-zh".into(),
        slice: Some("label/governing_law".into()),
        metric: "accuracy".into(),
        fingerprint: "9f2c6b1e4a7d3058".into(),
        since: time() - TimeDelta::hours(30),
        numbers: BTreeMap::from([
            ("champion".into(), 0.8325),
            ("items".into(), 430.0),
            ("p".into(), 0.0003),
        ]),
    }
}

pub fn every_event() -> Vec<Event> {
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
        Event::IncidentFiring(incident()),
        Event::IncidentResolved(incident()),
        Event::DeadLetter {
            endpoint: "on-call".into(),
            event: "1767225600000-0a1b2c3d4e5f6071".into(),
            event_type: "wengu.gate.regressed".into(),
            about: "domain/legal-zh".into(),
            attempts: 11,
            reason: "11 attempts failed, the last: answered 503".into(),
        },
        Event::WebhookTest {
            endpoint: "on-call".into(),
        },
    ]
}

pub fn time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}
