//! PagerDuty's Events API v2. An incident here is one there: its `dedup_key` is the machine and the fingerprint.

use super::Message;
use crate::client::Endpoint;
use crate::event::{CloudEvent, Severity, Status};
use serde_json::json;

const SUMMARY_CHARS: usize = 1_024;
const DEDUP_KEY_CHARS: usize = 255;

pub(super) fn write(message: &mut Message, endpoint: &Endpoint, cloud: &CloudEvent) {
    let event = cloud.event();
    let incident = event.as_ref().and_then(|event| event.incident());
    let dedup_key: String = match incident {
        Some(incident) => format!("{}/{}", cloud.host(), incident.fingerprint),
        None => cloud.id.clone(),
    };
    let resolved = event.as_ref().is_some_and(|event| event.status() == Status::Resolved);
    let mut body = json!({
        "routing_key": endpoint.key.as_ref().map(|key| key.reveal()),
        "event_action": if resolved { "resolve" } else { "trigger" },
        "dedup_key": dedup_key.chars().take(DEDUP_KEY_CHARS).collect::<String>(),
    });
    if !resolved {
        let severity = event.as_ref().map_or(Severity::Warning, |event| event.severity());
        body["payload"] = json!({
            "summary": cloud.sentence(endpoint.language).chars().take(SUMMARY_CHARS).collect::<String>(),
            "source": cloud.host(),
            "severity": severity.name(),
            "timestamp": cloud.time,
            "component": event.as_ref().and_then(|event| event.domain()),
            "class": cloud.kind,
            "custom_details": { "event": cloud.id, "data": cloud.data },
        });
    }
    message.body = body.to_string();
}
