//! What the daemon answers, and who may ask for it.

use super::access::{self, Caller, Listeners, Reach, Row, change, read, tokens};
use super::forget;
use super::history;
use super::judgements;
use super::refusal::{self, Refusal};
use super::retry;
use super::tuning;
use super::types::*;
use super::views;
use crate::beside;
use crate::clock::now_ms;
use crate::engine::Engine;
use crate::feedback::{self, FeedbackRequest, FeedbackTaken};
use crate::learn::review::{self, ReviewList};
use crate::learn::votes::VotingReport;
use crate::outbox::by_hand;
pub use access::bind;
use anyhow::{Result, bail};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use wengu_store::records::{Role, ScheduleRecord};
use wengu_store::{BackupReport, Batch};

pub(super) type Answer<T> = Result<Json<T>, Refusal>;

/// Serves until the daemon stops.
pub async fn serve(engine: Arc<Engine>, listeners: Listeners) -> Result<()> {
    access::serve(engine, listeners, rows()).await
}

/// Everything that can be asked, and the least role that it takes. There are no routes but these.
fn rows() -> Vec<Row> {
    use Reach::{Domain, Domains, Whole};
    use Role::{Admin, Operator, Viewer};
    vec![
        read("/v1/status", Viewer, Domains, status),
        read("/v1/files", Viewer, Domains, files),
        read("/v1/files/explain", Viewer, Domains, explain_file),
        read("/v1/files/review", Viewer, Domain, list_review),
        read("/v1/functions", Viewer, Domain, functions),
        read("/v1/learning", Viewer, Domain, learning),
        read("/v1/versions", Viewer, Domain, versions),
        read("/v1/versions/explain", Viewer, Domain, explain_version),
        read("/v1/run", Viewer, Domain, run),
        read("/v1/tune", Viewer, Domain, show_tuning),
        read("/v1/gate/explain", Viewer, Domain, explain_gate),
        read("/v1/gate/replay", Viewer, Domain, replay_gate),
        read("/v1/incidents", Viewer, Domains, list_incidents),
        read("/v1/webhooks", Viewer, Whole, webhooks),
        change("/v1/train", Operator, Domain, train),
        change("/v1/tune", Operator, Domain, tune),
        change("/v1/tune/reset", Operator, Domain, reset_tuning),
        change("/v1/files/release", Operator, Domain, release),
        change("/v1/files/retry", Operator, Domains, retry_files),
        change("/v1/files/review", Operator, Domain, decide_review),
        change("/v1/feedback", Operator, Domain, give_feedback).private(),
        change("/v1/incidents/silence", Operator, Domain, silence),
        change("/v1/webhooks/test", Operator, Whole, test_webhooks),
        change("/v1/webhooks/replay", Operator, Whole, replay_webhooks),
        change("/v1/store/verify", Operator, Whole, verify_store),
        change("/v1/rollback", Admin, Domain, rollback),
        change("/v1/promote", Admin, Domain, promote),
        change("/v1/gate/anchor", Admin, Domain, move_anchor),
        change("/v1/plugins/enable", Admin, Whole, enable_plugin),
        change("/v1/store/backup", Admin, Whole, backup_store),
        read("/v1/forget", Admin, Whole, forget::list),
        read("/v1/forget/show", Admin, Whole, forget::show),
        read("/v1/forget/key", Admin, Whole, forget::key),
        change("/v1/forget", Admin, Whole, forget::ask).private(),
        read("/v1/tokens", Admin, Whole, list_tokens),
        change("/v1/tokens", Admin, Whole, create_token),
        change("/v1/tokens/revoke", Admin, Whole, revoke_token),
    ]
}

/// Runs a view on a blocking thread: views read the disk.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Answer<T> {
    refusal::blocking(work).await.map(Json)
}

/// That what is named is configured.
fn known<T>(kind: &str, name: &str, configured: &BTreeMap<String, T>) -> Result<(), Refusal> {
    if configured.contains_key(name) {
        return Ok(());
    }
    let names: Vec<&str> = configured.keys().map(String::as_str).collect();
    Err(Refusal::new(
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

/// Of a caller who may see some domains only, the others are left out.
type Asking = Extension<Arc<Caller>>;

async fn status(State(engine): State<Arc<Engine>>, Extension(caller): Asking) -> Answer<Status> {
    blocking(move || {
        let mut status = views::status(&engine)?;
        status.domains.retain(|domain| caller.sees(&domain.name));
        Ok(status)
    })
    .await
}

#[derive(Deserialize)]
struct FilesQuery {
    domain: Option<String>,
    state: Option<String>,
}

async fn files(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Asking,
    Query(query): Query<FilesQuery>,
) -> Answer<Vec<FileView>> {
    if let Some(domain) = &query.domain {
        known_domain(&engine, domain)?;
    }
    blocking(move || {
        let mut files = views::files(&engine, query.domain.as_deref(), query.state.as_deref())?;
        files.retain(|file| caller.sees(&file.domain));
        Ok(files)
    })
    .await
}

#[derive(Deserialize)]
struct PathQuery {
    path: String,
}

async fn explain_file(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Asking,
    Query(query): Query<PathQuery>,
) -> Answer<FileExplanation> {
    blocking(move || views::explain_file(&engine, &query.path, |domain| caller.sees(domain))).await
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

async fn show_tuning(State(engine): State<Arc<Engine>>, Query(query): Query<DomainQuery>) -> Answer<TuneView> {
    known_domain(&engine, &query.domain)?;
    blocking(move || tuning::show(&engine, &query.domain)).await
}

async fn tune(State(engine): State<Arc<Engine>>, Json(request): Json<TuneRequest>) -> Answer<TuneView> {
    known_domain(&engine, &request.domain)?;
    blocking(move || tuning::ask(&engine, &request)).await
}

async fn reset_tuning(State(engine): State<Arc<Engine>>, Json(request): Json<DomainRequest>) -> Answer<TuneView> {
    known_domain(&engine, &request.domain)?;
    blocking(move || tuning::reset(&engine, &request.domain)).await
}

async fn release(State(engine): State<Arc<Engine>>, Json(request): Json<ReleaseRequest>) -> Answer<u64> {
    known_domain(&engine, &request.domain)?;
    blocking(move || crate::rollback::release(&engine, &request.domain, request.run)).await
}

async fn retry_files(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Asking,
    Json(request): Json<RetryRequest>,
) -> Answer<u64> {
    if let Some(domain) = &request.domain {
        known_domain(&engine, domain)?;
    }
    blocking(move || retry::ask(&engine, &request, |domain| caller.sees(domain))).await
}

async fn give_feedback(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<FeedbackRequest>,
) -> Answer<FeedbackTaken> {
    known_domain(&engine, &request.domain)?;
    blocking(move || feedback::take(&engine, &request)).await
}

async fn list_review(State(engine): State<Arc<Engine>>, Query(query): Query<DomainQuery>) -> Answer<ReviewList> {
    known_domain(&engine, &query.domain)?;
    blocking(move || review::list(&engine, &query.domain)).await
}

async fn decide_review(State(engine): State<Arc<Engine>>, Json(request): Json<ReviewRequest>) -> Answer<u64> {
    known_domain(&engine, &request.domain)?;
    blocking(move || match &request.what {
        Reviewed::Source(source) => {
            let domain = &engine.config.domains[&request.domain];
            review::decide_source(&engine, domain, source, request.accept).map(|()| 1)
        }
        Reviewed::Examples(id) => review::decide_examples(&engine, &request.domain, id, request.accept),
    })
    .await
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
    blocking(move || StoreVerified::of(&engine.store, &engine.layout)).await
}

async fn backup_store(
    State(engine): State<Arc<Engine>>,
    Json(request): Json<StoreBackupRequest>,
) -> Answer<BackupReport> {
    blocking(move || beside::save(&engine.store, &engine.layout, &request.to)).await
}

#[derive(Deserialize)]
struct IncidentsQuery {
    domain: Option<String>,
}

async fn list_incidents(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Asking,
    Query(query): Query<IncidentsQuery>,
) -> Answer<IncidentsView> {
    blocking(move || Ok(seen(judgements::incidents(&engine, query.domain.as_deref())?, &caller))).await
}

async fn silence(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Asking,
    Json(request): Json<SilenceRequest>,
) -> Answer<IncidentsView> {
    if let Some(domain) = &request.domain {
        known_domain(&engine, domain)?;
    }
    blocking(move || Ok(seen(judgements::silence(&engine, request)?, &caller))).await
}

/// What a caller may see of incidents and silences. A silence of no domain is of all, theirs too.
fn seen(mut view: IncidentsView, caller: &Caller) -> IncidentsView {
    view.open.retain(|incident| caller.sees(&incident.domain));
    view.silences
        .retain(|silence| silence.matcher.domain.as_ref().is_none_or(|domain| caller.sees(domain)));
    view
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

async fn list_tokens(State(engine): State<Arc<Engine>>) -> Answer<Vec<TokenView>> {
    blocking(move || tokens::list(&engine)).await
}

async fn create_token(State(engine): State<Arc<Engine>>, Json(request): Json<TokenRequest>) -> Answer<TokenMade> {
    for domain in &request.domains {
        known_domain(&engine, domain)?;
    }
    blocking(move || tokens::create(&engine, request)).await
}

async fn revoke_token(State(engine): State<Arc<Engine>>, Json(request): Json<TokenName>) -> Answer<TokenView> {
    blocking(move || tokens::revoke(&engine, request)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_table_is_what_people_were_told() {
        let mut table = String::new();
        for row in rows() {
            let route = row.route;
            writeln!(table, "{:8} {:?} {route}", route.least.name(), route.reach).unwrap();
        }
        insta::assert_snapshot!(table);
    }

    #[test]
    fn what_changes_something_is_not_a_viewers() {
        for row in rows() {
            assert!(!row.route.changes() || row.route.least > Role::Viewer, "{}", row.route);
        }
    }

    #[test]
    fn there_are_no_routes_but_those_of_the_table() {
        // A route that is added beside it would have no role.
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
        let mut places = Vec::new();
        for file in walk(&dir) {
            let text = std::fs::read_to_string(&file).unwrap();
            places.extend(text.matches(concat!(".rou", "te(")).map(|_| file.clone()));
        }
        assert_eq!(places, [dir.join("access/routes.rs")]);
    }

    fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        files.into_iter().chain(dirs.iter().flat_map(|dir| walk(dir))).collect()
    }
}
