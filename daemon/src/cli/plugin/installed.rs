//! What is installed: told, verified, removed.

use crate::cli::Exit;
use crate::cli::render::table;
use anyhow::{Result, bail};
use serde_json::json;
use wengu_config::Config;
use wengu_plugin_package::{Installed, Listed, PackageError, PluginFolder};

/// `wengu plugin list`.
pub fn list(folder: &PluginFolder, as_json: bool) -> Result<Exit> {
    let all = folder.list()?;
    if as_json {
        let row = |p: &Listed| {
            json!({"id": p.id, "version": p.version, "enabled": p.enabled, "signed_by": p.signed_by,
                "versions": p.versions, "domain": p.current.as_ref().ok().map(|i| &i.manifest.domain),
                "dir": p.current.as_ref().ok().map(|i| &i.dir), "error": p.current.as_ref().err().map(ToString::to_string)})
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(Exit::Success);
    }
    let mut list = table(["plugin", "version", "domain", "languages", "signed by", "state"]);
    for p in all {
        let state = if p.enabled { "enabled" } else { "disabled" };
        let signed = p.signed_by.unwrap_or_else(|| "NOBODY".into());
        match p.current {
            Ok(Installed { manifest: m, .. }) => {
                list.add_row([p.id, p.version, m.domain, m.languages.join(", "), signed, state.into()])
            }
            Err(e) => list.add_row([p.id, p.version, format!("BROKEN: {e}")]),
        };
    }
    println!("{list}");
    Ok(Exit::Success)
}

/// `wengu plugin info`.
pub fn info(folder: &PluginFolder, id: &str, as_json: bool) -> Result<Exit> {
    let Installed {
        dir,
        manifest,
        package_sha256,
        signed_by,
    } = folder.find(id)?;
    if as_json {
        let answer =
            json!({"dir": dir, "manifest": manifest, "package_sha256": package_sha256, "signed_by": signed_by});
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(Exit::Success);
    }
    let m = manifest;
    println!("{} {}: {}", m.id, m.version, m.name);
    println!("  lies in    {}", dir.display());
    println!("  library    SHA-256 {}", m.sha256.as_deref().unwrap_or("unknown"));
    println!("  signed by  {}", signed_by.as_deref().unwrap_or("NOBODY"));
    println!("  domain     {}", m.domain);
    println!("  languages  {}", m.languages.join(", "));
    println!("  provides   {}", m.provides.join(", "));
    println!("  ABI        {}", m.abi);
    println!("  licence    {}", m.license);
    println!("  memory     at most {} MiB", m.limits.memory_mib);
    Ok(Exit::Success)
}

/// `wengu plugin verify`: reads every installed package again, or that of `id` alone, and judges it by today's keys.
pub fn verify(folder: &PluginFolder, id: Option<&str>, as_json: bool) -> Result<Exit> {
    let mut results: Vec<(String, Result<Installed, PackageError>)> = match id {
        Some(id) => vec![(id.into(), verified_name(folder, id)?)],
        None => folder
            .list()?
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
                Ok(p) => json!({"id": id, "version": p.manifest.version, "sha256": p.manifest.sha256, "signed_by": p.signed_by, "ok": true}),
                Err(e) => json!({"id": id, "error": e.to_string(), "ok": false}),
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        let mut list = table(["plugin", "verified"]);
        for (id, result) in &results {
            let row = match result {
                Ok(p) => match &p.signed_by {
                    Some(key) => format!("{} has the bytes that {key} signed", p.manifest.version),
                    None => format!(
                        "{} has the bytes that were installed; NOBODY signed them",
                        p.manifest.version
                    ),
                },
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
pub fn remove(config: &Config, id: &str, force: bool, as_json: bool) -> Result<Exit> {
    let of = config.domains.values().filter(|d| d.plugin.as_deref() == Some(id));
    let domains: Vec<&str> = of.map(|d| d.name.as_str()).collect();
    if !domains.is_empty() && !force {
        bail!(
            "the configuration names {id} for {}, whose files would wait for it; take the `plugin` line out first, or \
             remove it all the same with --force",
            domains.join(", ")
        );
    }
    super::folder(config).remove(id)?;
    if as_json {
        println!("{}", json!({"removed": id}));
    } else {
        println!("Removed {id}.");
    }
    Ok(Exit::Success)
}

/// What is wrong with a plugin that is installed is its result; one that is not installed is an error.
fn verified_name(folder: &PluginFolder, id: &str) -> Result<Result<Installed, PackageError>> {
    match folder.find(id) {
        Err(e @ PackageError::NotInstalled { .. }) => Err(e.into()),
        found => Ok(found),
    }
}
