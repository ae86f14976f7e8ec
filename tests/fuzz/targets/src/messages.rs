//! What other processes say: plugin hosts, readers, trainers, and whoever can reach the webhook receiver.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wengu_alert::event::CloudEvent;
use wengu_alert::listen::AlertGroup;
use wengu_alert::secret::{Secret, read_secrets};
use wengu_alert::signature::{sign, verify};
use wengu_protocol::job::{Job, JobResult, Progress};
use wengu_protocol::{plugin, reader};

/// Frames of both channels, one after the other until one is refused; the first byte says whose they are.
pub fn frames(data: &[u8]) {
    let Some((&whose, frames)) = data.split_first() else {
        return;
    };
    match whose % 4 {
        0 => read_all::<plugin::Reply>(frames),
        1 => read_all::<plugin::Request>(frames),
        2 => read_all::<reader::Reply>(frames),
        _ => drop(serde_json::from_slice::<reader::Request>(frames)),
    }
}

fn read_all<T: DeserializeOwned + Serialize>(mut frames: &[u8]) {
    while let Ok(message) = plugin::read_frame::<T>(&mut frames) {
        same_again(&message);
    }
}

/// What was understood is written and understood again, and then written the same. A number that JSON cannot hold is none.
pub(crate) fn same_again<T: DeserializeOwned + Serialize>(message: &T) {
    let written = serde_json::to_vec(message).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    let again = serde_json::to_vec(&again).expect("what was read can be written");
    assert!(written == again, "a message changes by being passed on");
}

/// The first byte says which message.
pub fn job(data: &[u8]) {
    let Some((&which, json)) = data.split_first() else {
        return;
    };
    match which % 3 {
        0 => understood::<Job>(json),
        1 => understood::<JobResult>(json),
        _ => json.split(|byte| *byte == b'\n').for_each(understood::<Progress>),
    }
}

fn understood<T: DeserializeOwned + Serialize>(json: &[u8]) {
    if let Ok(message) = serde_json::from_slice::<T>(json) {
        same_again(&message);
    }
}

/// A file of secrets, then, after a line of its own that says `--`, the headers' three lines and the body.
pub fn webhook(data: &[u8]) {
    let now = DateTime::<Utc>::UNIX_EPOCH + chrono::TimeDelta::days(20_000);
    let text = String::from_utf8_lossy(data);
    let (secrets, rest) = text.split_once("\n--\n").unwrap_or((&text, ""));
    let secrets: Vec<Secret> = read_secrets(secrets, now).unwrap_or_default();
    let mut parts = rest.splitn(4, '\n');
    let mut part = || parts.next().unwrap_or_default();
    let (id, timestamp, signatures, body) = (part(), part(), part(), part());
    if verify(&secrets, id, timestamp, signatures, body.as_bytes(), now).is_ok() {
        assert!(!secrets.is_empty(), "nobody signs without a secret");
    }
    if let Ok(event) = serde_json::from_str::<CloudEvent>(body) {
        same_again(&event);
    }
    if let Ok(group) = AlertGroup::parse(body.as_bytes()) {
        assert!(group.body == body && group.describe().starts_with(&group.receiver));
    }
    // What is signed is believed, and nothing else that differs in a byte.
    if !secrets.is_empty() && !id.is_empty() && !id.contains('.') {
        let seconds = now.timestamp();
        let signed = sign(&secrets[..1], id, seconds, body.as_bytes());
        let is_believed = |body: &[u8]| verify(&secrets, id, &seconds.to_string(), &signed, body, now).is_ok();
        assert!(is_believed(body.as_bytes()));
        assert!(!is_believed(&[body.as_bytes(), b"x"].concat()));
    }
}
