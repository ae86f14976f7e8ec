//! `wengu store encrypt`: what is there already becomes what it would be had there always been this key.

use super::Exit;
use super::render::say;
use crate::disk;
use crate::layout::Layout;
use crate::sealing;
use anyhow::{Context, Result};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use wengu_config::Config;
use wengu_seal::Key;
use wengu_store::{EncryptReport, Encryption};

#[derive(Serialize)]
struct Encrypted {
    key: String,
    #[serde(flatten)]
    objects: EncryptReport,
    /// Files of versions and feedback.
    files: u64,
    /// The job directories that were beside the store are gone.
    jobs_removed: bool,
}

/// Seals objects, versions and feedback, in this order; interrupted, it is to be called again.
pub fn encrypt(config: &Config, old_key_file: Option<&Path>, json: bool) -> Result<Exit> {
    let key = sealing::key(config)?
        .context("no key is configured: `wengu key new FILE`, and name FILE under [encryption]")?;
    let old = old_key_file
        .map(|file| Key::read(file, false))
        .transpose()?
        .map(Arc::new);
    let layout = Layout::new(&config.state_dir);
    let reserve_bytes = disk::store_floor_bytes(&config.disk);
    let encryption = Encryption::begin(&layout.store(), Arc::clone(&key), old.clone(), reserve_bytes)?;
    let shown = std::io::stderr().is_terminal();
    let objects = encryption.objects(|report| {
        let done = report.sealed + report.already;
        if shown && done.is_multiple_of(100) {
            // Somebody who does not see it is told at the end.
            let _ = write!(std::io::stderr(), "\r{done} objects");
        }
    })?;
    let files = sealing::encrypt(&layout, &key, old.as_deref())?;
    // They are made again from the manifests, in their new place.
    let jobs_removed = config.trainer.jobs_dir.is_some() && layout.jobs().exists();
    if jobs_removed {
        std::fs::remove_dir_all(layout.jobs()).with_context(|| layout.jobs().display().to_string())?;
    }
    encryption.finish()?;
    let done = Encrypted {
        key: key.id().to_string(),
        objects,
        files,
        jobs_removed,
    };
    say(json, &done, || {
        format!(
            "{} objects and {} files sealed with the key {}, {} objects were already. What was there before may be found on \
             the disk until it is written over, and in older backups",
            done.objects.sealed, done.files, done.key, done.objects.already
        )
    })
}
