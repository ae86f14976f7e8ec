//! The outbox as a state machine: whatever endpoints answer, however often people replay, and whenever the clock jumps.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wengu_alert::delivery::{ATTEMPTS_MAX, Outcome};
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::format::Format;
use wengu_alert::outbox::{OutboxItem, OutboxState, due, next_wake, parcels, superseded};
use wengu_alert::rate::Rate;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// An event about this subject.
    Event(u8),
    /// The endpoint is looked at, and answers so.
    Deliver(Outcome),
    /// All that is dead is replayed.
    Replay,
    /// So many seconds pass, or the clock is set back.
    Wait(i64),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let status = |code| Outcome::Status {
        code,
        retry_after: None,
    };
    prop_oneof![
        6 => Just(status(204)),
        2 => Just(status(500)),
        1 => Just(status(410)),
        1 => Just(Outcome::Timeout),
        1 => (0u64..100_000).prop_map(|rest| Outcome::Declined { what: "errcode 1".into(), rest: Duration::from_secs(rest) }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0u8..4).prop_map(Step::Event),
        6 => outcome().prop_map(Step::Deliver),
        1 => Just(Step::Replay),
        3 => (-5_000i64..100_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

/// An outbox of one endpoint, and what that took.
struct World {
    format: Format,
    items: Vec<OutboxItem>,
    now: DateTime<Utc>,
    tries: usize,
    /// Of each subject the last event that the endpoint took.
    has: BTreeMap<String, u64>,
    bodies: BTreeMap<String, String>,
}

impl World {
    fn add(&mut self, subject: u8) {
        // Two subjects are incidents, whose order a replay must not break.
        let subject = format!("{}/{subject}", if subject < 2 { "incident" } else { "domain" });
        let sequence = self.items.len() as u64 + 1;
        let event = Event::WebhookTest {
            endpoint: format!("{sequence}"),
        };
        let event = CloudEvent {
            subject,
            ..CloudEvent::new(&format!("e{sequence}"), "host", self.now, &event)
        };
        let item = OutboxItem::new(&event, "hook", sequence, self.now);
        self.bodies.insert(item.id.clone(), item.body.clone());
        self.items.push(item);
    }

    /// As the daemon does it: settles what was overtaken, then what is due.
    fn deliver(&mut self, outcome: &Outcome) {
        let overtaken: BTreeSet<String> = superseded(&self.items).iter().map(|item| item.id.clone()).collect();
        for item in self.items.iter_mut().filter(|item| overtaken.contains(&item.id)) {
            item.state = OutboxState::Dead {
                reason: "overtaken".into(),
            };
        }
        let parcels: Vec<Vec<String>> = parcels(&self.items, self.now, self.format)
            .into_iter()
            .map(|parcel| parcel.into_iter().map(|item| item.id.clone()).collect())
            .collect();
        let all: Vec<&String> = parcels.iter().flatten().collect();
        assert_eq!(
            all.iter().collect::<BTreeSet<_>>().len(),
            all.len(),
            "an item is in two messages"
        );
        for parcel in &parcels {
            assert!(self.format.is_chat() || parcel.len() == 1);
            for id in parcel {
                let item = self.items.iter_mut().find(|item| item.id == *id).unwrap();
                assert_eq!(item.state, OutboxState::Pending, "only what is pending is sent");
                // Each attempt may arrive: of a failure only the answer may have been lost.
                self.tries += 1;
                let (subject, sequence) = (item.subject.clone(), item.sequence);
                if subject.starts_with("incident/") {
                    let later = self.has.get(&subject).filter(|later| **later > sequence);
                    assert_eq!(later, None, "{subject}: {sequence} is sent after what the endpoint has");
                }
                item.settle(self.now, outcome, 7);
                if item.state == OutboxState::Delivered {
                    let has = self.has.entry(subject).or_default();
                    *has = sequence.max(*has);
                }
                assert_eq!(item.body, self.bodies[id], "what is sent never changes");
            }
        }
    }

    fn check(&self) {
        for item in &self.items {
            assert!(item.attempts <= ATTEMPTS_MAX);
            assert!(item.first_attempt_at.is_some() == (item.attempts > 0));
        }
        let waiting = due(&self.items, self.now + TimeDelta::days(10_000));
        assert_eq!(next_wake(&self.items).is_some(), !waiting.is_empty());
        let subjects: BTreeSet<&str> = waiting.iter().map(|item| item.subject.as_str()).collect();
        assert_eq!(subjects.len(), waiting.len(), "of one subject one is due");
    }
}

proptest! {
    #[test]
    fn order_identity_and_bounds_hold_whatever_happens(steps in steps(), chat in any::<bool>()) {
        let format = if chat { Format::Dingtalk } else { Format::Standard };
        let mut world = World { format, items: vec![], now: start(), tries: 0, has: BTreeMap::new(), bodies: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Event(subject) => world.add(subject),
                Step::Deliver(outcome) => world.deliver(&outcome),
                Step::Replay => {
                    let now = world.now;
                    let dead = world.items.iter_mut().filter(|item| matches!(item.state, OutboxState::Dead { .. }));
                    dead.for_each(|item| item.replay(now));
                }
                Step::Wait(seconds) => world.now += TimeDelta::seconds(seconds),
            }
            world.check();
        }
        // Once the endpoint is well again, everything ends.
        for _ in 0..world.items.len() + 2 {
            if let Some(next) = next_wake(&world.items) {
                world.now = world.now.max(next);
            }
            world.deliver(&Outcome::Status { code: 204, retry_after: None });
            world.check();
        }
        prop_assert!(world.tries >= world.items.len());
        prop_assert!(world.items.iter().all(|item| item.state != OutboxState::Pending));
    }

    /// Within any minute, and any second, no more than the vendor takes.
    #[test]
    fn rates_stay_below_the_vendors_limits(gaps_ms in prop::collection::vec(0i64..4_000, 1..400), which in 0usize..3) {
        let (format, per_minute, per_second) = [
            (Format::Dingtalk, 20, 20),
            (Format::Wecom, 20, 20),
            (Format::Feishu, 100, 5),
        ][which];
        let mut now = start();
        let mut rate = Rate::of(format, now).unwrap();
        let mut sent: Vec<DateTime<Utc>> = Vec::new();
        for gap in gaps_ms {
            now += TimeDelta::milliseconds(gap);
            match rate.take(now) {
                Ok(()) => sent.push(now),
                Err(at) => {
                    prop_assert!(at > now && at - now <= TimeDelta::seconds(4));
                    prop_assert_eq!(rate.clone().take(at), Ok(()), "then there is one");
                }
            }
        }
        for (i, from) in sent.iter().enumerate() {
            let within = |span| sent[i..].iter().filter(|at| **at - *from < span).count();
            prop_assert!(within(TimeDelta::minutes(1)) <= per_minute);
            prop_assert!(within(TimeDelta::seconds(1)) <= per_second);
        }
    }
}

#[test]
fn a_burst_for_a_chat_is_one_message_and_a_few_events_are_messages_of_their_own() {
    let mut world = World {
        format: Format::Feishu,
        items: vec![],
        now: start(),
        tries: 0,
        has: BTreeMap::new(),
        bodies: BTreeMap::new(),
    };
    [0, 1, 2].into_iter().for_each(|subject| world.add(subject));
    assert_eq!(parcels(&world.items, start(), Format::Feishu).len(), 3);
    // Behind a due event those of its subject come along.
    (0..700).for_each(|_| world.add(0));
    let digest = parcels(&world.items, start(), Format::Feishu);
    assert_eq!((digest.len(), digest[0].len()), (1, 500));
    assert!(digest[0].windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    assert_eq!(parcels(&world.items, start(), Format::Standard).len(), 3);
}

#[test]
fn a_replayed_firing_stays_behind_the_resolved_that_arrived() {
    let mut world = World {
        format: Format::Standard,
        items: vec![],
        now: start(),
        tries: 0,
        has: BTreeMap::new(),
        bodies: BTreeMap::new(),
    };
    let gone = Outcome::Status {
        code: 410,
        retry_after: None,
    };
    let fine = Outcome::Status {
        code: 200,
        retry_after: None,
    };
    [0, 0, 2, 2].into_iter().for_each(|subject| world.add(subject));
    world.deliver(&gone);
    world.deliver(&fine);
    world.items[0].replay(start());
    world.items[2].replay(start());
    assert_eq!(
        superseded(&world.items)
            .iter()
            .map(|item| item.sequence)
            .collect::<Vec<_>>(),
        [1]
    );
    world.deliver(&fine);
    assert!(matches!(&world.items[0].state, OutboxState::Dead { reason } if reason == "overtaken"));
    // A version's news are news whenever they come.
    assert_eq!(world.items[2].state, OutboxState::Delivered);
}
