//! `wengu store`: checking, rebuilding, saving and bringing back what the daemon keeps.

use super::args::{StoreAction, StoreArgs};
use super::encrypt::encrypt;
use super::render::count;
use super::{At, Exit};
use crate::api::client::{Client, Unreachable};
use crate::api::types::{StoreBackupRequest, StoreVerified};
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
        StoreAction::Verify { backup: None } if at.is_remote() => {
            let what = at.connect()?.post_patiently("/v1/store/verify", &()).await?;
            return verified(&Done { by: By::Daemon, what }, json);
        }
        StoreAction::Backup { dir: to } if at.is_remote() => {
            ensure!(
                to.is_absolute(),
                "{}: name a whole path on the daemon's machine",
                to.display()
            );
            let request = StoreBackupRequest { to };
            let what = at.connect()?.post_patiently("/v1/store/backup", &request).await?;
            return saved(&Done { by: By::Daemon, what }, &request.to, json);
        }
        _ => {}
    }
    let config = &at.load()?;
    let dir = Layout::new(&config.state_dir).store();
    match args.action {
        StoreAction::Verify { backup: Some(from) } => {
            let found = backup::check(&from)?;
            say(json, &found, || {
                format!("{}: {} verified", from.display(), backup_shown(&found))
            })
        }
        StoreAction::Verify { backup: None } => verify(config, &dir, json).await,
        StoreAction::Rebuild => {
            let options = Options {
                rebuild_index: true,
                ..store_options(config)?
            };
            let (_, report) = open(&dir, options)?;
            let rebuilt = Rebuilt {
                commits: report.last_seq,
                index: store_options(config)?.index.to_string(),
            };
            say(json, &rebuilt, || {
                let commits = count(rebuilt.commits, "commit");
                format!("the index was built anew in {} from {commits}", rebuilt.index)
            })
        }
        StoreAction::Backup { dir: to } => save(config, &dir, &std::path::absolute(to)?, json).await,
        StoreAction::Restore { dir: from, tombstones } => {
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
            let restored = backup::restore(&from, &dir, &store_options(config)?)?;
            say(json, &restored, || {
                format!("{} restored to {}", backup_shown(&restored), dir.display())
            })
        }
        StoreAction::Encrypt { old_key_file } => {
            refuse_missing(&dir)?;
            encrypt(config, old_key_file.as_deref(), json)
        }
        StoreAction::Compact => {
            refuse_missing(&dir)?;
            let done = compact(&dir, &store_options(config)?)?;
            say(json, &done, || {
                format!(
                    "the index takes {} bytes ({} before) for {} bytes of content; {} bytes of indexes set aside were removed",
                    done.after.disk_bytes, done.before.disk_bytes, done.after.live_bytes, done.quarantine_bytes
                )
            })
        }
    }
}

async fn verify(config: &Config, dir: &Path, json: bool) -> Result<Exit> {
    let client = Client::new(&config.socket)?;
    let done = match client.post_patiently("/v1/store/verify", &()).await {
        Ok(what) => Done { by: By::Daemon, what },
        Err(e) if e.is::<Unreachable>() => {
            let (store, _) = open(dir, store_options(config)?)?;
            let what = StoreVerified::of(&store)?;
            Done { by: By::Command, what }
        }
        Err(e) => return Err(e),
    };
    verified(&done, json)
}

fn verified(done: &Done<StoreVerified>, json: bool) -> Result<Exit> {
    let found = &done.what;
    say(json, done, || {
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

async fn save(config: &Config, dir: &Path, to: &Path, json: bool) -> Result<Exit> {
    let request = StoreBackupRequest { to: to.to_path_buf() };
    let client = Client::new(&config.socket)?;
    let done: Done<BackupReport> = match client.post_patiently("/v1/store/backup", &request).await {
        Ok(what) => Done { by: By::Daemon, what },
        Err(e) if e.is::<Unreachable>() => {
            let what = open(dir, store_options(config)?)?.0.backup(to)?;
            Done { by: By::Command, what }
        }
        Err(e) => return Err(e),
    };
    saved(&done, to, json)
}

fn saved(done: &Done<BackupReport>, to: &Path, json: bool) -> Result<Exit> {
    say(json, done, || {
        let what = backup_shown(&done.what);
        format!("{what} written to {} and verified ({})", to.display(), done.by.shown())
    })
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

fn say(json: bool, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<Exit> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(value)?),
        false => println!("{}", text()),
    }
    Ok(Exit::Success)
}
