//! From a settled file to pooled examples. One task per domain; every step is a record, so that a crash between two
//! steps costs nothing but the step.

mod label;
mod take;

use crate::alerts;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::Result;
use label::Labeler;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wengu_alert::event::Event;
use wengu_config::Domain;
use wengu_store::Batch;
use wengu_store::records::{FileRecord, FileState};
use wengu_watch::{WatchEvent, Watcher};

/// Between looks whether the watcher is idle.
const LOOK: Duration = Duration::from_millis(100);
/// Between tries to read files that could not be read because the plugin or the store failed.
const RETRY: Duration = Duration::from_secs(30);

/// Watches a domain's folders and takes what settles, until the daemon stops.
pub async fn run(engine: Arc<Engine>, domain: Domain) {
    let (watcher, mut events) = Watcher::spawn(domain.watch.clone(), domain.intake.settle, domain.intake.rescan);
    let mut intake = Intake {
        labeler: Labeler::new(&engine, &domain),
        engine,
        domain,
        quarantined: 0,
    };
    intake.set_busy(true);
    let mut retry_at = Instant::now();
    loop {
        if retry_at <= Instant::now() {
            intake.read_ingested().await;
            retry_at = Instant::now() + RETRY;
        }
        tokio::select! {
            biased;
            () = intake.engine.stopped() => return,
            () = intake.engine.rescan_asked(&intake.domain.name) => watcher.rescan_now(),
            event = events.recv() => match event {
                Some(event) => {
                    intake.set_busy(true);
                    intake.handle(event).await;
                }
                None => return,
            },
            () = tokio::time::sleep(LOOK) => {
                // In this order: what the watcher released before it was idle is in the channel already.
                if watcher.is_idle() && events.is_empty() {
                    intake.set_busy(false);
                    intake.report_quarantined();
                }
            }
        }
    }
}

struct Intake {
    engine: Arc<Engine>,
    domain: Domain,
    labeler: Labeler,
    /// Files quarantined since somebody was last told.
    quarantined: u64,
}

impl Intake {
    fn set_busy(&self, busy: bool) {
        let mut live = self.engine.live();
        let name = &self.domain.name;
        let was = live.busy_since.contains_key(name);
        if busy && !was {
            live.busy_since.insert(name.clone(), now_ms());
        } else if !busy && was {
            live.busy_since.remove(name);
            drop(live);
            self.engine.schedule_wake.notify_one();
        }
    }

    async fn handle(&mut self, event: WatchEvent) {
        let name = self.domain.name.clone();
        let result = match event {
            WatchEvent::Settled { path, .. } => self.settled(&path).await,
            WatchEvent::Removed { path } => take::removed(&self.engine, &self.domain, &path),
            WatchEvent::Skipped { path, reason } => {
                self.quarantined += 1;
                take::quarantine(&self.engine, &self.domain, &path, reason)
            }
            WatchEvent::ScanDone { root, .. } => take::mark_absent(&self.engine, &self.domain, &root),
            WatchEvent::RootMissing { root, reason } => {
                tracing::warn!(domain = name, root = %root.display(), reason, "watched_folder_missing");
                let reason = format!("{} is missing ({reason}); wengu waits for it", root.display());
                self.engine
                    .live()
                    .degraded
                    .insert(format!("{name}:{}", root.display()), reason);
                Ok(())
            }
            WatchEvent::RootBack { root } | WatchEvent::Recovered { root } => {
                self.engine
                    .live()
                    .degraded
                    .remove(&format!("{name}:{}", root.display()));
                Ok(())
            }
            WatchEvent::Degraded { root, reason } => {
                tracing::warn!(domain = name, root = %root.display(), reason, "watching_degraded");
                self.engine
                    .live()
                    .degraded
                    .insert(format!("{name}:{}", root.display()), reason);
                Ok(())
            }
        };
        if let Err(e) = result {
            tracing::error!(domain = name, error = format!("{e:#}"), "intake_failed");
        }
    }

    async fn settled(&mut self, path: &Path) -> Result<()> {
        let file_name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if wengu_intake::is_sidecar(&file_name) {
            return self.sidecar_settled(path, &file_name).await;
        }
        let (engine, domain, owned) = (self.engine.clone(), self.domain.clone(), path.to_path_buf());
        let taken = tokio::task::spawn_blocking(move || take::take(&engine, &domain, &owned)).await??;
        if let Some(key) = taken {
            self.read(&key).await?;
        }
        Ok(())
    }

    /// A sidecar that comes after its case file labels it all the same.
    async fn sidecar_settled(&mut self, path: &Path, name: &str) -> Result<()> {
        let Some(main) = wengu_intake::case_file_name(name).map(|main| path.with_file_name(main)) else {
            return Ok(());
        };
        if let Some(key) = take::sidecar_arrived(&self.engine, &self.domain, &main)? {
            self.read(&key).await?;
        }
        Ok(())
    }

    /// Reads what was ingested and not read: before a crash, or while the plugin was away.
    async fn read_ingested(&mut self) {
        let files = match self.engine.store.scan::<FileRecord>(&format!("{}/", self.domain.name)) {
            Ok(files) => files,
            Err(e) => {
                tracing::error!(error = %e, "files_unreadable");
                return;
            }
        };
        for (key, file) in files {
            if file.state == FileState::Ingested && !self.engine.is_stopping() {
                if let Err(e) = self.read(&key).await {
                    tracing::error!(file = file.path, error = format!("{e:#}"), "reading_failed");
                    return;
                }
            }
        }
    }

    async fn read(&mut self, key: &str) -> Result<()> {
        let Some(mut file) = self.engine.store.get::<FileRecord>(key)? else {
            return Ok(());
        };
        let state = match self.labeler.read(&self.engine, &self.domain, &file).await {
            Ok(state) => state,
            Err(label::ReadError::File(reason)) => FileState::Quarantined { reason },
            // Not the file's fault: it stays ingested and is read again later.
            Err(label::ReadError::Later(e)) => return Err(e),
        };
        if let FileState::Quarantined { reason } = &state {
            self.quarantined += 1;
            tracing::warn!(domain = self.domain.name, file = file.path, reason, "file_quarantined");
        }
        file.state = state;
        file.updated_ms = now_ms();
        let batch = Batch::new("file.read").at(file.updated_ms).put(key, &file)?;
        self.engine.store.commit(batch)?;
        Ok(())
    }

    /// One event for all files of a delivery, with their number and no name.
    fn report_quarantined(&mut self) {
        if self.quarantined == 0 {
            return;
        }
        let now = now_ms();
        let event = Event::FilesQuarantined {
            domain: self.domain.name.clone(),
            files: self.quarantined,
            reasons: Default::default(),
            name_hashes: Vec::new(),
        };
        let batch = Batch::new("files.quarantined_reported").at(now);
        let done =
            alerts::enqueue(&self.engine, batch, now, &event).and_then(|batch| Ok(self.engine.store.commit(batch)?));
        match done {
            Ok(_) => {
                self.quarantined = 0;
                self.engine.outbox_wake.notify_one();
            }
            Err(e) => tracing::error!(error = format!("{e:#}"), "quarantine_not_reported"),
        }
    }
}
