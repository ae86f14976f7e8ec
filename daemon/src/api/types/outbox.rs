//! Webhooks and what the outbox holds for them.

use serde::{Deserialize, Serialize};

/// The outbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AlertStatus {
    /// To be sent, or to be sent again.
    pub waiting: u64,
    /// Taken by their receivers.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// What the last failed attempt met.
    pub last_error: Option<String>,
}

/// `GET /v1/webhooks`: an endpoint, and what the outbox holds for it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Whether the configuration knows it; events for others wait until it does.
    pub configured: bool,
    /// The format's name.
    pub format: String,
    /// Where it is; where the address is a secret, where that stands.
    pub address: String,
    /// Types of events that it gets; empty: all.
    pub events: Vec<String>,
    /// Who is told of what it did not take.
    pub second_channel: Option<String>,
    /// To be sent, or to be sent again.
    pub pending: u64,
    /// Taken, in the last 30 days.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// When the oldest pending event happened.
    pub oldest_pending_ms: Option<i64>,
    /// When the next is tried.
    pub next_attempt_ms: Option<i64>,
    /// What came of the newest event that was tried, in a few words.
    pub last_outcome: Option<String>,
}

/// `POST /v1/webhooks/test`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TestRequest {
    /// The endpoint; none: all.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// `POST /v1/webhooks/replay`: what was given up, once more. What is not said is no condition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// Of this endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// This event.
    #[serde(default)]
    pub event: Option<String>,
    /// What happened since then.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

/// What came of a [`ReplayRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayAnswer {
    /// Events that are pending again.
    pub replayed: u64,
    /// Events of incidents whose later events had arrived: they stay given up.
    pub overtaken: u64,
}
