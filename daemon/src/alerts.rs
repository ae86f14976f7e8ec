//! Events for people and machines elsewhere. An event is written to the outbox in the transaction of what it tells.

use crate::engine::Engine;
use anyhow::Result;
use wengu_alert::event::{CloudEvent, EventType};
use wengu_store::Batch;
use wengu_store::records::{OutboxRecord, OutboxState};

/// Adds `event` to `batch`, once for every endpoint that wants its type. `discriminator` makes the id: the same event
/// written again after a crash gets the same id.
pub fn enqueue(
    engine: &Engine,
    mut batch: Batch,
    now_ms: i64,
    event_type: EventType,
    domain: &str,
    subject: &str,
    data: serde_json::Value,
) -> Result<Batch> {
    let name = event_type.as_str();
    let sequence = engine.store.last_seq() + 1;
    let id = format!("{}-{}", now_ms, &blake3::hash(format!("{name}/{domain}/{subject}/{now_ms}").as_bytes()).to_hex()[..16]);
    let event = CloudEvent::new(event_type, &id, domain, subject, crate::clock::to_utc(now_ms), data);
    let body = engine.store.objects().put_bytes(&serde_json::to_vec(&event)?)?;
    for endpoint in engine.config.webhooks.values() {
        if !endpoint.events.is_empty() && !endpoint.events.iter().any(|e| e == name) {
            continue;
        }
        let record = OutboxRecord {
            event_id: id.clone(),
            event_type: name.to_string(),
            subject: format!("{domain}/{subject}"),
            endpoint: endpoint.name.clone(),
            body,
            created_ms: now_ms,
            attempts: 0,
            next_at_ms: now_ms,
            state: OutboxState::Waiting { last_error: None },
        };
        batch = batch.put(&OutboxRecord::key(sequence, &format!("{}-{subject}-{name}", endpoint.name)), &record)?;
    }
    Ok(batch)
}
