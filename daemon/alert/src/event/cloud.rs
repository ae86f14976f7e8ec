//! An event as it travels and is stored.

use super::Event;
use chrono::{DateTime, SecondsFormat, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::Sha256;

/// An event as it is sent: `application/cloudevents+json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CloudEvent {
    /// Always "1.0".
    pub specversion: String,
    /// Unique; also the `webhook-id`. Without dots, which the signature could not tell from its own.
    pub id: String,
    /// `/wengu/HOST/DOMAIN`, or `/wengu/HOST` where it is about no domain.
    pub source: String,
    /// `wengu.…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// [`Event::subject`].
    pub subject: String,
    /// When it happened, RFC 3339.
    pub time: String,
    /// Always "application/json".
    pub datacontenttype: String,
    /// Its particulars.
    pub data: Value,
}

/// A record of the store takes 4,096 bytes, and the event's JSON stands in it as a text: what does not fit would take the
/// verdict's whole transaction with it.
const DATA_MAX_BYTES: usize = 2_000;

/// Entries of lists and tables, and characters of texts, that are kept: as many as fit. The least of them keeps names and
/// fingerprints whole.
const KEPT: [(usize, usize); 4] = [(32, 400), (16, 200), (8, 100), (2, 80)];

/// Media type of the body.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

impl CloudEvent {
    /// The event as it is sent. `id` must be unique and may hold ASCII letters, digits, `-` and `_`; other characters
    /// become `_`.
    pub fn new(id: &str, host: &str, time: DateTime<Utc>, event: &Event) -> CloudEvent {
        let written = serde_json::to_value(event).expect("events hold nothing that JSON cannot");
        let safe = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' || c == '_' {
                c
            } else {
                '_'
            }
        };
        CloudEvent {
            specversion: "1.0".into(),
            id: id.chars().map(safe).collect(),
            source: event.source(host),
            kind: written["type"].as_str().unwrap_or_default().into(),
            subject: event.subject(),
            time: time.to_rfc3339_opts(SecondsFormat::Millis, true),
            datacontenttype: "application/json".into(),
            data: bounded(&written["data"]),
        }
    }

    /// The event, if it is of a type known here.
    pub fn event(&self) -> Option<Event> {
        serde_json::from_value(serde_json::json!({ "type": self.kind, "data": self.data })).ok()
    }

    /// The machine that it happened on.
    pub fn host(&self) -> &str {
        self.source.split('/').nth(2).unwrap_or_default()
    }

    /// When it happened; None where the text is no time.
    pub fn happened_at(&self) -> Option<DateTime<Utc>> {
        Some(DateTime::parse_from_rfc3339(&self.time).ok()?.to_utc())
    }

    /// The bytes to send: made once and stored, so that every attempt sends the same.
    pub fn body(&self) -> String {
        serde_json::to_string(self).expect("events hold nothing that JSON cannot")
    }
}

fn bounded(data: &Value) -> Value {
    let mut kept = data.clone();
    for (entries, chars) in KEPT {
        kept = cut(data, entries, chars);
        if kept.to_string().len() <= DATA_MAX_BYTES {
            break;
        }
    }
    kept
}

/// Cuts inner lists and tables to `entries`, telling their true number beside them, and texts to `chars`.
fn cut(data: &Value, entries: usize, chars: usize) -> Value {
    let text = |value: &Value| match value.as_str() {
        Some(text) if text.chars().count() > chars => {
            text.chars().take(chars - 1).chain(['…']).collect::<String>().into()
        }
        _ => value.clone(),
    };
    let mut kept = Map::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        let (total, value) = match value {
            Value::Array(all) => (all.len(), all.iter().take(entries).map(text).collect()),
            Value::Object(all) => {
                let some = all.iter().take(entries).map(|(key, value)| (key.clone(), text(value)));
                (all.len(), Value::Object(some.collect()))
            }
            other => (0, text(other)),
        };
        if total > entries {
            kept.insert(format!("{name}_total"), total.into());
        }
        kept.insert(name.clone(), value);
    }
    Value::Object(kept)
}

/// What stands for a file's name in an event: 16 hex digits that only who has `key` can connect with the name.
pub fn name_hash(key: &[u8], name: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(name.as_bytes());
    mac.finalize().into_bytes()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
