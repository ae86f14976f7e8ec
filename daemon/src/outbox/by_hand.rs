//! What people ask of the outbox: what is in it, and what was given up once more.

use crate::alerts::OutboxRecord;
use crate::api::types::{ReplayAnswer, ReplayRequest, WebhookView};
use crate::clock;
use crate::engine::Engine;
use anyhow::Result;
use std::collections::{BTreeMap, HashSet};
use wengu_alert::outbox::{OutboxItem, OutboxState, superseded};
use wengu_config::Source;
use wengu_store::Batch;

/// Records in one transaction: far below what a batch may hold.
const TOGETHER: usize = 500;

/// Every endpoint that is configured or that something waits for.
pub fn list(engine: &Engine) -> Result<Vec<WebhookView>> {
    let mut views: BTreeMap<String, WebhookView> = BTreeMap::new();
    for webhook in engine.config.webhooks.values() {
        let address = match &webhook.url {
            Source::Plain(url) if !webhook.format.url_is_secret() => url.clone(),
            Source::Plain(_) => "(in the configuration)".into(),
            Source::File(path) => format!("(in {})", path.display()),
            Source::Credential(name) => format!("(credential {name})"),
        };
        let view = WebhookView {
            name: webhook.name.clone(),
            configured: true,
            format: webhook.format.name().into(),
            address,
            events: webhook.events.clone(),
            second_channel: webhook.second_channel.clone(),
            ..WebhookView::default()
        };
        views.insert(webhook.name.clone(), view);
    }
    // The newest event that was tried says how things stand.
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    for (_, OutboxRecord(item)) in engine.store.scan::<OutboxRecord>("")? {
        let view = views.entry(item.endpoint.clone()).or_insert_with(|| WebhookView {
            name: item.endpoint.clone(),
            ..WebhookView::default()
        });
        match item.state {
            OutboxState::Pending => {
                view.pending += 1;
                let at = item.next_at.timestamp_millis();
                view.next_attempt_ms = Some(view.next_attempt_ms.map_or(at, |known| known.min(at)));
                let since = item.created_at.timestamp_millis();
                view.oldest_pending_ms = Some(view.oldest_pending_ms.map_or(since, |known| known.min(since)));
            }
            OutboxState::Delivered => view.delivered += 1,
            OutboxState::Dead { .. } => view.dead += 1,
        }
        let last = newest.entry(item.endpoint).or_default();
        if item.last_outcome.is_some() && item.sequence >= *last {
            *last = item.sequence;
            view.last_outcome = item.last_outcome;
        }
    }
    Ok(views.into_values().collect())
}

/// Makes dead events pending again, those that are asked for. What a later event of the same incident has overtaken
/// stays dead: "firing" must not arrive after "resolved".
pub fn replay(engine: &Engine, request: &ReplayRequest) -> Result<ReplayAnswer> {
    let now = clock::to_utc(clock::now_ms());
    let mut items: Vec<OutboxItem> = engine
        .store
        .scan::<OutboxRecord>("")?
        .into_iter()
        .map(|(_, OutboxRecord(item))| item)
        .collect();
    let wanted = |item: &OutboxItem| {
        matches!(item.state, OutboxState::Dead { .. })
            && engine.config.webhooks.contains_key(&item.endpoint)
            && request.endpoint.as_ref().is_none_or(|name| *name == item.endpoint)
            && request.event.as_ref().is_none_or(|id| *id == item.id)
            && request
                .since_ms
                .is_none_or(|since| item.created_at.timestamp_millis() >= since)
    };
    let mut asked = HashSet::new();
    for item in items.iter_mut().filter(|item| wanted(item)) {
        item.replay(now);
        asked.insert((item.id.clone(), item.endpoint.clone()));
    }
    let overtaken: HashSet<(String, String)> = superseded(&items)
        .into_iter()
        .map(|item| (item.id.clone(), item.endpoint.clone()))
        .collect();
    let again: Vec<OutboxItem> = items
        .into_iter()
        .filter(|item| {
            let key = (item.id.clone(), item.endpoint.clone());
            asked.contains(&key) && !overtaken.contains(&key)
        })
        .collect();
    let answer = ReplayAnswer {
        replayed: again.len() as u64,
        overtaken: asked.intersection(&overtaken).count() as u64,
    };
    for some in again.chunks(TOGETHER) {
        let mut batch = Batch::new("webhook.replay").at(now.timestamp_millis());
        for item in some {
            let record = OutboxRecord(item.clone());
            batch = batch.put(&record.key(), &record)?;
        }
        engine.store.commit(batch)?;
    }
    engine.outbox_wake.notify_waiters();
    Ok(answer)
}
