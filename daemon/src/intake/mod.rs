//! From a settled file to pooled examples. One task per domain; every step is a record, so that a crash between two
//! steps costs nothing but the step.

mod gone;
mod host;
mod label;
mod ocr;
mod reading;
mod sidecars;
mod take;

use crate::alerts;
use crate::clock::now_ms;
use crate::disk::Level;
use crate::engine::Engine;
use crate::heap;
use anyhow::Result;
use label::Labeler;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wengu_alert::event::Event;
use wengu_config::Domain;
use wengu_failpoint::hit;
use wengu_store::Batch;
use wengu_store::records::{FileRecord, FileState};
use wengu_watch::{Folder, Handle, Snapshot, WatchEvent, Watcher};

/// Between looks whether the watcher is idle.
const LOOK: Duration = Duration::from_millis(100);
/// A file that could not be read so often is set aside.
const MAX_READS: u32 = 3;
/// Between looks at the plugins: another version may have been installed, or the process may be idle.
const PLUGIN_LOOK: Duration = Duration::from_secs(2);
/// Between looks whether there is space again.
const SPACE_LOOK: Duration = Duration::from_secs(1);
/// Between tries to read files that could not be read because the plugin or the store failed.
const RETRY: Duration = Duration::from_secs(30);

/// Watches a domain's folders and takes what settles, until the daemon stops.
pub async fn run(engine: Arc<Engine>, domain: Domain) {
    let feedback = engine.layout.feedback(&domain.name);
    let watched = domain.watch.iter().map(|path| Folder {
        path: path.clone(),
        marker: domain.intake.marker.clone(),
    });
    let folders = watched.chain([feedback.into()]).collect();
    let is_known = is_known(engine.clone(), domain.clone());
    let (watcher, mut events) = Watcher::spawn(folders, domain.intake.settle, domain.intake.rescan, is_known);
    let mut intake = Intake {
        labeler: Labeler::new(&domain),
        engine,
        domain,
        watcher,
        read_with: String::new(),
        attempts: HashMap::new(),
        waiting: false,
        quarantined: 0,
        is_busy: false,
    };
    intake.set_busy(true);
    // Without a plugin it never changes how files are read, and where every file was read none is tried again.
    let (mut retry_at, mut plugin_look_at) = (Some(Instant::now()), Some(Instant::now()));
    let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= Instant::now());
    loop {
        if !intake.has_space().await {
            return;
        }
        if is_due(plugin_look_at) {
            if intake.reading_changed() {
                retry_at = Some(Instant::now());
            }
            intake.labeler.stop_if_idle().await;
            plugin_look_at = intake.domain.plugin.as_ref().map(|_| Instant::now() + PLUGIN_LOOK);
        }
        if is_due(retry_at) {
            let looked = intake.read_ingested().await;
            retry_at = (!looked).then(|| Instant::now() + RETRY);
        }
        if retry_at.is_none() && intake.has_unread() {
            retry_at = Some(Instant::now() + RETRY);
        }
        let look_at = (intake.is_busy || intake.quarantined > 0).then(|| Instant::now() + LOOK);
        let wake_at = [retry_at, plugin_look_at, look_at].into_iter().flatten().min();
        tokio::select! {
            biased;
            () = intake.engine.stopped() => return,
            () = intake.engine.rescan_asked(&intake.domain.name) => {
                intake.set_busy(true);
                intake.watcher.rescan_now();
            }
            keys = intake.engine.retry_asked(&intake.domain.name) => {
                if !intake.has_space().await {
                    return;
                }
                intake.set_busy(true);
                intake.try_again(keys).await;
            }
            event = events.recv() => match event {
                Some(event) => {
                    // It may have been long until it came.
                    if !intake.has_space().await {
                        return;
                    }
                    intake.set_busy(true);
                    intake.handle(event).await;
                }
                None => return,
            },
            () = sleep_until(wake_at) => {
                // In this order: what the watcher released before it was idle is in the channel already.
                // What could not be read and is tried again soon is learned with what came in beside it.
                if intake.watcher.is_idle() && events.is_empty() && intake.attempts.is_empty() {
                    intake.set_busy(false);
                    intake.report_quarantined();
                }
            }
        }
    }
}

/// Which files need no look at a start, because they were taken as they are: of most nothing else is ever said.
fn is_known(engine: Arc<Engine>, domain: Domain) -> impl Fn(&Path, &Snapshot) -> bool + Send {
    // What lies there goes when it has been taken, so that it is looked at in any case.
    let feedback = engine.layout.feedback(&domain.name);
    move |path, now| {
        // Where the store cannot be read, whoever takes the file says so.
        !path.starts_with(&feedback) && take::is_known(&engine, &domain, path, now).unwrap_or(false)
    }
}

/// Sleeps for ever where there is nothing to wait for.
async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

struct Intake {
    engine: Arc<Engine>,
    domain: Domain,
    labeler: Labeler,
    watcher: Handle,
    /// Digest of what decides how files are read.
    read_with: String,
    /// How often a file could not be read because something else failed.
    attempts: HashMap<String, u32>,
    /// Files wait for a plugin that cannot be used.
    waiting: bool,
    /// Files quarantined since somebody was last told.
    quarantined: u64,
    /// Files are coming in.
    is_busy: bool,
}

impl Intake {
    /// Waits while there is too little space to take a file: what has settled waits in the channel, and behind it in the watcher. False:
    /// the daemon stops.
    async fn has_space(&mut self) -> bool {
        while self.engine.disk.look().level >= Level::NoIngest {
            if self.is_busy {
                // A delivery that was coming in is still doing so: the scheduler, which may be the first to find that there is space
                // again, waits for the rest of it, however long it was held up.
                self.engine.live().busy_since.insert(self.domain.name.clone(), now_ms());
            }
            tokio::select! {
                () = self.engine.stopped() => return false,
                () = tokio::time::sleep(SPACE_LOOK) => {}
            }
        }
        true
    }

    /// Whether files wait that could not be read.
    fn has_unread(&self) -> bool {
        self.waiting || !self.attempts.is_empty()
    }

    fn set_busy(&mut self, busy: bool) {
        self.is_busy = busy;
        let mut live = self.engine.live();
        let name = &self.domain.name;
        let was = live.busy_since.contains_key(name);
        if busy && !was {
            live.busy_since.insert(name.clone(), now_ms());
        } else if !busy && was {
            live.busy_since.remove(name);
            drop(live);
            heap::give_back();
            self.engine.schedule_wake.notify_one();
        }
    }

    /// Whether there is something to read now: the plugin that files wait for can be used again, or files are read
    /// otherwise than before (at the start, or since another plugin was installed), so that what gave nothing so far is
    /// to be read again.
    fn reading_changed(&mut self) -> bool {
        let Some(read_with) = self.labeler.read_with(&self.engine, &self.domain) else {
            return false;
        };
        let came_back = std::mem::take(&mut self.waiting);
        if read_with == self.read_with {
            return came_back;
        }
        if let Err(e) = take::reread(&self.engine, &self.domain, &read_with) {
            tracing::error!(
                domain = self.domain.name,
                error = format!("{e:#}"),
                "files_not_read_again"
            );
            return false;
        }
        self.read_with = read_with;
        self.attempts.clear();
        true
    }

    async fn handle(&mut self, event: WatchEvent) {
        let name = self.domain.name.clone();
        let result = match event {
            WatchEvent::Settled { path, .. } => {
                let settled = self.settled(&path).await;
                if settled.is_err() {
                    // A full disk, a failing read: the watcher releases the file again after the settle time.
                    self.watcher.retry(&path);
                }
                settled
            }
            WatchEvent::Removed { path } => gone::removed(&self.engine, &self.domain, &path),
            WatchEvent::Skipped { path, reason } => take::quarantine(&self.engine, &self.domain, &path, reason)
                .map(|new| self.quarantined += u64::from(new)),
            WatchEvent::ScanDone { root, .. } => gone::mark_absent(&self.engine, &self.domain, &root),
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
        if wengu_intake::is_dataset_description(&file_name, || sidecars::beginning(path)) {
            return self.description_settled(path).await;
        }
        let (engine, domain, owned) = (self.engine.clone(), self.domain.clone(), path.to_path_buf());
        let taken = tokio::task::spawn_blocking(move || take::take(&engine, &domain, &owned)).await;
        match taken.map_err(crate::panics::without_words)?? {
            take::Taken::Nothing => {}
            take::Taken::Quarantined => {
                self.quarantined += 1;
                return Ok(());
            }
            take::Taken::Read(keys) => {
                for key in keys {
                    self.read(&key).await;
                }
            }
        }
        // What came over the API has no folder but ours, and is in the store now.
        if path.starts_with(self.engine.layout.feedback(&self.domain.name)) {
            match std::fs::remove_file(path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        Ok(())
    }

    /// A sidecar that comes after its case file labels it all the same.
    async fn sidecar_settled(&mut self, path: &Path, name: &str) -> Result<()> {
        let Some(main) = wengu_intake::case_file_name(name).map(|main| path.with_file_name(main)) else {
            return Ok(());
        };
        if let Some(key) = sidecars::sidecar_arrived(&self.engine, &self.domain, &main)? {
            self.read(&key).await;
        }
        Ok(())
    }

    /// The description of a data set may name the classes of the files beside it, and of those one folder below.
    async fn description_settled(&mut self, path: &Path) -> Result<()> {
        for key in sidecars::description_arrived(&self.engine, &self.domain, path)? {
            self.read(&key).await;
        }
        Ok(())
    }

    /// Reads what was ingested and not read: before a crash, or while the plugin was away. False: it could not be looked for.
    async fn read_ingested(&mut self) -> bool {
        let mut keys = Vec::new();
        let looked = self
            .engine
            .store
            .each(&format!("{}/", self.domain.name), |key, file: FileRecord| {
                if file.state == FileState::Ingested {
                    keys.push(key.to_owned());
                }
            });
        match &looked {
            Err(e) => tracing::error!(error = %e, "files_unreadable"),
            // Those that went away meanwhile are not waited for.
            Ok(_) => self.attempts.retain(|key, _| keys.contains(key)),
        }
        for key in keys {
            if !self.engine.is_stopping() {
                self.read(&key).await;
            }
        }
        looked.is_ok()
    }

    /// Tries again what was set aside, since somebody asked for it.
    async fn try_again(&mut self, keys: Vec<String>) {
        for key in keys {
            if self.engine.is_stopping() {
                return;
            }
            match self.engine.store.get::<FileRecord>(&key) {
                // Nothing of it was taken that could be read: the watcher shows it once more.
                Ok(Some(file)) if file.content.is_none() => self.watcher.retry(&file.location()),
                // It has got other content meanwhile, and was read.
                Ok(Some(file)) if file.state != FileState::Ingested => {}
                // Where its record cannot be read, this says so, and tries again.
                _ => self.read(&key).await,
            }
        }
    }

    /// Reads one ingested file. Where something else than the file fails it stays ingested and is tried again later; a
    /// file that meets such a failure every time is set aside, so that it does not hold its neighbours up.
    async fn read(&mut self, key: &str) {
        let error = match self.try_read(key).await {
            Ok(()) => {
                self.attempts.remove(key);
                return;
            }
            Err(e) => format!("{e:#}"),
        };
        tracing::error!(domain = self.domain.name, key, error, "reading_failed");
        let attempts = self.attempts.entry(key.to_string()).or_default();
        *attempts += 1;
        let attempts = *attempts;
        self.set_busy(true);
        if attempts >= MAX_READS {
            let reason = format!(
                "reading it failed {attempts} times: {error}; `wengu files retry` or a `touch` has it tried again"
            );
            self.attempts.remove(key);
            match self.engine.store.get::<FileRecord>(key) {
                Ok(Some(file)) => {
                    if let Err(e) = self.settle(key, &file, FileState::Quarantined { reason }) {
                        tracing::error!(
                            domain = self.domain.name,
                            key,
                            error = format!("{e:#}"),
                            "not_quarantined"
                        );
                    }
                }
                Ok(None) => {}
                Err(e) => tracing::error!(domain = self.domain.name, key, error = %e, "not_quarantined"),
            }
        }
    }

    async fn try_read(&mut self, key: &str) -> Result<()> {
        let Some(file) = self.engine.store.get::<FileRecord>(key)? else {
            return Ok(());
        };
        match self.labeler.read(&self.engine, &self.domain, &file).await {
            Ok(state) => self.settle(key, &file, state),
            Err(label::ReadError::File(reason)) => self.settle(key, &file, FileState::Quarantined { reason }),
            // `wengu status` says what for.
            Err(label::ReadError::Waits) => {
                self.waiting = true;
                Ok(())
            }
            Err(label::ReadError::Forgotten(why)) => crate::forget::again(&self.engine, key, &file, &why),
            Err(label::ReadError::Later(e)) => Err(e),
        }
    }

    /// Records what was read of `file`, unless the path has got other content meanwhile.
    fn settle(&mut self, key: &str, file: &FileRecord, state: FileState) -> Result<()> {
        let _lock = self.engine.lock(&self.domain.name);
        let Some(mut now) = self.engine.store.get::<FileRecord>(key)? else {
            return Ok(());
        };
        let forgotten = |content| self.engine.forgetting.refuses_content(content).is_some();
        if now.content.as_ref().is_some_and(forgotten) {
            return Ok(());
        }
        if now.state != FileState::Ingested || (now.content, &now.sidecars) != (file.content, &file.sidecars) {
            return Ok(());
        }
        if let FileState::Quarantined { reason } = &state {
            self.quarantined += 1;
            tracing::warn!(domain = self.domain.name, file = file.path, reason, "file_quarantined");
        }
        now.state = state;
        now.read_with = Some(self.read_with.clone());
        now.updated_ms = now_ms();
        self.engine
            .store
            .commit(Batch::new("file.read").at(now.updated_ms).put(key, &now)?)?;
        hit("label.recorded");
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
