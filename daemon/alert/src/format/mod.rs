//! What is sent to an endpoint, and what its answer means.
//!
//! A message is a pure function of the stored events, the endpoint's settings and the time of the attempt. It is made
//! when it is sent, not when the event happens: some signatures are part of the body and hold the attempt's time, a
//! digest is of what waits, and a corrected configuration reaches what waits already. The events, and with them the ids,
//! are stored with what caused them and stay the same.

mod alertmanager;
pub mod answer;
mod chat;
mod note;
mod pagerduty;

use crate::client::Endpoint;
use crate::event::{CONTENT_TYPE, CloudEvent};
use crate::signature::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign};
use chrono::{DateTime, Utc};
use reqwest::Url;
pub use wengu_protocol::events::Format;

const JSON: &str = "application/json";

/// A message, ready to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The endpoint's address, with what its signature adds.
    pub url: Url,
    /// Name and value.
    pub headers: Vec<(&'static str, String)>,
    /// The bytes.
    pub body: String,
}

/// An event as it is stored: its id and the CloudEvent's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// The event's id.
    pub id: &'a str,
    /// [`CloudEvent::body`].
    pub body: &'a str,
}

/// The message that tells `events` at the time `at`. Several are told by chat formats only, the others tell the first.
pub fn compose(
    endpoint: &Endpoint,
    url: &Url,
    events: &[Stored<'_>],
    at: DateTime<Utc>,
) -> Result<Message, Unreadable> {
    let Some(first) = events.first() else {
        return Err(Unreadable("there is no event to tell".into()));
    };
    let mut message = Message {
        url: url.clone(),
        headers: vec![("content-type", JSON.into())],
        body: String::new(),
    };
    if endpoint.format == Format::Standard {
        let timestamp = at.timestamp();
        message.headers = vec![
            ("content-type", CONTENT_TYPE.into()),
            (ID_HEADER, first.id.into()),
            (TIMESTAMP_HEADER, timestamp.to_string()),
            (
                SIGNATURE_HEADER,
                sign(&endpoint.secrets, first.id, timestamp, first.body.as_bytes()),
            ),
        ];
        message.body = first.body.into();
        return Ok(message);
    }
    let events = events.iter().map(|event| read(*event));
    let events: Vec<CloudEvent> = events.collect::<Result<_, _>>()?;
    match endpoint.format {
        Format::Standard => {}
        Format::AlertmanagerWebhook | Format::Alertmanager => {
            alertmanager::write(&mut message, endpoint, &events[0], at)
        }
        Format::Pagerduty => pagerduty::write(&mut message, endpoint, &events[0]),
        Format::Slack | Format::Teams | Format::Feishu | Format::Dingtalk | Format::Wecom => {
            chat::write(&mut message, endpoint, &events, at);
        }
    }
    Ok(message)
}

fn read(event: Stored<'_>) -> Result<CloudEvent, Unreadable> {
    serde_json::from_str(event.body).map_err(|error| Unreadable(format!("event {}: {error}", event.id)))
}

/// A stored event that is no CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);
