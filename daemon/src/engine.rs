//! What all parts of the daemon share: the configuration, the store, what is going on right now, and who wants to know.

use crate::clock;
use crate::disk::{self, Disk};
use crate::forget::{self, Forgetting};
use crate::intact;
use crate::layout::Layout;
use crate::learn::manifest::Manifest;
use crate::learn::outcome::Judgement;
use crate::learn::tune;
use crate::sealing;
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::thread::Thread;
use tokio::sync::{Notify, watch};
use wengu_config::{Config, Domain, StoreIndex};
use wengu_failpoint::hit;
use wengu_plugin_package::PluginFolder;
use wengu_protocol::job::Progress;
use wengu_store::records::{CurrentRecord, EraAccuracy, RunRecord, SplitRecord, VersionRecord};
use wengu_store::{Batch, Hash, IndexKind, OpenReport, Options, RebuildReason, Store, durable};

/// Shared by every task of the daemon.
pub struct Engine {
    /// The checked configuration.
    pub config: Config,
    /// Where things lie.
    pub layout: Layout,
    /// Installed plugins.
    pub plugins: PluginFolder,
    /// The file system of the state directory.
    pub disk: Disk,
    /// All state.
    pub store: Store,
    /// What was forgotten, and what is being.
    pub forgetting: Forgetting,
    /// When the daemon started.
    pub started_ms: i64,
    /// Wakes the scheduler.
    pub schedule_wake: Notify,
    /// Wakes the alert delivery.
    pub outbox_wake: Notify,
    /// The thread that works on runs, once it has been started.
    pub runner: OnceLock<Thread>,
    locks: BTreeMap<String, Mutex<()>>,
    rescans: BTreeMap<String, Notify>,
    retries: BTreeMap<String, Notify>,
    live: Mutex<Live>,
    stopping: watch::Sender<bool>,
}

/// What is going on right now; lost at a stop, and nothing depends on it.
#[derive(Debug, Default)]
pub struct Live {
    /// Since when a domain's files have been coming in without a pause; absent while its intake is idle.
    pub busy_since: BTreeMap<String, i64>,
    /// Domains whose version in service has a link or states of files that do not follow it yet.
    pub unfollowed: BTreeSet<String>,
    /// Watched folders that are missing or degraded, with the reason.
    pub degraded: BTreeMap<String, String>,
    /// What waits for an update, by domain: counting it means looking at every file.
    pub pools: BTreeMap<String, PoolCount>,
    /// Keys of files that are to be tried again now, by domain. What a stop loses of them is tried at the next start.
    pub retries: BTreeMap<String, Vec<String>>,
    /// The run that a trainer works on, by domain.
    pub runs: BTreeMap<String, LiveRun>,
    /// When the scheduler last went round: the watchdog asks.
    pub scheduler_alive_ms: i64,
}

/// What waits for an update.
#[derive(Debug, Clone, Copy)]
pub struct PoolCount {
    /// The last commit when it was counted: after another one it may be different.
    pub seq: u64,
    /// Training examples that no run has tried.
    pub new_examples: u64,
    /// Texts that no run has tried, labelled or not.
    pub new_texts: u64,
    /// When the oldest of their files came.
    pub oldest_ms: Option<i64>,
}

/// A run that a trainer works on.
#[derive(Debug, Clone)]
pub struct LiveRun {
    /// The run.
    pub run: u64,
    /// `update`, or the name of a baseline.
    pub stage: String,
    /// The trainer's last word.
    pub progress: Option<Progress>,
}

/// How the configuration has the store opened.
///
/// # Errors
/// It names a key that cannot be used.
pub fn store_options(config: &Config) -> Result<Options> {
    let index = match config.store.index {
        StoreIndex::Sled => IndexKind::Sled,
        StoreIndex::Redb => IndexKind::Redb,
    };
    Ok(Options {
        index,
        reserve_bytes: disk::store_floor_bytes(&config.disk),
        key: sealing::key(config)?,
        ..Options::default()
    })
}

impl Engine {
    /// Opens the store and brings what follows from it in line.
    pub fn open(config: Config) -> Result<Arc<Engine>> {
        let layout = Layout::new(&config.state_dir).with_jobs(config.trainer.jobs_dir.as_deref());
        let options = store_options(&config)?;
        std::fs::create_dir_all(&config.state_dir).with_context(|| config.state_dir.display().to_string())?;
        for name in config.domains.keys() {
            let feedback = layout.feedback(name);
            std::fs::create_dir_all(&feedback).with_context(|| feedback.display().to_string())?;
        }
        let disk = Disk::open(&config.state_dir, layout.reserve(), config.disk);
        let (store, report) = Store::open(&layout.store(), options)?;
        tracing::info!(?report, "store opened");
        let engine = Engine {
            locks: config
                .domains
                .keys()
                .map(|name| (name.clone(), Mutex::new(())))
                .collect(),
            rescans: config
                .domains
                .keys()
                .map(|name| (name.clone(), Notify::new()))
                .collect(),
            retries: config
                .domains
                .keys()
                .map(|name| (name.clone(), Notify::new()))
                .collect(),
            plugins: PluginFolder::new(layout.plugins(), config.plugin_keys.clone()),
            forgetting: Forgetting::open(layout.forget())?,
            config,
            layout,
            disk,
            store,
            started_ms: clock::now_ms(),
            schedule_wake: Notify::new(),
            outbox_wake: Notify::new(),
            runner: OnceLock::new(),
            live: Mutex::new(Live::default()),
            stopping: watch::Sender::new(false),
        };
        engine.tell_lost_commits(&report);
        for domain in engine.config.domains.values() {
            engine.fix_split(domain)?;
            engine.publish_current(&domain.name)?;
            crate::rollback::align_files(&engine, &domain.name)?;
        }
        tune::recover(&engine)?;
        forget::recover(&engine)?;
        Ok(Arc::new(engine))
    }

    /// Until the next start `wengu status` tells of acknowledged commits that the journal does not have any more.
    fn tell_lost_commits(&self, report: &OpenReport) {
        let Some(lost @ RebuildReason::Ahead { .. }) = &report.rebuilt else {
            return;
        };
        tracing::error!(%lost, "acknowledged_commits_lost");
        let told = format!(
            "{lost}: the journal was cut, or is an older copy; stop wengu and bring back a newer backup (`wengu store restore`), or go on \
             with what is there"
        );
        let mut live = self.live();
        for name in self.config.domains.keys() {
            live.degraded.insert(format!("{name}:store"), told.clone());
        }
    }

    /// What everything is sealed with.
    pub fn key(&self) -> Option<&wengu_seal::Key> {
        self.store.objects().key().map(AsRef::as_ref)
    }

    /// Held while a domain's records are read, changed and written back: intake, scheduler, runner and rollback all do.
    pub fn lock(&self, domain: &str) -> Option<MutexGuard<'_, ()>> {
        self.locks
            .get(domain)
            .map(|lock| lock.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// What is going on right now.
    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Has a domain's folders looked at now. The domain counts as busy until that is done.
    pub fn rescan(&self, domain: &str) {
        if let Some(notify) = self.rescans.get(domain) {
            self.live()
                .busy_since
                .entry(domain.to_string())
                .or_insert_with(clock::now_ms);
            notify.notify_one();
        }
    }

    /// Returns when [`Engine::rescan`] was called for the domain.
    pub async fn rescan_asked(&self, domain: &str) {
        match self.rescans.get(domain) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Has files of a domain tried again that were set aside: what is ingested of them is read, and what was never taken is
    /// looked at. The domain counts as busy until that is done.
    pub fn retry(&self, domain: &str, keys: Vec<String>) {
        if let Some(notify) = self.retries.get(domain) {
            let mut live = self.live();
            live.busy_since.entry(domain.to_string()).or_insert_with(clock::now_ms);
            live.retries.entry(domain.to_string()).or_default().extend(keys);
            drop(live);
            notify.notify_one();
        }
    }

    /// Returns the keys that [`Engine::retry`] was called with for the domain, once it was.
    pub async fn retry_asked(&self, domain: &str) -> Vec<String> {
        match self.retries.get(domain) {
            Some(notify) => notify.notified().await,
            None => std::future::pending().await,
        }
        self.live().retries.remove(domain).unwrap_or_default()
    }

    /// Says that everything is to stop.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
        self.schedule_wake.notify_waiters();
        self.outbox_wake.notify_waiters();
        self.wake_runner();
    }

    /// Says that there is a run to work on, or that everything is to stop.
    pub fn wake_runner(&self) {
        if let Some(runner) = self.runner.get() {
            runner.unpark();
        }
    }

    /// Whether everything is to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Returns when everything is to stop.
    pub async fn stopped(&self) {
        let mut receiver = self.stopping.subscribe();
        // The sender lives as long as the engine does.
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    /// The version in service.
    pub fn current(&self, domain: &str) -> Result<Option<CurrentRecord>> {
        Ok(self.store.get::<CurrentRecord>(domain)?)
    }

    /// Refuses a split that would move cases between training and the gate: it is fixed when the domain is first seen.
    fn fix_split(&self, domain: &Domain) -> Result<()> {
        let shares = domain.gate.held_out;
        let wanted = SplitRecord {
            gate_percent: shares.gate_percent,
            reserve_percent: shares.reserve_percent,
            audit_percent: shares.audit_percent,
        };
        match self.store.get::<SplitRecord>(&domain.name)? {
            // A reserve that is new takes cases from those that will be learned, and no text that was learned is ever held out.
            Some(fixed)
                if (fixed.gate_percent, fixed.audit_percent) == (wanted.gate_percent, wanted.audit_percent)
                    && fixed.reserve_percent == 0 =>
            {
                self.put_split(&domain.name, &wanted)
            }
            Some(fixed) if fixed != wanted => bail!(
                "domains.{}.gate: gate_percent, reserve_percent and audit_percent were {}, {} and {} when the domain's first \
                 case came in; {}, {} and {} would move cases that were learned into the gate, or out of it. Set them back, or \
                 give the domain a new name",
                domain.name,
                fixed.gate_percent,
                fixed.reserve_percent,
                fixed.audit_percent,
                wanted.gate_percent,
                wanted.reserve_percent,
                wanted.audit_percent
            ),
            Some(_) => Ok(()),
            None => self.put_split(&domain.name, &wanted),
        }
    }

    fn put_split(&self, domain: &str, split: &SplitRecord) -> Result<()> {
        if self.store.get::<SplitRecord>(domain)?.as_ref() != Some(split) {
            let batch = Batch::new("split.fixed").at(clock::now_ms());
            hit("split.before_commit");
            self.store.commit(batch.put(domain, split)?)?;
            hit("split.fixed");
        }
        Ok(())
    }

    /// Points the symlink `versions/DOMAIN/current` to the version in service, if its files are what was adopted. The
    /// journal is the truth; this follows.
    pub fn publish_current(&self, domain: &str) -> Result<()> {
        let link = self.layout.current(domain);
        let Some(current) = self.current(domain)? else {
            // What is not there any more is not damaged either.
            self.live().degraded.remove(&intact::problem(domain));
            return self.unpublish(domain);
        };
        if !intact::serves(self, domain, &current.version)? {
            return Ok(());
        }
        if std::fs::read_link(&link).is_ok_and(|t| t.as_os_str() == current.version.as_str()) {
            return Ok(());
        }
        durable::swap_symlink(current.version.as_ref(), &link)
            .with_context(|| format!("pointing {} to {}", link.display(), current.version))?;
        Ok(())
    }

    /// Takes the symlink away.
    pub fn unpublish(&self, domain: &str) -> Result<()> {
        let link = self.layout.current(domain);
        match std::fs::remove_file(&link) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).with_context(|| link.display().to_string()),
            _ => Ok(()),
        }
    }

    /// A version's record.
    pub fn version(&self, domain: &str, id: &str) -> Result<VersionRecord> {
        match self.store.get::<VersionRecord>(&VersionRecord::key(domain, id))? {
            Some(version) => Ok(version),
            None => bail!("domain {domain} has no version {id}; `wengu versions {domain}` lists them"),
        }
    }

    /// The id of the version that a run made, if it made one.
    pub fn version_of_run(&self, domain: &str, run: u64) -> Result<Option<String>> {
        let versions = self.store.scan::<VersionRecord>(&format!("{domain}/"))?;
        Ok(versions.into_iter().find(|(_, v)| v.run == run).map(|(_, v)| v.id))
    }

    /// A manifest by its hash.
    pub fn manifest(&self, hash: &Hash) -> Result<Manifest> {
        let bytes = self.store.objects().get(hash)?;
        serde_json::from_slice(&bytes).with_context(|| format!("manifest {hash}"))
    }

    /// Manifests of the runs that led to version `id`, oldest first.
    pub fn ancestry(&self, domain: &str, id: Option<&str>) -> Result<Vec<Manifest>> {
        let mut manifests = Vec::new();
        let mut next = id.map(String::from);
        while let Some(id) = next {
            let version = self.version(domain, &id)?;
            let run = self.run(domain, version.run)?;
            manifests.push(self.manifest(&run.manifest)?);
            next = version.parent;
        }
        manifests.reverse();
        Ok(manifests)
    }

    /// A judgement by its hash.
    pub fn judgement(&self, hash: &Hash) -> Result<Judgement> {
        let bytes = self.store.objects().get(hash)?;
        serde_json::from_slice(&bytes).with_context(|| format!("verdict {hash}"))
    }

    /// Accuracy per era of a run that was judged.
    pub fn accuracy(&self, run: &RunRecord) -> Result<Vec<EraAccuracy>> {
        let Some(hash) = &run.accuracy else {
            return Ok(Vec::new());
        };
        serde_json::from_slice(&self.store.objects().get(hash)?).with_context(|| format!("accuracy {hash}"))
    }

    /// A run's record.
    pub fn run(&self, domain: &str, run: u64) -> Result<RunRecord> {
        match self.store.get::<RunRecord>(&RunRecord::key(domain, run))? {
            Some(record) => Ok(record),
            None => bail!("domain {domain} has no run {run}"),
        }
    }

    /// All runs of a domain, oldest first.
    pub fn runs(&self, domain: &str) -> Result<Vec<RunRecord>> {
        Ok(self
            .store
            .scan::<RunRecord>(&format!("{domain}/"))?
            .into_iter()
            .map(|(_, run)| run)
            .collect())
    }

    /// The open run that was planned first.
    pub fn next_open_run(&self) -> Result<Option<RunRecord>> {
        let mut open = Vec::new();
        for domain in self.config.domains.keys() {
            open.extend(self.runs(domain)?.into_iter().filter(RunRecord::is_open));
        }
        Ok(open.into_iter().min_by_key(|run| run.planned_ms))
    }
}
