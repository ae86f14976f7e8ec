//! What can be typed.

mod forget;
mod gate;
mod key;
mod model;
mod plugin;
mod store;
mod token;
mod tune;
mod webhook;

pub use forget::*;
pub use gate::*;
pub use key::*;
pub use model::*;
pub use plugin::*;
pub use store::*;
pub use token::*;
pub use tune::*;
pub use webhook::*;

use clap::{Args as ClapArgs, Parser, Subcommand};
use std::path::PathBuf;

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
    /// A daemon elsewhere
    #[command(flatten)]
    pub remote: RemoteArgs,
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
6 store, backup or log damaged, 69 daemon not reachable, 75 store in use, 77 not allowed,
78 errors in the configuration, or not the key that the store is encrypted with.";

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
    /// Tell what the right answer to a text would have been
    Feedback(FeedbackArgs),
    /// Start an update now and wait for its verdict
    Train(TrainArgs),
    /// Fit hyper-parameters to a domain, once
    Tune(TuneArgs),
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
    /// Make, list and revoke tokens for the API over TCP
    Token(TokenArgs),
    /// Make a key to encrypt with what the daemon keeps
    Key(KeyArgs),
    /// Get base models
    Model(ModelArgs),
    /// Verify, rebuild, back up, restore, encrypt and compact what the daemon keeps
    Store(StoreArgs),
    /// Take a file or a case out of everything that was written, and train again without it
    Forget(ForgetArgs),
    /// Verify and export the log of everything that was done
    Audit(AuditArgs),
}

/// `wengu feedback`.
#[derive(Debug, ClapArgs)]
pub struct FeedbackArgs {
    /// The domain
    pub domain: String,
    /// The text that was asked about; without it, or as `-`, standard input
    pub text: Option<String>,
    /// The right answer
    #[arg(long)]
    pub label: String,
    /// The case that the text is from, where the domain has a `case_field`
    #[arg(long)]
    pub case: Option<String>,
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
    /// Make a key as well, and encrypt with it what is kept
    #[arg(long)]
    pub encrypt: bool,
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
#[command(
    after_help = "Examples:\n  wengu files --state quarantined\n  wengu files explain inbox/contract-17.txt\n  wengu files retry inbox/contract-17.txt"
)]
pub struct FilesArgs {
    /// What to do; lists without it
    #[command(subcommand)]
    pub action: Option<FilesAction>,
    /// Which of them
    #[command(flatten)]
    pub list: FileListArgs,
}

/// Which files are listed.
#[derive(Debug, ClapArgs)]
pub struct FileListArgs {
    /// Only this domain
    #[arg(long)]
    pub domain: Option<String>,
    /// Only this state
    #[arg(long, value_parser = ["ingested", "pooled", "learned", "held_back", "unlabelled", "quarantined", "duplicate", "forgotten"])]
    pub state: Option<String>,
}

/// `wengu files …`.
#[derive(Debug, Subcommand)]
pub enum FilesAction {
    /// List them, as `wengu files` alone does
    Ls(FileListArgs),
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
        /// Instead: trust what comes from this folder below the watched one (`.` for the watched one itself)
        #[arg(long, value_name = "FOLDER", conflicts_with = "run")]
        source: Option<String>,
    },
    /// Read quarantined files again: what kept them from being read is gone
    Retry {
        /// The files
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// What waits for you: new sources that disagree with what is known, and examples that stand out
    Review {
        /// The domain
        domain: String,
        /// Learn the examples whose ids begin so, or all of `source:FOLDER`
        #[arg(long, value_name = "ID", conflicts_with = "reject")]
        accept: Option<String>,
        /// Never learn them
        #[arg(long, value_name = "ID")]
        reject: Option<String>,
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
