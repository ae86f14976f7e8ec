//! What is in use: installed, upgraded, rolled back, disabled.

use crate::cli::Exit;
use crate::cli::args::PackageArgs;
use anyhow::Result;
use serde_json::json;
use wengu_plugin_package::{Change, Package, PluginFolder};

/// `wengu plugin install` and `upgrade`.
pub fn install(folder: &PluginFolder, args: &PackageArgs, upgrade: bool, as_json: bool) -> Result<Exit> {
    let package = Package::read(&args.package, args.library.as_deref())?;
    let change = match upgrade {
        true => folder.upgrade(&package, args.allow_unsigned),
        false => folder.install(&package, args.allow_unsigned),
    }?;
    tell("Installed", &change, as_json)
}

/// `wengu plugin rollback`.
pub fn rollback(folder: &PluginFolder, id: &str, to: Option<&str>, as_json: bool) -> Result<Exit> {
    tell("Rolled back to", &folder.rollback(id, to)?, as_json)
}

fn tell(done: &str, change: &Change, as_json: bool) -> Result<Exit> {
    let Change { installed, before } = change;
    let m = &installed.manifest;
    if as_json {
        let answer = json!({"id": m.id, "version": m.version, "package_sha256": installed.package_sha256,
            "signed_by": installed.signed_by, "before": before, "dir": installed.dir});
        println!("{}", serde_json::to_string_pretty(&answer)?);
        return Ok(Exit::Success);
    }
    let signed = match &installed.signed_by {
        Some(key) => format!("signed by {key}"),
        None => "NOT SIGNED: nobody vouches for it".into(),
    };
    println!("{done} {} {} ({signed}).", m.id, m.version);
    if let Some(before) = before {
        println!(
            "{before} was in use before; `wengu plugin rollback {} --to {before}` goes back.",
            m.id
        );
    }
    println!("A daemon that runs takes it within seconds.");
    Ok(Exit::Success)
}

/// `wengu plugin disable`.
pub fn disable(folder: &PluginFolder, id: &str, as_json: bool) -> Result<Exit> {
    let changed = folder.set_enabled(id, false)?;
    match (as_json, changed) {
        (true, _) => println!("{}", json!({"plugin": id, "enabled": false, "changed": changed})),
        (false, true) => {
            println!("Disabled {id}: it is given no more files. They wait until `wengu plugin enable {id}`.");
        }
        (false, false) => println!("{id} was disabled before."),
    }
    Ok(Exit::Success)
}
