//! A domain's plugin in a process of its own: started when it is first needed, replaced when another version is
//! installed, stopped when nothing comes in.

use crate::clock::now_ms;
use crate::engine::Engine;
use crate::quarantine::{self, FAILURES_MAX, Failure, WINDOW_MS};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wengu_decide::failures::FailureWindow;
use wengu_plugin_client::{Options, PluginClient, PluginEnd};
use wengu_plugin_package::Installed;
use wengu_protocol::plugin::Enforcement;

/// A call that takes longer is a hang.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// A process that was not needed for so long is stopped; the next file starts it again.
const IDLE: Duration = Duration::from_secs(60);

/// The plugin of a domain.
pub struct Host {
    id: String,
    config: serde_json::Value,
    running: Option<Running>,
    failures: FailureWindow,
}

struct Running {
    client: PluginClient,
    /// Folder of the version that it was started from.
    dir: PathBuf,
    used: Instant,
}

impl Host {
    /// For an installed plugin and the operator's settings for it; nothing is started yet.
    pub fn new(id: &str, config: &serde_json::Value) -> Host {
        Host {
            id: id.to_string(),
            config: config.clone(),
            running: None,
            failures: FailureWindow::new(FAILURES_MAX, WINDOW_MS),
        }
    }

    /// What is installed now and may be started.
    ///
    /// # Errors
    /// The plugin is not installed, no longer what was installed, or quarantined.
    pub fn usable(&self, engine: &Engine) -> Result<Installed> {
        let id = &self.id;
        if let Some(record) = quarantine::of(engine, id)? {
            bail!(
                "plugin {id} {} failed {} times within ten minutes and is not started any more; the last time it {}. \
                 When it is mended: `wengu plugin enable {id}`",
                record.version,
                record.failures,
                record.reason
            );
        }
        Ok(engine.plugins.usable(id)?)
    }

    /// The process of `installed`; one of another version is stopped first.
    ///
    /// # Errors
    /// It did not come up.
    pub async fn client(&mut self, host_exe: &Path, installed: &Installed) -> Result<&mut PluginClient, PluginEnd> {
        let same = |r: &Running| r.dir == installed.dir;
        let mut running = match self.running.take() {
            Some(running) if same(&running) => running,
            other => {
                if let Some(old) = other {
                    old.client.stop().await;
                }
                let options = Options {
                    call_timeout: CALL_TIMEOUT,
                    config: self.config.clone(),
                    ..Options::default()
                };
                let client = PluginClient::start(host_exe, installed, options).await?;
                let (plugin, version) = (&installed.manifest.id, &installed.manifest.version);
                let sandbox = client.ready().sandbox;
                tracing::info!(plugin, version, ?sandbox, "plugin_started");
                if (sandbox.landlock, sandbox.seccomp) != (Enforcement::Full, Enforcement::Full) {
                    tracing::warn!(
                        plugin,
                        ?sandbox,
                        "plugin_sandbox_incomplete: the kernel lacks a part of it"
                    );
                }
                Running {
                    client,
                    dir: installed.dir.clone(),
                    used: Instant::now(),
                }
            }
        };
        running.used = Instant::now();
        Ok(&mut self.running.insert(running).client)
    }

    /// Stops the process in good order.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.client.stop().await;
        }
    }

    /// Stops a process that was not needed for long.
    pub async fn stop_if_idle(&mut self) {
        if self.running.as_ref().is_some_and(|r| r.used.elapsed() > IDLE) {
            tracing::info!(plugin = self.id, "plugin_stopped_idle");
            self.stop().await;
        }
    }

    /// Lets go of a process that has ended: the next file starts another, unless this was one failure too many.
    pub fn failed(&mut self, engine: &Engine, version: &str, end: &PluginEnd) {
        self.running = None;
        let Some(failures) = self.failures.record(now_ms()) else {
            return;
        };
        let failure = Failure {
            plugin: &self.id,
            version,
            name: end.end.name(),
            reason: &end.end.to_string(),
            failures,
        };
        if let Err(e) = quarantine::quarantine(engine, &failure) {
            tracing::error!(plugin = self.id, error = format!("{e:#}"), "plugin_not_quarantined");
        }
    }
}
