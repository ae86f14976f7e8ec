//! What can be typed.

use chrono::{DateTime, FixedOffset};
use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;
use wengu_store::Hash;

/// 温故知新: keeps a domain model up to date from the case files that people drop into a folder, and never puts a worse
/// model in front of its users without saying so.
#[derive(Debug, Parser)]
#[command(name = "wengu", version, after_help = AFTER_HELP)]
pub struct Args {
    /// Configuration file [default: ./wengu.toml, then /etc/wengu/wengu.toml]
    #[arg(long, short, global = true, env = "WENGU_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  wengu init clinic && cd clinic     a new configuration
  wengu check                        every error of the configuration at once
  wengu run                          the daemon, in the foreground
  wengu status                       what it does
  wengu train contracts              an update now
  wengu rollback contracts           back to the version before

Exit codes: 0 done, 1 failed, 2 bad command line, 3 update held, 4 update regressed, 5 update failed,
6 store, backup or log damaged, 69 daemon not reachable, 75 store in use, 78 errors in the
configuration.";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a configuration to start from
    Init(InitArgs),
    /// Check the configuration and what it points to; all errors at once
    Check,
    /// Run the daemon in the foreground
    Run(RunArgs),
    /// What the daemon does: files, runs, versions, alerts
    Status,
    /// Case files and what became of each
    Files(FilesArgs),
    /// Start an update now and wait for its verdict
    Train(TrainArgs),
    /// Versions of a domain, and why each was promoted or not
    Versions(VersionsArgs),
    /// Put an earlier version back in service, with its memory and Fisher
    Rollback(RollbackArgs),
    /// Put a version in service against the gate
    Promote(PromoteArgs),
    /// What is wrong for longer than a run, and silences
    Incidents(IncidentsArgs),
    /// Write a page with curves: what the updates of a domain did to old and new work
    Report(ReportArgs),
    /// What the gate would do, before it has to
    Gate(GateArgs),
    /// Write a version as a model folder of its own, or its adapter alone, for other programs
    Export(ExportArgs),
    /// Install and list domain plugins
    Plugin(PluginArgs),
    /// List, test, replay, key and receive webhooks
    Webhook(WebhookArgs),
    /// Get base models
    Model(ModelArgs),
    /// Verify, rebuild, back up, restore and compact what the daemon keeps
    Store(StoreArgs),
    /// Verify and export the log of everything that was done
    Audit(AuditArgs),
}

/// `wengu store`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exits with 6 where something is damaged, with 75 where a running daemon has the store.\n\nExamples:\n  wengu store verify\n  wengu store backup /backup/wengu-2027-03-01\n  wengu store verify --backup /backup/wengu-2027-03-01"
)]
pub struct StoreArgs {
    /// What to do
    #[command(subcommand)]
    pub action: StoreAction,
}

/// `wengu store …`.
#[derive(Debug, Subcommand)]
pub enum StoreAction {
    /// Read everything: the journal, the index against it, every object; beside the daemon if it runs
    Verify {
        /// Read this backup instead
        #[arg(long, value_name = "DIR")]
        backup: Option<PathBuf>,
    },
    /// Build the index anew from the journal; the daemon must be stopped
    Rebuild,
    /// Copy journal and objects, and read the copy again; beside the daemon if it runs
    Backup {
        /// Where to; nothing may be there yet
        dir: PathBuf,
    },
    /// Make the store from a backup; where a store is, nothing is done
    Restore {
        /// The backup
        dir: PathBuf,
    },
    /// Give back the space of a bloated index and of indexes set aside; the daemon must be stopped
    Compact,
}

/// `wengu audit`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exits with 6 where the log is damaged or was changed.\n\nExamples:\n  wengu audit verify\n  wengu audit export --since 2027-03-01T00:00:00+08:00 --json"
)]
pub struct AuditArgs {
    /// What to do
    #[command(subcommand)]
    pub action: AuditAction,
}

/// `wengu audit …`.
#[derive(Debug, Subcommand)]
pub enum AuditAction {
    /// Check every checksum and hash, and tell the last one
    Verify {
        /// A commit and its hash as an earlier `verify` told them: nothing up to it may have changed
        #[arg(long, value_name = "SEQ:HASH", value_parser = noted)]
        noted: Option<(u64, Hash)>,
    },
    /// Write the log, oldest first; with --json one object a line
    Export {
        /// Only what happened then or later, as in 2027-03-01T22:00:00+08:00
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<FixedOffset>>,
    },
}

fn noted(text: &str) -> Result<(u64, Hash), String> {
    let (seq, hash) = text
        .split_once(':')
        .ok_or("a commit's number, `:` and its hash are expected")?;
    let seq = seq.parse().map_err(|_| format!("{seq} is not a number"))?;
    Ok((seq, hash.parse().map_err(|e| format!("{e}"))?))
}

/// `wengu init`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  wengu init clinic --domain cardiology --model ~/models/bge-base-zh")]
pub struct InitArgs {
    /// Folder to put wengu.toml, inbox and state in
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Name of the first domain
    #[arg(long, default_value = "contracts")]
    pub domain: String,
    /// Folder of the base model
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Plugin of the first domain
    #[arg(long, value_name = "ID")]
    pub plugin: Option<String>,
}

/// `wengu gate`.
#[derive(Debug, ClapArgs)]
pub struct GateArgs {
    /// What to do
    #[command(subcommand)]
    pub action: GateAction,
}

/// `wengu gate …`.
#[derive(Debug, Subcommand)]
pub enum GateAction {
    /// Why a run was promoted or not: the numbers, the levels, and the items that flipped
    Explain(ExplainGateArgs),
    /// Judge a run again from what was recorded: the same verdict, byte for byte
    Replay(ReplayArgs),
    /// Make another version the one that slow slides are measured against
    Anchor(AnchorArgs),
    /// How often the gate would promote, hold and call regressed a challenger that is so much worse
    Simulate(SimulateArgs),
}

/// `wengu gate explain`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  wengu gate explain contracts\n  wengu gate explain contracts 7 --json")]
pub struct ExplainGateArgs {
    /// The domain
    pub domain: String,
    /// The run [default: the last that was judged]
    pub run: Option<u64>,
}

/// `wengu gate replay`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Exits with 1 where another verdict comes out.\n\nExample:\n  wengu gate replay contracts 7")]
pub struct ReplayArgs {
    /// The domain
    pub domain: String,
    /// The run
    pub run: u64,
}

/// `wengu gate anchor`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What was counted against the old anchor is forgotten.\n\nExample:\n  wengu gate anchor contracts --reason \"reviewed by Dr. Wang\""
)]
pub struct AnchorArgs {
    /// The domain
    pub domain: String,
    /// The version [default: the one in service]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
    /// Why; it goes into the audit log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// `wengu incidents`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  wengu incidents\n  wengu incidents silence --domain contracts --hours 8 --reason \"server move\""
)]
pub struct IncidentsArgs {
    /// What to do; lists without it
    #[command(subcommand)]
    pub action: Option<IncidentsAction>,
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
}

/// `wengu incidents …`.
#[derive(Debug, Subcommand)]
pub enum IncidentsAction {
    /// Tell nobody of what begins or goes on meanwhile
    Silence(SilenceArgs),
}

/// `wengu incidents silence`.
#[derive(Debug, ClapArgs)]
pub struct SilenceArgs {
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// Only this slice: `all`, an era, or `kind=value`
    #[arg(long)]
    pub slice: Option<String>,
    /// Only this metric
    #[arg(long)]
    pub metric: Option<String>,
    /// For how long
    #[arg(long, value_name = "N", value_parser = hours)]
    pub hours: f64,
    /// From when on, as in 2027-03-01T22:00:00+08:00 [default: now]
    #[arg(long, value_name = "TIME")]
    pub from: Option<DateTime<FixedOffset>>,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if hours > 0.0 && hours <= 24.0 * 365.0 {
        Ok(hours)
    } else {
        Err("it has to be above 0 and a year at most".into())
    }
}

/// `wengu promote`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The reason goes into the audit log and is shown until the gate promotes the next version.\n\nExample:\n  wengu promote contracts 0004-4f1c09ab34de --force --reason \"the old labels were wrong\""
)]
pub struct PromoteArgs {
    /// The domain
    pub domain: String,
    /// The version
    pub version: String,
    /// Against the gate
    #[arg(long)]
    pub force: bool,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `wengu gate simulate`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Example:\n  wengu gate simulate --items 500 --reserve 1000 --drop 5 --churn 10\n\nNeeds neither a daemon nor a \
                  configuration."
)]
pub struct SimulateArgs {
    /// Items of the gate set
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub items: u64,
    /// Items of the reserve; 0 for none
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub reserve: u64,
    /// How many points the challenger is worse; 0 for a harmless update
    #[arg(long, value_name = "POINTS", default_value_t = 5.0, allow_negative_numbers = true)]
    pub drop: f64,
    /// On how many items of a hundred exactly one of both versions is right
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0)]
    pub churn: f64,
    /// How many items of a hundred the champion has right
    #[arg(long, value_name = "PERCENT", default_value_t = 85.0)]
    pub accuracy: f64,
    /// Drop that must be ruled out
    #[arg(long, value_name = "POINTS", default_value_t = 5.0)]
    pub margin: f64,
    /// Promote whatever has not regressed
    #[arg(long)]
    pub permissive: bool,
    /// False alarms that you put up with in a year
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    pub false_alarms_per_year: f64,
    /// Updates a year
    #[arg(long, value_name = "N", default_value_t = 365.0)]
    pub runs_per_year: f64,
    /// Runs to simulate
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub repeats: u64,
    /// The same number gives the same runs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
}

/// `wengu report`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The page needs nothing but a browser and loads nothing.\n\nExamples:\n  wengu report contracts\n  wengu report contracts --out /srv/www/contracts.html\n  wengu report contracts --json"
)]
pub struct ReportArgs {
    /// The domain
    pub domain: String,
    /// File to write [default: ./DOMAIN-report.html]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `wengu run`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "SIGTERM and SIGINT drain and stop within 30 s; what was under way goes on at the next start.\nWENGU_LOG sets what is logged.\n\nExamples:\n  wengu run\n  WENGU_LOG=wengu=debug wengu run --log-json 2>> wengu.log"
)]
pub struct RunArgs {
    /// Write the log as JSON lines
    #[arg(long)]
    pub log_json: bool,
}

/// `wengu files`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  wengu files --state quarantined\n  wengu files explain inbox/contract-17.txt")]
pub struct FilesArgs {
    /// What to do; lists without it
    #[command(subcommand)]
    pub action: Option<FilesAction>,
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// Only this state
    #[arg(long, value_parser = ["ingested", "pooled", "learned", "held_back", "unlabelled", "quarantined", "duplicate"])]
    pub state: Option<String>,
}

/// `wengu files …`.
#[derive(Debug, Subcommand)]
pub enum FilesAction {
    /// Everything about one file: how it was read, its examples, what happened to it
    Explain {
        /// The file
        path: PathBuf,
    },
    /// Put files that were held back into the pool again: you say that they are right
    Release {
        /// The domain
        domain: String,
        /// Only files that this run set aside
        #[arg(long)]
        run: Option<u64>,
    },
}

/// `wengu train`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Looks at the watched folders first, and joins an update that is under way.\n\nExamples:\n  wengu train contracts\n  wengu train contracts --json | jq .accuracy"
)]
pub struct TrainArgs {
    /// The domain
    pub domain: String,
    /// Do not wait for the verdict
    #[arg(long)]
    pub no_wait: bool,
}

/// `wengu versions`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  wengu versions contracts\n  wengu versions explain contracts 0002-4f1c09ab34de"
)]
pub struct VersionsArgs {
    /// What to do; lists without it
    #[command(subcommand)]
    pub action: Option<VersionsAction>,
    /// The domain
    pub domain: Option<String>,
}

/// `wengu versions …`.
#[derive(Debug, Subcommand)]
pub enum VersionsAction {
    /// Where a version comes from, how it was judged, and which answers changed
    Explain {
        /// The domain
        domain: String,
        /// The version [default: the one in service]
        id: Option<String>,
    },
}

/// `wengu rollback`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:\n  wengu rollback contracts\n  wengu rollback contracts --to 0003-4f1c09ab34de")]
pub struct RollbackArgs {
    /// The domain
    pub domain: String,
    /// The version to go back to [default: the parent of the one in service]
    #[arg(long, value_name = "VERSION")]
    pub to: Option<String>,
}

/// `wengu export`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "The daemon need not run. The folder must not exist; it has its name only when it is whole.\n\nExamples:\n  wengu export contracts --merged models/contracts-17\n  wengu export contracts --adapter adapters/contracts-17 --version 0017-5c7bb5f9139b"
)]
pub struct ExportArgs {
    /// The domain
    pub domain: String,
    /// What is written, and where
    #[command(flatten)]
    pub target: ExportTarget,
    /// The version [default: the one in service]
    #[arg(long, value_name = "ID")]
    pub version: Option<String>,
    /// How numbers are written [default: as in the base model]
    #[arg(long, value_enum, conflicts_with = "adapter")]
    pub dtype: Option<Dtype>,
}

/// What is written.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub struct ExportTarget {
    /// A model that transformers loads, the adapter merged into its weights
    #[arg(long, value_name = "FOLDER")]
    pub merged: Option<PathBuf>,
    /// The adapter alone, as PEFT loads it, or AdapterHub's library what the method "bottleneck" trained
    #[arg(long, value_name = "FOLDER")]
    pub adapter: Option<PathBuf>,
}

/// How numbers are stored.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Dtype {
    /// 32 bits
    F32,
    /// 16 bits with F32's range; merging rounds
    Bf16,
    /// 16 bits; merging rounds
    F16,
}

/// `wengu plugin`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Examples:\n  wengu plugin install contracts-1.0.0.tar.gz\n  wengu plugin install plugins/legal-en --library target/debug/libwengu_plugin_legal_en.so --allow-unsigned\n  wengu plugin new triage --lang c"
)]
pub struct PluginArgs {
    /// What to do
    #[command(subcommand)]
    pub action: PluginAction,
}

/// `wengu plugin …`.
#[derive(Debug, Subcommand)]
pub enum PluginAction {
    /// Check a package, copy it into the state directory, and put it to use
    Install(PackageArgs),
    /// The same, over an older version alone
    Upgrade(PackageArgs),
    /// Put an earlier version to use again
    Rollback {
        /// The plugin's id
        id: String,
        /// The version to go back to [default: the one before the one in use]
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// Installed plugins
    List,
    /// Everything about one plugin
    Info {
        /// The plugin's id
        id: String,
    },
    /// Read the installed libraries again and compare them with what was installed
    Verify {
        /// The plugin's id; every plugin without it
        id: Option<String>,
    },
    /// Take a plugin out of the state directory
    Remove {
        /// The plugin's id
        id: String,
        /// Also if a domain of the configuration names it
        #[arg(long)]
        force: bool,
    },
    /// How often each labelling function of a domain speaks, agrees and is right
    #[command(
        after_help = "Counts every text of the domain once. The estimated accuracy is learned from agreement alone; \"on gold\" is counted\nwhere a text has a label of its own. The weight is less than 1 for a function that says what others say.\n\nExample:\n  wengu plugin functions contracts"
    )]
    Functions {
        /// The domain
        domain: String,
    },
    /// Give a plugin no more files; they wait
    Disable {
        /// The plugin's id
        id: String,
    },
    /// Let a plugin be started again that was disabled or failed too often
    Enable {
        /// The plugin's id
        id: String,
    },
    /// Begin a plugin of your own: a folder that builds, installs and labels
    New {
        /// Its name: a-z, 0-9 and -
        name: String,
        /// What it is written in
        #[arg(long, value_enum, default_value = "rust")]
        lang: PluginLang,
        /// The folder to make [default: the name]
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
    /// Try a plugin against every rule of the ABI, each case in a process of its own
    #[command(disable_help_flag = true)]
    Check {
        /// What `wengu-plugin-check` takes; --help tells
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "PACKAGE | OPTIONS"
        )]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Make a package of your own plugin, ready to be signed
    Pack {
        /// Folder with manifest.toml
        source: PathBuf,
        /// The library, where it is not in the folder
        #[arg(long, value_name = "FILE")]
        library: Option<PathBuf>,
        /// The package's folder, which is made
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

/// Languages that `wengu plugin new` knows.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum PluginLang {
    /// With the safe SDK
    Rust,
    /// With the header alone
    C,
}

/// The package of `wengu plugin install` and `upgrade`.
#[derive(Debug, ClapArgs)]
pub struct PackageArgs {
    /// A folder with manifest.toml, a .tar.gz of one, or the library in one
    pub package: PathBuf,
    /// The library, where it is not in the folder
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Also without a signature by one of `[plugins] keys`; `wengu status` goes on telling
    #[arg(long)]
    pub allow_unsigned: bool,
}

/// `wengu webhook`.
#[derive(Debug, ClapArgs)]
pub struct WebhookArgs {
    /// What to do
    #[command(subcommand)]
    pub action: WebhookAction,
}

/// `wengu webhook …`.
#[derive(Debug, Subcommand)]
pub enum WebhookAction {
    /// Receive webhooks on this machine, verify their signatures and print them
    #[command(
        after_help = "Example:\n  (umask 077; wengu webhook secret > webhook.secret)\n  wengu webhook listen --port 9099 --secret-file webhook.secret"
    )]
    Listen {
        /// Port on 127.0.0.1
        #[arg(long, default_value_t = 9099)]
        port: u16,
        /// File with the secret that the sender signs with
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// Leave after so many events
        #[arg(long, value_name = "N")]
        count: Option<u64>,
    },
    /// Endpoints, what waits for each, what was given up, and what came of the last attempt
    List,
    /// Send a test event to one endpoint or every one, through the daemon's outbox
    Test {
        /// The endpoint
        endpoint: Option<String>,
    },
    /// Send again, under the same ids, what was given up
    #[command(
        after_help = "Examples:\n  wengu webhook replay oncall\n  wengu webhook replay --since 2026-03-01T00:00:00Z"
    )]
    Replay {
        /// The endpoint; all without one
        endpoint: Option<String>,
        /// Only what happened since this time
        #[arg(long, value_name = "TIME")]
        since: Option<DateTime<FixedOffset>>,
        /// Only the event with this id
        #[arg(long, value_name = "ID")]
        event: Option<String>,
    },
    /// Put a new secret into an endpoint's secret file; the old one signs beside it for a while
    #[command(after_help = "Takes effect with the next delivery; the daemon need not be started anew.")]
    RotateSecret {
        /// The endpoint, of format `standard`
        endpoint: String,
        /// So long both sign, for receivers to change over
        #[arg(long, value_name = "HOURS", default_value_t = 24)]
        overlap_hours: u32,
    },
    /// Print a new signing secret
    Secret,
}

/// `wengu model`.
#[derive(Debug, ClapArgs)]
pub struct ModelArgs {
    /// What to do
    #[command(subcommand)]
    pub action: ModelAction,
}

/// `wengu model …`.
#[derive(Debug, Subcommand)]
pub enum ModelAction {
    /// Download a model from the Hugging Face hub, going on where an earlier try was cut (HF_ENDPOINT names a mirror, HF_TOKEN a
    /// token; HF_HUB_OFFLINE=1 takes it from the cache in HF_HOME)
    #[command(after_help = "Example:\n  HF_ENDPOINT=https://hf-mirror.com wengu model pull BAAI/bge-small-zh-v1.5")]
    Pull {
        /// ORGANISATION/NAME
        repo: String,
        /// Revision: a branch, a tag or a commit
        #[arg(long, default_value = "main")]
        revision: String,
        /// Where to put it [default: models/NAME beside the configuration]
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Check a model folder and print the lines that the configuration needs
    Add {
        /// A Hugging Face folder
        dir: PathBuf,
    },
    /// Parameters, what each method trains of them, and the memory that training and serving take (an estimate)
    Info(ModelInfoArgs),
}

/// `wengu model info`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Example:\n  wengu model info models/Qwen2.5-0.5B --rank 16 --lengths 512,4096")]
pub struct ModelInfoArgs {
    /// A Hugging Face folder
    pub folder: PathBuf,
    /// Rank of the adapter
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub rank: u64,
    /// Labels of the head
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub labels: u64,
    /// Tokens of a trained prompt
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub prompt_tokens: u64,
    /// How many times narrower than the model bottleneck adapters are
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub reduction_factor: u32,
    /// Examples at once in training
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub batch: u64,
    /// Lengths to tell the memory for, in tokens
    #[arg(long, value_delimiter = ',', default_values_t = [128, 512, 2048], value_parser = clap::value_parser!(u64).range(1..=16_777_216))]
    pub lengths: Vec<u64>,
}
