//! What the rest of wengu sees of the configuration: checked values with units in their names, defaults filled in,
//! paths absolute.

use crate::api::Api;
use crate::problem::Problem;
use crate::section::Position;
use crate::sources::Sources;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use wengu_decide::gate::GateConfig;
use wengu_decide::serving::Server;
use wengu_decide::split::HeldOut;
use wengu_plugin_package::Keys;
use wengu_protocol::events::{Format, Language};
use wengu_protocol::job::{self, Device, Precision, Task};
use wengu_protocol::reader::Limits;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it came from.
    pub path: PathBuf,
    /// Where all state lives.
    pub state_dir: PathBuf,
    /// The control socket; `state_dir/wengu.sock` unless set.
    pub socket: PathBuf,
    /// Who may ask for what.
    pub api: Api,
    /// How training jobs are run.
    pub trainer: Trainer,
    /// How documents of others are turned into text.
    pub reader: Reader,
    /// `[plugins] keys`: whose signatures of plugins count.
    pub plugin_keys: Keys,
    /// Base models by name.
    pub models: BTreeMap<String, Model>,
    /// Domains by name.
    pub domains: BTreeMap<String, Domain>,
    /// Webhook endpoints by name.
    pub webhooks: BTreeMap<String, Webhook>,
    /// `[incidents]`.
    pub incidents: Incidents,
    /// `[disk]`.
    pub disk: Disk,
    /// `[store]`.
    pub store: StoreSettings,
    /// `[encryption]`: where the key is that texts are sealed with; None: they are kept as they are.
    pub encryption: Option<Source>,
    /// What is allowed but looks like a mistake.
    pub warnings: Vec<Problem>,
    /// Where each key stands in the file.
    pub(crate) positions: BTreeMap<String, Position>,
}

/// `[trainer]`.
#[derive(Debug, Clone)]
pub struct Trainer {
    /// Program and leading arguments; the job directory is appended. Default: `wengu-trainer` beside `wengu`, or on PATH.
    pub command: Option<Vec<String>>,
    /// Threads for libtorch; 0 means all cores. Recorded in every job.
    pub threads: u32,
    /// Where jobs are made; None: in the state folder.
    pub jobs_dir: Option<PathBuf>,
    /// Memory that a job may have on the processor, and whose four fifths its steps are planned for; none: what is free then.
    pub memory_bytes: Option<u64>,
    /// A job that writes no progress for this long is stopped.
    pub no_progress: Duration,
    /// A job that runs longer is stopped.
    pub deadline: Duration,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
}

/// `[incidents]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incidents {
    /// An incident stays open for at least so long, or every night would open it anew.
    pub min_open: Duration,
    /// While it goes on, it is told again after so long.
    pub renotify: Duration,
}

/// `[disk]`: what is left undone when the file system of the state directory is nearly full. It all begins again by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// With less free space no training is begun.
    pub stop_training_free_bytes: u64,
    /// With less free space no file is taken, and a training that is under way is stopped at its checkpoint.
    pub stop_ingest_free_bytes: u64,
    /// Size of a file that is given up when the disk is full, so that records and alerts can still be written; 0: none.
    pub reserve_bytes: u64,
}

/// `[reader]`.
#[derive(Debug, Clone)]
pub struct Reader {
    /// What the process that reads one file may use.
    pub limits: Limits,
    /// What reads pictures; None: pages that are pictures are set aside.
    pub ocr: Option<Ocr>,
}

/// A program that gets a PDF as its standard input and writes its text to its standard output, pages set apart by form
/// feeds.
#[derive(Debug, Clone)]
pub struct Ocr {
    /// Program and arguments.
    pub command: Vec<String>,
    /// It is ended when it takes longer.
    pub time: Duration,
}

/// `[store]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSettings {
    /// What the index over the journal is kept in. A change of it is a rebuild at the next start.
    pub index: StoreIndex,
}

/// `[store] index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreIndex {
    /// sled.
    Sled,
    /// redb.
    Redb,
}

/// `[models.NAME]`.
#[derive(Debug, Clone)]
pub struct Model {
    /// A Hugging Face folder.
    pub path: PathBuf,
    /// The numbers that its frozen weights are held in.
    pub precision: Precision,
    /// Where it computes.
    pub device: Device,
}

/// `[domains.NAME]`.
#[derive(Debug, Clone)]
pub struct Domain {
    /// The table's name.
    pub name: String,
    /// Watched folders.
    pub watch: Vec<PathBuf>,
    /// Id of an installed plugin; None: records bring their labels, and text goes as it is.
    pub plugin: Option<String>,
    /// `[domains.NAME.plugin_config]`: the plugin's own settings, an object that only the plugin judges.
    pub plugin_config: serde_json::Value,
    /// Name of a `[models.*]` table.
    pub model: String,
    /// What the model answers.
    pub task: Task,
    /// Of labels that each apply or do not: the probability from which one does.
    pub label_threshold: f64,
    /// `serve`: the server that must be able to load its versions' adapters; None: any adapter is trained.
    pub serve: Option<Server>,
    /// `[domains.NAME.intake]`.
    pub intake: Intake,
    /// `[domains.NAME.schedule]`.
    pub schedule: Schedule,
    /// `[domains.NAME.learning]`.
    pub learning: Learning,
    /// `[domains.NAME.gate]`.
    pub gate: Gate,
    /// `[domains.NAME.sources]`.
    pub sources: Sources,
}

/// `[domains.NAME.intake]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    /// Field of structured records that holds the text.
    pub text_field: String,
    /// Field that holds the gold label.
    pub label_field: String,
    /// Between the labels of a text that may have several, where a format has no lists.
    pub label_separator: String,
    /// Field that names the case file; without it a file is one case.
    pub case_field: Option<String>,
    /// A file is taken when size, mtime and inode have stood still this long.
    pub settle: Duration,
    /// Period of the full scan that backs up file-system events.
    pub rescan: Duration,
    /// Name of a file that lies in every watched folder while its share is mounted; without it the folder counts as missing.
    pub marker: Option<String>,
    /// Larger files are quarantined.
    pub max_file_bytes: u64,
    /// Encoding label for files without a BOM that are not UTF-8; None: detect.
    pub encoding: Option<String>,
    /// Weak labels below this confidence count as no label.
    pub min_confidence: f64,
}

/// `[domains.NAME.schedule]`.
pub use wengu_decide::schedule::ScheduleConfig as Schedule;

/// `[domains.NAME.learning]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Learning {
    /// Root of all seeds of this domain.
    pub seed: u64,
    /// What is trained. Without `target_modules`: those of the model's queries and values, once it is known.
    pub method: job::Method,
    /// How it is trained, as in the job.
    pub training: job::Learning,
    /// Tokens a document is cut to.
    pub max_length: u32,
    /// Terms of the plugin's list that may get a token of their own, over all updates; 0: none.
    pub term_tokens: u32,
    /// Share of the new training examples that is not trained on and says when to stop.
    pub validation_percent: u32,
    /// Bound of the replay memory, text and logits counted.
    pub memory_bytes: u64,
    /// Comparisons trained and reported with every update, never promoted: "head_only", "plain".
    pub baselines: Vec<String>,
    /// Keys that the file itself sets, of those that fitting may change: what is set is left alone.
    pub explicit: Vec<&'static str>,
}

impl Learning {
    /// Whether the file itself sets a key that fitting may change.
    pub fn is_explicit(&self, key: &str) -> bool {
        self.explicit.contains(&key)
    }
}

/// `[domains.NAME.gate]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    /// Shares of the case files that are not learned from.
    pub held_out: HeldOut,
    /// Harmless updates that may be called regressions in a year; each run's level follows from it.
    pub false_alarms_per_year: f64,
    /// What a challenger must show, at the level of a seldom run.
    pub rules: GateConfig,
    /// A slide that is found after promotion puts the anchor back in service.
    pub auto_rollback: bool,
    /// Case files in folders of this name, under a watched folder, are the checklist: what must not break.
    pub checklist: Option<String>,
    /// Fields of records whose values are slices.
    pub slice_fields: Vec<String>,
    /// Labelling functions of the plugin whose votes are slices.
    pub slice_functions: Vec<String>,
}

/// `[webhooks.NAME]`.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The table's name.
    pub name: String,
    /// An address with http or https.
    pub url: Source,
    /// What is sent there, and what counts as success.
    pub format: Format,
    /// The language of its texts.
    pub language: Language,
    /// Begins every chat message.
    pub prefix: Option<String>,
    /// `standard`: one `whsec_…` a line, all of which sign. Others: the robot's secret, the bearer token, the routing key.
    pub secret: Option<Source>,
    /// Event types sent here; empty: all.
    pub events: Vec<String>,
    /// One attempt's limit.
    pub timeout: Duration,
    /// Plain http to a host that is not loopback is refused unless set.
    pub allow_http: bool,
    /// Addresses that are reached although they are loopback, link-local or a metadata service's.
    pub allow_addresses: Vec<IpNet>,
    /// Name of the endpoint that is told of what this one did not take.
    pub second_channel: Option<String>,
}

/// Where a secret stands, or an address that is one.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In the configuration.
    Plain(String),
    /// In a file.
    File(PathBuf),
    /// In a systemd credential of this name.
    Credential(String),
}

impl Source {
    /// The file to read; None for what is no file, or a credential of a process that systemd gave none.
    pub fn file(&self) -> Option<PathBuf> {
        match self {
            Source::Plain(_) => None,
            Source::File(path) => Some(path.clone()),
            Source::Credential(name) => Some(PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?).join(name)),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Plain(_) => f.write_str("Plain"),
            Source::File(path) => f.debug_tuple("File").field(path).finish(),
            Source::Credential(name) => f.debug_tuple("Credential").field(name).finish(),
        }
    }
}
