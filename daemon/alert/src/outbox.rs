//! Events on their way. The daemon stores the items, in one record with what caused them.

use crate::delivery::{NextStep, Outcome, next_attempt};
use crate::event::{CloudEvent, INCIDENT_SUBJECT};
use crate::format::{Format, Stored};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Version of [`OutboxItem`].
pub const OUTBOX_SCHEMA: u32 = 1;

/// One event for one endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxItem {
    /// [`OUTBOX_SCHEMA`].
    pub schema: u32,
    /// The event's id, the same for every endpoint and attempt.
    pub id: String,
    /// The endpoint's id.
    pub endpoint: String,
    /// What the event is about.
    pub subject: String,
    /// Order of events: of one endpoint and subject, smaller numbers are sent first.
    pub sequence: u64,
    /// The CloudEvent. Every message is made from it; [`Format::Standard`] sends it byte for byte.
    pub body: String,
    /// When the event happened.
    pub created_at: DateTime<Utc>,
    /// When it was first tried.
    pub first_attempt_at: Option<DateTime<Utc>>,
    /// Attempts so far.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_at: DateTime<Utc>,
    /// Where it stands.
    pub state: OutboxState,
    /// What came of the last attempt, in a few words.
    pub last_outcome: Option<String>,
}

/// Where an event stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OutboxState {
    /// To be sent.
    Pending,
    /// The endpoint has it.
    Delivered,
    /// Given up.
    Dead {
        /// Why.
        reason: String,
    },
}

impl OutboxItem {
    /// A new item, due at once.
    pub fn new(event: &CloudEvent, endpoint: &str, sequence: u64, now: DateTime<Utc>) -> OutboxItem {
        OutboxItem {
            schema: OUTBOX_SCHEMA,
            id: event.id.clone(),
            endpoint: endpoint.into(),
            subject: event.subject.clone(),
            sequence,
            body: event.body(),
            created_at: now,
            first_attempt_at: None,
            attempts: 0,
            next_at: now,
            state: OutboxState::Pending,
            last_outcome: None,
        }
    }

    /// Notes what came of an attempt that ended `now`, and says what follows. On [`NextStep::Disable`] the item is dead.
    pub fn settle(&mut self, now: DateTime<Utc>, outcome: &Outcome, jitter_seed: u64) -> NextStep {
        self.attempts += 1;
        let first_at = *self.first_attempt_at.get_or_insert(now);
        self.last_outcome = Some(outcome.describe());
        let step = next_attempt(self.attempts, first_at, now, outcome, jitter_seed);
        match &step {
            NextStep::Delivered => self.state = OutboxState::Delivered,
            NextStep::RetryAt(at) => self.next_at = *at,
            NextStep::DeadLetter(reason) | NextStep::Disable(reason) => {
                self.state = OutboxState::Dead { reason: reason.clone() };
            }
        }
        step
    }

    /// The event, as a message is made from it.
    pub fn stored(&self) -> Stored<'_> {
        Stored {
            id: &self.id,
            body: &self.body,
        }
    }

    /// Makes a dead item pending again, from the beginning, with the same id and body.
    pub fn replay(&mut self, now: DateTime<Utc>) {
        self.first_attempt_at = None;
        self.attempts = 0;
        self.next_at = now;
        self.state = OutboxState::Pending;
    }
}

/// Events that are waiting for one chat: more are told in one message.
const ONE_BY_ONE_MAX: usize = 3;

/// Events in one message. All are settled in one transaction.
const TOGETHER_MAX: usize = 500;

/// What to send to one endpoint now, message by message. Chats get a digest where several events are waiting, those behind
/// a due one included; to others each due event is a message of its own.
pub fn parcels(items: &[OutboxItem], now: DateTime<Utc>, format: Format) -> Vec<Vec<&OutboxItem>> {
    let due = due(items, now);
    if format.is_chat() {
        let subjects: HashSet<&str> = due.iter().map(|item| item.subject.as_str()).collect();
        let waiting = pending(items).filter(|item| subjects.contains(item.subject.as_str()));
        let mut waiting: Vec<&OutboxItem> = waiting.collect();
        if waiting.len() > ONE_BY_ONE_MAX {
            // By sequence, so that no subject's later events are without its earlier ones.
            waiting.sort_by_key(|item| (item.sequence, &item.id));
            waiting.truncate(TOGETHER_MAX);
            return vec![waiting];
        }
    }
    due.into_iter().map(|item| vec![item]).collect()
}

/// The items to try now, the longest due first. Of one endpoint and subject only the first pending item is sent, so
/// that "rolled back" never arrives before the "promoted" that it undoes; an item that is waiting for its next attempt
/// holds the ones behind it back, until it is delivered or dead.
pub fn due(items: &[OutboxItem], now: DateTime<Utc>) -> Vec<&OutboxItem> {
    let mut due: Vec<&OutboxItem> = heads(items).filter(|item| item.next_at <= now).collect();
    due.sort_by_key(|item| (item.next_at, item.sequence, &item.endpoint));
    due
}

/// When [`due`] has something next, if nothing is added.
pub fn next_wake(items: &[OutboxItem]) -> Option<DateTime<Utc>> {
    heads(items).map(|item| item.next_at).min()
}

/// Pending events of incidents whose later events the endpoint has: "firing" must not arrive after "resolved". They come
/// about where dead ones are replayed; [`due`] leaves them out.
pub fn superseded(items: &[OutboxItem]) -> Vec<&OutboxItem> {
    let arrived = arrived(items);
    let pending = items.iter().filter(|item| item.state == OutboxState::Pending);
    pending.filter(|item| is_superseded(item, &arrived)).collect()
}

type Arrived<'a> = HashMap<(&'a str, &'a str), u64>;

/// Of each incident and endpoint the last event that arrived.
fn arrived(items: &[OutboxItem]) -> Arrived<'_> {
    let mut arrived = Arrived::new();
    for item in items {
        if item.state == OutboxState::Delivered && item.subject.starts_with(INCIDENT_SUBJECT) {
            let last = arrived.entry((&item.endpoint, &item.subject)).or_default();
            *last = item.sequence.max(*last);
        }
    }
    arrived
}

fn is_superseded(item: &OutboxItem, arrived: &Arrived<'_>) -> bool {
    let last = arrived.get(&(item.endpoint.as_str(), item.subject.as_str()));
    last.is_some_and(|last| *last > item.sequence)
}

fn pending(items: &[OutboxItem]) -> impl Iterator<Item = &OutboxItem> {
    let arrived = arrived(items);
    let pending = items.iter().filter(|item| item.state == OutboxState::Pending);
    pending.filter(move |item| !is_superseded(item, &arrived))
}

fn heads(items: &[OutboxItem]) -> impl Iterator<Item = &OutboxItem> {
    let mut heads: HashMap<(&str, &str), &OutboxItem> = HashMap::new();
    for item in pending(items) {
        let head = heads.entry((&item.endpoint, &item.subject)).or_insert(item);
        if (item.sequence, &item.id) < (head.sequence, &head.id) {
            *head = item;
        }
    }
    heads.into_values()
}
