use crate::api::client::Client;
use crate::api::types::{PluginEnabled, PluginRequest};
use crate::cli::Exit;
use anyhow::Result;

/// `wengu plugin enable`.
pub async fn enable(client: &Client, id: &str, json: bool) -> Result<Exit> {
    let request = PluginRequest { plugin: id.into() };
    let was: PluginEnabled = client.post("/v1/plugins/enable", &request).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&was)?);
    } else {
        println!(
            "Enabled: {} may be started again. It had failed {} times; the last time it {}.",
            was.plugin, was.failures, was.reason
        );
    }
    Ok(Exit::Success)
}
