//! Alertmanager: its API takes alerts, and its webhooks bring them; the same alert in two wrappings.
//!
//! An alert there is its labels. Those of an incident are the same while it fires and when it is resolved; something
//! that happened once is an alert of its own, by its event's id, and ends by itself.

use super::{Format, Message};
use crate::client::Endpoint;
use crate::event::{CloudEvent, Event, Incident, Severity, Status};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Map, Value, json};

/// Without an end Alertmanager would take an incident for resolved after five minutes. A lasting one is told again each
/// day, and a machine that falls silent has resolved nothing.
const FIRING_LASTS: TimeDelta = TimeDelta::days(30);

/// What only happened is shown for so long after it was delivered.
const TOLD_LASTS: TimeDelta = TimeDelta::hours(24);

/// What Alertmanager writes where an alert has not ended.
const NO_END: &str = "0001-01-01T00:00:00Z";

pub(super) fn write(message: &mut Message, endpoint: &Endpoint, cloud: &CloudEvent, at: DateTime<Utc>) {
    if let Some(key) = &endpoint.key {
        message
            .headers
            .push(("authorization", format!("Bearer {}", key.reveal())));
    }
    let event = cloud.event();
    let incident = event.as_ref().and_then(|event| event.incident());
    let status = event.as_ref().map_or(Status::Told, |event| event.status());
    let happened = cloud.happened_at().unwrap_or(at);
    let starts = incident.map_or(happened, |incident| incident.since);
    let labels = labels(cloud, event.as_ref());
    let annotations = annotations(cloud, endpoint, incident);
    if endpoint.format == Format::Alertmanager {
        let ends = match status {
            Status::Firing => at + FIRING_LASTS,
            Status::Resolved => happened.max(starts),
            Status::Told => at + TOLD_LASTS,
        };
        let alert = json!({
            "labels": labels,
            "annotations": annotations,
            "startsAt": written(starts),
            "endsAt": written(ends),
        });
        message.body = json!([alert]).to_string();
        return;
    }
    message.headers.push((crate::signature::ID_HEADER, cloud.id.clone()));
    let (word, ends) = match status {
        Status::Resolved => ("resolved", written(happened.max(starts))),
        Status::Firing | Status::Told => ("firing", NO_END.into()),
    };
    let fingerprint = incident.map_or(&cloud.id, |incident| &incident.fingerprint);
    let name = &labels["alertname"];
    message.body = json!({
        "version": "4",
        "groupKey": format!("{{}}:{{alertname={name}, instance={:?}}}", cloud.host()),
        "truncatedAlerts": 0,
        "status": word,
        "receiver": endpoint.id,
        "groupLabels": { "alertname": name, "instance": cloud.host() },
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "",
        "alerts": [{
            "status": word,
            "labels": labels,
            "annotations": annotations,
            "startsAt": written(starts),
            "endsAt": ends,
            "generatorURL": "",
            "fingerprint": fingerprint,
        }],
    })
    .to_string();
}

fn labels(cloud: &CloudEvent, event: Option<&Event>) -> Map<String, Value> {
    let mut labels = Map::new();
    let mut put = |name: &str, value: &str| {
        labels.insert(name.into(), value.into());
    };
    put("instance", cloud.host());
    if let Some(domain) = event.and_then(Event::domain) {
        put("domain", domain);
    }
    if let Some(incident) = event.and_then(Event::incident) {
        put("alertname", "WenguIncident");
        put("severity", Severity::Critical.name());
        put("metric", &incident.metric);
        put("fingerprint", &incident.fingerprint);
        if let Some(slice) = &incident.slice {
            put("slice", slice);
        }
    } else {
        put("alertname", &alertname(&cloud.kind));
        put("severity", event.map_or(Severity::Warning, Event::severity).name());
        put("event", &cloud.id);
    }
    labels
}

fn annotations(cloud: &CloudEvent, endpoint: &Endpoint, incident: Option<&Incident>) -> Map<String, Value> {
    let mut annotations = Map::new();
    annotations.insert("summary".into(), cloud.title(endpoint.language).into());
    annotations.insert("description".into(), cloud.sentence(endpoint.language).into());
    for (name, value) in incident.iter().flat_map(|incident| &incident.numbers) {
        // Alertmanager takes letters, digits and `_` for names.
        let name: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        annotations.insert(format!("number_{name}"), value.to_string().into());
    }
    annotations
}

/// `wengu.version.rolled_back` is `WenguVersionRolledBack`.
fn alertname(kind: &str) -> String {
    kind.split(['.', '_'])
        .map(|word| {
            let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect()
}

fn written(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}
