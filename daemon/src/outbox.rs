//! Delivers what the outbox holds, with retry and backoff, across restarts. When to try is `wengu_alert`'s to say.

use crate::alerts::OutboxRecord;
use crate::engine::Engine;
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use wengu_alert::client::{Client, Endpoint};
use wengu_alert::outbox::{OutboxItem, OutboxState, due, next_wake};
use wengu_alert::secret::read_secret_file;
use wengu_config::Webhook;
use wengu_store::Batch;

/// Between looks where nothing wakes the delivery.
const LOOK: Duration = Duration::from_secs(1);

/// Events that were delivered so long ago are removed.
const KEEP_DELIVERED: TimeDelta = TimeDelta::days(30);

/// Delivers until the daemon stops. Endpoints are served side by side, so that one that hangs delays no other.
pub async fn run(engine: Arc<Engine>) {
    if let Err(e) = prune(&engine) {
        tracing::error!(error = format!("{e:#}"), "outbox_not_pruned");
    }
    let mut endpoints = JoinSet::new();
    for webhook in engine.config.webhooks.values().cloned() {
        let engine = engine.clone();
        endpoints.spawn(async move {
            let mut looked = Looked::default();
            loop {
                tokio::select! {
                    () = engine.stopped() => return,
                    done = deliver_due(&engine, &webhook, &mut looked) => if let Err(e) = done {
                        tracing::error!(endpoint = webhook.name, error = format!("{e:#}"), "alert_delivery_failed");
                    }
                }
                tokio::select! {
                    () = engine.stopped() => return,
                    () = engine.outbox_wake.notified() => {}
                    () = tokio::time::sleep(LOOK) => {}
                }
            }
        });
    }
    while endpoints.join_next().await.is_some() {}
    engine.stopped().await;
}

/// What the last look at the outbox showed: without a new record and before `next`, another one shows the same.
#[derive(Default)]
struct Looked {
    at_seq: Option<u64>,
    next: Option<DateTime<Utc>>,
}

async fn deliver_due(engine: &Arc<Engine>, webhook: &Webhook, looked: &mut Looked) -> Result<()> {
    let seq = engine.store.last_seq();
    if looked.at_seq == Some(seq) && looked.next.is_none_or(|next| next > Utc::now()) {
        return Ok(());
    }
    let items = of_endpoint(engine.clone(), webhook.name.clone()).await?;
    *looked = Looked {
        at_seq: Some(seq),
        next: next_wake(&items),
    };
    let due: Vec<OutboxItem> = due(&items, Utc::now()).into_iter().cloned().collect();
    if due.is_empty() {
        return Ok(());
    }
    // Read anew each time, so that a rotated secret takes effect without a restart.
    let client = Client::new(Endpoint {
        id: webhook.name.clone(),
        url: webhook.url.clone(),
        secrets: read_secret_file(&webhook.secret_file)?,
        allow_http: webhook.allow_http,
        ca_file: None,
        proxy: None,
        timeout: webhook.timeout,
    })?;
    for item in due {
        let outcome = client.send(&item.id, Utc::now().timestamp(), &item.body).await;
        let mut record = OutboxRecord(item);
        let seed = u64::from_le_bytes(blake3::hash(record.key().as_bytes()).as_bytes()[..8].try_into()?);
        let next = record.0.settle(Utc::now(), &outcome, seed);
        tracing::info!(
            endpoint = webhook.name,
            event = record.0.id,
            attempt = record.0.attempts,
            outcome = outcome.describe(),
            ?next,
            "alert_attempt"
        );
        let batch = Batch::new("outbox.attempt")
            .at(Utc::now().timestamp_millis())
            .put(&record.key(), &record)?;
        engine.store.commit(batch)?;
    }
    Ok(())
}

async fn of_endpoint(engine: Arc<Engine>, endpoint: String) -> Result<Vec<OutboxItem>> {
    tokio::task::spawn_blocking(move || {
        let items = engine
            .store
            .scan::<OutboxRecord>("")?
            .into_iter()
            .map(|(_, record)| record.0);
        Ok(items.filter(|item| item.endpoint == endpoint).collect())
    })
    .await?
}

fn prune(engine: &Engine) -> Result<()> {
    for (key, OutboxRecord(item)) in engine.store.scan::<OutboxRecord>("")? {
        if item.state == OutboxState::Delivered && item.created_at < Utc::now() - KEEP_DELIVERED {
            engine
                .store
                .commit(Batch::new("outbox.pruned").delete::<OutboxRecord>(&key))?;
        }
    }
    Ok(())
}
