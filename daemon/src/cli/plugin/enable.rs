use super::folder;
use crate::api::client::Unreachable;
use crate::api::types::{PluginEnabled, PluginRequest};
use crate::cli::{At, Exit};
use anyhow::Result;
use serde_json::json;
use wengu_plugin_package::PackageError;

/// `wengu plugin enable`: after `disable`, after a quarantine, or after both. `disable` is a matter of the daemon's machine.
pub async fn enable(at: At<'_>, id: &str, as_json: bool) -> Result<Exit> {
    let client = at.connect()?;
    let was_disabled = !at.is_remote()
        && match folder(&at.load()?).set_enabled(id, true) {
            // It may still be quarantined.
            Err(PackageError::NotInstalled { .. }) => false,
            changed => changed?,
        };
    let request = PluginRequest { plugin: id.into() };
    match client.post::<PluginEnabled>("/v1/plugins/enable", &request).await {
        Ok(was) if as_json => println!("{}", serde_json::to_string_pretty(&was)?),
        Ok(was) => println!(
            "Enabled: {} may be started again. It had failed {} times; the last time it {}.",
            was.plugin, was.failures, was.reason
        ),
        // It was disabled, and no quarantine had to be ended, or none could be.
        Err(_) if was_disabled && as_json => println!("{}", json!({"plugin": id, "enabled": true})),
        Err(e) if was_disabled => {
            println!("Enabled: {id} may be used again.");
            if e.is::<Unreachable>() {
                println!("No daemon runs; if it was also quarantined, say this again when one does.");
            }
        }
        Err(e) => return Err(e),
    }
    Ok(Exit::Success)
}
