//! Plugins that fail again and again are not started any more, until a person says otherwise.

use crate::alerts;
use crate::clock::now_ms;
use crate::engine::Engine;
use anyhow::{Result, bail};
use wengu_alert::event::Event;
use wengu_store::Batch;
use wengu_store::records::PluginRecord;

/// Failures of a plugin's process that are too many within [`WINDOW_MS`].
pub const FAILURES_MAX: usize = 3;
/// Ten minutes.
pub const WINDOW_MS: i64 = 10 * 60 * 1000;

/// A plugin's last failure, and what led to it.
pub struct Failure<'a> {
    /// The plugin's id.
    pub plugin: &'a str,
    /// The version that failed.
    pub version: &'a str,
    /// How its process ended, as an event tells it: a word.
    pub name: &'a str,
    /// The same for people.
    pub reason: &'a str,
    /// Failures in the window.
    pub failures: u32,
}

/// Records that the plugin is not started any more, and the alert that says so, in one transaction.
pub fn quarantine(engine: &Engine, failure: &Failure) -> Result<()> {
    let now = now_ms();
    // A reason quotes the plugin's last words, and a record is small.
    let reason: String = failure.reason.chars().take(500).collect();
    let record = PluginRecord {
        quarantined_ms: now,
        version: failure.version.into(),
        failures: failure.failures,
        reason,
    };
    let event = Event::PluginQuarantined {
        plugin: failure.plugin.into(),
        version: failure.version.into(),
        failure: failure.name.into(),
        failures: failure.failures,
    };
    let batch = Batch::new("plugin.quarantined").at(now).put(failure.plugin, &record)?;
    engine.store.commit(alerts::enqueue(engine, batch, now, &event)?)?;
    engine.outbox_wake.notify_one();
    tracing::error!(
        plugin = failure.plugin,
        version = failure.version,
        failures = failure.failures,
        "plugin_quarantined"
    );
    Ok(())
}

/// Why a plugin may not be started; none: it may be.
pub fn of(engine: &Engine, plugin: &str) -> Result<Option<PluginRecord>> {
    Ok(engine.store.get::<PluginRecord>(plugin)?)
}

/// Lets a plugin be started again. Returns what it was quarantined for.
///
/// # Errors
/// It was not quarantined.
pub fn enable(engine: &Engine, plugin: &str) -> Result<PluginRecord> {
    let Some(record) = of(engine, plugin)? else {
        bail!("plugin {plugin} is not quarantined; `wengu status` says what is wrong with each domain");
    };
    let batch = Batch::new("plugin.enabled").at(now_ms());
    engine.store.commit(batch.delete::<PluginRecord>(plugin))?;
    tracing::info!(plugin, "plugin_enabled");
    Ok(record)
}
