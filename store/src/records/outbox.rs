use super::UnixMs;
use crate::{Hash, Record};
use serde::{Deserialize, Serialize};

/// Table `outbox`: one event to one endpoint, written in the transaction of what it tells. Key: a sequence number as
/// sixteen digits, `/`, the endpoint's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutboxRecord {
    /// The event's id: `webhook-id`, the same over all attempts.
    pub event_id: String,
    /// Its type, such as `wengu.gate.regressed`.
    pub event_type: String,
    /// What it is about; events about the same thing are delivered in order.
    pub subject: String,
    /// Name of the `[webhooks.*]` table.
    pub endpoint: String,
    /// The CloudEvents body, an object: every attempt sends the same bytes.
    pub body: Hash,
    /// When it was written.
    pub created_ms: UnixMs,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due.
    pub next_at_ms: UnixMs,
    /// Where it stands.
    pub state: OutboxState,
}

/// The life of an event to one endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum OutboxState {
    /// To be sent, or to be sent again.
    Waiting {
        /// What the last attempt met, for people.
        last_error: Option<String>,
    },
    /// The receiver took it.
    Delivered {
        /// When.
        at_ms: UnixMs,
    },
    /// Given up.
    Dead {
        /// Why, for people.
        reason: String,
    },
}

impl OutboxRecord {
    /// The table key.
    pub fn key(sequence: u64, endpoint: &str) -> String {
        format!("{sequence:016}/{endpoint}")
    }
}

impl Record for OutboxRecord {
    const TABLE: &'static str = "outbox";
    const VERSION: u16 = 1;
}
