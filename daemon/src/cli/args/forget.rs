//! `wengu forget`.

use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;

/// `wengu forget`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Takes a file or a case out of everything that wengu wrote, and trains again what had learned it. The reason is\nkept: do not name there what is forgotten. A case called like a command is typed as case:NAME.\n\nExamples:\n  wengu forget inbox/patient-17.pdf --dry-run\n  wengu forget P-1047 --reason \"consent withdrawn, ticket 88\"\n  wengu forget verify receipt.json --key RWQ..."
)]
pub struct ForgetArgs {
    /// What to do; forgets without it
    #[command(subcommand)]
    pub action: Option<ForgetAction>,
    /// A file's path, the hash that `wengu files explain` tells, or the id of a case: all its files
    #[arg(value_name = "FILE|SUBJECT")]
    pub what: Option<String>,
    /// Why, for the audit log and the receipt
    #[arg(long)]
    pub reason: Option<String>,
    /// Say what would go, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take versions that saw it out of service at once, and not when others take their place
    #[arg(long)]
    pub now: bool,
    /// Forget files that hold other cases as well in whole; deliver them again without the subject
    #[arg(long)]
    pub whole_files: bool,
    /// Delete the files in the watched folders too
    #[arg(long)]
    pub delete_source: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Do not wait until it is done
    #[arg(long)]
    pub no_wait: bool,
}

/// `wengu forget …`.
#[derive(Debug, Subcommand)]
pub enum ForgetAction {
    /// What was forgotten, and what is being
    List,
    /// One of them, with its receipt
    Show {
        /// Its id
        id: String,
    },
    /// Check a receipt against its signature, RECEIPT.minisig
    Verify {
        /// The receipt
        receipt: PathBuf,
        /// The public key [default: that of the daemon]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
    /// The public key of receipts, as minisign takes it
    PublicKey,
}
