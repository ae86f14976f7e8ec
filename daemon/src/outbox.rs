//! Delivers what the outbox holds, with retry and backoff, across restarts.

use crate::clock::{now_ms, to_utc};
use crate::engine::Engine;
use anyhow::Result;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use wengu_alert::delivery::{Client, NextStep, next_attempt};
use wengu_store::Batch;
use wengu_store::records::{OutboxRecord, OutboxState};

/// Between looks where nothing wakes the delivery.
const LOOK: Duration = Duration::from_secs(1);

/// Delivers until the daemon stops. Endpoints are served side by side, so that one that hangs delays no other.
pub async fn run(engine: Arc<Engine>) {
    let mut endpoints = JoinSet::new();
    for webhook in engine.config.webhooks.values() {
        let engine = engine.clone();
        let webhook = webhook.clone();
        endpoints.spawn(async move {
            loop {
                if let Err(e) = deliver_due(&engine, &webhook).await {
                    tracing::error!(endpoint = webhook.name, error = format!("{e:#}"), "alert_delivery_failed");
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
}

/// What is due at one endpoint: of each subject only the oldest, so that "resolved" never comes before "firing".
fn due(engine: &Engine, endpoint: &str) -> Result<BTreeMap<String, OutboxRecord>> {
    let now = now_ms();
    let mut subjects = HashSet::new();
    Ok(engine
        .store
        .scan::<OutboxRecord>("")?
        .into_iter()
        .filter(|(_, item)| item.endpoint == endpoint && matches!(item.state, OutboxState::Waiting { .. }))
        .filter(|(_, item)| subjects.insert(item.subject.clone()))
        .filter(|(_, item)| item.next_at_ms <= now)
        .collect())
}

async fn deliver_due(engine: &Arc<Engine>, webhook: &wengu_config::Webhook) -> Result<()> {
    let worker = engine.clone();
    let name = webhook.name.clone();
    let due = tokio::task::spawn_blocking(move || due(&worker, &name)).await??;
    if due.is_empty() {
        return Ok(());
    }
    let client = Client::new(webhook.into())?;
    for (key, mut item) in due {
        if engine.is_stopping() {
            return Ok(());
        }
        let body = engine.store.objects().get(&item.body)?;
        let now = now_ms();
        let outcome = client.send(&item.event_id, now / 1000, &body).await;
        item.attempts += 1;
        let step = next_attempt(item.attempts, to_utc(item.created_ms), to_utc(now_ms()), &outcome, &item.event_id);
        match step {
            NextStep::Delivered => item.state = OutboxState::Delivered { at_ms: now_ms() },
            NextStep::RetryAt(at) => {
                item.next_at_ms = at.timestamp_millis();
                item.state = OutboxState::Waiting { last_error: Some(outcome.to_string()) };
            }
            NextStep::DeadLetter(reason) | NextStep::Disable(reason) => item.state = OutboxState::Dead { reason },
        }
        tracing::info!(
            endpoint = webhook.name,
            event = item.event_type,
            attempt = item.attempts,
            outcome = %outcome,
            "alert_attempt"
        );
        let batch = Batch::new("outbox.attempt").at(now_ms()).put(&key, &item)?;
        engine.store.commit(batch)?;
    }
    Ok(())
}
