//! `wengu store` and `wengu audit`.

use chrono::{DateTime, FixedOffset};
use clap::{Args as ClapArgs, Subcommand};
use std::path::PathBuf;
use wengu_store::Hash;

/// `wengu store`.
#[derive(Debug, ClapArgs)]
#[command(
    after_help = "Exits with 6 where something is damaged, with 75 where a running daemon has the store, with 78\nwhere the key is not the one that it is sealed with.\n\nExamples:\n  wengu store verify\n  wengu store backup /backup/wengu-2027-03-01\n  wengu store verify --backup /backup/wengu-2027-03-01"
)]
pub struct StoreArgs {
    /// What to do
    #[command(subcommand)]
    pub action: StoreAction,
}

/// `wengu store …`.
#[derive(Debug, Subcommand)]
pub enum StoreAction {
    /// Read everything: the journal, the index against it, every object, versions, marks and receipts of what was forgotten; beside the daemon
    /// if it runs
    Verify {
        /// Read this backup instead
        #[arg(long, value_name = "DIR")]
        backup: Option<PathBuf>,
    },
    /// Build the index anew from the journal; the daemon must be stopped
    Rebuild,
    /// Copy journal, objects, versions and plugins, and read the copy again; beside the daemon if it runs
    Backup {
        /// Where to; nothing may be there yet
        dir: PathBuf,
    },
    /// Make the store, and what lay beside it, from a backup; where a store is, nothing is done
    Restore {
        /// The backup
        dir: PathBuf,
        /// What was forgotten since: the `forget` folder of the state directory that the backup is of, or a copy of it.
        /// Needed where that state directory is not this one
        #[arg(long, value_name = "DIR")]
        tombstones: Option<PathBuf>,
    },
    /// Seal everything that is there with the key of the configuration; the daemon must be stopped. Interrupted, it goes on
    Encrypt {
        /// The key that it is sealed with now
        #[arg(long, value_name = "FILE")]
        old_key_file: Option<PathBuf>,
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
