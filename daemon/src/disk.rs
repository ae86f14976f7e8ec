//! The file system of the state directory fills up: training stops first, then ingest, and a file is given up so that records
//! and alerts can be written to the end. All of it begins again by itself when there is space.

use crate::alerts;
use crate::clock::{now_ms, to_utc};
use crate::engine::Engine;
use anyhow::Result;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use wengu_alert::event::{Event, Incident};
use wengu_config::Disk as Settings;
use wengu_store::records::UnixMs;
use wengu_store::{Batch, Record, StoreError};

/// What the free space allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything.
    #[default]
    Ample,
    /// No training is begun.
    NoTraining,
    /// No file is taken and no training goes on.
    NoIngest,
}

/// Above a watermark by this part of it before what stopped there begins again: else it would begin and stop with each file.
const BACK_PART: u64 = 8;

/// The level that so many free bytes make of the one before.
fn level(free_bytes: u64, settings: &Settings, before: Level) -> Level {
    let below = |mark: u64, stopped: bool| free_bytes < mark + if stopped { mark / BACK_PART } else { 0 };
    if below(settings.stop_ingest_free_bytes, before >= Level::NoIngest) {
        Level::NoIngest
    } else if below(settings.stop_training_free_bytes, before >= Level::NoTraining) {
        Level::NoTraining
    } else {
        Level::Ample
    }
}

/// Commits that would leave less than this are refused by the store, whose index does not survive a full disk.
pub fn store_floor_bytes(settings: &Settings) -> u64 {
    match settings.reserve_bytes {
        0 => 16 << 20,
        reserve => reserve / 4,
    }
}

/// What was last measured.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    /// Free for wengu, counted as if the reserve were held.
    pub free_bytes: u64,
    /// What that allows.
    pub level: Level,
}

/// The file system of the state directory.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    reserve: PathBuf,
    settings: Settings,
    measured: Mutex<Measured>,
    /// The level that was last recorded, and told; none before the record was read.
    told: Mutex<Option<Level>>,
}

impl Disk {
    /// Measures it for the first time. A disk that is full already gets the reserve before the store is opened.
    pub fn open(state_dir: &Path, reserve: PathBuf, settings: Settings) -> Disk {
        let disk = Disk {
            dir: state_dir.to_path_buf(),
            reserve,
            settings,
            measured: Mutex::default(),
            told: Mutex::default(),
        };
        disk.look();
        disk
    }

    /// Measures, gives the reserve up or takes it back, and says what is allowed now.
    pub fn look(&self) -> Measured {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(free) = self.free_bytes() else {
            // A state directory that cannot be measured fails elsewhere, by name.
            return *measured;
        };
        let wanted = self.settings.reserve_bytes;
        let held = self.reserve.metadata().map_or(0, |m| m.len()).min(wanted);
        let free_bytes = (free + held).saturating_sub(wanted);
        let level = level(free_bytes, &self.settings, measured.level);
        let result = if held > 0 && free < wanted / 2 {
            std::fs::remove_file(&self.reserve).map(|()| false)
        } else if held < wanted && level < Level::NoIngest {
            self.hold().map(|()| true)
        } else {
            Ok(held > 0)
        };
        let reserve_held = result.unwrap_or_else(|e| {
            let reserve = self.reserve.display();
            tracing::warn!(%reserve, error = %e, "reserve_not_changed");
            held > 0
        });
        if (held > 0) != reserve_held {
            tracing::warn!(free_bytes, held = reserve_held, "disk_reserve");
        }
        *measured = Measured { free_bytes, level };
        *measured
    }

    fn told(&self) -> Option<Level> {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_told(&self, level: Level) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(level);
    }

    fn free_bytes(&self) -> nix::Result<u64> {
        let stat = statvfs(&self.dir)?;
        Ok(stat.blocks_available() * stat.fragment_size())
    }

    fn hold(&self) -> io::Result<()> {
        let mut options = File::options();
        let file = options.create(true).write(true).truncate(true).mode(0o600);
        let file = file.open(&self.reserve)?;
        let held = fallocate(&file, FallocateFlags::empty(), 0, self.settings.reserve_bytes as i64);
        held.map_err(|errno| {
            let _ = std::fs::remove_file(&self.reserve);
            errno.into()
        })
    }
}

/// Table `disk`, key `state`: what people were told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiskRecord {
    /// What the free space allowed.
    pub level: Level,
    /// Since when not everything.
    pub since_ms: UnixMs,
}

impl Record for DiskRecord {
    const TABLE: &'static str = "disk";
    const VERSION: u16 = 1;
}

/// The key of the one record.
const KEY: &str = "state";

/// Measures, and tells people where the level is not what they were told.
pub async fn tick(engine: &Arc<Engine>) {
    if engine.disk.told() == Some(engine.disk.look().level) {
        return;
    }
    let worker = engine.clone();
    match tokio::task::spawn_blocking(move || tell(&worker)).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => tracing::error!(error = format!("{e:#}"), "disk_level_not_told"),
        Err(_) => tracing::error!("disk_level_panicked"),
    }
}

/// Records the level, with the alert that follows from it, in one transaction. `*` is every domain.
fn tell(engine: &Engine) -> Result<()> {
    let Measured { free_bytes, level, .. } = engine.disk.look();
    let record = engine.store.get::<DiskRecord>(KEY)?;
    let before = record.as_ref().map_or(Level::Ample, |record| record.level);
    if level != before {
        let now = now_ms();
        let since_ms = record.filter(|_| before != Level::Ample).map_or(now, |r| r.since_ms);
        let mib = |bytes: u64| (bytes >> 20) as f64;
        let settings = &engine.config.disk;
        let incident = Incident {
            domain: "*".into(),
            slice: None,
            metric: "disk".into(),
            fingerprint: format!("disk{}", &blake3::hash(since_ms.to_string().as_bytes()).to_hex()[..12]),
            since: to_utc(since_ms),
            numbers: BTreeMap::from([
                ("free_mib".into(), mib(free_bytes)),
                (
                    "training_stops_below_mib".into(),
                    mib(settings.stop_training_free_bytes),
                ),
                ("ingest_stops_below_mib".into(), mib(settings.stop_ingest_free_bytes)),
            ]),
        };
        let mut batch = Batch::new("disk.level")
            .at(now)
            .put(KEY, &DiskRecord { level, since_ms })?;
        if level == Level::Ample {
            batch = alerts::enqueue(engine, batch, now, &Event::IncidentResolved(incident))?;
        } else if level > before {
            batch = alerts::enqueue(engine, batch, now, &Event::IncidentFiring(incident))?;
        }
        engine.store.commit(batch)?;
        engine.outbox_wake.notify_waiters();
        engine.wake_runner();
        tracing::warn!(?level, free_bytes, "disk_level");
    }
    engine.disk.set_told(level);
    Ok(())
}

/// What `wengu status` says of it; none while there is space.
pub fn problem(engine: &Engine) -> Option<String> {
    let measured = engine.disk.look();
    let (what, mark) = match measured.level {
        Level::Ample => return None,
        Level::NoTraining => ("no training is begun", engine.config.disk.stop_training_free_bytes),
        Level::NoIngest => (
            "no file is taken and nothing is trained",
            engine.config.disk.stop_ingest_free_bytes,
        ),
    };
    let (free, mark, dir) = (measured.free_bytes >> 20, mark >> 20, engine.config.state_dir.display());
    Some(format!(
        "{dir}: {free} MiB are free, and with less than {mark} MiB {what}; free some space, and it goes on by itself"
    ))
}

/// Whether an error says that there is no space: it is no fault of what was tried.
pub fn is_full(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let full = |e: &io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(cause.downcast_ref(), Some(StoreError::DiskFull { .. })) || cause.downcast_ref().is_some_and(full)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        stop_training_free_bytes: 800,
        stop_ingest_free_bytes: 400,
        reserve_bytes: 0,
    };

    #[test]
    fn what_stopped_at_a_watermark_begins_again_well_above_it() {
        use Level::{Ample, NoIngest, NoTraining};
        for (free, before, after) in [
            (800, Ample, Ample),
            (799, Ample, NoTraining),
            (899, NoTraining, NoTraining),
            (900, NoTraining, Ample),
            (399, Ample, NoIngest),
            (449, NoIngest, NoIngest),
            (450, NoIngest, NoTraining),
            (900, NoIngest, Ample),
        ] {
            assert_eq!(level(free, &SETTINGS, before), after, "{free} after {before:?}");
        }
        let nothing = Settings {
            stop_training_free_bytes: 0,
            stop_ingest_free_bytes: 0,
            ..SETTINGS
        };
        assert_eq!(level(0, &nothing, Ample), Ample, "0 turns a watermark off");
    }

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        let of = |kind| anyhow::Error::from(io::Error::from(kind)).context("writing");
        assert!(is_full(&of(io::ErrorKind::StorageFull)) && !is_full(&of(io::ErrorKind::NotFound)));
        let full = StoreError::DiskFull {
            path: PathBuf::new(),
            detail: String::new(),
        };
        assert!(is_full(&anyhow::Error::from(full).context("a step")));
    }
}
