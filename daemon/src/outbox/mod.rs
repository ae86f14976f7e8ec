//! Delivers what the outbox holds, with retry and backoff, across restarts. When to try is `wengu_alert`'s to say.

pub mod by_hand;
mod endpoint;

use crate::alerts::{self, OutboxRecord};
use crate::engine::Engine;
use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
pub use endpoint::client;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use wengu_alert::delivery::{NextStep, Outcome};
use wengu_alert::event::{CloudEvent, Event};
use wengu_alert::format::Stored;
use wengu_alert::outbox::{OutboxItem, OutboxState, next_wake, parcels, superseded};
use wengu_alert::rate::Rate;
use wengu_config::Webhook;
use wengu_failpoint::hit;
use wengu_store::Batch;

/// Between looks where nothing wakes the delivery.
const LOOK: Duration = Duration::from_secs(1);

const DAY: Duration = Duration::from_secs(86_400);

/// Events that were delivered so long ago are removed.
const KEEP_DELIVERED: TimeDelta = TimeDelta::days(30);

/// Delivers until the daemon stops. Endpoints are served side by side, so that one that hangs delays no other.
pub async fn run(engine: Arc<Engine>) {
    let mut endpoints = JoinSet::new();
    for webhook in engine.config.webhooks.values().cloned() {
        let engine = engine.clone();
        endpoints.spawn(async move {
            let mut line = Line::new(webhook);
            loop {
                tokio::select! {
                    () = engine.stopped() => return,
                    done = line.deliver_due(&engine) => if let Err(e) = done {
                        tracing::error!(endpoint = line.webhook.name, error = format!("{e:#}"), "alert_delivery_failed");
                    }
                }
                tokio::select! {
                    () = engine.stopped() => return,
                    () = engine.outbox_wake.notified() => {}
                    () = tokio::time::sleep(line.pause()) => {}
                }
            }
        });
    }
    tokio::select! {
        () = engine.stopped() => {}
        () = prune_daily(&engine) => {}
    }
    while endpoints.join_next().await.is_some() {}
}

async fn prune_daily(engine: &Engine) {
    loop {
        if let Err(e) = prune(engine) {
            tracing::error!(error = format!("{e:#}"), "outbox_not_pruned");
        }
        tokio::time::sleep(DAY).await;
    }
}

/// The way to one endpoint. It alone changes what is pending there, so that an order once seen holds.
struct Line {
    webhook: Webhook,
    rate: Option<Rate>,
    /// Until then it asked to be left alone.
    rests_until: Option<DateTime<Utc>>,
    /// What the last look at the outbox showed: without a new record and before `next`, another one shows the same.
    looked_at_seq: Option<u64>,
    next: Option<DateTime<Utc>>,
}

impl Line {
    fn new(webhook: Webhook) -> Line {
        Line {
            rate: Rate::of(webhook.format, Utc::now()),
            webhook,
            rests_until: None,
            looked_at_seq: None,
            next: None,
        }
    }

    fn pause(&self) -> Duration {
        let until = self.next.map(|next| (next - Utc::now()).to_std().unwrap_or_default());
        until.map_or(LOOK, |until| until.clamp(Duration::from_millis(10), LOOK))
    }

    async fn deliver_due(&mut self, engine: &Arc<Engine>) -> Result<()> {
        if self.rests_until.is_some_and(|until| until > Utc::now()) {
            return Ok(());
        }
        let seq = engine.store.last_seq();
        if self.looked_at_seq == Some(seq) && self.next.is_none_or(|next| next > Utc::now()) {
            return Ok(());
        }
        let items = of_endpoint(engine.clone(), self.webhook.name.clone()).await?;
        for item in superseded(&items) {
            let mut record = OutboxRecord(item.clone());
            let reason = "a later event of this incident had arrived".into();
            record.0.state = OutboxState::Dead { reason };
            let batch = Batch::new("outbox.superseded").put(&record.key(), &record)?;
            engine.store.commit(batch)?;
        }
        self.looked_at_seq = Some(seq);
        self.next = next_wake(&items);
        let parcels = parcels(&items, Utc::now(), self.webhook.format);
        if parcels.is_empty() {
            return Ok(());
        }
        // Made anew each time, so that a rotated secret takes effect without a restart.
        let client = client(&self.webhook, Utc::now());
        for parcel in parcels {
            if let Some(rate) = &mut self.rate
                && let Err(at) = rate.take(Utc::now())
            {
                // What comes until then goes into the same digest.
                self.next = Some(at);
                break;
            }
            let stored: Vec<Stored<'_>> = parcel.iter().map(|item| item.stored()).collect();
            hit("outbox.before_send");
            let outcome = match &client {
                Ok(client) => client.send(&stored, Utc::now()).await,
                Err(why) => Outcome::Refused(format!("{why:#}")),
            };
            hit("outbox.sent");
            self.settle(engine, &parcel, &outcome)?;
            hit("outbox.settled");
            let rest = outcome.rest();
            if !rest.is_zero() {
                self.rests_until = Some(Utc::now() + rest);
                break;
            }
        }
        Ok(())
    }

    /// Records what came of an attempt, and for what was given up the alert that tells the second channel, in one
    /// transaction.
    fn settle(&self, engine: &Engine, parcel: &[&OutboxItem], outcome: &Outcome) -> Result<()> {
        let now = Utc::now();
        let mut batch = Batch::new("outbox.attempt").at(now.timestamp_millis());
        // One for all of a digest, so that what was told together is tried again together.
        let seed = parcel.first().map_or(0, |item| seed(&OutboxRecord((*item).clone())));
        for item in parcel {
            let mut record = OutboxRecord((*item).clone());
            let next = record.0.settle(now, outcome, seed);
            tracing::info!(
                endpoint = self.webhook.name,
                event = record.0.id,
                attempt = record.0.attempts,
                outcome = outcome.describe(),
                ?next,
                "alert_attempt"
            );
            batch = batch.put(&record.key(), &record)?;
            if let NextStep::DeadLetter(reason) | NextStep::Disable(reason) = next {
                tracing::error!(
                    endpoint = self.webhook.name,
                    event = record.0.id,
                    reason,
                    "alert_given_up"
                );
                if let Some(second) = &self.webhook.second_channel {
                    let event = dead_letter(&record.0, reason);
                    batch = alerts::enqueue_for(engine, batch, now.timestamp_millis(), &event, Some(second))?;
                }
            }
        }
        engine.store.commit(batch)?;
        engine.outbox_wake.notify_waiters();
        Ok(())
    }
}

fn seed(record: &OutboxRecord) -> u64 {
    let hash = blake3::hash(record.key().as_bytes());
    let bytes = hash.as_bytes().first_chunk::<8>().copied().unwrap_or_default();
    u64::from_le_bytes(bytes)
}

fn dead_letter(item: &OutboxItem, reason: String) -> Event {
    let event_type = serde_json::from_str::<CloudEvent>(&item.body).map_or("unknown".into(), |event| event.kind);
    Event::DeadLetter {
        endpoint: item.endpoint.clone(),
        event: item.id.clone(),
        event_type,
        about: item.subject.clone(),
        attempts: item.attempts,
        reason,
    }
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
    .await
    .map_err(crate::panics::without_words)?
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
