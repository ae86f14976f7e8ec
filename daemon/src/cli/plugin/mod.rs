use crate::api::client::Client;
use crate::cli::Exit;
use crate::cli::args::{PluginAction, PluginArgs};
use crate::cli::load;
use crate::layout::Layout;
use anyhow::Result;
use std::path::Path;
use wengu_config::{Config, Problem};
use wengu_plugin_package::PluginFolder;

mod author;
mod change;
mod enable;
mod installed;

/// `wengu plugin …`.
pub async fn plugin(config: Option<&Path>, args: PluginArgs, json: bool) -> Result<Exit> {
    // What an author does needs no configuration.
    match &args.action {
        PluginAction::New { name, lang, dir } => return author::new(name, *lang, dir.as_deref(), json),
        PluginAction::Pack { source, library, out } => return author::pack(source, library.as_deref(), out, json),
        _ => {}
    }
    let config = load(config)?;
    let folder = folder(&config);
    match args.action {
        PluginAction::New { .. } | PluginAction::Pack { .. } => unreachable!("done above"),
        PluginAction::Install(package) => change::install(&folder, &package, false, json),
        PluginAction::Upgrade(package) => change::install(&folder, &package, true, json),
        PluginAction::Rollback { id, to } => change::rollback(&folder, &id, to.as_deref(), json),
        PluginAction::List => installed::list(&folder, json),
        PluginAction::Info { id } => installed::info(&folder, &id, json),
        PluginAction::Verify { id } => installed::verify(&folder, id.as_deref(), json),
        PluginAction::Remove { id, force } => installed::remove(&config, &folder, &id, force, json),
        PluginAction::Disable { id } => change::disable(&folder, &id, json),
        PluginAction::Enable { id } => enable::enable(&folder, &Client::new(&config.socket)?, &id, json).await,
    }
}

/// What is installed, judged by the configuration's keys.
fn folder(config: &Config) -> PluginFolder {
    PluginFolder::new(Layout::new(&config.state_dir).plugins(), config.plugin_keys.clone())
}

/// Plugins that domains name and that are not installed, or no longer what was installed.
pub fn check(config: &Config) -> Vec<Problem> {
    let folder = folder(config);
    let mut problems = Vec::new();
    for domain in config.domains.values() {
        let Some(id) = &domain.plugin else { continue };
        if let Err(e) = folder.usable(id) {
            problems.push(Problem::error(
                &format!("domains.{}.plugin", domain.name),
                &format!("plugin {id} cannot be used: {e}"),
                "`wengu plugin install` takes its folder or archive; `wengu plugin list` shows what is installed",
            ));
        }
    }
    problems
}
