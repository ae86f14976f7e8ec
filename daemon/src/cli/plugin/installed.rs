//! What is installed: told, verified, removed.

use crate::cli::Exit;
use crate::cli::render::table;
use anyhow::{Result, bail};
use serde_json::json;
use std::path::Path;
use wengu_config::Config;
use wengu_plugin_package::{Installed, PackageError};

/// `wengu plugin info`.
pub fn info(plugins: &Path, id: &str, as_json: bool) -> Result<Exit> {
    let Installed { dir, manifest } = wengu_plugin_package::find(plugins, id)?;
    if as_json {
        let answer = json!({"dir": dir, "manifest": manifest});
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(Exit::Success);
    }
    let m = manifest;
    println!("{} {}: {}", m.id, m.version, m.name);
    println!("  lies in    {}", dir.display());
    println!("  SHA-256    {}", m.sha256.as_deref().unwrap_or("unknown"));
    println!("  domain     {}", m.domain);
    println!("  languages  {}", m.languages.join(", "));
    println!("  provides   {}", m.provides.join(", "));
    println!("  ABI        {}", m.abi);
    println!("  licence    {}", m.license);
    println!("  memory     at most {} MiB", m.limits.memory_mib);
    Ok(Exit::Success)
}

/// `wengu plugin verify`: reads every installed library again, or that of `id` alone.
pub fn verify(plugins: &Path, id: Option<&str>, as_json: bool) -> Result<Exit> {
    let mut results: Vec<(String, Result<Installed, PackageError>)> = match id {
        Some(id) => vec![(id.into(), Ok(wengu_plugin_package::find(plugins, id)?))],
        None => wengu_plugin_package::list(plugins)?
            .into_iter()
            .map(|listed| (listed.id, listed.current))
            .collect(),
    };
    for (_, result) in &mut results {
        if let Ok(installed) = result
            && let Err(e) = installed.verified_library()
        {
            *result = Err(e);
        }
    }
    if as_json {
        let rows: Vec<_> = results
            .iter()
            .map(|(id, result)| match result {
                Ok(p) => json!({"id": id, "version": p.manifest.version, "sha256": p.manifest.sha256, "ok": true}),
                Err(e) => json!({"id": id, "error": e.to_string(), "ok": false}),
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let mut list = table(["plugin", "verified"]);
        for (id, result) in &results {
            let row = match result {
                Ok(p) => format!("{} has the bytes that were installed", p.manifest.version),
                Err(e) => format!("BROKEN: {e}"),
            };
            list.add_row([id.clone(), row]);
        }
        println!("{list}");
    }
    Ok(match results.iter().any(|(_, result)| result.is_err()) {
        true => Exit::Failure,
        false => Exit::Success,
    })
}

/// `wengu plugin remove`. A plugin that a domain of the configuration names stays, unless `force`d.
pub fn remove(config: &Config, plugins: &Path, id: &str, force: bool, as_json: bool) -> Result<Exit> {
    let of = config.domains.values().filter(|d| d.plugin.as_deref() == Some(id));
    let domains: Vec<&str> = of.map(|d| d.name.as_str()).collect();
    if !domains.is_empty() && !force {
        bail!(
            "the configuration names {id} for {}, whose files would wait for it; take the `plugin` line out first, or \
             remove it all the same with --force",
            domains.join(", ")
        );
    }
    wengu_plugin_package::remove(plugins, id)?;
    if as_json {
        println!("{}", json!({"removed": id}));
    } else {
        println!("Removed {id}.");
    }
    Ok(Exit::Success)
}
