//! The events as receivers see them.

mod common;

use chrono::DateTime;
use common::{every_event, time};
use std::collections::{BTreeMap, BTreeSet};
use wengu_alert::event::{CloudEvent, Event, Incident, NAME_HASHES_MAX, Severity, Status, name_hash};
use wengu_alert::outbox::OutboxItem;
use wengu_alert::text::Language;

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
    assert_eq!(kinds.len(), 11);
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
    assert_eq!(source(&every_event()[10]), "/wengu/host-1");
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
    let sentences: Vec<String> = every_event().iter().map(|e| e.sentence(Language::English)).collect();
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
        "legal-zh: accuracy on label/governing_law has been failing since 2025-12-30 18:00 UTC. Measured: champion 0.8325, \
         items 430, p 0.0003.",
        "legal-zh: accuracy on label/governing_law is all right again; it had failed since 2025-12-30 18:00 UTC. Measured: \
         champion 0.8325, items 430, p 0.0003.",
        "Endpoint on-call did not take wengu.gate.regressed 1767225600000-0a1b2c3d4e5f6071 about domain/legal-zh, and it \
         was given up: 11 attempts failed, the last: answered 503. `wengu webhook replay on-call` sends it again.",
        "A test of endpoint on-call: webhooks arrive.",
    ];
    assert_eq!(sentences, expected);
}

#[test]
fn incidents_carry_their_fingerprint_and_status_and_are_subjects_of_their_own() {
    let firing = Event::IncidentFiring(common::incident());
    let resolved = Event::IncidentResolved(common::incident());
    assert_eq!((firing.status(), resolved.status()), (Status::Firing, Status::Resolved));
    assert_eq!(firing.subject(), "incident/9f2c6b1e4a7d3058");
    assert_eq!(firing.subject(), resolved.subject());
    assert_eq!(
        (firing.severity(), resolved.severity()),
        (Severity::Critical, Severity::Info)
    );
    assert_eq!(resolved.incident().unwrap().fingerprint, "9f2c6b1e4a7d3058");
    let told = every_event().into_iter().filter(|event| event.status() == Status::Told);
    assert_eq!(told.count(), 9);
    // A number that JSON does not have must not make the event unreadable.
    let odd = Incident {
        numbers: BTreeMap::from([("rate".into(), f64::NAN), ("items".into(), 3.0)]),
        ..common::incident()
    };
    let cloud = CloudEvent::new("e", "h", time(), &Event::IncidentFiring(odd));
    assert_eq!(
        cloud.event().unwrap().incident().unwrap().numbers,
        BTreeMap::from([("items".into(), 3.0)])
    );
}

#[test]
fn an_event_with_much_to_tell_still_fits_into_a_record() {
    let eras: Vec<String> = (0..500).map(|i| format!("2026-{i:03}")).collect();
    let many = match &every_event()[1] {
        Event::GateRegressed { scores, .. } => Event::GateRegressed {
            domain: "合".repeat(64),
            challenger: "0007-3fa9c1".into(),
            champion: "0006-b2c4d7".into(),
            run: "run-0012".into(),
            scores: scores.clone(),
            eras,
        },
        other => panic!("{other:?}"),
    };
    let numbers = (0..300)
        .map(|i| (format!("a_rather_long_name_of_a_number_{i}"), 0.123_456_789))
        .collect();
    let counted = Event::IncidentFiring(Incident {
        numbers,
        fingerprint: "f".repeat(64),
        ..common::incident()
    });
    let wordy = Event::DeadLetter {
        endpoint: "合".repeat(64),
        event: "e".repeat(30),
        event_type: "wengu.gate.regressed".into(),
        about: "domain/x".into(),
        attempts: 11,
        reason: "\"because\" ".repeat(2_000),
    };
    for (event, total) in [
        (many, Some(("eras_total", 500))),
        (counted, Some(("numbers_total", 300))),
        (wordy, None),
    ] {
        let cloud = CloudEvent::new(&"i".repeat(30), &"h".repeat(64), time(), &event);
        let item = OutboxItem::new(&cloud, &"端".repeat(64), u64::MAX, time());
        let length = serde_json::to_string(&item).unwrap().len() + 800; // Room for what attempts add.
        assert!(length <= 4_096, "{}: {length}", cloud.kind);
        let read = cloud.event().expect("it can still be read");
        assert_eq!((read.subject(), read.domain()), (event.subject(), event.domain()));
        if let Some((name, number)) = total {
            assert_eq!(cloud.data[name], number);
        }
    }
}
