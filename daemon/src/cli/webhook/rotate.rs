//! A new secret beside the old one. The file is replaced whole: a daemon that reads it meanwhile sees the old one or both.

use anyhow::{Context, Result, bail};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use wengu_alert::secret::{Secret, read_private, rotated};
use wengu_config::{Config, Source};
use wengu_protocol::events::Format;
use wengu_store::durable;

pub fn rotate(config: &Config, endpoint: &str, overlap_hours: u32, json: bool) -> Result<()> {
    let Some(webhook) = config.webhooks.get(endpoint) else {
        let names: Vec<&str> = config.webhooks.keys().map(String::as_str).collect();
        bail!("no webhook {endpoint}; configured are: {}", names.join(", "));
    };
    if webhook.format != Format::Standard {
        bail!(
            "{endpoint} has `format = \"{}\"`: its secret is made by the other side; get a new one there and put it in \
             place of the old one",
            webhook.format.name()
        );
    }
    let Some(Source::File(path)) = &webhook.secret else {
        bail!("the secret of {endpoint} is in no `secret_file`: only there can wengu put a new one");
    };
    let now = Utc::now();
    let (secret, until) = (Secret::generate()?, now + TimeDelta::hours(overlap_hours.into()));
    rotate_file(path, &secret, now, until)?;
    let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
    if json {
        let answer = serde_json::json!({
            "endpoint": endpoint,
            "secret_file": path,
            "secret": secret.reveal(),
            "old_signs_until": until,
        });
        println!("{answer}");
    } else {
        println!("{}", secret.reveal());
        eprintln!(
            "{} holds it now; give it to the receiver of {endpoint}. The old one signs beside it until {until}.",
            path.display()
        );
    }
    Ok(())
}

fn rotate_file(path: &Path, secret: &Secret, now: DateTime<Utc>, until: DateTime<Utc>) -> Result<()> {
    // Where a link leads is what is replaced, not the link.
    let path = &path.canonicalize().with_context(|| path.display().to_string())?;
    let text = rotated(&read_private(path)?, secret, now, until).with_context(|| path.display().to_string())?;
    let written = (|| {
        let was = fs::metadata(path)?;
        durable::replace_file(path, text.as_bytes(), |file| {
            file.set_permissions(fs::Permissions::from_mode(was.mode() & 0o770))?;
            // The daemon's user reads it, whoever rotates.
            let is = file.metadata()?;
            if (is.uid(), is.gid()) != (was.uid(), was.gid()) {
                fchown(file, Some(was.uid()), Some(was.gid())).map_err(|e| {
                    io::Error::new(e.kind(), format!("it must stay its owner's: run this as them ({e})"))
                })?;
            }
            Ok(())
        })
    })();
    written.with_context(|| path.display().to_string())
}
