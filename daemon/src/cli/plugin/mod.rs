use crate::cli::At;
use crate::cli::Exit;
use crate::cli::args::{PluginAction, PluginArgs};
use crate::layout::Layout;
use anyhow::Result;
use wengu_config::{Config, Problem};
use wengu_plugin_package::PluginFolder;

mod author;
mod change;
mod enable;
mod functions;
mod installed;

/// `wengu plugin …`.
pub async fn plugin(at: At<'_>, args: PluginArgs, json: bool) -> Result<Exit> {
    // Read where it is needed: what an author does needs no configuration.
    let config = || at.load();
    let installed = || config().map(|config| folder(&config));
    match args.action {
        PluginAction::New { name, lang, dir } => author::new(&name, lang, dir.as_deref(), json),
        PluginAction::Check { arguments } => author::check(arguments, json),
        PluginAction::Pack { source, library, out } => author::pack(&source, library.as_deref(), &out, json),
        PluginAction::Install(package) => change::install(&installed()?, &package, false, json),
        PluginAction::Upgrade(package) => change::install(&installed()?, &package, true, json),
        PluginAction::Rollback { id, to } => change::rollback(&installed()?, &id, to.as_deref(), json),
        PluginAction::List => installed::list(&installed()?, json),
        PluginAction::Info { id } => installed::info(&installed()?, &id, json),
        PluginAction::Verify { id } => installed::verify(&installed()?, id.as_deref(), json),
        PluginAction::Remove { id, force } => installed::remove(&config()?, &id, force, json),
        PluginAction::Functions { domain } => functions::functions(&at.connect()?, &domain, json).await,
        PluginAction::Disable { id } => change::disable(&installed()?, &id, json),
        PluginAction::Enable { id } => enable::enable(at, &id, json).await,
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
