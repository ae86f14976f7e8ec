//! Events for people and machines elsewhere. An event is written to the outbox in the transaction of what it tells.

use crate::clock::to_utc;
use crate::engine::Engine;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use wengu_alert::event::{CloudEvent, Event, Scores};
use wengu_alert::outbox::OutboxItem;
use wengu_decide::gate::Comparison;
use wengu_store::{Batch, Record};

/// Table `outbox`: one event to one endpoint. Key: the event's id, `/`, the endpoint's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OutboxRecord(pub OutboxItem);

impl Record for OutboxRecord {
    const TABLE: &'static str = "outbox";
    const VERSION: u16 = 1;
}

impl OutboxRecord {
    /// The table key.
    pub fn key(&self) -> String {
        format!("{}/{}", self.0.id, self.0.endpoint)
    }
}

/// Adds `event` to `batch`, once for every endpoint that wants its type.
pub fn enqueue(engine: &Engine, batch: Batch, now_ms: i64, event: &Event) -> Result<Batch> {
    enqueue_for(engine, batch, now_ms, event, None)
}

/// As [`enqueue`], but for `only` one endpoint, which gets it whatever types it wants.
pub fn enqueue_for(engine: &Engine, mut batch: Batch, now_ms: i64, event: &Event, only: Option<&str>) -> Result<Batch> {
    let sequence = engine.store.last_seq() + 1;
    // Of all that the event says: one transaction may hold several about one subject.
    let told = serde_json::to_string(event)?;
    let id = format!(
        "{now_ms:013}-{}",
        &blake3::hash(format!("{sequence}/{told}").as_bytes()).to_hex()[..16]
    );
    let host = nix::unistd::gethostname()?.to_string_lossy().into_owned();
    let cloud_event = CloudEvent::new(&id, &host, to_utc(now_ms), event);
    for endpoint in engine.config.webhooks.values() {
        let wanted = match only {
            Some(name) => endpoint.name == name,
            None => endpoint.events.is_empty() || endpoint.events.contains(&cloud_event.kind),
        };
        if wanted {
            let record = OutboxRecord(OutboxItem::new(&cloud_event, &endpoint.name, sequence, to_utc(now_ms)));
            batch = batch.put(&record.key(), &record)?;
        }
    }
    Ok(batch)
}

/// A comparison as an event tells it.
pub fn scores(comparison: &Comparison, has_champion: bool) -> Scores {
    Scores {
        items: comparison.n,
        champion_accuracy: has_champion.then_some(comparison.champion_accuracy),
        challenger_accuracy: comparison.challenger_accuracy,
        difference_points: comparison.difference_points,
        interval95_points: comparison.interval95_points,
        p_value: comparison.p_value,
    }
}
