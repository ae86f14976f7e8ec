//! Messages per format and language, their limits, signatures, and what answers mean.

mod common;

use chrono::{DateTime, TimeDelta, Utc};
use common::{every_event, incident, time};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use wengu_alert::client::Endpoint;
use wengu_alert::delivery::{NextStep, Outcome, next_attempt};
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::format::answer::judge;
use wengu_alert::format::{Format, Message, Stored, compose};
use wengu_alert::secret::Key;
use wengu_alert::text::Language;

fn golden(name: &str) -> String {
    format!("{}/../../tests/golden/alerts/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn endpoint(format: Format, language: Language, prefix: Option<&str>) -> Endpoint {
    Endpoint {
        id: "hook".into(),
        url: "https://hooks.example/send?key=1".into(),
        format,
        language,
        prefix: prefix.map(str::to_string),
        secrets: vec![],
        key: Some(Key::parse("this-is-secret").unwrap()),
        allow_addresses: vec![],
        allow_http: false,
        ca_file: None,
        proxy: None,
        timeout: Endpoint::DEFAULT_TIMEOUT,
    }
}

fn message(endpoint: &Endpoint, events: &[CloudEvent], at: DateTime<Utc>) -> Message {
    let bodies: Vec<String> = events.iter().map(CloudEvent::body).collect();
    let stored: Vec<Stored<'_>> = events
        .iter()
        .zip(&bodies)
        .map(|(event, body)| Stored { id: &event.id, body })
        .collect();
    compose(endpoint, &endpoint.url.parse().unwrap(), &stored, at).unwrap()
}

fn cloud_events() -> Vec<CloudEvent> {
    let events = every_event();
    let numbered = events.iter().enumerate();
    numbered
        .map(|(i, event)| CloudEvent::new(&format!("evt_{i}"), "host-1", time(), event))
        .collect()
}

fn as_json(message: &Message) -> Value {
    json!({
        "url": message.url.as_str(),
        "headers": message.headers,
        "body": serde_json::from_str::<Value>(&message.body).unwrap(),
    })
}

/// Attempted five seconds after it happened.
fn attempt() -> DateTime<Utc> {
    time() + TimeDelta::milliseconds(5_250)
}

#[test]
fn messages_keep_their_written_form() {
    for (name, format) in Format::NAMES.into_iter().skip(1) {
        for (word, language) in Language::NAMES {
            let endpoint = endpoint(format, language, None);
            let events = cloud_events();
            let mut written = Vec::new();
            for event in &events {
                let message = message(&endpoint, std::slice::from_ref(event), attempt());
                assert_eq!(
                    message,
                    self::message(&endpoint, std::slice::from_ref(event), attempt())
                );
                written.push(json!({ "event": event.kind, "message": as_json(&message) }));
            }
            if format.is_chat() {
                written.push(json!({ "event": "digest", "message": as_json(&message(&endpoint, &events, attempt())) }));
            }
            let text = serde_json::to_string_pretty(&written).unwrap() + "\n";
            let path = golden(&format!("formats/{name}.{word}.json"));
            if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(
                text,
                std::fs::read_to_string(&path).unwrap(),
                "receivers read this: {path}"
            );
        }
    }
}

/// Signatures made by a script that follows the vendors' documents (tests/oracle/robot_signatures.py).
#[test]
fn robots_are_signed_as_their_documents_say() {
    let text = std::fs::read_to_string(golden("robot-signatures.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() >= 8);
    for case in cases {
        let format = match case["robot"].as_str().unwrap() {
            "feishu" => Format::Feishu,
            _ => Format::Dingtalk,
        };
        let endpoint = Endpoint {
            key: Some(Key::parse(case["secret"].as_str().unwrap()).unwrap()),
            ..endpoint(format, Language::English, None)
        };
        let at = DateTime::from_timestamp_millis(case["at_ms"].as_i64().unwrap()).unwrap();
        let message = message(&endpoint, &cloud_events()[..1], at);
        if format == Format::Feishu {
            let body: Value = serde_json::from_str(&message.body).unwrap();
            assert_eq!((&body["timestamp"], &body["sign"]), (&case["timestamp"], &case["sign"]));
        } else {
            assert_eq!(
                message.url.as_str(),
                format!("{}&{}", endpoint.url, case["query"].as_str().unwrap())
            );
        }
    }
}

#[test]
fn a_robot_without_a_secret_is_not_signed_and_a_keyword_is_in_every_message() {
    for format in [
        Format::Feishu,
        Format::Dingtalk,
        Format::Wecom,
        Format::Slack,
        Format::Teams,
    ] {
        let endpoint = Endpoint {
            key: None,
            ..endpoint(format, Language::Chinese, Some("告警"))
        };
        let events = cloud_events();
        for told in [&events[..1], &events[..]] {
            let message = message(&endpoint, told, attempt());
            assert_eq!(message.url.as_str(), endpoint.url);
            assert!(!message.body.contains("sign\""));
            assert!(message.body.contains("告警 wengu"), "{}", message.body);
        }
    }
}

#[test]
fn firing_and_resolved_are_one_alert() {
    let both = [Event::IncidentFiring(incident()), Event::IncidentResolved(incident())];
    let both = both.map(|event| CloudEvent::new("e", "host-1", time(), &event));
    let body = |format, event: &CloudEvent| -> Value {
        let endpoint = endpoint(format, Language::English, None);
        serde_json::from_str(&message(&endpoint, std::slice::from_ref(event), attempt()).body).unwrap()
    };
    let [firing, resolved] = both.each_ref().map(|event| body(Format::Pagerduty, event));
    assert_eq!(
        (&firing["event_action"], &resolved["event_action"]),
        (&json!("trigger"), &json!("resolve"))
    );
    assert_eq!(firing["dedup_key"], "host-1/9f2c6b1e4a7d3058");
    assert_eq!(firing["dedup_key"], resolved["dedup_key"]);

    let [firing, resolved] = both.each_ref().map(|event| body(Format::Alertmanager, event));
    assert_eq!(firing[0]["labels"], resolved[0]["labels"]);
    assert_eq!(firing[0]["startsAt"], resolved[0]["startsAt"]);
    let ends = |alert: &Value| alert[0]["endsAt"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!(ends(&firing) > attempt() && ends(&resolved) <= attempt());

    let [firing, resolved] = both.each_ref().map(|event| body(Format::AlertmanagerWebhook, event));
    assert_eq!(
        (&firing["status"], &resolved["status"]),
        (&json!("firing"), &json!("resolved"))
    );
    assert_eq!(firing["groupKey"], resolved["groupKey"]);
    for (alert, fired) in [(&firing["alerts"][0], true), (&resolved["alerts"][0], false)] {
        assert_eq!(alert["fingerprint"], "9f2c6b1e4a7d3058");
        assert_eq!(alert["endsAt"] == "0001-01-01T00:00:00Z", fired);
    }
}

fn many(n: usize, length: usize) -> Vec<CloudEvent> {
    let event = |i: usize| Event::TrainingFailed {
        domain: "d".repeat(length),
        run: format!("run-{i}"),
        end: "病".repeat(length),
        failures: i as u32,
    };
    (0..n)
        .map(|i| CloudEvent::new(&format!("evt_{i}"), "host-1", time(), &event(i)))
        .collect()
}

/// The bytes that the vendor counts.
fn counted(format: Format, message: &Message) -> (usize, usize) {
    let body: Value = serde_json::from_str(&message.body).unwrap();
    match format {
        Format::Wecom => (body["markdown"]["content"].as_str().unwrap().len(), 4_096),
        Format::Slack => (
            body["blocks"][1]["text"]["text"].as_str().unwrap().chars().count(),
            3_000,
        ),
        Format::Teams => (message.body.len(), 28_000),
        _ => (message.body.len(), 20_000),
    }
}

#[test]
fn more_than_fits_becomes_a_digest_with_counts() {
    for format in [
        Format::Feishu,
        Format::Dingtalk,
        Format::Wecom,
        Format::Slack,
        Format::Teams,
    ] {
        let endpoint = endpoint(format, Language::English, None);
        let message = message(&endpoint, &many(500, 10), attempt());
        let (length, limit) = counted(format, &message);
        assert!(length <= limit && length > limit / 3, "{format:?}: {length} of {limit}");
        assert!(
            message.body.contains("500 events: 500 × training failed ("),
            "{}",
            message.body
        );
        assert!(message.body.contains("of them not shown)"));
        // Few are told one by one, the worst first.
        let few = self::message(&endpoint, &cloud_events()[..6], attempt());
        assert!(
            few.body.contains("6 events") && !few.body.contains("not shown"),
            "{}",
            few.body
        );
        let place = |id: &str| few.body.find(&format!("({id})")).unwrap();
        assert!(
            place("evt_1") < place("evt_2") && place("evt_2") < place("evt_0"),
            "{}",
            few.body
        );
    }
}

proptest! {
    #[test]
    fn no_message_is_larger_than_its_chat_takes(n in 1usize..60, length in 0usize..1500, chat in 0usize..5) {
        let format = [Format::Feishu, Format::Dingtalk, Format::Wecom, Format::Slack, Format::Teams][chat];
        for (_, language) in Language::NAMES {
            let endpoint = endpoint(format, language, Some("kw"));
            let (length, limit) = counted(format, &message(&endpoint, &many(n, length), attempt()));
            prop_assert!(length <= limit, "{:?}: {} > {}", format, length, limit);
        }
    }
}

fn declined(format: Format, code: u16, body: &str) -> Option<(String, u64)> {
    match judge(format, code, None, body) {
        Outcome::Declined { what, rest } => Some((what, rest.as_secs())),
        Outcome::Status { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn success_is_what_the_format_calls_success() {
    let accepted = [
        (Format::Slack, 200, "ok"),
        (Format::Teams, 202, ""),
        (Format::Teams, 200, "1"),
        (Format::Feishu, 200, r#"{"code":0,"msg":"success","data":{}}"#),
        (
            Format::Feishu,
            200,
            r#"{"Extra":null,"StatusCode":0,"StatusMessage":"success"}"#,
        ),
        (Format::Dingtalk, 200, r#"{"errcode":0,"errmsg":"ok"}"#),
        (Format::Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#),
        (
            Format::Pagerduty,
            202,
            r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#,
        ),
        (Format::Alertmanager, 200, ""),
        (Format::AlertmanagerWebhook, 204, ""),
        (Format::Standard, 200, "whatever"),
    ];
    for (format, code, body) in accepted {
        let outcome = judge(format, code, None, body);
        assert_eq!(
            outcome,
            Outcome::Status {
                code,
                retry_after: None
            },
            "{format:?} {body}"
        );
        assert_eq!(next_attempt(1, time(), time(), &outcome, 1), NextStep::Delivered);
    }
    let refused = [
        (Format::Slack, 200, "no_text", "not \"ok\" but \"no_text\"", 0),
        (Format::Slack, 200, "<html>sign in</html>", "not \"ok\"", 0),
        (
            Format::Teams,
            200,
            "Webhook message delivery failed with error: 400",
            "failed",
            0,
        ),
        (
            Format::Teams,
            200,
            "Microsoft Teams endpoint returned HTTP error 429",
            "429",
            60,
        ),
        (
            Format::Feishu,
            200,
            r#"{"code":19021,"msg":"sign match fail"}"#,
            "code 19021, sign match fail; is the secret",
            0,
        ),
        (
            Format::Feishu,
            200,
            r#"{"code":19024,"msg":"Key Words Not Found"}"#,
            "set `prefix`",
            0,
        ),
        (
            Format::Feishu,
            200,
            r#"{"code":11232,"msg":"frequency limited"}"#,
            "code 11232",
            60,
        ),
        (
            Format::Feishu,
            200,
            r#"{"StatusCode":9499,"StatusMessage":"Bad Request"}"#,
            "code 9499, Bad Request",
            60,
        ),
        (Format::Feishu, 200, "{}", "without a code", 0),
        (
            Format::Dingtalk,
            200,
            r#"{"errcode":310000,"errmsg":"sign not match"}"#,
            "errcode 310000, sign not match",
            0,
        ),
        (
            Format::Dingtalk,
            200,
            r#"{"errcode":130101,"errmsg":"send too fast"}"#,
            "errcode 130101",
            600,
        ),
        (Format::Dingtalk, 200, "<html>", "not JSON", 0),
        (
            Format::Wecom,
            200,
            r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#,
            "errcode 93000",
            0,
        ),
        (
            Format::Wecom,
            200,
            r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#,
            "errcode 45009",
            60,
        ),
        (Format::Wecom, 200, r#"{"ok":true}"#, "without an errcode", 0),
        (
            Format::Pagerduty,
            200,
            r#"{"status":"success"}"#,
            "status \"success\" with 200",
            0,
        ),
        (
            Format::Pagerduty,
            202,
            r#"{"status":"invalid event"}"#,
            "invalid event",
            0,
        ),
        (Format::Pagerduty, 202, "", "202 without a status", 0),
    ];
    for (format, code, body, says, rest) in refused {
        let (what, rested) = declined(format, code, body).unwrap_or_else(|| panic!("{format:?} took {body}"));
        assert!(what.contains(says), "{what}");
        assert_eq!(rested, rest, "{what}");
    }
}

#[test]
fn a_declined_message_follows_the_schedule_of_failures() {
    let outcome = |rest| Outcome::Declined {
        what: "errcode 130101".into(),
        rest: Duration::from_secs(rest),
    };
    assert_eq!(outcome(600).rest(), Duration::from_secs(600));
    assert_eq!(outcome(1_000_000).rest(), Duration::from_secs(3_600));
    let asked = |code| Outcome::Status {
        code,
        retry_after: Some(Duration::from_secs(30)),
    };
    assert_eq!((asked(429).rest().as_secs(), asked(500).rest().as_secs()), (30, 0));
    let step = |attempt, rest| next_attempt(attempt, time(), time(), &outcome(rest), 1);
    assert!(matches!(step(1, 0), NextStep::RetryAt(at) if at <= time() + TimeDelta::seconds(6)));
    assert_eq!(step(1, 600), NextStep::RetryAt(time() + TimeDelta::seconds(600)));
    assert!(matches!(step(11, 0), NextStep::DeadLetter(why) if why.contains("the last: declined: errcode 130101")));
    // A stranger's words are cut and cannot move the cursor.
    let long = format!("{}\u{1b}[2J", "x".repeat(100_000));
    let Outcome::Declined { what, .. } = judge(Format::Slack, 200, None, &long) else {
        panic!()
    };
    assert!(what.chars().count() <= 160 && !what.contains('\u{1b}'));
    let Outcome::Declined { what, .. } = judge(Format::Slack, 200, None, "\u{1b}[2J") else {
        panic!()
    };
    assert!(!what.contains('\u{1b}'));
}
