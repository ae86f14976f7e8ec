//! A receiver: checks signatures and hands events on. For trying webhooks out, and a model for receivers in earnest. It takes
//! what Alertmanager sends as well: the same alerts, after they have been grouped and routed there.

mod alertmanager;

use crate::event::CloudEvent;
use crate::secret::Secret;
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, verify};
use crate::text::Language;
pub use alertmanager::{Alert, AlertGroup};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Larger bodies are refused.
pub const BODY_MAX_BYTES: usize = 1024 * 1024;

/// Ids that are remembered to notice repetitions.
const REMEMBERED: usize = 10_000;

/// An event that arrived with a good signature.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The event.
    pub event: CloudEvent,
    /// The same id has come before: the sender did not hear our answer, and nothing new has happened.
    pub repeated: bool,
}

impl Received {
    /// What a person wants to read: when, what kind, and what happened.
    pub fn describe(&self) -> String {
        let event = &self.event;
        let what = match event.event() {
            Some(known) => known.sentence(Language::English),
            None => format!("of a type not known here: {}", event.data),
        };
        let again = if self.repeated {
            " (again: this id has come before)"
        } else {
            ""
        };
        format!("{} {} {}{again}\n    {what}", event.time, event.kind, event.id)
    }
}

/// What the receiver tells its caller. [`ControlFlow::Break`] from the caller's function ends [`serve`] after the
/// answer has been sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// An event, answered 204.
    Event(Box<Received>),
    /// Alerts of an Alertmanager that knows the secret, answered 204.
    Alerts(Box<AlertGroup>),
    /// Something else, answered 400 or 401; the reason for people.
    Rejected(String),
}

type OnArrival = Box<dyn FnMut(Arrival) -> ControlFlow<()> + Send>;

struct Receiver {
    secrets: Vec<Secret>,
    clock: fn() -> DateTime<Utc>,
    inner: Mutex<Inner>,
    done: Notify,
}

struct Inner {
    seen: HashSet<String>,
    order: VecDeque<String>,
    on_arrival: OnArrival,
}

/// Answers POSTs to any path until `on_arrival` breaks: 204 for a good event and for Alertmanager's webhook (version 4) with
/// one of the secrets as bearer token, 401 for a bad signature, token or clock, 400 for what is neither, 413 for more than [`BODY_MAX_BYTES`].
pub async fn serve(
    listener: TcpListener,
    secrets: Vec<Secret>,
    clock: fn() -> DateTime<Utc>,
    on_arrival: impl FnMut(Arrival) -> ControlFlow<()> + Send + 'static,
) -> std::io::Result<()> {
    let inner = Inner {
        seen: HashSet::new(),
        order: VecDeque::new(),
        on_arrival: Box::new(on_arrival),
    };
    let receiver = Arc::new(Receiver {
        secrets,
        clock,
        inner: Mutex::new(inner),
        done: Notify::new(),
    });
    let router = Router::new()
        .fallback(axum::routing::post(receive))
        .layer(DefaultBodyLimit::max(BODY_MAX_BYTES))
        .with_state(receiver.clone());
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { receiver.done.notified().await })
        .await
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let checked = match headers.get(AUTHORIZATION) {
        Some(token) if !headers.contains_key(SIGNATURE_HEADER) => {
            let group = alertmanager::check(&receiver.secrets, token.as_bytes(), &body);
            group.map(|group| Arrival::Alerts(Box::new(group)))
        }
        _ => receiver.check(&headers, &body).map(|event| {
            let repeated = false;
            Arrival::Event(Box::new(Received { event, repeated }))
        }),
    };
    let mut inner = receiver.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (arrival, answer) = match checked {
        Ok(mut arrival) => {
            if let Arrival::Event(received) = &mut arrival {
                received.repeated = !inner.remember(&received.event.id);
            }
            (arrival, (StatusCode::NO_CONTENT, String::new()))
        }
        Err((status, why)) => (Arrival::Rejected(why.clone()), (status, why + "\n")),
    };
    if (inner.on_arrival)(arrival).is_break() {
        receiver.done.notify_one();
    }
    answer
}

impl Receiver {
    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<CloudEvent, (StatusCode, String)> {
        let bad = |why: String| (StatusCode::BAD_REQUEST, why);
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.ok_or_else(|| bad(format!("the header {name} is missing: is the sender wengu?")))
        };
        let id = header(ID_HEADER)?;
        let (timestamp, signatures) = (header(TIMESTAMP_HEADER)?, header(SIGNATURE_HEADER)?);
        verify(&self.secrets, id, timestamp, signatures, body, (self.clock)())
            .map_err(|error| (StatusCode::UNAUTHORIZED, error.to_string()))?;
        let event: CloudEvent =
            serde_json::from_slice(body).map_err(|error| bad(format!("signed, but not a CloudEvent: {error}")))?;
        if event.id != id {
            return Err(bad(format!(
                "the event's id {} is not the one in {ID_HEADER}",
                event.id
            )));
        }
        Ok(event)
    }
}

impl Inner {
    /// False if it was there already.
    fn remember(&mut self, id: &str) -> bool {
        if !self.seen.insert(id.into()) {
            return false;
        }
        self.order.push_back(id.into());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        true
    }
}
