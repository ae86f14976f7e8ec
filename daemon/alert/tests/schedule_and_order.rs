//! When events are tried again, in which order, and when they are given up.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::time::Duration;
use wengu_alert::delivery::{ATTEMPTS_MAX, NextStep, Outcome, next_attempt};
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::outbox::{OutboxItem, OutboxState, due, next_wake};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn status(code: u16) -> Outcome {
    Outcome::Status {
        code,
        retry_after: None,
    }
}

fn wait(attempt: u32, outcome: &Outcome, seed: u64) -> TimeDelta {
    match next_attempt(attempt, start(), start(), outcome, seed) {
        NextStep::RetryAt(at) => at - start(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_2xx_is_success_and_410_ends_it() {
    for code in [200, 202, 204, 299] {
        assert_eq!(next_attempt(1, start(), start(), &status(code), 0), NextStep::Delivered);
    }
    for code in [100, 301, 302, 307, 400, 401, 404, 429, 500, 503] {
        assert!(
            matches!(
                next_attempt(1, start(), start(), &status(code), 0),
                NextStep::RetryAt(_)
            ),
            "{code}"
        );
    }
    assert!(matches!(
        next_attempt(1, start(), start(), &status(410), 0),
        NextStep::Disable(_)
    ));
    for outcome in [
        Outcome::Timeout,
        Outcome::ConnectFailed("refused".into()),
        Outcome::TlsFailed("expired".into()),
        Outcome::Broken("reset".into()),
        Outcome::Refused("metadata".into()),
    ] {
        assert!(
            matches!(next_attempt(1, start(), start(), &outcome, 0), NextStep::RetryAt(_)),
            "{outcome:?}"
        );
    }
}

#[test]
fn the_schedule_covers_three_days_and_then_ends() {
    for seed in 0..200 {
        let mut item = item("e", "hook", "domain/a", 1);
        let mut now = start();
        let mut tries = 0;
        let step = loop {
            tries += 1;
            match item.settle(now, &status(500), seed) {
                NextStep::RetryAt(at) => now = at,
                other => break other,
            }
        };
        assert!(
            matches!(&step, NextStep::DeadLetter(why) if why.contains("11 attempts failed, the last: answered 500"))
        );
        assert_eq!((tries, item.attempts), (ATTEMPTS_MAX, ATTEMPTS_MAX));
        let hours = (now - start()).num_hours();
        assert!((60..=92).contains(&hours), "{hours}");
        assert!(matches!(item.state, OutboxState::Dead { .. }));
    }
}

#[test]
fn waits_vary_by_a_fifth_and_not_with_each_call() {
    let waits: Vec<i64> = (0..500).map(|seed| wait(4, &status(500), seed).num_seconds()).collect();
    assert!(waits.iter().all(|w| (1440..=2160).contains(w)));
    assert!(*waits.iter().min().unwrap() < 1500 && *waits.iter().max().unwrap() > 2100);
    assert_eq!(wait(4, &status(500), 7), wait(4, &status(500), 7));
    assert_ne!(wait(4, &status(500), 7), wait(4, &status(500), 8));
}

#[test]
fn what_the_endpoint_asks_for_is_honoured_and_capped() {
    let asks = |code, seconds| Outcome::Status {
        code,
        retry_after: Some(Duration::from_secs(seconds)),
    };
    assert_eq!(wait(1, &asks(429, 600), 1), TimeDelta::seconds(600));
    assert_eq!(wait(1, &asks(500, 600), 1), TimeDelta::seconds(600));
    assert_eq!(wait(1, &asks(429, u64::MAX), 1), TimeDelta::days(1));
    // Asking for less than the schedule would, or for nothing, gives no reason to hurry.
    assert!(wait(3, &asks(429, 0), 1) >= TimeDelta::seconds(240));
    for overloaded in [
        asks(429, 1),
        status(429),
        status(502),
        status(503),
        status(504),
        Outcome::Timeout,
    ] {
        assert_eq!(wait(1, &overloaded, 1), TimeDelta::seconds(60));
    }
    assert!(wait(1, &status(500), 1) <= TimeDelta::seconds(6));
}

#[test]
fn old_events_are_given_up_even_with_attempts_left() {
    let week_later = start() + TimeDelta::days(7);
    let step = next_attempt(2, start(), week_later, &status(500), 1);
    assert!(matches!(step, NextStep::DeadLetter(why) if why.contains("not delivered within 7 days")));
    // A clock that was set back by a month kills nothing.
    assert!(matches!(
        next_attempt(2, week_later, start() - TimeDelta::days(30), &status(500), 1),
        NextStep::RetryAt(_)
    ));
}

proptest! {
    #[test]
    fn every_failure_leads_to_a_later_attempt_or_an_end(
        attempt in 0u32..30, code in 100u16..600, retry_after in prop::option::of(any::<u64>()), seed in any::<u64>(),
        age in -1_000_000i64..1_000_000,
    ) {
        let now = start() + TimeDelta::seconds(age);
        let outcome = Outcome::Status { code, retry_after: retry_after.map(Duration::from_secs) };
        match next_attempt(attempt, start(), now, &outcome, seed) {
            NextStep::Delivered => prop_assert!((200..300).contains(&code)),
            NextStep::Disable(_) => prop_assert_eq!(code, 410),
            NextStep::RetryAt(at) => {
                prop_assert!(at >= now + TimeDelta::seconds(4));
                prop_assert!(at <= now + TimeDelta::seconds(103_680));
                prop_assert!(attempt < ATTEMPTS_MAX);
            }
            NextStep::DeadLetter(_) => prop_assert!(attempt >= ATTEMPTS_MAX || age > 400_000),
        }
    }
}

fn item(id: &str, endpoint: &str, subject: &str, sequence: u64) -> OutboxItem {
    let event = Event::WebhookTest {
        endpoint: endpoint.into(),
    };
    let event = CloudEvent {
        subject: subject.into(),
        ..CloudEvent::new(id, "host", start(), &event)
    };
    OutboxItem::new(&event, endpoint, sequence, start())
}

fn ids(items: &[&OutboxItem]) -> Vec<String> {
    items.iter().map(|i| format!("{}@{}", i.id, i.endpoint)).collect()
}

#[test]
fn of_one_subject_the_first_goes_first_and_holds_back_the_rest() {
    let mut items = vec![
        item("rolled_back", "hook", "domain/a", 3),
        item("promoted", "hook", "domain/a", 2),
        item("other_domain", "hook", "domain/b", 4),
        item("promoted", "second", "domain/a", 2),
    ];
    assert_eq!(
        ids(&due(&items, start())),
        ["promoted@hook", "promoted@second", "other_domain@hook"]
    );
    assert!(due(&items, start() - TimeDelta::seconds(1)).is_empty());

    // The endpoint `hook` fails: what is behind waits with it, other subjects and endpoints do not.
    let retry = items[1].settle(start(), &status(500), 1);
    assert_eq!(ids(&due(&items, start())), ["promoted@second", "other_domain@hook"]);
    items[2].settle(start(), &status(200), 1);
    items[3].settle(start(), &status(200), 1);
    let NextStep::RetryAt(at) = retry else {
        panic!("{retry:?}")
    };
    assert_eq!(next_wake(&items), Some(at));
    assert_eq!(ids(&due(&items, at)), ["promoted@hook"]);

    items[1].settle(at, &status(204), 1);
    assert_eq!(items[1].state, OutboxState::Delivered);
    assert_eq!(ids(&due(&items, at)), ["rolled_back@hook"]);
    let step = items[0].settle(at, &status(410), 1);
    assert!(matches!(step, NextStep::Disable(_)) && matches!(items[0].state, OutboxState::Dead { .. }));
    assert!(due(&items, at).is_empty() && next_wake(&items).is_none());
    let (id, body) = (items[0].id.clone(), items[0].body.clone());
    items[0].replay(at);
    assert_eq!(
        (ids(&due(&items, at)), &items[0].id, &items[0].body),
        (vec!["rolled_back@hook".into()], &id, &body)
    );
}

#[test]
fn items_keep_their_written_form() {
    let mut item = item("e1", "hook", "domain/a", 9);
    item.settle(start(), &Outcome::Timeout, 1);
    let text = serde_json::to_string_pretty(&item).unwrap() + "\n";
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/golden/alerts/outbox-item-v1.json"
    );
    if std::env::var_os("WENGU_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(
        text,
        std::fs::read_to_string(path).unwrap(),
        "a change of form needs a new schema version"
    );
    assert_eq!(serde_json::from_str::<OutboxItem>(&text).unwrap(), item);
}
