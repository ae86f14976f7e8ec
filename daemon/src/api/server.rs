//! The daemon's side of the control socket.

use super::history;
use super::judgements;
use super::types::*;
use super::views;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::learn::votes::VotingReport;
use crate::outbox::by_hand;
use anyhow::{Context, Result, bail};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use wengu_store::records::ScheduleRecord;
use wengu_store::{BackupReport, Batch};

/// A refusal with a status.
pub(super) struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(ErrorBody { error: self.1 })).into_response()
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(e: anyhow::Error) -> Self {
        Refusal(StatusCode::UNPROCESSABLE_ENTITY, format!("{e:#}"))
    }
}

pub(super) type Answer<T> = Result<Json<T>, Refusal>;

/// Binds the control socket. One that a dead daemon left is replaced; the store's lock says that it is dead.
pub fn bind(engine: &Engine) -> Result<tokio::net::UnixListener> {
    let path = &engine.config.socket;
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    }
    let listener =
        tokio::net::UnixListener::bind(path).with_context(|| format!("control socket {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Serves until the daemon stops.
pub async fn serve(engine: Arc<Engine>, listener: tokio::net::UnixListener) -> Result<()> {
    let stop = engine.clone();
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/files", get(files))
        .route("/v1/files/explain", get(explain_file))
        .route("/v1/files/release", post(release))
        .route("/v1/functions", get(functions))
        .route("/v1/learning", get(learning))
        .route("/v1/versions", get(versions))
        .route("/v1/versions/explain", get(explain_version))
        .route("/v1/run", get(run))
        .route("/v1/train", post(train))
        .route("/v1/rollback", post(rollback))
        .route("/v1/promote", post(promote))
        .route("/v1/gate/explain", get(explain_gate))
        .route("/v1/gate/replay", get(replay_gate))
        .route("/v1/gate/anchor", post(move_anchor))
        .route("/v1/incidents", get(list_incidents))
        .route("/v1/incidents/silence", post(silence))
        .route("/v1/plugins/enable", post(enable_plugin))
        .route("/v1/webhooks", get(webhooks))
        .route("/v1/webhooks/test", post(test_webhooks))
        .route("/v1/webhooks/replay", post(replay_webhooks))
        .route("/v1/store/verify", post(verify_store))
        .route("/v1/store/backup", post(backup_store))
        .merge(super::forget::routes())
        .with_state(engine);
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.stopped().await })
        .await?;
    Ok(())
}

/// Runs a view on a blocking thread: views read the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(Json(value)),
        Ok(Err(e)) => Err(e.into()),
        Err(e) => Err(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("a bug in wengu: {e}"),
        )),
    }
}

/// That what is named is configured.
fn known<T>(kind: &str, name: &str, configured: &BTreeMap<String, T>) -> Result<(), Refusal> {
    if configured.contains_key(name) {
        return Ok(());
    }
    let names: Vec<&str> = configured.keys().map(String::as_str).collect();
    Err(Refusal(
        StatusCode::NOT_FOUND,
        format!("no {kind} {name}; configured are: {}", names.join(", ")),
    ))
}

fn known_domain(engine: &Engine, domain: &str) -> Result<(), Refusal> {
    known("domain", domain, &engine.config.domains)
}

fn known_webhook(engine: &Engine, name: Option<&str>) -> Result<(), Refusal> {
    name.map_or(Ok(()), |name| known("webhook", name, &engine.config.webhooks))
}

async fn status(State(engine): State<Arc<Engine>>) -> Answer<Status> {
    blocking(move || views::status(&engine)).await
}

#[derive(Deserialize)]
struct FilesQuery {
    domain: Option<String>,
    state: Option<String>,
}

async fn files(State(engine): State<Arc<Engine>>, Query(query): Query<FilesQuery>) -> Answer<Vec<FileView>> {
    if let Some(domain) = &query.domain {
        known_domain(&engine, domain)?;
    }
    blocking(move || views::files(&engine, query.domain.as_deref(), query.state.as_deref())).await
}

#[derive(Deserialize)]
struct PathQuery {
    path: String,
}

async fn explain_file(State(engine): State<Arc<Engine>>, Query(query): Query<PathQuery>) -> Answer<FileExplanation> {
    blocking(move || views::explain_file(&engine, &query.path)).await
}

#[derive(Deserialize)]
struct DomainQuery {
    domain: String,
}

async fn functions(State(engine): State<Arc<Engine>>, Query(query): Query<DomainQuery>) -> Answer<Vec<VotingReport>> {
    known_domain(&engine, &query.domain)?;
    blocking(move || views::functions(&engine, &query.domain)).await
}

#[derive(Deserialize)]
struct VersionQuery {
    domain: String,
    id: Option<String>,
}

async fn versions(State(engine): State<Arc<Engine>>, Query(query): Query<VersionQuery>) -> Answer<Vec<VersionView>> {
    known_domain(&engine, &query.domain)?;
    blocking(move || views::versions(&engine, &query.domain)).await
}

async fn learning(State(engine): State<Arc<Engine>>, Query(query): Query<DomainQuery>) -> Answer<LearningHistory> {
    known_domain(&engine, &query.domain)?;
    blocking(move || history::learning(&engine, &query.domain)).await
}

async fn explain_version(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<VersionQuery>,
) -> Answer<VersionExplanation> {
    known_domain(&engine, &query.domain)?;
    blocking(move || views::explain_version(&engine, &query.domain, query.id.as_deref())).await
}

#[derive(Deserialize)]
struct RunQuery {
    domain: String,
    run: u64,
}

async fn run(State(engine): State<Arc<Engine>>, Query(query): Query<RunQuery>) -> Answer<Option<RunView>> {
    known_domain(&engine, &query.domain)?;
    blocking(move || {
        let runs = engine.runs(&query.domain)?;
        if let Some(run) = runs.iter().find(|r| r.run == query.run) {
            return views::run_view(&engine, run).map(Some);
        }
        // Asked for no more, and never begun: whoever waits for it must be told.
        let asked = engine
            .store
            .get::<ScheduleRecord>(&query.domain)?
            .is_some_and(|record| record.asked);
        let failed = engine.live().degraded.get(&format!("{}:plan", query.domain)).cloned();
        match failed {
            Some(why) if !asked => bail!(why),
            _ => Ok(None),
        }
    })
    .await
}

async fn train(State(engine): State<Arc<Engine>>, Json(request): Json<DomainRequest>) -> Answer<TrainAnswer> {
    known_domain(&engine, &request.domain)?;
    blocking(move || {
        let domain = &request.domain;
        let _lock = engine.lock(domain);
        let runs = engine.runs(domain)?;
        let next = runs.last().map_or(1, |r| r.run + 1);
        let mut answer = TrainAnswer {
            run: next,
            joined: false,
            settling: false,
            nothing_to_do: None,
        };
        if let Some(open) = runs.iter().find(|r| r.is_open()) {
            return Ok(TrainAnswer {
                run: open.run,
                joined: true,
                ..answer
            });
        }
        if request.rescan {
            engine.rescan(domain);
        }
        // A folder in which some file never comes to rest must not hold an update up for ever.
        let patience_ms = wengu_decide::schedule::INTAKE_PATIENCE.num_milliseconds();
        let busy_since = engine.live().busy_since.get(domain).copied();
        if busy_since.is_some_and(|since| now_ms() - since < patience_ms) {
            return Ok(TrainAnswer {
                settling: true,
                ..answer
            });
        }
        if crate::schedule::state(&engine, domain)?.new_examples == 0 {
            let why = "no new labelled examples wait for an update; `wengu files` says what became of each file";
            answer.nothing_to_do = Some(why.into());
            return Ok(answer);
        }
        let mut record = engine.store.get::<ScheduleRecord>(domain)?.unwrap_or_default();
        record.asked = true;
        engine
            .store
            .commit(Batch::new("train.asked").at(now_ms()).put(domain, &record)?)?;
        engine.schedule_wake.notify_one();
        Ok(answer)
    })
    .await
}

async fn release(State(engine): State<Arc<Engine>>, Json(request): Json<ReleaseRequest>) -> Answer<u64> {
    known_domain(&engine, &request.domain)?;
    blocking(move || crate::rollback::release(&engine, &request.domain, request.run)).await
}

async fn rollback(State(engine): State<Arc<Engine>>, Json(request): Json<DomainRequest>) -> Answer<RollbackAnswer> {
    known_domain(&engine, &request.domain)?;
    blocking(move || crate::rollback::rollback(&engine, &request.domain, request.to.as_deref(), false)).await
}

async fn promote(State(engine): State<Arc<Engine>>, Json(request): Json<PromoteRequest>) -> Answer<RollbackAnswer> {
    known_domain(&engine, &request.domain)?;
    blocking(move || judgements::promote(&engine, &request)).await
}

#[derive(Deserialize)]
struct GateQuery {
    domain: String,
    run: Option<u64>,
}

async fn explain_gate(State(engine): State<Arc<Engine>>, Query(query): Query<GateQuery>) -> Answer<GateExplanation> {
    known_domain(&engine, &query.domain)?;
    blocking(move || judgements::explain(&engine, &query.domain, query.run)).await
}

async fn replay_gate(State(engine): State<Arc<Engine>>, Query(query): Query<RunQuery>) -> Answer<Replayed> {
    known_domain(&engine, &query.domain)?;
    blocking(move || judgements::replay(&engine, &query.domain, query.run)).await
}

async fn move_anchor(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<AnchorRequest>,
) -> Answer<Option<AnchorView>> {
    known_domain(&engine, &request.domain)?;
    blocking(move || judgements::move_anchor(&engine, &request)).await
}

async fn verify_store(State(engine): State<Arc<Engine>>) -> Answer<StoreVerified> {
    blocking(move || StoreVerified::of(&engine.store)).await
}

async fn backup_store(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<StoreBackupRequest>,
) -> Answer<BackupReport> {
    blocking(move || Ok(engine.store.backup(&request.to)?)).await
}

#[derive(Deserialize)]
struct IncidentsQuery {
    domain: Option<String>,
}

async fn list_incidents(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<IncidentsQuery>,
) -> Answer<IncidentsView> {
    blocking(move || judgements::incidents(&engine, query.domain.as_deref())).await
}

async fn silence(State(engine): State<Arc<Engine>>, Json(request): Json<SilenceRequest>) -> Answer<IncidentsView> {
    if let Some(domain) = &request.domain {
        known_domain(&engine, domain)?;
    }
    blocking(move || judgements::silence(&engine, request)).await
}

async fn enable_plugin(State(engine): State<Arc<Engine>>, Json(request): Json<PluginRequest>) -> Answer<PluginEnabled> {
    blocking(move || {
        let was = crate::quarantine::enable(&engine, &request.plugin)?;
        Ok(PluginEnabled {
            plugin: request.plugin,
            quarantined_ms: was.quarantined_ms,
            failures: was.failures,
            reason: was.reason,
        })
    })
    .await
}

async fn webhooks(State(engine): State<Arc<Engine>>) -> Answer<Vec<WebhookView>> {
    blocking(move || by_hand::list(&engine)).await
}

async fn replay_webhooks(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<ReplayRequest>,
) -> Answer<ReplayAnswer> {
    known_webhook(&engine, request.endpoint.as_deref())?;
    blocking(move || by_hand::replay(&engine, &request)).await
}

/// Writes a test event for the endpoint, or for every one; returns how many.
async fn test_webhooks(State(engine): State<Arc<Engine>>, Json(request): Json<TestRequest>) -> Answer<u64> {
    known_webhook(&engine, request.endpoint.as_deref())?;
    blocking(move || {
        let now = now_ms();
        let mut batch = Batch::new("webhook.test").at(now);
        let names = engine.config.webhooks.keys();
        let asked: Vec<&String> = names
            .filter(|name| request.endpoint.as_ref().is_none_or(|only| only == *name))
            .collect();
        for endpoint in &asked {
            let event = wengu_alert::event::Event::WebhookTest {
                endpoint: endpoint.to_string(),
            };
            batch = crate::alerts::enqueue_for(&engine, batch, now, &event, Some(endpoint))?;
        }
        engine.store.commit(batch)?;
        engine.outbox_wake.notify_waiters();
        Ok(asked.len() as u64)
    })
    .await
}
