//! What the daemon answers. `--json` prints these as they are.

use crate::learn::evaluator::PluginScores;
use crate::learn::scores::BothScores;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use wengu_decide::gate::{Comparison, Verdict};
use wengu_decide::incident::Silence;
use wengu_decide::metrics::StreamScores;
use wengu_protocol::job::Progress;
use wengu_store::records::{Counts, EraAccuracy, RunState};

/// A piece of a text that labelling functions voted on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SpanView {
    /// First byte in the text.
    pub begin: u32,
    /// One past the last.
    pub end: u32,
    /// The piece itself.
    pub text: String,
    /// The likeliest label.
    pub label: String,
    /// How likely it is.
    pub probability: f64,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Version of wengu.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// When it started.
    pub started_ms: i64,
    /// When this was answered.
    pub now_ms: i64,
    /// By domain.
    pub domains: Vec<DomainStatus>,
    /// The outbox.
    pub alerts: AlertStatus,
    /// Plugins that were installed with `--allow-unsigned`, as `ID VERSION`.
    pub unsigned_plugins: Vec<String>,
}

/// One domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainStatus {
    /// Its name.
    pub name: String,
    /// Files by state.
    pub files: BTreeMap<String, u64>,
    /// Examples that wait for the next update.
    pub new_examples: u64,
    /// The version in service.
    pub serving: Option<Serving>,
    /// The run under way, if any.
    pub run: Option<RunView>,
    /// The last run that came to an end.
    pub last_run: Option<RunView>,
    /// Files are coming in or being read.
    pub intake_busy: bool,
    /// Watched folders that are missing or degraded, plugins that fail.
    pub problems: Vec<String>,
    /// Why nothing starts, or what does, in a sentence.
    pub next: String,
}

/// The version in service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serving {
    /// Its id.
    pub version: String,
    /// Since when.
    pub since_ms: i64,
    /// `promoted`, `rolled_back` or `forced`.
    pub how: String,
    /// Labels it knows.
    pub labels: u64,
    /// Gate accuracy over all eras when it was judged.
    pub accuracy: f64,
    /// Where it lies.
    pub path: String,
}

/// A run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunView {
    /// The domain.
    pub domain: String,
    /// Its number.
    pub run: u64,
    /// Why it was started.
    pub reason: String,
    /// Where it is in its life.
    pub state: RunState,
    /// `update` or the baseline that is measured, while a trainer works on it.
    pub stage: Option<String>,
    /// The trainer's last word.
    pub progress: Option<Progress>,
    /// New training examples.
    pub train_examples: u64,
    /// New gate items.
    pub new_gate_items: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The version it made.
    pub version: Option<String>,
    /// The gate's decision.
    pub decision: Option<String>,
    /// The gate's reasons, in plain sentences.
    pub reasons: Vec<String>,
    /// Accuracy per era.
    pub accuracy: Vec<EraAccuracy>,
    /// When it was planned.
    pub planned_ms: i64,
    /// When it came to its end.
    pub ended_ms: Option<i64>,
}

/// The outbox.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AlertStatus {
    /// To be sent, or to be sent again.
    pub waiting: u64,
    /// Taken by their receivers.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// What the last failed attempt met.
    pub last_error: Option<String>,
}

/// `GET /v1/webhooks`: an endpoint, and what the outbox holds for it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WebhookView {
    /// Its name.
    pub name: String,
    /// Whether the configuration knows it; events for others wait until it does.
    pub configured: bool,
    /// The format's name.
    pub format: String,
    /// Where it is; where the address is a secret, where that stands.
    pub address: String,
    /// Types of events that it gets; empty: all.
    pub events: Vec<String>,
    /// Who is told of what it did not take.
    pub second_channel: Option<String>,
    /// To be sent, or to be sent again.
    pub pending: u64,
    /// Taken, in the last 30 days.
    pub delivered: u64,
    /// Given up.
    pub dead: u64,
    /// When the oldest pending event happened.
    pub oldest_pending_ms: Option<i64>,
    /// When the next is tried.
    pub next_attempt_ms: Option<i64>,
    /// What came of the newest event that was tried, in a few words.
    pub last_outcome: Option<String>,
}

/// `POST /v1/webhooks/test`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TestRequest {
    /// The endpoint; none: all.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// `POST /v1/webhooks/replay`: what was given up, once more. What is not said is no condition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplayRequest {
    /// Of this endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// This event.
    #[serde(default)]
    pub event: Option<String>,
    /// What happened since then.
    #[serde(default)]
    pub since_ms: Option<i64>,
}

/// What came of a [`ReplayRequest`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReplayAnswer {
    /// Events that are pending again.
    pub replayed: u64,
    /// Events of incidents whose later events had arrived: they stay given up.
    pub overtaken: u64,
}

/// `GET /v1/files`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileView {
    /// The domain.
    pub domain: String,
    /// The path.
    pub path: String,
    /// Its state's name.
    pub state: String,
    /// The state in a sentence.
    pub explanation: String,
    /// Whether the file is still in its folder.
    pub present: bool,
    /// Content revision.
    pub revision: u32,
    /// Examples in it.
    pub counts: Option<Counts>,
    /// When the record last changed.
    pub updated_ms: i64,
}

/// `GET /v1/files/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileExplanation {
    /// The file.
    pub file: FileView,
    /// BLAKE3 of its content.
    pub content: Option<String>,
    /// The case it belongs to where the records name none.
    pub case_key: String,
    /// How it was read: format, encoding, plugin.
    pub reading: Vec<String>,
    /// Its examples.
    pub examples: Vec<ExampleView>,
    /// Broken records by line.
    pub rejected: Vec<(u32, String)>,
    /// What happened to it, oldest first.
    pub history: Vec<(i64, String)>,
}

/// One example of an explained file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExampleView {
    /// Line in the file.
    pub line: u32,
    /// Its document inside the file, and how many pages that has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Which set its case belongs to.
    pub side: String,
    /// Its label.
    pub label: Option<String>,
    /// gold, weak with its confidence, or none.
    pub source: String,
    /// The beginning of the text.
    pub text: String,
    /// What the plugin's functions see in it, with the label model's probability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<SpanView>,
    /// Why it took no part in the run that planned with it.
    pub dropped: Option<String>,
}

/// `GET /v1/versions`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionView {
    /// Its id.
    pub id: String,
    /// The run that made it.
    pub run: u64,
    /// The version it continues.
    pub parent: Option<String>,
    /// The gate's decision.
    pub decision: String,
    /// Labels it knows.
    pub labels: u64,
    /// Gate accuracy over all eras when it was judged.
    pub accuracy: f64,
    /// Whether it serves now.
    pub serving: bool,
    /// When it was adopted.
    pub created_ms: i64,
}

/// `GET /v1/versions/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionExplanation {
    /// The version.
    pub version: VersionView,
    /// Its run.
    pub run: RunView,
    /// Where it lies.
    pub path: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Files it was made from.
    pub files: u64,
    /// Examples left out of the run, by reason.
    pub left_out: BTreeMap<String, u64>,
    /// Examples in its replay memory.
    pub memory_examples: u64,
    /// Accuracy on the audit sets.
    pub audit: Vec<EraAccuracy>,
    /// Macro F1 and calibration over all gate items.
    pub scores: Option<BothScores>,
    /// What the plugin's evaluator said of the same items.
    pub plugin_scores: Option<PluginScores>,
    /// What the updates that led to it did to old and new work.
    #[serde(default)]
    pub learning: Option<StreamScores>,
    /// Share of the held-out items that were right before and are wrong after.
    #[serde(default)]
    pub negative_flip_rate: Option<f64>,
    /// Items whose answer changed.
    pub flips: Vec<Flip>,
    /// SHA-256 of the base model's weights.
    pub base_sha256: String,
    /// Seed of the run.
    pub seed: u64,
    /// Plugins that labelled and segmented.
    pub plugins: Vec<String>,
}

/// `GET /v1/learning`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LearningHistory {
    /// The domain.
    pub domain: String,
    /// The version in service.
    pub serving: Option<String>,
    /// Every update that was judged, oldest first.
    pub updates: Vec<UpdateView>,
    /// The runs that led to the version in service and brought held-out items: rows and columns of the matrix.
    pub eras: Vec<u64>,
    /// Accuracy of the version of row i on the held-out items of column j.
    pub matrix: Vec<Vec<Option<f64>>>,
    /// What follows from the matrix.
    pub scores: Option<StreamScores>,
}

/// One judged update.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UpdateView {
    /// Its run.
    pub run: u64,
    /// The version that it made.
    pub version: Option<String>,
    /// The gate's decision.
    pub decision: String,
    /// New training examples.
    pub train_examples: u64,
    /// Examples in the version's replay memory.
    pub memory_examples: u64,
    /// When it was planned.
    pub planned_ms: i64,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Accuracy of all models on every era.
    pub accuracy: Vec<EraAccuracy>,
    /// Share of the held-out items that were right before and are wrong after.
    pub negative_flip_rate: Option<f64>,
}

/// An item that exactly one of champion and challenger has right.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Flip {
    /// The run that brought the item.
    pub era: u64,
    /// The item.
    pub text_id: String,
    /// What is right.
    pub label: String,
    /// What the champion said.
    pub champion: String,
    /// What the challenger said.
    pub challenger: String,
}

/// `POST /v1/train`, `POST /v1/rollback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DomainRequest {
    /// The domain.
    pub domain: String,
    /// The version to roll back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Look at the watched folders first, for files that came a moment ago.
    #[serde(default)]
    pub rescan: bool,
}

/// `POST /v1/files/release`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRequest {
    /// The domain.
    pub domain: String,
    /// Only files that this run set aside.
    pub run: Option<u64>,
}

/// `POST /v1/plugins/enable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginRequest {
    /// The plugin's id.
    pub plugin: String,
}

/// Answer to `POST /v1/plugins/enable`: the plugin may be started again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginEnabled {
    /// The plugin's id.
    pub plugin: String,
    /// Since when it was quarantined.
    pub quarantined_ms: i64,
    /// Failures that led to it.
    pub failures: u32,
    /// The last of them.
    pub reason: String,
}

/// Answer to `POST /v1/train`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainAnswer {
    /// The run that is under way, or the number that the next one will get.
    pub run: u64,
    /// Whether it was under way already.
    pub joined: bool,
    /// The watched folders are being looked at, or a delivery is still coming in: ask again.
    pub settling: bool,
    /// Why nothing will start, if nothing will.
    pub nothing_to_do: Option<String>,
}

/// Answer to `POST /v1/rollback`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RollbackAnswer {
    /// The domain.
    pub domain: String,
    /// What served before.
    pub from: String,
    /// What serves now.
    pub to: String,
    /// Files set aside.
    pub held_back_files: u64,
}

/// `GET /v1/gate/explain`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GateExplanation {
    /// The run.
    pub run: RunView,
    /// The decision with all that led to it.
    pub verdict: Verdict,
    /// Answers that the version in service was asked for twice; None: it was not.
    pub asked_twice: Option<u64>,
    /// New examples that the version in service had right before they were learned, and how many there were.
    pub fresh: Option<(u64, u64)>,
    /// The anchor, and what serves after the run against it, on audit items.
    pub with_anchor: Option<(String, Comparison)>,
    /// What the domain is held against now.
    pub anchor: Option<AnchorView>,
    /// Items whose answer became right or wrong.
    pub flips: Vec<Flip>,
}

/// What a domain's versions are held against.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnchorView {
    /// The version.
    pub version: String,
    /// Since when.
    pub since_ms: i64,
    /// Why.
    pub reason: String,
    /// Runs in a row that were significantly worse.
    pub worse_in_a_row: u32,
    /// Runs until a trend can be told.
    pub warm_up_left: u64,
    /// New examples that a version in service answered before they were learned.
    pub fresh_items: u64,
    /// Those it had right.
    pub fresh_right: u64,
    /// What the last run said.
    pub reasons: Vec<String>,
}

/// `GET /v1/gate/replay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// The run.
    pub run: u64,
    /// What was decided again.
    pub decision: String,
    /// Of the recorded verdict's bytes.
    pub recorded_blake3: String,
    /// Of the new one's.
    pub replayed_blake3: String,
    /// They are the same, byte for byte.
    pub same: bool,
}

/// `POST /v1/gate/anchor`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnchorRequest {
    /// The domain.
    pub domain: String,
    /// The version; None: the one in service.
    #[serde(default)]
    pub to: Option<String>,
    /// Why, for the audit log.
    pub reason: String,
}

/// `POST /v1/promote`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromoteRequest {
    /// The domain.
    pub domain: String,
    /// The version.
    pub version: String,
    /// Against the gate.
    pub force: bool,
    /// Why, for the audit log.
    pub reason: String,
}

/// `GET /v1/incidents`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IncidentsView {
    /// Those that are not over.
    pub open: Vec<IncidentView>,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
}

/// An incident.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IncidentView {
    /// Of domain, slice and metric.
    pub fingerprint: String,
    /// The domain.
    pub domain: String,
    /// `all`, an era, or a slice.
    pub slice: String,
    /// What is measured.
    pub metric: String,
    /// It fires; otherwise it is suspected.
    pub firing: bool,
    /// Since when.
    pub since_ms: i64,
    /// When it was last told.
    pub told_ms: Option<i64>,
    /// The run that last said something of it.
    pub run: u64,
    /// What was measured then.
    pub numbers: BTreeMap<String, f64>,
}

/// `POST /v1/incidents/silence`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SilenceRequest {
    /// Only this domain.
    pub domain: Option<String>,
    /// Only this slice.
    pub slice: Option<String>,
    /// Only this metric.
    pub metric: Option<String>,
    /// From when on.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Why, for people.
    pub reason: String,
}

/// `POST /v1/store/verify`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StoreVerified {
    /// Commits replayed.
    pub commits: u64,
    /// Records alive.
    pub records: u64,
    /// Objects read.
    pub objects: u64,
    /// What does not agree, for people.
    pub problems: Vec<String>,
}

/// `POST /v1/store/backup`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreBackupRequest {
    /// Where to, absolute.
    pub to: PathBuf,
}

/// Any refusal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// For people.
    pub error: String,
}
