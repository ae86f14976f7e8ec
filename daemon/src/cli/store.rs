//! `wengu store`: checking, rebuilding, saving and bringing back what the daemon keeps.

use super::args::{StoreAction, StoreArgs};
use super::encrypt::encrypt;
use super::render::{count, say};
use super::{At, Exit};
use crate::api::client::Unreachable;
use crate::api::types::{StoreBackupRequest, StoreVerified};
use crate::beside::{self, Restored};
use crate::engine::store_options;
use crate::forget::Tombstones;
use crate::layout::Layout;
use anyhow::{Result, ensure};
use serde::Serialize;
use std::path::{Path, PathBuf};
use wengu_config::Config;
use wengu_store::{BackupReport, OpenReport, Options, Store, StoreError, backup, compact};

/// The exit code of a store's error.
pub fn exit(error: &StoreError) -> Exit {
    match error {
        StoreError::Locked { .. } => Exit::InUse,
        key if key.is_about_key() => Exit::Config,
        damaged if damaged.is_damage() => Exit::Damaged,
        _ => Exit::Failure,
    }
}

/// Who did it.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The running daemon, beside its work.
    Daemon,
    /// This command: no daemon runs.
    Command,
}

impl By {
    fn shown(self) -> &'static str {
        match self {
            By::Daemon => "online, by the running daemon",
            By::Command => "offline, no daemon is running",
        }
    }
}

#[derive(Serialize)]
struct Done<T> {
    by: By,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Rebuilt {
    commits: u64,
    index: String,
}

/// `wengu store`.
pub async fn store(at: At<'_>, args: StoreArgs, json: bool) -> Result<Exit> {
    match args.action {
        StoreAction::Verify { backup: None } => verify(at, json).await,
        StoreAction::Backup { dir: to } => save(at, to, json).await,
        StoreAction::Verify { backup: Some(from) } => {
            here(at)?;
            let found = backup::check(&from)?;
            say(json, &found, || {
                format!("{}: {} verified", from.display(), backup_shown(&found))
            })
        }
        StoreAction::Rebuild => {
            let (config, dir) = here(at)?;
            let options = Options {
                rebuild_index: true,
                ..store_options(&config)?
            };
            let (_, report) = open(&dir, options)?;
            let rebuilt = Rebuilt {
                commits: report.last_seq,
                index: store_options(&config)?.index.to_string(),
            };
            say(json, &rebuilt, || {
                let commits = count(rebuilt.commits, "commit");
                format!("the index was built anew in {} from {commits}", rebuilt.index)
            })
        }
        StoreAction::Restore { dir: from, tombstones } => {
            let (config, dir) = here(at)?;
            if let Some(other) = tombstones {
                // Before the store is there: once it is, a daemon may start on it.
                let found = Tombstones::load(&other)?;
                ensure!(
                    !found.all().is_empty(),
                    "there are no tombstones in {}",
                    other.display()
                );
                Tombstones::load(&Layout::new(&config.state_dir).forget())?.take_over(found)?;
            }
            restore(&config, &from, &dir, json)
        }
        StoreAction::Encrypt { old_key_file } => {
            let (config, dir) = here(at)?;
            refuse_missing(&dir)?;
            encrypt(&config, old_key_file.as_deref(), json)
        }
        StoreAction::Compact => {
            let (config, dir) = here(at)?;
            refuse_missing(&dir)?;
            let done = compact(&dir, &store_options(&config)?)?;
            say(json, &done, || {
                format!(
                    "the index takes {} bytes ({} before) for {} bytes of content; {} bytes of indexes set aside were removed",
                    done.after.disk_bytes, done.before.disk_bytes, done.after.live_bytes, done.quarantine_bytes
                )
            })
        }
    }
}

async fn verify(at: At<'_>, json: bool) -> Result<Exit> {
    let done = match at.connect()?.post_patiently("/v1/store/verify", &()).await {
        Ok(what) => Done { by: By::Daemon, what },
        Err(e) if e.is::<Unreachable>() && !at.is_remote() => Done {
            by: By::Command,
            what: {
                let (store, layout) = open_here(at)?;
                StoreVerified::of(&store, &layout)?
            },
        },
        Err(e) => return Err(e),
    };
    let found = &done.what;
    say(json, &done, || {
        let commits = count(found.commits, "commit");
        let (records, objects) = (count(found.records, "record"), count(found.objects, "object"));
        let mut text = format!("{commits}, {records}, {objects} read ({})", done.by.shown());
        for problem in &found.problems {
            text += &format!("\n{problem}");
        }
        match found.problems.is_empty() {
            true => text + ": all agrees",
            false => text,
        }
    })?;
    Ok(if found.problems.is_empty() {
        Exit::Success
    } else {
        Exit::Damaged
    })
}

async fn save(at: At<'_>, to: PathBuf, json: bool) -> Result<Exit> {
    ensure!(
        to.is_absolute() || !at.is_remote(),
        "{}: name a whole path on the daemon's machine",
        to.display()
    );
    let request = StoreBackupRequest {
        to: std::path::absolute(to)?,
    };
    let to = &request.to;
    let done: Done<BackupReport> = match at.connect()?.post_patiently("/v1/store/backup", &request).await {
        Ok(what) => Done { by: By::Daemon, what },
        Err(e) if e.is::<Unreachable>() && !at.is_remote() => Done {
            by: By::Command,
            what: {
                let (store, layout) = open_here(at)?;
                beside::save(&store, &layout, to)?
            },
        },
        Err(e) => return Err(e),
    };
    say(json, &done, || {
        let what = backup_shown(&done.what);
        format!("{what} written to {} and verified ({})", to.display(), done.by.shown())
    })
}

/// The configuration of this machine, and where its store is.
fn here(at: At<'_>) -> Result<(Config, PathBuf)> {
    let config = at.load()?;
    let dir = Layout::new(&config.state_dir).store();
    Ok((config, dir))
}

#[derive(Serialize)]
struct RestoredStore {
    #[serde(flatten)]
    report: BackupReport,
    /// Folders beside the store that were made.
    beside: Vec<String>,
    /// Those that were there and stay as they are.
    kept: Vec<String>,
}

fn restore(config: &Config, from: &Path, to: &Path, json: bool) -> Result<Exit> {
    let (options, layout) = (store_options(config)?, Layout::new(&config.state_dir));
    let mut beside = Restored::default();
    let report = backup::restore(from, to, &options, |saved| {
        beside = beside::restore(saved, &layout)?;
        Ok(())
    })?;
    let restored = RestoredStore {
        report,
        beside: beside.made,
        kept: beside.kept,
    };
    say(json, &restored, || {
        let mut text = format!(
            "{} restored to {}",
            backup_shown(&restored.report),
            config.state_dir.display()
        );
        if !restored.kept.is_empty() {
            text += &format!("\nleft as they were: {}", restored.kept.join(", "));
        }
        text
    })
}

/// The store, where no daemon has it open, and what lies where beside it.
fn open_here(at: At<'_>) -> Result<(Store, Layout)> {
    let (config, dir) = here(at)?;
    let (store, _) = open(&dir, store_options(&config)?)?;
    Ok((store, Layout::new(&config.state_dir)))
}

fn backup_shown(report: &BackupReport) -> String {
    format!(
        "{} in {}, {} bytes,",
        count(report.last_seq, "commit"),
        count(report.files, "file"),
        report.bytes
    )
}

fn open(dir: &Path, options: Options) -> Result<(Store, OpenReport)> {
    refuse_missing(dir)?;
    Ok(Store::open(dir, options)?)
}

/// Opening would make an empty one.
fn refuse_missing(dir: &Path) -> Result<()> {
    let journal: PathBuf = dir.join("journal");
    ensure!(
        journal.is_dir(),
        "there is no store in {}: name the right configuration with --config, or bring one back with `wengu store restore`",
        dir.display()
    );
    Ok(())
}
